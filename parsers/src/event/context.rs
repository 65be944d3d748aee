//! Names of headers that hold trace context, as far as they are told from others while headers are read: what the context is, is for others to
//! say.

/// The names in lower case and with `-`, the shortest first.
pub const CONTEXT_NAMES: [&str; 13] = [
    "b3",
    "sw8",
    "traceparent",
    "x-b3-spanid",
    "x-b3-traceid",
    "uber-trace-id",
    "grpc-trace-bin",
    "x-amzn-trace-id",
    "x-b3-parentspanid",
    "x-datadog-trace-id",
    "x-datadog-parent-id",
    "x-cloud-trace-context",
    // The gRPC gateway of Google's libraries uses this name.
    "grpcgateway-traceparent",
];

/// Prefixes under which frameworks pass user headers on (`metainfo` of Kitex and Volo, and its HTTP/2 form), in the same form.
pub const CONTEXT_PREFIXES: [&str; 3] = ["rpc-transit-upstream-", "rpc-transit-", "rpc-persist-"];

/// Length of the longest name, prefix included.
#[allow(
    clippy::indexing_slicing,
    reason = "runs in the compiler only, where a wrong index is an error of compilation"
)]
const LONGEST: usize = CONTEXT_NAMES[CONTEXT_NAMES.len() - 1].len() + CONTEXT_PREFIXES[0].len();

/// Bit of a letter: the same in both cases.
const fn bit(letter: u8) -> u32 {
    1 << (letter & 31)
}

/// By length, the first and the third letters of names of that length, with a prefix or without: most headers have others. Many begin with
/// `x-` and are as long, such as `x-request-id`.
static LETTERS: [[u32; 2]; LONGEST + 1] = letters();

#[allow(
    clippy::indexing_slicing,
    reason = "runs in the compiler only, where a wrong index is an error of compilation"
)]
const fn letters() -> [[u32; 2]; LONGEST + 1] {
    let mut letters = [[bit(b'r'), bit(b'c')]; LONGEST + 1];
    let mut at = 0;
    while at < CONTEXT_NAMES.len() {
        let name = CONTEXT_NAMES[at].as_bytes();
        assert!(at == 0 || CONTEXT_NAMES[at - 1].len() <= name.len(), "the shortest first");
        letters[name.len()][0] |= bit(name[0]);
        letters[name.len()][1] |= if name.len() < 3 { u32::MAX } else { bit(name[2]) };
        at += 1;
    }
    letters
}

/// Whether a header may be one of trace context by the length and two letters of its name, in any case, with `_` or `-` and with a prefix.
/// Nearly none may.
#[inline]
#[must_use]
pub fn may_be_context(name: &[u8]) -> bool {
    let letter = |at: usize| bit(name.get(at).copied().unwrap_or_default());
    LETTERS.get(name.len()).is_some_and(|[first, third]| first & letter(0) != 0 && third & letter(2) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_may_be_one_with_every_prefix() {
        for name in CONTEXT_NAMES {
            for prefix in CONTEXT_PREFIXES.into_iter().chain([""]) {
                let name = format!("{prefix}{name}");
                for name in [name.replace('-', "_"), name.to_uppercase(), name] {
                    assert!(may_be_context(name.as_bytes()), "{name}");
                }
            }
        }
        let long = "x".repeat(LONGEST + 1);
        for name in ["", "x", "content-type", "x-request-id", "user-agent", &long] {
            assert!(!may_be_context(name.as_bytes()), "{name}");
        }
    }
}
