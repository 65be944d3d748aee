//! TLS between `flow` and `dispatch`: ciphertext in, plaintext out, in the same form ([`Chunk`](crate::flow::Chunk)), with the places of the
//! packets that it came in.
//!
//! It is no protocol: a connection begins undecided, and what looks like TLS gets a [`Connection`] between its chunks and a conversation that
//! begins anew inside ([`dispatch`](crate::dispatch)). Connections without TLS never come here.
//!
//! | file | noun |
//! | --- | --- |
//! | `store.rs` | secrets by the random of the `ClientHello` |
//! | `logs.rs` | key log files, which grow, are replaced, or do not exist yet |
//! | `keys.rs` | what the connections of one thread ask for secrets |
//! | `sessions.rs` | sessions of TLS 1.2 that may be resumed |
//! | `connection/` | one connection: its handshake, its records, and what waits for keys |
//! | `direction.rs` | one direction: records of the stream, and their keys |
//! | `epoch.rs` | which key opens a record |
//! | `held.rs` | ciphertext that waits for keys |
//! | `facts.rs` | what a connection's record says of its TLS |

mod connection;
mod direction;
mod epoch;
mod facts;
mod held;
mod keys;
mod logs;
mod numbers;
mod sessions;
mod store;

pub use connection::{Connection, Passed};
pub use facts::{Alert, Facts, Reason};
pub use keys::Keys;
pub use logs::KeyLogs;
