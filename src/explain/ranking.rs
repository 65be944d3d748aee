//! The calls that a log line may be about, the likeliest first.

use super::line::{Fit, Rank};
use crate::calls::Call;

/// Most calls that are kept; others are counted.
pub const CALL_LIMIT: usize = 10;

/// The calls that fit a line best, and how many others do. `C` is what is kept of a call.
#[derive(Clone, Debug)]
pub struct Ranking<C = Call> {
    /// The best first; of equal ones, the earlier one.
    best: Vec<(Fit, C)>,
    worded: u64,
    bare: u64,
}

impl<C> Default for Ranking<C> {
    fn default() -> Self {
        Self { best: Vec::new(), worded: 0, bare: 0 }
    }
}

impl<C> Ranking<C> {
    /// Takes a call that fits. `keep` makes what is kept of it, if it is one of the best.
    pub fn add(&mut self, fit: Fit, keep: impl FnOnce() -> C) {
        if fit.rank.is_bare() {
            self.bare += 1;
        } else {
            self.worded += 1;
        }
        let at = self.best.partition_point(|(known, _)| key(&known.rank) >= key(&fit.rank));
        if at < CALL_LIMIT {
            self.best.truncate(CALL_LIMIT - 1);
            self.best.insert(at, (fit, keep()));
        }
    }

    /// The calls, the likeliest first, and the number of others that fit too. Where calls are worded by a library, those that just have
    /// a text of the line do not count.
    #[must_use]
    pub fn finish(mut self) -> (Vec<(Fit, C)>, u64) {
        let counted = if self.worded > 0 {
            self.best.retain(|(fit, _)| !fit.rank.is_bare());
            self.worded
        } else {
            self.bare
        };
        let others = counted.saturating_sub(self.best.len() as u64);
        (self.best, others)
    }
}

/// What calls are sorted by. A line that is worded by a library is about that library's calls, even if something in it speaks against
/// them.
fn key(rank: &Rank) -> (bool, Rank) {
    (!rank.is_bare(), *rank)
}

#[cfg(test)]
mod tests {
    use super::super::LogLine;
    use super::*;
    use crate::calls::record::{Carrier, Class, Uid};
    use crate::calls::sample;
    use crate::time::Timestamp;

    fn call(packet: u64, message: &str) -> Call {
        let mut call = sample::failed(Class::Rpc, Carrier::ThriftException, Some(6), message);
        call.uid = Uid { packet, ordinal: 0 };
        call.end = Timestamp(1_795_645_980_000_000_000 + packet as i64 * 1_000_000_000);
        call
    }

    fn ranked(line: &str, calls: Vec<Call>) -> (Vec<u64>, u64) {
        let line = LogLine::read(line);
        let mut ranking = Ranking::default();
        for mut call in calls {
            if let Some(fit) = line.fit(&call) {
                ranking.add(fit, || call.take());
            }
        }
        let (best, others) = ranking.finish();
        (best.iter().map(|(_, call)| call.uid.packet).collect(), others)
    }

    #[test]
    fn the_longest_agreement_is_first_and_the_outermost_layer_before_inner_ones() {
        let calls = || {
            vec![call(1, "biz error: gone"), call(2, "biz error: gone, try later"), call(3, "biz error: no")]
        };
        let (best, _) =
            ranked("remote or network error[remote]: biz error: gone, try later, cost=1ms", calls());
        assert_eq!(best, [2, 1]);
        let inner = "biz error: stock: remote or network error[remote]: biz error: gone";
        let calls = vec![call(1, "biz error: gone"), call(2, inner)];
        assert_eq!(ranked(&format!("remote or network error[remote]: {inner}"), calls).0, [2, 1]);
    }

    #[test]
    fn time_and_address_decide_between_calls_of_one_text() {
        let calls = || (1..=9).map(|packet| call(packet, "biz error: gone")).collect::<Vec<_>>();
        let line = "2026-11-26T06:33:07.01+08:00 ERROR remote or network error[remote]: biz error: gone";
        assert_eq!(ranked(line, calls()).0.first(), Some(&7));
        let mut others = calls();
        for (index, call) in others.iter_mut().enumerate() {
            call.client.port = 40_000 + index as u16;
        }
        let line = format!("{line}, remoteAddr={}", others[2].client);
        assert_eq!(ranked(&line, others).0.first(), Some(&3), "an address is surer than a time");
    }

    #[test]
    fn a_time_out_is_read_in_the_middle_of_a_sentence() {
        let timed_out = || {
            let mut call = sample::ok();
            call.outcome.class = Some(Class::Transport);
            call.outcome.carrier = Carrier::TcpFin;
            call.outcome.initiator = Some(crate::calls::Initiator::Client);
            call
        };
        let server = timed_out().server;
        for around in
            ["下单失败：{}，请重试", "The call ended with {}. Giving up.", "**{}**", "[order] [err: {}]"]
        {
            let text = format!("rpc timeout: timeout=150ms, to=order, method=PlaceOrder, remote={server}");
            let (best, _) = ranked(&around.replace("{}", &text), vec![timed_out()]);
            assert_eq!(best, [71], "{around}");
            let (best, _) =
                ranked(&around.replace("{}", &text.replace("PlaceOrder", "Other")), vec![timed_out()]);
            assert!(best.is_empty(), "{around}");
        }
    }

    #[test]
    fn no_more_than_ten_are_kept_and_the_others_counted() {
        let calls = (1..=33).map(|packet| call(packet, "biz error: gone")).collect();
        let (best, others) = ranked("remote or network error[remote]: biz error: gone", calls);
        assert_eq!((best, others), ((1..=10).collect(), 23));
    }

    #[test]
    fn a_text_alone_finds_its_calls_unless_a_library_words_the_line() {
        let calls = || vec![call(1, "biz error: database is gone"), call(2, "biz error: gone")];
        assert_eq!(ranked("database is gone", calls()).0, [1]);
        assert_eq!(ranked("ERROR order: database is gone!", calls()).0, [1]);
        assert_eq!(ranked("ERROR the database is gon…", calls()).0, [1]);
        assert_eq!(ranked("databases is gone", calls()).0, Vec::<u64>::new());
        assert_eq!(
            ranked("rpc error: code = NotFound desc = database is gone", calls()).0,
            Vec::<u64>::new()
        );
    }
}
