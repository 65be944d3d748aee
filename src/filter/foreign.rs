//! Words of tcpdump (pcap-filter(7)) and Wireshark (wireshark-filter(4)) that people type out of habit: what they mean here.

use std::ops::Range;

use super::lexer::{Operator, Wrong};
use super::operand::Pattern;
use super::parser::Comparison;
use crate::calls::keys::key;
use crate::text;

/// The operator that a word is.
pub(super) fn operator(word: &str) -> Option<Comparison> {
    Some(match word.to_ascii_lowercase().as_str() {
        "eq" => Comparison::Operator(Operator::Equal),
        "ne" => Comparison::Operator(Operator::Unequal),
        "lt" => Comparison::Operator(Operator::Less),
        "le" => Comparison::Operator(Operator::LessOrEqual),
        "gt" => Comparison::Operator(Operator::More),
        "ge" => Comparison::Operator(Operator::MoreOrEqual),
        "contains" => Comparison::Contains,
        "matches" => Comparison::Matches,
        _ => return None,
    })
}

/// The key of the record that a field of Wireshark is.
pub(super) fn key_of(word: &str) -> Option<&'static str> {
    Some(match word {
        "frame.number" => "packets",
        "frame.time" => "start",
        "http2.streamid" | "thrift.seq_id" => "id",
        "thrift.method" => "method",
        "grpc.status" | "grpc-status" => "code",
        _ => return None,
    })
}

/// Whether Wireshark looks at bytes by this word (`frame contains "x"`).
pub(super) fn is_bytes(word: &str) -> bool {
    ["frame", "data", "data.data", "tcp.payload", "udp.payload", "tcp.segment_data"].contains(&word)
}

/// The network of a primitive of tcpdump.
pub(super) fn network(word: &str) -> Option<&'static str> {
    ["tcp", "udp"].into_iter().find(|network| *network == word)
}

/// The end of a call that a direction of packets comes closest to: a call has packets in both directions.
pub(super) fn direction(word: &str) -> Option<&'static str> {
    Some(match word {
        "src" | "ip.src" | "ipv6.src" | "ip.src_host" => "client",
        "dst" | "ip.dst" | "ipv6.dst" | "ip.dst_host" => "server",
        _ => return None,
    })
}

/// A part of the addresses of some ends of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ends {
    pub(super) client: bool,
    pub(super) server: bool,
    pub(super) part: Part,
    pub(super) network: Option<&'static str>,
}

/// The ends that a word is about.
pub(super) fn ends(word: &str) -> Option<Ends> {
    let (client, server, part, network) = match word {
        "host" | "net" | "ip.addr" | "ipv6.addr" | "ip.host" | "ipv6.host" => (true, true, Part::Host, None),
        "port" | "portrange" => (true, true, Part::Port, None),
        "tcp.port" => (true, true, Part::Port, Some("tcp")),
        "udp.port" => (true, true, Part::Port, Some("udp")),
        "client.ip" | "client.addr" => (true, false, Part::Host, None),
        "client.port" => (true, false, Part::Port, None),
        "server.ip" | "server.addr" => (false, true, Part::Host, None),
        "server.port" => (false, true, Part::Port, None),
        _ => return None,
    };
    Some(Ends { client, server, part, network })
}

/// A part of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Host,
    Port,
}

impl Part {
    /// The addresses that a value of this part stands for.
    pub(super) fn pattern(self, word: &str) -> Option<Pattern> {
        match self {
            Self::Host => Pattern::parse(word),
            Self::Port => {
                let word = word.strip_prefix(':').unwrap_or(word);
                // Wireshark has `1..10`, tcpdump `1-10`.
                let (from, to) =
                    word.split_once("..").or_else(|| word.split_once('-')).unwrap_or((word, word));
                Some(Pattern::ports(from.parse().ok()?, to.parse().ok()?))
            }
        }
    }

