//! What the chain of a failed call says about it: where its error began, and whether anybody above noticed.

use crate::calls::Uid;
use crate::chains::{Chain, FACT};

/// What became of a failed call further up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Above {
    /// Nothing that is known for sure.
    Unknown,
    /// A further try of the same caller decided instead.
    Retried {
        /// That try.
        by: Uid,
        /// It was ok.
        healed: bool,
    },
    /// The service that made it answered its own caller ok.
    Swallowed(Uid),
    /// The service that made it failed because of it.
    PassedOn(Uid),
}

/// The background of a failed call.
#[derive(Clone, Debug, PartialEq)]
pub struct Background {
    /// Where it began, as the end of a sentence; only as far as that is a fact. Contains no control characters.
    pub cause: Option<String>,
    /// The call where it began; only as far as that is a fact.
    pub origin: Option<Uid>,
    /// How sure that is, 0 to 1.
    pub confidence: f64,
    /// What became of it further up.
    pub above: Above,
}

impl Background {
    /// The background of a call of a chain.
    #[must_use]
    pub fn of(chain: &Chain, hop: usize) -> Self {
        let confidence = chain.cause_confidence(hop);
        let is_fact = confidence >= FACT;
        let origin = chain.deepest(hop).and_then(|deepest| chain.hops.get(deepest));
        Self {
            cause: chain.cause(hop).filter(|_| is_fact),
            origin: origin.filter(|_| is_fact).map(|origin| origin.call.uid),
            confidence,
            above: above(chain, hop).unwrap_or(Above::Unknown),
        }
    }
}

fn above(chain: &Chain, number: usize) -> Option<Above> {
    let hop = chain.hops.get(number)?;
    if let Some(by) = hop.retried_by.filter(|_| chain.retry_is_sure(number) == Some(true)) {
        let call = &chain.hops.get(by)?.call;
        return Some(Above::Retried { by: call.uid, healed: call.class().is_some() && !call.failed() });
    }
    let parent = hop.parent.filter(|_| hop.link.is_some() && hop.unsure_link().is_none())?;
    let call = &chain.hops.get(parent)?.call;
    let is_told = chain
        .changes
        .iter()
        .any(|change| change.hop == parent && change.below == Some(number) && change.is_fact());
    let above = if call.failed() { Above::PassedOn(call.uid) } else { Above::Swallowed(call.uid) };
    is_told.then_some(above)
}
