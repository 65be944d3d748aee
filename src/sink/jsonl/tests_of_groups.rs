//! Groups of keys that are written at once are what the table of keys says.

use super::*;
use crate::calls::record::Call;
use crate::calls::sample;

/// Writes each key by itself.
struct OneByOne<'b, 'd>(Members<'b, 'd>);

impl Visit for OneByOne<'_, '_> {
    fn key(&mut self, member: Member, value: Value<'_>, absent: Option<&'static str>) {
        self.0.key(member, value, absent);
    }
}

fn one_by_one(call: &Call) -> String {
    let (mut out, mut memory) = (Vec::new(), Memory::default());
    json::append(&mut out, |room| {
        let room = room.text("{\"type\":\"call\"");
        let mut members = OneByOne(Members::new(room, &mut memory.dates));
        keys::visit(call, &mut members);
        members.0.room.text("}")
    });
    String::from_utf8(out).unwrap()
}

#[test]
fn records_have_the_keys_of_the_table_in_its_order() {
    let changes: [fn(&mut Call); 14] = [
        |_| {},
        |call| call.uid.ordinal = 300,
        |call| call.uid.packet = 99_999_999,
        |call| call.uid.packet = 100_000_000,
        |call| (call.packets.0, call.packets.1) = (u64::MAX, u64::MAX),
        |call| call.packets.0 = call.uid.packet + 1,
        |call| (call.latency, call.duration) = (Some(7), Some(7)),
        |call| (call.latency, call.duration) = (Some(99_999_999), Some(99_999_999)),
        |call| (call.latency, call.duration) = (Some(100_000_000), Some(100_000_000)),
        |call| (call.latency, call.duration) = (Some(250), None),
        |call| (call.latency, call.duration) = (None, None),
        |call| (call.request_messages, call.response_messages) = (9, 9),
        |call| (call.request_messages, call.response_messages) = (10, 1),
        |call| (call.request_messages, call.response_messages) = (0, u32::MAX),
    ];
    for sample in [sample::bare(), sample::ok(), sample::full()] {
        for change in changes {
            let mut call = sample.clone();
            change(&mut call);
            let mut written = Vec::new();
            write_call(&mut written, &call);
            assert_eq!(String::from_utf8(written).unwrap(), one_by_one(&call));
        }
    }
}
