//! Comparing the texts of errors on their way up: which part came from the callee, and what was added to it.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::codes::{grpc, kitex, trpc, ttstream};

/// Shortest text that counts as found inside another one: shorter ones appear in other texts by chance.
pub(super) const MIN_QUOTED: usize = 4;

/// Words that the caller's framework puts before the text of a callee's error: each stands for one hop.
const CALLER_MARKS: [&str; 5] = [
    kitex::REMOTE_ERROR,
    kitex::RPC_TIMEOUT_FIELDS,
    ttstream::ERROR_TEXT,
    grpc::ERROR_TEXT,
    trpc::ERROR_TEXT,
];

/// The text without the parts that differ in every call: `cost:…` of trpc-go, the address in Kitex's `[remote-ADDRESS]`, and
/// punctuation at the ends.
pub(super) fn stable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((at, mark, keep)) = changing_part(rest) {
        out.push_str(&rest[..keep]);
        let changing = &rest[at + mark..];
        let end = changing.find([' ', ',', ';', ']']).unwrap_or(changing.len());
        rest = &changing[end..];
    }
    out.push_str(rest);
    out.trim_matches([' ', ',', ';']).to_owned()
}

/// The first place where a part may begin that differs in every call, the length of the words there, and how much of the text stays.
fn changing_part(text: &str) -> Option<(usize, usize, usize)> {
    const REMOTE: &str = "[remote-";
    // Searching for either takes longer to prepare than to do.
    let mut begins = text.bytes().enumerate().filter(|(_, octet)| matches!(octet, b'c' | b'['));
    begins.find_map(|(at, _)| {
        let rest = &text[at..];
        if rest.starts_with(trpc::COST) {
            Some((at, trpc::COST.len(), at))
        } else {
            rest.starts_with(REMOTE).then_some((at, REMOTE.len(), at + REMOTE.len() - 1))
        }
    })
}

/// How the text of an answer relates to the text of a callee's error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    /// The same, apart from the parts that differ in every call.
    Same,
    /// It contains the callee's text.
    Wrapped {
        /// Number of hop prefixes that were added; 1 if no framework is known to add the words around it.
        prefixes: u32,
    },
    /// It has nothing of the callee's text.
    Other,
}

/// Compares the text of an answer with that of a callee's error.
pub(super) fn relation(above: &str, below: &str) -> Relation {
    if above == below {
        return Relation::Same;
    }
    let (above, below) = (stable(above), stable(below));
    if above == below {
        return Relation::Same;
    }
    if is_quoted(&above, &below) {
        let added = hops(&above).saturating_sub(hops(&below));
        return Relation::Wrapped { prefixes: added.max(1) };
    }
    Relation::Other
}

/// Whether the text of an answer has anything of a callee's error: [`relation`] without counting prefixes, which takes as long.
pub(super) fn is_related(above: &str, below: &str) -> bool {
    if above == below {
        return true;
    }
    let (above, below) = (stable(above), stable(below));
    above == below || is_quoted(&above, &below)
}

/// Whether a text contains another one that is long enough. Both are [`stable`].
fn is_quoted(above: &str, below: &str) -> bool {
    below.len() >= MIN_QUOTED && above.contains(below)
}

/// What [`hops`] counts. To prepare a search takes longer than to search a text.
struct Counted {
    callers: [Finder<'static>; CALLER_MARKS.len()],
    remote_grpc_error: Finder<'static>,
    plain_error: Finder<'static>,
    biz_status: Finder<'static>,
}

static COUNTED: LazyLock<Counted> = LazyLock::new(|| Counted {
    callers: CALLER_MARKS.map(Finder::new),
    remote_grpc_error: Finder::new(kitex::REMOTE_GRPC_ERROR),
    plain_error: Finder::new(kitex::PLAIN_ERROR),
    biz_status: Finder::new(kitex::BIZ_STATUS),
});

/// The number of hops that the prefixes of a text stand for.
pub(super) fn hops(text: &str) -> u32 {
    let Counted { callers, remote_grpc_error, plain_error, biz_status } = &*COUNTED;
    let count = |words: &Finder<'_>| words.find_iter(text.as_bytes()).count();
    // Kitex puts its own words before those of its gRPC client: two marks for one hop.
    let callers = callers.iter().map(count).sum::<usize>() - count(remote_grpc_error);
    // Its client words a business status like the server's plain error, but no hop adds it.
    let servers = count(plain_error) - count(biz_status);
    u32::try_from(callers.max(servers)).unwrap_or(u32::MAX)
}

/// Whether a caller's framework worded the text, so that a call further down failed.
pub(super) fn speaks_of_callee(text: &str) -> bool {
    CALLER_MARKS.iter().any(|mark| text.contains(mark))
}

/// Words by which a service says that it did not wait for an answer, or no longer.
const GIVEN_UP: [&str; 5] =
    ["timeout", "timed out", "deadline exceeded", "context canceled", "context cancelled"];

/// Whether a text says that a service did not wait for an answer.
pub(super) fn speaks_of_giving_up(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    GIVEN_UP.iter().any(|words| text.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_that_differ_in_every_call_are_removed() {
        assert_eq!(
            stable("tcp client transport ReadFrame, cost:150.804733ms"),
            "tcp client transport ReadFrame"
        );
        assert_eq!(stable("error[remote-10.0.0.1:80]: no"), "error[remote]: no");
        assert_eq!(stable("dial, cost:288.539µs; again"), "dial, ; again");
    }

    #[test]
    fn prefixes_are_counted_by_hop() {
        let one = "biz error: remote or network error[remote]: biz error: down";
        assert_eq!(relation(one, "biz error: down"), Relation::Wrapped { prefixes: 1 });
        let two = format!("biz error: remote or network error[remote-10.0.0.2:9]: {one}");
        assert_eq!(relation(&two, one), Relation::Wrapped { prefixes: 1 });
        assert_eq!(relation(&two, "biz error: down"), Relation::Wrapped { prefixes: 2 });
        assert_eq!(relation("gateway: no row", "no row"), Relation::Wrapped { prefixes: 1 });
        assert_eq!(relation("a, cost:1ms", "a, cost:2ms"), Relation::Same);
        assert_eq!(relation("out of stock", "no row"), Relation::Other);
        assert_eq!(relation("xyz", "y"), Relation::Other);
    }

    #[test]
    fn texts_are_related_that_are_not_others() {
        let texts = [
            "no row",
            "gateway: no row",
            "no row, cost:1ms",
            "no row, cost:2ms",
            "gateway: no",
            "y",
            "xyz",
            "",
        ];
        for above in texts {
            for below in texts {
                let expected = relation(above, below) != Relation::Other;
                assert_eq!(is_related(above, below), expected, "{above:?} above {below:?}");
            }
        }
        assert!(
            is_related("no row, cost:1ms", "no row, cost:2ms") && !is_related("no row", "gateway: no row")
        );
    }
}
