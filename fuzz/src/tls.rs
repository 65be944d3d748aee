//! Records and handshake messages of TLS, and lines of key logs.

use rpcscope_parsers::tls::handshake::MAX_MESSAGE;
use rpcscope_parsers::tls::{Handshakes, Line, MAX_RECORD, Message, Record, Suite, record, schedule};

use crate::bytes::Input;

/// A stream of records. Input: pieces of `length 1 │ bytes`, whose handshake messages are read as either version's, and whose records are
/// opened with keys that do not fit.
pub fn tls_records(data: &[u8]) {
    let mut input = Input(data);
    let suite = input.pick(&[0x1301, 0x1303, 0x1305, 0xc02f, 0xc0af, 0xcca8, 0xc014, 0xc028]);
    let suite = Suite::find(suite).expect("a suite that is read");
    let random = [7; 32];
    let secret =
        rpcscope_parsers::tls::Secret::new(&[9; 48][..if suite.number >> 8 == 0x13 { 32 } else { 48 }])
            .expect("short");
    let key = schedule::traffic_key(suite, &secret)
        .or_else(|| {
            schedule::connection_keys(suite, &secret, &random, &random, data.len() % 2 == 0)
                .map(|[key, _]| key)
        })
        .expect("a key");
    let (mut stream, mut out) = (Vec::new(), Vec::new());
    let mut handshakes = Handshakes::default();
    let mut budget = 10_000;
    while !input.is_empty() {
        let len = usize::from(input.u8());
        stream.extend_from_slice(input.take(len));
        loop {
            match Record::first(&stream) {
                Ok(Some(record)) => {
                    assert!(record.head.record_len() <= MAX_RECORD);
                    assert_eq!(record.fragment.len(), usize::from(record.head.len));
                    assert!(key.open(3, &record, &mut out).is_none(), "nobody has these keys");
                    assert!(key.find(&record, 4, 100, &mut budget).is_none(), "nor under other numbers");
                    handshakes.content(record.fragment, &mut |kind, body| {
                        for is_tls13 in [false, true] {
                            if let Message::Certificate(names) | Message::Certificate13(names) =
                                Message::read(kind, body, is_tls13)
                            {
                                assert!(names.0.len() <= 16);
                            }
                        }
                    });
                    assert!(handshakes.memory() <= 4 * (MAX_MESSAGE + MAX_RECORD));
                    let done = record.head.record_len();
                    stream.drain(..done);
                }
                Ok(None) => break,
                Err(_) => {
                    let skip = match record::find_head(stream.get(1..).unwrap_or_default()) {
                        Ok(at) => at + 1,
                        Err(left) => stream.len() - left,
                    };
                    assert!(skip > 0, "something is passed over");
                    stream.drain(..skip);
                }
            }
        }
    }
}

/// A line of a key log: what is read of it, written again, is read the same.
pub fn tls_keylog(data: &[u8]) {
    let Line::Secret(label, random, secret) = Line::read(data) else { return };
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let written = format!("{} {} {}", label.name(), hex(&random), hex(secret.bytes()));
    assert_eq!(Line::read(written.as_bytes()), Line::Secret(label, random, secret.clone()));
    assert!(!format!("{secret:?}").contains(&hex(secret.bytes())), "a secret is not printed");
}
