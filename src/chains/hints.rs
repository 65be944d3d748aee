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

/// Whether a call is one to the service of that name: its name in the header, its interface, or the last part of either.
fn is_named(call: &Call, name: &str) -> bool {
    let names = [call.callee.as_deref(), call.service.as_deref()];
    names.into_iter().flatten().any(|full| full == name || full.rsplit('.').next() == Some(name))
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
        assert_eq!(hint, CallHint { caller: "cart".into(), callees: vec!["stock".into(), "pay".into()] });
        assert!("cart=".parse::<CallHint>().unwrap().callees.is_empty(), "it calls nobody");
        assert!("cart".parse::<CallHint>().is_err() && "=stock".parse::<CallHint>().is_err());
    }
}