    /// An example value, for messages.
    pub(super) fn example(self) -> &'static str {
        match self {
            Self::Host => "such as 10.0.0.1 or 10.0.0.0/8",
            Self::Port => "such as 8888 or 8000..8100",
        }
    }

    /// A value that is none of this part.
    pub(super) fn wrong(self, word: &str, span: &Range<usize>) -> Wrong {
        let word = text::escape(word);
        match self {
            Self::Host => Wrong::new(span, format!("'{word}' is not an address"))
                .hint("10.0.0.1, [::1]:80 or 10.0.0.0/8; names are in client_name and server_name"),
            Self::Port => Wrong::new(span, format!("'{word}' is not a port")).hint(self.example()),
        }
    }

    /// An operator that does not work on this part.
    pub(super) fn no_operator(self, name: &str, span: &Range<usize>) -> Wrong {
        let operators = match self {
            Self::Host => "== != in not in",
            Self::Port => "== != < <= > >= in not in",
        };
        Wrong::new(span, format!("this operator does not work on {}", text::escape(name)))
            .hint(format!("one of {operators}"))
    }
}

/// The ports that compare so with one; `None` for an operator without order.
pub(super) fn ports(operator: Operator, port: u16) -> Option<Pattern> {
    // From a port to one below.
    const NONE: (u16, u16) = (1, 0);
    let (from, to) = match operator {
        Operator::Less => port.checked_sub(1).map_or(NONE, |to| (0, to)),
        Operator::LessOrEqual => (0, port),
        Operator::More => port.checked_add(1).map_or(NONE, |from| (from, u16::MAX)),
        Operator::MoreOrEqual => (port, u16::MAX),
        _ => return None,
    };
    Some(Pattern::ports(from, to))
}

/// What to write instead of a field of Wireshark that begins with the name of its protocol.
pub(super) fn of_protocol(word: &str) -> Option<String> {
    let (protocol, field) = word.split_once('.')?;
    match protocol {
        "tcp" | "udp" | "ip" | "ipv6" | "eth" | "frame" => {
            Some("that is of packets: rpcscope -f chooses them in the language of tcpdump".into())
        }
        "grpc" | "thrift" | "trpc" | "kitex" => {
            let field = field.rsplit('.').next()?;
            let right = hint(field).or_else(|| key(field).map(|key| key.name))?;
            Some(format!("did you mean {right}?"))
        }
        _ => None,
    }
}

