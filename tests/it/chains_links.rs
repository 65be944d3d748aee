//! Chains of really running services: each application logged which of its calls caused which (`captures/links`).

use rpcscope::chains::{Chain, FACT, Hop};
use rpcscope::sink::chains::ChainFormat;
use rpcscope::sink::{Appearance, RecordWriter};
use serde_json::Value;

use super::chains::chains_of;
use crate::known_links::{Score, score};
use crate::support;

#[test]
fn calls_of_real_services_are_linked_as_their_applications_say() {
    // Least shares of right links, in percent; the hard ones are not decidable from packets alone.
    let least = [
        ("1-depth3-wrapped", 100),
        ("3-burst-verbatim", 100),
        ("10-conc4-verbatim", 100),
        ("30-conc4-after-answer", 70),
        ("30-conc4-background", 93),
        ("30-conc4-missing-parents", 96),
        ("30-conc4-retry", 97),
        ("30-conc8-swallowed", 85),
        ("30-conc8-verbatim", 90),
        ("48-waves8-mux-verbatim", 80),
    ];
    let mut sum = Score::default();
    for (name, least) in least {
        let base = support::captures().join("links");
        let chains = chains_of(&base.join(format!("links-{name}.pcap")), 1);
        let known = support::lines(&base.join(format!("links-{name}.links.jsonl")));
        let score = score(&chains, &known);
        assert!(score.right * 100 >= score.links * least, "{name}: {score:?}");
        assert_eq!(score.adopted, 0, "{name}: {score:?}");
        sum.add(&score);
    }
    assert!(sum.told >= 100 && sum.told_wrong * 100 <= sum.told, "{sum:?}");
    assert!(sum.told * 100 >= sum.changes * 80, "{sum:?}");
    assert!(sum.calibration() <= 0.05, "{}", sum.calibration());
}

#[test]
fn one_chain_alone_is_told_as_a_fact() {
    let chains = chains_of(&support::captures().join("links/links-1-depth3-wrapped.pcap"), 1);
    assert_eq!(chains.len(), 1);
    assert!(chains[0].is_origin_sure() && chains[0].changes.iter().all(|change| change.confidence >= FACT));
    assert!(!chains[0].sentence().contains("perhaps"), "{}", chains[0].sentence());
}

#[test]
fn calls_at_the_same_instant_with_the_same_text_are_told_as_perhaps() {
    // All calls of a wave begin at once; where a link is a guess, its rivals are named and no story is told as a fact.
    let chains = chains_of(&support::captures().join("links/links-48-waves8-mux-verbatim.pcap"), 1);
    let unsure = |hop: &&Hop| hop.link.is_some_and(|link| link.confidence < FACT);
    let guesses: Vec<&Hop> = chains.iter().flat_map(|chain| &chain.hops).filter(unsure).collect();
    assert!(!guesses.is_empty());
    assert!(guesses.iter().all(|hop| !hop.rivals.is_empty()));
    for chain in chains.iter().filter(|chain| chain.root().failed() && !chain.is_origin_sure()) {
        assert!(chain.sentence().contains("perhaps"), "{}", chain.sentence());
        assert!(chain.unsure_failures().count() > 0);
    }
}

/// Everything that the sink of a format writes about chains.
fn written(chains: &[Chain], format: ChainFormat, is_summary: bool) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("out");
    let out = RecordWriter::create(&path, false).expect("a file");
    let mut sink = format.open(is_summary, out, &Appearance::default());
    for chain in chains {
        sink.chain(chain).expect("it is written");
    }
    sink.finish().expect("it is written");
    std::fs::read_to_string(path).expect("it is there")
}

#[test]
fn every_output_counts_and_lists_what_is_not_sure() {
    let chains = chains_of(&support::captures().join("links/links-48-waves8-mux-verbatim.pcap"), 1);
    let failures: usize = chains.iter().map(|chain| chain.unsure_failures().count()).sum();
    assert!(failures > 1);
    let counted = format!("{failures} failed calls: origin not known for sure");

    let text = written(&chains, ChainFormat::Text, false);
    assert!(text.contains(&counted) && text.contains("rpcscope show CALL --link"), "{text}");
    // The line of every link that is not sure has a question mark, its probability and its uid; of no other has.
    let unsure = |hop: &&Hop| hop.unsure_link().is_some();
    let hops = || chains.iter().filter(|chain| chain.is_telling()).flat_map(|chain| &chain.hops);
    let marked = text.lines().filter(|line| line.contains("└?") || line.contains("├?")).collect::<Vec<_>>();
    assert_eq!(marked.len(), hops().filter(unsure).count());
    assert!(marked.iter().all(|line| line.contains(" % sure") && line.contains("(call ")), "{marked:#?}");
    let stars = chains.iter().filter(|chain| chain.is_origin_sure() && !chain.path().is_empty()).count();
    assert_eq!(text.matches('★').count(), stars);

    let listed =
        |summary: &str| summary.lines().filter(|line| line.contains("origin not known for sure")).count();
    let summary = written(&chains, ChainFormat::Text, true);
    assert!(summary.contains(&counted) && listed(&summary) > 1, "{summary}");
    let lines = written(&chains, ChainFormat::Jsonl, true);
    let last: Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    assert_eq!(
        (last["type"].as_str(), last["failed_calls"].as_u64()),
        (Some("unsure"), Some(failures as u64))
    );
    let counts = last["calls"].as_array().unwrap().iter().map(|call| call["count"].as_u64().unwrap());
    assert_eq!(counts.sum::<u64>(), failures as u64);
    for format in [ChainFormat::Mermaid, ChainFormat::Dot] {
        assert!(written(&chains, format, false).contains(&format!("\"{counted}")), "{format:?}");
    }
}

