//! The columns of the lists: which there are at which width, and what stands in a cell of a call.

use super::keys::View;
use super::names::Names;
use crate::calls::{Call, Class, labels};
use crate::text;

/// A column of any list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Column {
    Time,
    Latency,
    Client,
    Server,
    Protocol,
    /// `service.method`.
    Method,
    Class,
    Code,
    /// Code and text of the error, where there is no room for two columns.
    Verdict,
    Message,
    Count,
    Share,
    First,
    Last,
    History,
    Calls,
    Rate,
    RpcShare,
    BizShare,
    P50,
    P90,
    P99,
    Max,
    TopCode,
    State,
    Failed,
    Packets,
    Bytes,
    Retransmissions,
    Gaps,
    Reason,
    /// What a callee answered, what its caller made of it, and by which rules.
    Below,
    Made,
    What,
    Example,
    /// Two services of which one calls the other.
    Edge,
    Fine,
    Business,
    Rpc,
    Broken,
    /// Share of the calls of an edge that failed.
    FailedShare,
    /// Shares of all errors that begin at an edge and that pass it.
    Began,
    Passed,
}

/// A column with its place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed {
    pub column: Column,
    pub width: usize,
}

impl Column {
    /// The word above the column.
    pub(super) fn head(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Latency => "latency",
            Self::Client => "client",
            Self::Server => "server",
            Self::Protocol => "protocol",
            Self::Method => "service.method",
            Self::Class => "class",
            Self::Code => "code",
            Self::Verdict => "verdict",
            Self::Message => "message",
            Self::Count => "count",
            Self::Share => "share",
            Self::First => "first",
            Self::Last => "last",
            Self::History => "history",
            Self::Calls => "calls",
            Self::Rate => "rate/s",
            Self::RpcShare => "RPC %",
            Self::BizShare => "BIZ %",
            Self::P50 => "p50",
            Self::P90 => "p90",
            Self::P99 => "p99",
            Self::Max => "max",
            Self::TopCode => "top code",
            Self::State => "state",
            Self::Failed => "failed",
            Self::Packets => "packets",
            Self::Bytes => "bytes",
            Self::Retransmissions => "retrans",
            Self::Gaps => "gaps",
            Self::Reason => "why not decoded",
            Self::Below => "callee answered",
            Self::Made => "service answered",
            Self::What => "what happened",
            Self::Example => "example",
            Self::Edge => "who calls whom",
            Self::Fine => "ok",
            Self::Business => "BIZ",
            Self::Rpc => "RPC",
            Self::Broken => "NET ?",
            Self::FailedShare => "failed %",
            Self::Began => "began",
            Self::Passed => "passed",
        }
    }

    /// Numbers stand at the right.
    pub(super) fn is_right(self) -> bool {
        matches!(
            self,
            Self::Latency
                | Self::Code
                | Self::Count
                | Self::Share
                | Self::Calls
                | Self::Rate
                | Self::P50
                | Self::P90
                | Self::P99
                | Self::Max
                | Self::Failed
                | Self::Packets
                | Self::Bytes
                | Self::Retransmissions
                | Self::Gaps
                | Self::Fine
                | Self::Business
                | Self::Rpc
                | Self::Broken
                | Self::Began
                | Self::Passed
        )
    }

    /// Whether the first press of the sort key puts the largest first: counts and times taken, where the large ones matter.
    pub(super) fn sorts_down(self) -> bool {
        self.is_right()
            || matches!(
                self,
                Self::RpcShare | Self::BizShare | Self::FailedShare | Self::Last | Self::TopCode
            )
    }
}

/// Columns before the first one: mark and class letter with a space after each.
pub(super) const MARGIN: usize = 3;

/// Columns that a time takes in every format.
const TIME_WIDTH: usize = 12;