/// What to write instead of other words that people try.
pub(super) fn hint(word: &str) -> Option<&'static str> {
    Some(match word {
        "tcp.srcport" | "udp.srcport" => "client == :51234",
        "tcp.dstport" | "udp.dstport" => "server == :8888",
        "frame.len" | "ip.len" | "tcp.len" | "greater" | "less" => "request_bytes > 4KiB",
        "frame.time_epoch" | "frame.time_relative" => "start > 2026-01-02T15:04:05Z",
        "tcp.stream" | "udp.stream" => "conn_key (F shows a connection)",
        "tcp.flags.reset" => "carrier == tcp-rst",
        "http" => "transport in (http1, http2)",
        "http.response.code" | "http2.headers.status" | "status" | "status_code" | "error_code" | "errno" => {
            "code"
        }
        "http2.headers.path" | "http.request.uri" | "path" | "uri" => "method",
        "http.host" | "http2.headers.authority" => "metadata.host == name",
        "failed" | "failure" | "errors" => "class not in (ok, oneway)",
        "response_time" | "rtt" | "elapsed" | "took" => "latency > 20ms",
        "ip" | "addr" | "address" => "ip.addr == 10.0.0.1",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use crate::calls::sample::{failed, ok};
    use crate::calls::{Carrier, Class};
    use crate::filter::Filter;

    #[test]
    fn words_of_tcpdump_and_wireshark_mean_what_they_mean_there() {
        let mut call = failed(Class::Business, Carrier::FuncRet, Some(7), "No such User (a.b)");
        call.latency = Some(20_000_000);
        for filter in [
            "port 8888 and port == 51234 and port != 80 and tcp.port == 8888",
            "port in {80, 8888} and port in (80, 8000..9000) and port not in {1..80} and portrange 8800-8900",
            "port > 8887 and port >= 8888 and port < 51235 and not port < 8888 and not port > 65535",
            "tcp port 8888 and tcp and not udp and not udp.port == 8888 and udp.port != 8888",
            "host 10.77.0.12 and host 10.77.0.11 && net 10.77.0.0/16",
            "ip.addr == 10.77.0.11 && ip.addr == 10.77.0.12 && ip.addr != 10.77.0.13 && !(ip.addr == 10.0.0.1)",
            "ip.addr eq 10.77.0.0/16 and ip.addr in {10.77.0.11 10.1.1.1}",
            "server.port == 8888 and client.port != 8888 and server.ip == 10.77.0.12 and client.ip != 10.77.0.12",
            "server == 10.77.0.12 and client == 10.77.0.0/16 and server != 10.77.0.11",
            "code in {1..10} and code in (1..7, 100) and code == 7..7 and code != 8..10 and code in {7..} and code in {..7}",
            "code in 1..10 and code not in 8..10 and latency in 15ms..25ms",
            "(class == business or rpc == grpc) and (code == 1 or rpc)",
            "code eq 7 and code ne 8 and code gt 6 and code ge 7 and code lt 8 and code le 7 and code EQ 7",
            "latency in {15ms..25ms} and latency in (1s..2s, 0..20ms)",
            "frame.number == 75 and frame.number in {1..71} and frame.number > 77 and frame.number <= 71",
            "packets < 72 and packets >= 78 and not packets > 78 and not packets < 71 and packets in (76..300)",
            "message contains \"such User (a.b)\" and not message contains 'user' and not message contains 'a?b'",
            "message matches 'SUCH user' and message matches ^no and not message ~ ^no and message =~ ^No",
            "server contains 0.12:8 and findings == null",
            "message ~ [a-z]{3} and message ~ 's.{2}h' and http2.streamid == 5",
        ] {
            let parsed = Filter::parse(filter).unwrap_or_else(|error| panic!("{}", error.render()));
            assert!(parsed.matches(&call), "{filter}");
            let opposite = Filter::parse(&format!("not ({filter})")).unwrap();
            assert!(!opposite.matches(&call), "{filter}");
        }
    }

    #[test]
    fn either_end_is_enough_and_the_opposite_needs_both() {
        let call = ok();
        for (filter, passes) in [
            ("port 51234", true),
            ("port == 1", false),
            ("port != 51234", false),
            ("server.port == 51234", false),
            ("host 10.77.0.13", false),
            ("tcp.port in {1..100}", false),
            ("udp port 8888", false),
            ("frame.number in {1..3}", false),
            // A key of the record: the host that captured it.
            ("host", false),
            ("host == 10.77.0.12", false),
        ] {
            assert_eq!(Filter::parse(filter).unwrap().matches(&call), passes, "{filter}");
        }
    }

    #[test]
    fn other_words_are_answered_with_the_right_ones() {
        let wrong = |filter: &str| Filter::parse(filter).unwrap_err().render();
        insta::assert_snapshot!(
            [
                "ip.src == 10.0.0.1",
                "src host 10.0.0.1",
                "dst port 80",
                "tcp.dstport == 80",
                "grpc",
                "business and code == 1",
                "failed",
                "status == 5",
                "tcp.stream eq 3",
                "port == x",
                "port 70000",
                "port",
                "port ~ 8",
                "host stock",
                "ip.addr > 10.0.0.1",
                "code contains 4",
                "code in {1..x}",
                "code == ..",
                "code in {1, 2",
                "code in {1, 2)",
                "message matches (",
                "class == ok contains x",
                "tcp src port 80",
                "tcp host",
                "tcp class == ok",
                "frame contains stock",
                "tcp.payload matches stock",
                "tcp.analysis.retransmission",
                "grpc.status_code == 5",
                "trpc.header.func_ret == 5",
                "http",
                "class == (ok, rpc)",
                "class == business or rpc",
            ]
            .map(wrong)
            .join("\n\n")
        );
    }
}
