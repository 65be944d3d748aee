//! Calls for tests of linking.

use super::members::{Member, Numbers};
use super::traits::Traits;
use crate::calls::record::{Call, Class, Uid};
use crate::decode::Endpoint;
use crate::time::Timestamp;

/// Ok calls, each on a connection of its own: the last parts of the caller's and the callee's address, start and end in nanoseconds.
pub(super) fn calls(all: &[(u8, u8, i64, i64)]) -> Vec<Call> {
    let endpoint = |host: u8, port| Endpoint { ip: [10, 0, 0, host].into(), port };
    let call = |(packet, &(from, to, start, end)): (u64, &(u8, u8, i64, i64))| {
        let uid = Uid { packet, ordinal: 0 };
        let (client, server) = (endpoint(from, 20_000 + packet as u16), endpoint(to, 8_000));
        let mut call = Call::new(uid, Timestamp(start), client, server);
        call.end = Timestamp(end);
        call.duration = u64::try_from(end - start).ok();
        call.outcome.class = Some(Class::Ok);
        call
    };
    (1..).zip(all).map(call).collect()
}

/// What `see` returns of calls, by start, whose causes are all wanted.
pub(super) fn with_members<T>(calls: &[Call], see: impl FnOnce(&[Member<'_>]) -> T) -> T {
    let traits: Vec<Traits> = calls.iter().map(Traits::of).collect();
    let mut numbers = Numbers::default();
    let member = |(call, traits)| Member::new(call, traits, None, true, &mut numbers);
    let members: Vec<Member<'_>> = calls.iter().zip(&traits).map(member).collect();
    see(&members)
}
