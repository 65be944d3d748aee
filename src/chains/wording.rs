//! Comparing the texts of errors on their way up: which part is the callee's, and what was put around it.

/// Shortest text that counts as found inside another one; shorter ones stand in too many texts by chance.
pub(super) const MIN_QUOTED: usize = 4;

/// Words that a caller's framework puts before the text of a callee's error; each stands for one hop. Sources: Kitex
/// `pkg/kerrors` (`remote or network error`, `rpc timeout`), Kitex `pkg/remote/trans/ttstream` (`[ttstream error`), grpc-go
/// `status.Error` (`rpc error: code = `), trpc-go `errs.Error.Error` (`type:business, code:…`).
const CALLER_MARKS: [&str; 5] =
    ["remote or network error", "rpc timeout: timeout=", "[ttstream error", "rpc error: code = ", "type:"];

/// How Kitex's client words a business error, which is no hop by itself (`pkg/kerrors/bizerrors.go`).
const BIZ_STATUS: &str = "biz error: code=";

/// Two of [`CALLER_MARKS`] that stand for one hop.
const BOTH_MARKS: &str = "remote or network error: rpc error: code = ";

/// What Kitex's server puts before the text of a plain handler error (`pkg/remote/trans_errors.go`).
const SERVER_MARK: &str = "biz error: ";

/// The text without what differs in every call: `cost:…` of trpc-go (`client/client.go`), the address in Kitex's
/// `[remote-ADDRESS]`, and white space at the ends.
pub(super) fn stable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    loop {
        let cost = rest.find("cost:").map(|at| (at, "cost:".len(), at));
        let remote = rest.find("[remote-").map(|at| (at, "[remote-".len(), at + "[remote".len()));
        let Some((at, mark, keep)) = cost.into_iter().chain(remote).min() else { break };
        out.push_str(&rest[..keep]);
        let changing = &rest[at + mark..];
        let end = changing.find([' ', ',', ';', ']']).unwrap_or(changing.len());
        rest = &changing[end..];
    }
    out.push_str(rest);
    out.trim_matches([' ', ',', ';']).to_owned()
}

/// How the text of an answer relates to the text of a callee's error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    /// The same, changing parts aside.
    Same,
    /// The callee's text stands inside, with that many hop prefixes more than it had itself.
    Wrapped {
        /// Prefixes that were added; 1 for words that no framework is known to add.
        prefixes: u32,
    },
    /// Other words.
    Other,
}

/// Compares the text of an answer with that of a callee's error.
pub(super) fn relation(above: &str, below: &str) -> Relation {
    let (above, below) = (stable(above), stable(below));
    if above == below {
        return Relation::Same;
    }
    if below.len() >= MIN_QUOTED && above.contains(&below) {
        let added = hops(&above).saturating_sub(hops(&below));
        return Relation::Wrapped { prefixes: added.max(1) };
    }
    Relation::Other
}

/// How many hops the prefixes of a text stand for.
pub(super) fn hops(text: &str) -> u32 {
    let callers: usize = CALLER_MARKS.iter().map(|mark| text.matches(mark).count()).sum();
    // Kitex puts its own words before those of its gRPC client: two marks, one hop.
    let callers = callers - text.matches(BOTH_MARKS).count();
    let servers = text.matches(SERVER_MARK).count() - text.matches(BIZ_STATUS).count();
    u32::try_from(callers.max(servers)).unwrap_or(u32::MAX)
}

/// Whether a text says itself that a call further down failed: a caller's framework worded it.
pub(super) fn speaks_of_callee(text: &str) -> bool {
    CALLER_MARKS.iter().any(|mark| text.contains(mark))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_in_every_call_is_left_out() {
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
}
