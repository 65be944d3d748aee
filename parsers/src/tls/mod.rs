//! TLS 1.2 and 1.3 (RFC 5246, RFC 8446) for whoever has the secrets of a key log (RFC 9850): records, handshake messages, key
//! schedule, and the protection of records. Which record is which of a connection is decided elsewhere.
//!
//! | file | noun |
//! | --- | --- |
//! | `record.rs` | records: their heads, and where one may begin after a gap |
//! | `handshake.rs` | handshake messages, put together from records |
//! | `hello.rs` | `ClientHello` and `ServerHello` |
//! | `certificate.rs` | the names in a certificate |
//! | `alert.rs` | the names of alerts |
//! | `suite.rs` | cipher suites |
//! | `suite_names.rs` | the names of suites that are not read |
//! | `secret.rs` | secret bytes, which are wiped and never printed |
//! | `keylog.rs` | lines of a key log |
//! | `schedule.rs` | from secrets to the keys of a direction |
//! | `protection.rs` | one direction's keys: records open or do not |
//! | `search.rs` | the number of a record that nobody has counted to |

pub mod alert;
pub mod certificate;
pub mod handshake;
pub mod hello;
pub mod keylog;
pub mod protection;
pub mod record;
pub mod schedule;
mod search;
pub mod secret;
pub mod suite;
mod suite_names;

pub use handshake::{Handshakes, Message};
pub use hello::{ClientHello, ServerHello};
pub use keylog::{Label, Line};
pub use protection::{Opened, RecordKey};
pub use record::{ContentType, Head, MAX_RECORD, Record};
pub use secret::Secret;
pub use suite::{Suite, Version};
