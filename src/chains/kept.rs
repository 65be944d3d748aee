//! The call of a hop, which may be shared.

use std::ops::Deref;
use std::sync::Arc;

use crate::calls::record::Call;

/// A call that is kept until its chain is complete, and then in the chain. Both kinds are there so that no call is copied, which takes
/// as long as what linking asks of it.
#[derive(Clone, Debug)]
pub enum Kept {
    /// Nobody else has it. Its box is that of the pipeline, and goes back there once the chain is written.
    Own(Box<Call>),
    /// Others may have it, as an interface does.
    Shared(Arc<Call>),
}

impl Kept {
    /// To change it; `None` while others have it.
    pub fn get_mut(&mut self) -> Option<&mut Call> {
        match self {
            Self::Own(call) => Some(call),
            Self::Shared(call) => Arc::get_mut(call),
        }
    }

    /// To change it, in a copy if others have it.
    pub fn make_mut(&mut self) -> &mut Call {
        match self {
            Self::Own(call) => call,
            Self::Shared(call) => Arc::make_mut(call),
        }
    }

    /// The call itself, or a copy if others have it.
    #[must_use]
    pub fn into_box(self) -> Box<Call> {
        match self {
            Self::Own(call) => call,
            Self::Shared(call) => Box::new(Arc::unwrap_or_clone(call)),
        }
    }

    /// The same call for somebody else too.
    #[must_use]
    pub fn shared(&self) -> Arc<Call> {
        match self {
            Self::Own(call) => Arc::new(Call::clone(call)),
            Self::Shared(call) => Arc::clone(call),
        }
    }
}

impl Deref for Kept {
    type Target = Call;

    #[inline]
    fn deref(&self) -> &Call {
        match self {
            Self::Own(call) => call,
            Self::Shared(call) => call,
        }
    }
}

impl From<Call> for Kept {
    fn from(call: Call) -> Self {
        Self::Own(Box::new(call))
    }
}

impl From<Box<Call>> for Kept {
    fn from(call: Box<Call>) -> Self {
        Self::Own(call)
    }
}

impl From<Arc<Call>> for Kept {
    fn from(call: Arc<Call>) -> Self {
        Self::Shared(call)
    }
}

impl From<Kept> for Arc<Call> {
    fn from(kept: Kept) -> Self {
        match kept {
            Kept::Own(call) => call.into(),
            Kept::Shared(call) => call,
        }
    }
}