/// The columns of a view at a width of the screen: what matters least goes first when it gets narrow.
pub(super) fn columns(view: View, width: usize) -> Vec<Placed> {
    use Column as C;
    let room = width.saturating_sub(MARGIN);
    // Width 0: takes a share of what is left.
    let mut wanted: Vec<(Column, usize)> = Vec::new();
    let mut share = (1, 2);
    match view {
        View::Calls => {
            wanted.extend([(C::Time, TIME_WIDTH), (C::Latency, 7)]);
            if width >= 96 {
                wanted.extend([(C::Client, (width / 10).min(26)), (C::Server, (width / 7).min(30))]);
                wanted.push((C::Protocol, if width >= 140 { 14 } else { 9 }));
            }
            wanted.push((C::Method, 0));
            if width >= 140 {
                share = (9, 20);
                wanted.extend([(C::Class, 10), (C::Code, 8), (C::Message, 0)]);
            } else {
                wanted.push((C::Verdict, 0));
            }
        }
        View::Errors => {
            wanted.extend([(C::Count, 7), (C::Share, 6), (C::Method, 0)]);
            if width >= 110 {
                wanted.push((C::Class, 10));
            }
            if width >= 140 {
                wanted.extend([(C::Code, 8), (C::Message, 0)]);
                share = (2, 5);
            } else {
                wanted.push((C::Verdict, 0));
            }
            if width >= 76 {
                wanted.push((C::History, if width >= 140 { 32 } else { 8 }));
            }
            if width >= 96 {
                wanted.push((C::First, TIME_WIDTH));
            }
            if width >= 76 {
                wanted.push((C::Last, TIME_WIDTH));
            }
        }
        View::Services => {
            wanted.push((C::Method, 0));
            wanted.push((C::Calls, 8));
            if width >= 100 {
                wanted.push((C::Rate, 7));
            }
            let bars = if width >= 140 { 12 } else { 6 };
            wanted.extend([(C::RpcShare, bars), (C::BizShare, bars), (C::P50, 6)]);
            if width >= 100 {
                wanted.push((C::P90, 6));
            }
            wanted.push((C::P99, 6));
            if width >= 90 {
                wanted.push((C::Max, 6));
            }
            if width >= 120 {
                wanted.push((C::History, if width >= 160 { 32 } else { 8 }));
            }
            if width >= 76 {
                wanted.push((C::TopCode, if width >= 160 { 28 } else { 12 }));
            }
            share = (1, 1);
        }
        View::Connections => {
            let address = (width / 5).clamp(14, 30);
            wanted.push((C::Protocol, if width >= 140 { 14 } else { 9 }));
            if width >= 96 {
                wanted.push((C::Client, address));
            }
            wanted.extend([(C::Server, address), (C::State, 7), (C::Calls, 7)]);
            if width >= 80 {
                wanted.push((C::Failed, 6));
            }
            if width >= 120 {
                wanted.extend([(C::Packets, 9), (C::Bytes, 9)]);
            }
            if width >= 140 {
                wanted.push((C::Retransmissions, 7));
            }
            if width >= 120 {
                wanted.push((C::Gaps, 5));
            }
            wanted.push((C::Reason, 0));
            share = (1, 1);
        }
        View::Chains => return Vec::new(),
        View::Changes => {
            wanted.extend([(C::Count, 6), (C::Below, 0), (C::Made, 0)]);
            if width >= 76 {
                wanted.push((C::What, if width >= 110 { width / 3 } else { width / 4 }));
            }
            if width >= 110 {
                wanted.push((C::Example, 10));
            }
        }
        View::Graph => {
            wanted.extend([(C::Edge, 0), (C::Calls, 7)]);
            if width >= 100 {
                wanted.push((C::Fine, 7));
            }
            wanted.extend([(C::Business, 6), (C::Rpc, 6), (C::Broken, 6)]);
            share = (1, 1);
            if width >= 140 {
                share = (3, 5);
                wanted.push((C::FailedShare, 0));
            } else if width >= 110 {
                wanted.push((C::FailedShare, 14));
            }
            wanted.push((C::Began, 6));
            if width >= 70 {
                wanted.push((C::Passed, 6));
            }
        }
    }
    // One column of space between all; one or two of them share what is left.
    let fixed: usize = wanted.iter().map(|(_, w)| w + 1).sum::<usize>().saturating_sub(1);
    let left = room.saturating_sub(fixed);
    let first = left * share.0 / share.1;
    let mut parts = [first, left - first].into_iter();
    wanted
        .into_iter()
        .map(|(column, width)| Placed {
            column,
            width: if width == 0 { parts.next().unwrap_or_default() } else { width },
        })
        .collect()
}

/// What stands in a cell of a call, safe for a terminal. Times are written by the view, which knows the row above.
pub(super) fn call_cell(call: &Call, column: Column, names: &Names) -> String {
    match column {
        Column::Latency => call.latency.map_or_else(|| "—".to_owned(), text::duration),
        Column::Client => text::escape(&names.client(call)).into_owned(),
        Column::Server => text::escape(&names.server(call)).into_owned(),
        Column::Protocol => labels::protocol(call).to_owned(),
        Column::Method => labels::operation(call),
        Column::Class => call.class().map_or("unknown", Class::name).to_owned(),
        Column::Code => call.outcome.code.map(|c| c.to_string()).unwrap_or_default(),
        Column::Verdict => labels::verdict(call),
        Column::Message => match (&call.outcome.message, call.outcome.code_name) {
            (Some(message), _) if !message.is_empty() => text::escape(message).into_owned(),
            (_, Some(name)) if call.outcome.code.is_some() => name.to_owned(),
            _ => labels::verdict(call),
        },
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_fill_the_width_exactly() {
        let lists =
            [View::Calls, View::Errors, View::Services, View::Connections, View::Changes, View::Graph];
        for view in lists {
            for width in 60..260 {
                let placed = columns(view, width);
                let used: usize = placed.iter().map(|p| p.width + 1).sum::<usize>() - 1 + MARGIN;
                assert_eq!(used, width, "{view:?} {placed:?}");
                assert!(placed.iter().all(|p| p.width >= 5), "{view:?} {width}: {placed:?}");
            }
        }
    }
}
