use std::sync::Arc;

use super::*;
use crate::calls::{Call, Carrier, Class, Uid, sample};
use crate::chains::{Engine, Options};

/// Chains of these calls, gathered.
fn gathered(calls: impl IntoIterator<Item = Call>) -> Gathered {
    let mut gathered = Gathered::new(None, 100);
    let mut engine = Engine::new(Options::default());
    for call in calls {
        engine.call(call, &mut |chain| gathered.chain(&chain));
    }
    engine.finish(&mut |chain| gathered.chain(&chain));
    gathered
}

fn failed(packet: u64, message: &str) -> Call {
    let mut call = sample::failed(Class::Business, Carrier::BizStatus, Some(4041), message);
    call.uid = Uid { packet, ordinal: 0 };
    call
}

/// What the page's script gets.
fn data(html: &str) -> serde_json::Value {
    let (_, rest) = html.split_once("id=\"data\">").unwrap();
    serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
}

#[test]
fn hostile_text_is_inert_everywhere() {
    let evil =
        "</script><script>alert(1)</script><img src=x onerror=alert(1)>\u{2028}\u{202e}'\"&\u{0}{{ title }}";
    let mut call = failed(1, evil);
    let name: Arc<str> = evil.into();
    call.service = Some(Arc::clone(&name));
    call.method = Some(Arc::clone(&name));
    call.caller = Some(Arc::clone(&name));
    call.callee = Some(name);
    let about = About {
        title: evil.to_owned(),
        captures: vec![evil.to_owned()],
        filter: Some(evil.to_owned()),
        missing: vec![evil.to_owned()],
        ..About::default()
    };
    let html = page(gathered([call]), &about).unwrap();
    // The page's own two elements, and no other.
    assert_eq!(html.matches("<script").count(), 2);
    assert_eq!(html.matches("</script").count(), 2);
    assert!(!html.contains("<img") && !html.contains('\u{2028}') && !html.contains('\u{202e}'));
    assert!(
        data(&html)["texts"]
            .as_array()
            .unwrap()
            .iter()
            .any(|text| text.as_str().unwrap().contains("alert(1)"))
    );
}

#[test]
fn the_policy_allows_the_pages_own_style_and_script_alone() {
    let html = page(gathered([failed(1, "no stock")]), &About::default()).unwrap();
    let between = |from: &str, to: &str| html.split_once(from).unwrap().1.split_once(to).unwrap().0;
    let hash = |text: &str| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text.as_bytes())));
    let policy = between("Content-Security-Policy\" content=\"", "\">").replace("&#39;", "'");
    assert!(policy.starts_with("default-src 'none'; "), "{policy}");
    assert!(policy.contains(&hash(between("<style>", "</style>"))), "{policy}");
    assert!(policy.contains(&hash(between("<script>", "</script>"))), "{policy}");
    // Nothing refers to another host, and no attribute holds style or script, which the policy would forbid.
    for word in ["http:", "https:", "//cdn", " style=", " onclick=", "@import", "url(http"] {
        assert!(!html.contains(word), "{word}");
    }
}

#[test]
fn the_paragraph_says_what_failed_and_since_when() {
    let mut ok = sample::ok();
    ok.uid = Uid { packet: 9, ordinal: 0 };
    let html = page(gathered([ok, failed(1, "no stock"), failed(2, "no stock")]), &About::default()).unwrap();
    let story = html.split_once("class=\"story\">").unwrap().1.split_once("</p>").unwrap().0;
    for words in
        ["2 of 3 calls failed", "2 business errors", "Failures began at ", "Business logic", "known for sure"]
    {
        assert!(story.contains(words), "{words}: {story}");
    }
    let html = page(gathered([sample::ok()]), &About::default()).unwrap();
    assert!(html.contains("None of 1 call failed."));
}

#[test]
fn errors_that_differ_in_numbers_are_of_one_kind() {
    let calls = (0..5).map(|at| failed(at + 1, &format!("no row for {at}")));
    let gathered = gathered(calls);
    assert_eq!(gathered.groups.len(), 1);
    assert_eq!((gathered.groups[0].count, &*gathered.groups[0].text), (5, "no row for #"));
}

#[test]
fn failed_calls_are_kept_first_beyond_the_bound() {
    let mut gathered = Gathered::new(None, 10);
    let all = MAX_CALLS as u64 * 2;
    for packet in 0..all {
        let mut call = if packet % 10 == 0 { failed(packet, "x") } else { sample::ok() };
        call.uid = Uid { packet, ordinal: 0 };
        call.start = crate::time::Timestamp(packet as i64 * 1_000);
        gathered.unlinked(&Arc::new(call));
    }
    let rows = gathered.rows();
    assert!(rows.len() <= MAX_CALLS && rows.len() > MAX_CALLS / 3, "{}", rows.len());
    assert_eq!(rows.iter().filter(|row| row.group.is_some()).count() as u64, all / 10);
    assert!(rows.is_sorted_by_key(|row| row.start));
    assert_eq!((gathered.count(), gathered.failures()), (all, all / 10));
}
