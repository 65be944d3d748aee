//! Statuses that are found by exclusion on connections that began before the capture, held against what is known when the capture is
//! whole: every bundled capture with gRPC is cut at many places.

use std::collections::HashMap;

use rpcscope::calls::Finding;

use crate::likely::{cut, grpc};
use crate::support;

/// The most places at which a capture is cut.
const CUTS: usize = 24;

#[test]
fn a_status_that_was_found_by_exclusion_is_right() {
    let mut found = 0;
    for capture in support::bundled(".pcap") {
        let whole = grpc(&capture);
        // The demo is made of other captures.
        if whole.is_empty() || capture.to_string_lossy().contains("/demo/") {
            continue;
        }
        let truth: HashMap<_, _> =
            whole.iter().map(|call| ((call.client, call.id, call.packets.1), call)).collect();
        for place in 1..=CUTS {
            let (file, gone) = cut(&capture, |packets| packets * place / (CUTS + 1));
            for call in grpc(file.path()) {
                if !call.findings.contains(Finding::StatusDeduced) {
                    continue;
                }
                let name = format!("{} without {gone}: {call:?}", capture.display());
                let truth = truth.get(&(call.client, call.id, call.packets.1 + gone)).expect(&name);
                let (outcome, known) = (&call.outcome, &truth.outcome);
                assert!(outcome.class.is_none() || outcome.class == known.class, "{name}");
                assert!(outcome.code.is_none() || outcome.code == known.code, "{name}");
                assert!(outcome.message.is_none() || outcome.message == known.message, "{name}");
                found += 1;
            }
        }
    }
    assert!(found >= 20, "only {found} were found");
}
