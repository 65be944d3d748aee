//! Which authorities are trusted, and who this host says it is: the files that `OTEL_EXPORTER_OTLP_CERTIFICATE`, `…_CLIENT_CERTIFICATE` and
//! `…_CLIENT_KEY` name (`specification/protocol/exporter.md` of open-telemetry/opentelemetry-specification).

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};

use super::endpoint::Refusal;
use crate::source::fifo::Once;

/// What is known of a receiver over https. Private keys stay in memory only.
#[derive(Clone, Default)]
pub(super) struct Tls(Option<Arc<TlsConfig>>);

impl Tls {
    /// What the variables name; `variable` reads one, by the end of its name.
    pub(super) fn of(variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, Refusal> {
        let file = |name: &str| variable(name).map(|path| read(name, &path)).transpose();
        let authorities = file("CERTIFICATE")?.map(|file| file.certificates()).transpose()?;
        let chain = file("CLIENT_CERTIFICATE")?.map(|file| file.certificates()).transpose()?;
        let key = file("CLIENT_KEY")?.map(|file| file.key()).transpose()?;
        if chain.is_some() != key.is_some() {
            let text = "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY belong together: one of them is not set";
            return Err(Refusal::Usage(text.to_owned()));
        }
        let mut config = TlsConfig::builder();
        if let Some(authorities) = authorities {
            config = config.root_certs(RootCerts::new_with_certs(&authorities));
        }
        if let Some((chain, key)) = chain.zip(key) {
            config = config.client_cert(Some(ClientCert::new_with_certs(&chain, key)));
        }
        Ok(Self(Some(Arc::new(config.build()))))
    }

    /// For the client; Mozilla's list of authorities where none is named.
    pub(super) fn config(&self) -> TlsConfig {
        self.0.as_deref().cloned().unwrap_or_default()
    }
}

/// A file of PEM (RFC 7468).
struct Pem {
    /// The variable and the file, for messages.
    name: String,
    items: Vec<PemItem<'static>>,
}

fn read(name: &str, path: &str) -> Result<Pem, Refusal> {
    let name = format!("OTEL_EXPORTER_OTLP_{name} ({path})");
    let mut bytes = Vec::new();
    let read = Once::open(Path::new(path)).and_then(|mut file| file.read_to_end(&mut bytes));
    read.map_err(|error| Refusal::Unknown(format!("{name}: {error}")))?;
    let items = parse_pem(&bytes).collect::<Result<_, _>>();
    let items = items.map_err(|error| Refusal::Unknown(format!("{name}: {error}")))?;
    Ok(Pem { name, items })
}

impl Pem {
    fn certificates(self) -> Result<Vec<Certificate<'static>>, Refusal> {
        let certificates: Vec<_> = self
            .items
            .into_iter()
            .filter_map(|item| match item {
                PemItem::Certificate(certificate) => Some(certificate),
                _ => None,
            })
            .collect();
        if certificates.is_empty() {
            return Err(Refusal::Unknown(format!(
                "{}: no certificate in PEM (-----BEGIN CERTIFICATE-----)",
                self.name
            )));
        }
        Ok(certificates)
    }

    fn key(self) -> Result<PrivateKey<'static>, Refusal> {
        let key = self.items.into_iter().find_map(|item| match item {
            PemItem::PrivateKey(key) => Some(key),
            _ => None,
        });
        key.ok_or_else(|| Refusal::Unknown(format!("{}: no private key in PEM", self.name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_no_certificates_are_named() {
        let temporary = tempfile::tempdir().unwrap();
        let at = |name: &str| temporary.path().join(name).to_str().unwrap().to_owned();
        std::fs::write(at("empty"), "nothing\n").unwrap();
        std::fs::write(at("ca"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
        for (variables, said) in [
            (&[("CERTIFICATE", "missing")][..], "No such file"),
            (&[("CERTIFICATE", "empty")], "no certificate in PEM"),
            (&[("CLIENT_KEY", "ca"), ("CLIENT_CERTIFICATE", "ca")], "no private key in PEM"),
            (&[("CLIENT_CERTIFICATE", "ca")], "belong together"),
        ] {
            let variable =
                |name: &str| variables.iter().find(|(other, _)| *other == name).map(|(_, file)| at(file));
            let refusal = Tls::of(&variable).err().unwrap().to_string();
            assert!(refusal.contains(said), "{refusal}");
        }
        assert!(Tls::of(&|name| (name == "CERTIFICATE").then(|| at("ca"))).is_ok());
    }
}