#[test]
fn show_with_links_names_what_else_may_have_caused_a_call() {
    let capture = support::captures().join("links/links-48-waves8-mux-verbatim.pcap");
    let chains = chains_of(&capture, 1);
    let guess = chains.iter().flat_map(|chain| &chain.hops).find(|hop| !hop.rivals.is_empty()).unwrap();
    let show = |link: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_rpcscope"));
        let output =
            command.arg("show").arg(guess.call.uid.to_string()).arg(&capture).args(link).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    let page = show(&["--link"]);
    assert!(page.contains("perhaps caused by"), "{page}");
    for rpcscope::chains::Rival { uid: rival, confidence: share, .. } in &guess.rivals {
        let line =
            page.lines().find(|line| line.contains("or perhaps by") && line.ends_with(&format!("  {rival}")));
        let line = line.unwrap_or_else(|| panic!("no {rival} in {page}"));
        assert!(line.contains(&format!("{:.0} %", share * 100.0)) && line.contains('.'), "{line}");
    }
    assert!(!show(&[]).contains("caused by"));
}

#[test]
fn records_name_what_may_have_caused_a_call_where_no_parent_is_sure() {
    let capture = support::captures().join("links/links-48-waves8-mux-verbatim.pcap");
    let program = |args: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_rpcscope"));
        let output = command.args(args).arg(&capture).output().expect("the program starts");
        let lines = String::from_utf8(output.stdout).expect("UTF-8");
        lines
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect::<Vec<serde_json::Value>>()
    };
    let records = program(&["calls", "--link", "--format", "jsonl"]);
    let by_uid: std::collections::HashMap<&str, &serde_json::Value> =
        records.iter().map(|record| (record["uid"].as_str().unwrap(), record)).collect();
    let chains = program(&["chains", "--format", "jsonl"]);
    let mut guesses = 0;
    for hop in chains.iter().flat_map(|chain| chain["calls"].as_array().unwrap()) {
        let record = by_uid[hop["uid"].as_str().unwrap()];
        let rivals = record["rivals"].as_array();
        assert!(rivals.is_none() || record["parent_key"].is_null(), "{record}");
        let Some(others) = hop["rivals"].as_array() else {
            continue;
        };
        let rivals = rivals.unwrap_or_else(|| panic!("no rivals in {record}"));
        let is_named = |uid: &serde_json::Value, share: &serde_json::Value| {
            let key = &by_uid[uid.as_str().unwrap()]["call_key"];
            rivals.iter().any(|rival| rival["parent"] == *key && rival["confidence"] == *share)
        };
        assert!(
            others.iter().all(|rival| is_named(&rival["parent"], &rival["confidence"])),
            "{hop} {record}"
        );
        assert!(hop["depth"] == 0 || is_named(&hop["parent"], &hop["confidence"]), "{hop} {record}");
        guesses += 1;
    }
    assert!(guesses > 5, "{guesses}");
}

/// What `chains` says on both outputs, with its exit status.
fn run_chains(args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_rpcscope"));
    let capture = support::captures().join("links/links-48-waves8-mux-verbatim.pcap");
    let output = command.arg("chains").arg(capture).args(args).output().expect("the program starts");
    let text = |bytes| String::from_utf8(bytes).expect("output is UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// The confidences of all links that `chains` makes.
fn confidences(args: &[&str]) -> Vec<f64> {
    let (_, out, _) = run_chains(&[args, &["--format", "jsonl"]].concat());
    let chains = out.lines().map(|line| serde_json::from_str::<Value>(line).expect("a record"));
    let calls = chains.flat_map(|chain| chain["calls"].as_array().cloned().unwrap_or_default());
    calls.filter_map(|call| call["confidence"].as_f64()).collect()
}

#[test]
fn links_can_be_restricted_and_wrong_restrictions_are_explained() {
    let all = confidences(&[]);
    for share in ["0.8", "80%"] {
        let sure = confidences(&["--min-confidence", share]);
        assert!(
            sure.len() < all.len() && !sure.is_empty() && sure.iter().all(|sure| *sure >= 0.8),
            "{share}"
        );
        assert_eq!(sure.len(), all.iter().filter(|sure| **sure >= 0.8).count());
    }
    for (share, hint) in
        [("80", "did you mean 80%"), ("-1", "not from 0 to 1"), ("a", "not a number"), ("NaN", "not")]
    {
        let (status, _, err) = run_chains(&["--min-confidence", share]);
        assert!(status == Some(2) && err.contains(hint), "{share}: {err}");
    }

    let (status, _, err) = run_chains(&["--evidence", "ids"]);
    assert!(status == Some(0) && err.contains("nothing is linked"), "{err}");
    // Failed calls are no origins for sure because nobody looked for others below them.
    let (_, out, _) = run_chains(&["--evidence", "ids"]);
    assert!(out.contains("CartService") && out.contains("failed calls: origin not known for sure"), "{out}");
    assert!(
        out.lines().any(|line| line.starts_with("CartService") && line.contains("☆ perhaps began here")),
        "{out}"
    );
    assert!(confidences(&["--evidence", "ids"]).is_empty());

    // A service that calls nobody, one that calls its callee, and names that no call has.
    assert!(confidences(&["--calls", "CartService="]).is_empty());
    assert_eq!(confidences(&["--calls", "CartService=Inventory"]), all);
    assert_eq!(confidences(&["--calls", "CartService=nobody", "--calls", "CartService=Inventory"]), all);
    let (_, _, err) = run_chains(&["--calls", "cart=Inventory,Orders"]);
    assert!(err.contains("no call is one to Orders, cart"), "{err}");
    let (status, _, err) = run_chains(&["--calls", "CartService"]);
    assert!(status == Some(2) && err.contains("SERVICE=CALLEE"), "{err}");
}
