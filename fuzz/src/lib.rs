//! What the fuzz targets run, each a function of bytes that returns, and panics if what it checks does not hold.
//!
//! `fuzz_targets/` has one file for each name here, so that cargo-fuzz and `scripts/fuzz.sh` find them. How to run them and
//! what each checks: `docs/fuzzing.md`.

mod bodies;
mod bytes;
mod calls;
mod captures;
mod headers;
pub mod mutate;
mod reassembly;
pub mod seeds;
mod sessions;
pub mod targets;
mod texts;
mod tls;
mod traffic;

pub use bodies::{body, body_descriptors, body_idl, body_proto};
pub use calls::{outcome, pairing};
pub use captures::{capture, file_gzip, file_pcap, file_pcapng, file_zstd, packet};
pub use headers::{hpack, prelude};
pub use reassembly::reassembly;
pub use seeds::write_if_asked;
pub use sessions::{PROTOCOLS, session};
pub use texts::{escape, explain, filter, time};
pub use tls::{tls_keylog, tls_records};
pub use traffic::traffic;

/// Most bytes of an input that a target looks at.
pub const MAX_INPUT: usize = 64 * 1024;

/// A target: the function of that name, or the session of that protocol.
#[macro_export]
macro_rules! target {
    (session $protocol:literal) => {
        $crate::target!(@ concat!("session_", $protocol), |data| $crate::session($protocol, data));
    };
    ($name:ident) => {
        $crate::target!(@ stringify!($name), |data| $crate::$name(data));
    };
    (@ $name:expr, |$data:ident| $run:expr) => {
        libfuzzer_sys::fuzz_target!(
            init: $crate::write_if_asked($name),
            |$data: &[u8]| {
                let $data = &$data[..$data.len().min($crate::MAX_INPUT)];
                $run;
            }
        );
    };
}
