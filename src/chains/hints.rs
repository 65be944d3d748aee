//! What a person says about the links: who calls whom, and which evidence counts.

use std::str::FromStr;

use super::candidates::Candidate;
use super::record::Evidence;
use crate::calls::record::Call;

/// A service and all services that it calls: `a=b,c`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallHint {
    caller: String,
    callees: Vec<String>,
}

impl FromStr for CallHint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let error = || format!("{text:?} is not of the form SERVICE=CALLEE[,CALLEE…]");
        let (caller, callees) = text.split_once('=').ok_or_else(error)?;
        let callees: Vec<String> =
            callees.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
        let caller = caller.trim().to_owned();
        if caller.is_empty() { Err(error()) } else { Ok(Self { caller, callees }) }
    }
}

/// Whether a call is one to the service of that name: its name in the header, its interface, the last part of either, or its
/// address with the port.
fn is_named(call: &Call, name: &str) -> bool {
    let names = [call.callee.as_deref(), call.service.as_deref()];
    names.into_iter().flatten().any(|full| full == name || full.rsplit('.').next() == Some(name))
        || name.contains(':') && call.server.to_string() == name
}

/// The names in hints that no call has had yet.
#[derive(Clone, Debug, Default)]
pub(super) struct UnusedNames(Vec<String>);

impl UnusedNames {
    /// Notes the names of a call.
    pub(super) fn see(&mut self, call: &Call) {
        self.0.retain(|name| !is_named(call, name));
    }

    /// What to tell a person about them; `None` if all names occurred.
    pub(super) fn complaint(&self) -> Option<String> {
        let names: Vec<_> = self.0.iter().map(|name| crate::text::escape(name)).collect();
        (!names.is_empty()).then(|| format!("--calls: no call is one to {}", names.join(", ")))
    }
}

/// Restricts which links are made.
#[derive(Clone, Debug, Default)]
pub struct Hints {
    /// Whether only ids that both calls carry link them.
    pub ids_only: bool,
    /// Who calls whom. Services that are not named call anybody.
    pub calls: Vec<CallHint>,
}

impl Hints {
    /// Whether they restrict anything.
    pub(super) fn is_empty(&self) -> bool {
        !self.ids_only && self.calls.is_empty()
    }

    /// All names in them, before any call.
    pub(super) fn names(&self) -> UnusedNames {
        let names = |hint: &CallHint| std::iter::once(hint.caller.clone()).chain(hint.callees.clone());
        let mut all: Vec<String> = self.calls.iter().flat_map(names).collect();
        all.sort_unstable();
        all.dedup();
        UnusedNames(all)
    }

    /// Whether a link may be made.
    pub(super) fn allow(&self, parent: &Call, child: &Call, candidate: &Candidate) -> bool {
        let ids = [Evidence::TraceId, Evidence::LogId];
        if self.ids_only && !ids.into_iter().any(|id| candidate.evidence.contains(id)) {
            return false;
        }
        let mut hints = self.calls.iter().filter(|hint| is_named(parent, &hint.caller)).peekable();
        hints.peek().is_none() || hints.any(|hint| hint.callees.iter().any(|callee| is_named(child, callee)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_name_a_service_and_its_callees() {
        let hint: CallHint = "cart = stock, pay".parse().unwrap();
        assert_eq!(
            hint.clone(),
            CallHint { caller: "cart".into(), callees: vec!["stock".into(), "pay".into()] }
        );
        assert!("cart=".parse::<CallHint>().unwrap().callees.is_empty(), "it calls nobody");
        let mut call = crate::calls::sample::ok();
        call.callee = Some("shop.cart".into());
        for name in ["cart", "shop.cart", &call.server.to_string()] {
            assert!(is_named(&call, name), "{name}");
        }
        let mut names = Hints { calls: vec![hint], ids_only: false }.names();
        names.see(&call);
        assert_eq!(names.complaint().as_deref(), Some("--calls: no call is one to pay, stock"));
        assert!("cart".parse::<CallHint>().is_err() && "=stock".parse::<CallHint>().is_err());
    }
}
