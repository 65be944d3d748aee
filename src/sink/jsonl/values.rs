//! Values of keys that consist of several parts.

use std::borrow::Cow;

use crate::calls::likely::Likely;
use crate::calls::record::{GoAwayNote, Process, Uid};
use crate::calls::reported::{Escaped, Piece, Reported};
use crate::sink::json::Room;

/// The pieces of a text, without quotes. `plain`: a text of the call that is known to need no escapes.
pub(super) fn reported<'b>(room: Room<'b>, text: &Reported<'_>, plain: Option<&str>) -> Room<'b> {
    text.pieces().fold(room, |room, piece| match piece {
        Piece::Word(word) | Piece::Escaped(Escaped { json: word, .. }) => room.text(word),
        Piece::Text(text) if plain.is_some_and(|plain| std::ptr::eq(plain, &raw const **text)) => {
            room.text(text)
        }
        Piece::Text(text) => room.within_string(text),
        Piece::Number(number) => room.signed(*number),
    })
}

/// A call id as [`Uid`] writes it, without quotes.
pub(super) fn uid(room: Room<'_>, uid: Uid) -> Room<'_> {
    let room = room.number(uid.packet);
    if uid.ordinal == 0 { room } else { room.text(".").number(uid.ordinal.into()) }
}

/// `{"code":0,"name":"NO_ERROR","text":"max_age"}`.
pub(super) fn goaway<'b>(room: Room<'b>, note: &GoAwayNote) -> Room<'b> {
    let room = room.text("{\"code\":").signed(note.code);
    let room = match note.name() {
        Some(name) => room.text(",\"name\":").string(name),
        None => room,
    };
    match note.text.as_deref() {
        Some(text) => room.text(",\"text\":").string(text).text("}"),
        None => room.text("}"),
    }
}

/// `{"service":"a.S","method":"Do","class":"rpc","code":13,"confidence":0.98,"why":"…"}`, without what is not likely.
pub(super) fn likely<'b>(room: Room<'b>, likely: &Likely) -> Room<'b> {
    let each = |room: Room<'b>, (name, value): (&'static str, Cow<'_, str>)| {
        let room = room.text("\"").text(name).text("\":");
        match name {
            "code" | "confidence" => room.text(&value),
            _ => room.string(&value),
        }
    };
    room.text("{").list(likely.members(), each).text("}")
}

pub(super) fn processes<'b>(room: Room<'b>, ends: &[Option<Process>; 2]) -> Room<'b> {
    let known = ["client", "server"]
        .into_iter()
        .zip(ends)
        .filter_map(|(end, process)| Some((end, process.as_ref()?)));
    let each = |room: Room<'b>, (end, process): (&str, &Process)| {
        let room = room.text("\"").text(end).text("\":{\"pid\":").number(process.pid.into());
        let room = room.text(",\"name\":").string(&process.name);
        let places = [("container", &process.container), ("pod_uid", &process.pod_uid)];
        let places = places.into_iter().filter_map(|(key, text)| Some((key, text.as_deref()?)));
        places.fold(room, |room, (key, text)| room.text(",\"").text(key).text("\":").string(text)).text("}")
    };
    room.text("{").list(known, each).text("}")
}

/// `{"request":{"key":["value",…],…},"response":{…}}`: headers may repeat, so every name has a list.
pub(super) fn metadata<'b>(room: Room<'b>, headers: &[(bool, String, String)]) -> Room<'b> {
    let names = |response: bool| {
        let first =
            move |(at, header): &(usize, &_)| !headers.iter().take(*at).any(|before| same(before, header));
        headers.iter().enumerate().filter(move |(_, header)| header.0 == response).filter(first)
    };
    let each = |room: Room<'b>, (_, name): (usize, &_)| {
        let values = headers.iter().filter(|header| same(header, name));
        room.string(&name.1).text(":").array(values, |room, header| room.string(&header.2))
    };
    room.text("{\"request\":{")
        .list(names(false), each)
        .text("},\"response\":{")
        .list(names(true), each)
        .text("}}")
}

/// Whether two headers are of the same message and have the same name.
fn same(a: &(bool, String, String), b: &(bool, String, String)) -> bool {
    (a.0, &a.1) == (b.0, &b.1)
}
