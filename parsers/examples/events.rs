//! Prints what the parsers see in a conversation: files with the bytes of one side each, in order, whose names end in `a.bin` or
//! `b.bin`, as those of `samples/` do.
//!
//!     cargo run -p rpcscope-parsers --example events parsers/samples/trpc/*.bin

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use rpcscope_parsers::{Detection, Event, Opening, Protocol, Session, Side, all};

fn main() -> ExitCode {
    let paths: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    if paths.is_empty() {
        eprintln!("usage: events FILE... (*a.bin from one side, *b.bin from the other)");
        return ExitCode::from(2);
    }
    match read(&paths) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn read(paths: &[PathBuf]) -> Result<(), String> {
    // Undecided: bytes of both sides are kept until a protocol says that they are its own.
    let mut waiting: Vec<(Side, Vec<u8>)> = Vec::new();
    let mut session: Option<Box<dyn Session>> = None;
    for path in paths {
        let side = side(path)?;
        let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        if let Some(session) = &mut session {
            session.data(side, &bytes, &mut print);
            continue;
        }
        waiting.push((side, bytes));
        if let Some(protocol) = detect(&waiting) {
            println!("{}", protocol.name());
            let begun = session.insert(protocol.session());
            for (side, bytes) in waiting.drain(..) {
                begun.data(side, &bytes, &mut print);
            }
        }
    }
    let Some(mut session) = session else { return Err("no protocol knows these bytes".into()) };
    for side in [Side::A, Side::B] {
        session.end(side, &mut print);
    }
    Ok(())
}

fn side(path: &Path) -> Result<Side, String> {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    match name.chars().last() {
        Some('a') => Ok(Side::A),
        Some('b') => Ok(Side::B),
        _ => Err(format!("{}: which side? the name ends in neither a.bin nor b.bin", path.display())),
    }
}

/// The first protocol that knows the bytes as the beginning of its own connection.
fn detect(waiting: &[(Side, Vec<u8>)]) -> Option<&'static dyn Protocol> {
    let of = |wanted: Side| -> Vec<u8> {
        let sent = waiting.iter().filter(|(side, _)| *side == wanted);
        sent.flat_map(|(_, bytes)| bytes.iter().copied()).collect()
    };
    let bytes = [of(Side::A), of(Side::B)];
    let opening = Opening {
        bytes: [bytes[0].as_slice(), bytes[1].as_slice()],
        from_start: [true, true],
        datagram: false,
    };
    all().iter().copied().find(|protocol| protocol.detect(&opening) == Detection::Yes)
}

fn print(side: Side, event: &Event<'_>) {
    match event {
        Event::Request(request) => {
            let (service, method) = (request.names.service, request.names.method);
            println!("{side:?} request {:?} of {service:?} {method:?}", request.head.id);
        }
        Event::Open(open) => {
            println!("{side:?} opens {:?} of {:?} {:?}", open.head.id, open.names.service, open.names.method);
        }
        Event::Answer(answer) => println!("{side:?} answer {:?}: {:?}", answer.head.id, answer.status),
        Event::Reset(reset) => println!("{side:?} breaks off {:?}", reset.head.id),
        Event::GoAway(_) => println!("{side:?} accepts no new streams"),
        // Parts of streams, bodies, and what proxies put in front.
        _ => {}
    }
}
