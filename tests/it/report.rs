//! `rpcscope report`: the page of bundled captures says what the records say, and a browser shows it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::{bundled, captures};

fn rpcscope(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rpcscope"));
    command.args(arguments).output().expect("the program runs")
}

fn records(arguments: &[&str]) -> Vec<Value> {
    let output = rpcscope(arguments);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// The page of these arguments.
fn page(arguments: &[&str]) -> String {
    let output = rpcscope(&[&["report"], arguments].concat());
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// What its script gets.
fn data(html: &str) -> Value {
    let (_, rest) = html.split_once("id=\"data\">").expect("data");
    serde_json::from_str(rest.split_once("</script>").expect("an end").0).expect("JSON")
}

/// A uid as text, which is a number or a string in JSON.
fn uid(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

/// Captures of several protocols, with chains and without.
fn some() -> Vec<PathBuf> {
    let all = bundled(".pcap");
    let mut chosen: Vec<PathBuf> = all.iter().step_by((all.len() / 12).max(1)).cloned().collect();
    chosen.extend(all.into_iter().filter(|path| path.to_string_lossy().contains("/demo/")));
    chosen
}

#[test]
fn the_page_has_what_the_records_have() {
    for path in some() {
        let path = path.to_str().expect("a name");
        let calls = records(&["calls", "--format", "jsonl", path]);
        let html = page(&[path]);
        let data = data(&html);
        let mut wanted: BTreeMap<String, String> = BTreeMap::new();
        for call in &calls {
            let class = call["class"].as_str().unwrap_or("unknown");
            wanted.insert(uid(&call["uid"]), class.to_owned());
        }
        let rows = &data["rows"];
        let column = |name: &str| rows[name].as_array().expect("a column").clone();
        let classes = data["classes"].as_array().expect("classes");
        let shown: BTreeMap<String, String> = column("uid")
            .iter()
            .zip(column("class"))
            .map(|(id, class)| {
                let class = &classes[class.as_u64().expect("a number") as usize]["name"];
                (uid(id), class.as_str().expect("a name").to_owned())
            })
            .collect();
        assert_eq!(shown, wanted, "{path}");

        // Every origin of a failed chain is marked in its chain.
        let chains = records(&["chains", "--format", "jsonl", path]);
        let origins: BTreeSet<String> = chains
            .iter()
            .map(|chain| &chain["origin"]["uid"])
            .filter(|origin| !origin.is_null())
            .map(uid)
            .collect();
        let marked: BTreeSet<String> = html
            .split("<tr class=\"origin\">")
            .skip(1)
            .map(|row| row.split_once("#call=").expect("a link").1)
            .map(|link| link.split_once('"').expect("an end").0.to_owned())
            .collect();
        assert_eq!(marked, origins, "{path}");
    }
}

#[test]
fn options_choose_what_is_in_the_page() {
    let demo = captures().join("demo/all-classes.pcap");
    let demo = demo.to_str().expect("a name");
    let html = page(&[demo, "--title", "Orders & <stock>", "-Y", "class == rpc"]);
    assert!(html.contains("<title>Orders &#38; &#60;stock&#62;</title>"), "{}", &html[..2_000]);
    let chosen = data(&html);
    let classes: BTreeSet<u64> =
        chosen["rows"]["class"].as_array().expect("a column").iter().filter_map(Value::as_u64).collect();
    assert_eq!(classes.len(), 1);
    let has_bytes = |html: &str| {
        let data = data(html);
        let calls = data["calls"].as_object().expect("details");
        assert!(!calls.is_empty());
        let messages = calls.values().flat_map(|call| call["messages"].as_array().expect("messages").clone());
        messages
            .filter(|message| message["bytes"] != "" || message["headers"] != serde_json::json!([]))
            .count()
    };
    assert!(has_bytes(&html) > 0);
    assert_eq!(has_bytes(&page(&[demo, "--redact"])), 0);
    let two = captures().join("demo/all-classes.pcap");
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("incident.html");
    let done = rpcscope(&["report", two.to_str().expect("a name"), "-o", out.to_str().expect("a name")]);
    assert!(done.status.success() && done.stdout.is_empty());
    assert!(std::fs::read_to_string(&out).expect("the page").trim_end().ends_with("</html>"));
    assert_eq!(rpcscope(&["report", "missing.pcap"]).status.code(), Some(1));
    assert_eq!(rpcscope(&["report", demo, "-o", demo]).status.code(), Some(2));
}

#[test]
fn lines_of_logs_stand_with_their_calls() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("app.log");
    let demo = captures().join("demo/all-classes.pcap");
    let demo = demo.to_str().expect("a name");
    let failed = records(&["calls", "--format", "jsonl", "-Y", "reported_as ~ \".\"", demo]);
    let call = failed.first().expect("a call whose error a library words");
    let line = call["reported_as"].as_str().expect("text").replace('\n', " ");
    std::fs::write(&log, format!("ERROR place failed: {line}\n")).expect("written");
    let html = page(&[demo, "--log", log.to_str().expect("a name")]);
    let logs = data(&html)["logs"].clone();
    assert_eq!(logs.as_object().expect("lines").len(), 1, "{logs}");
    assert!(html.contains("What logs say") && html.contains("app.log:1"));
}

/// What a browser makes of a page: its document, and what it complains of.
fn browse(page: &Path, hash: &str) -> Option<(String, Vec<String>)> {
    let programs = ["chromium", "chromium-browser", "google-chrome"];
    let program = programs.iter().find(|name| Command::new(name).arg("--version").output().is_ok())?;
    let profile = tempfile::tempdir().expect("a folder");
    let output = Command::new(program)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--enable-logging=stderr",
            "--window-size=1400,1000",
        ])
        .args(["--virtual-time-budget=5000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("file://{}{hash}", page.display()))
        .output()
        .expect("the browser runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let complaints = said.lines().filter(|line| line.contains("CONSOLE")).map(ToOwned::to_owned);
    Some((String::from_utf8_lossy(&output.stdout).into_owned(), complaints.collect()))
}

#[test]
fn a_browser_shows_the_page_and_complains_of_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("page.html");
    let demo = captures().join("demo/all-classes.pcap");
    let html = page(&[demo.to_str().expect("a name")]);
    std::fs::write(&path, &html).expect("written");
    let Some((document, complaints)) = browse(&path, "") else {
        eprintln!("SKIPPED: the page was not opened, because no Chromium is installed");
        return;
    };
    assert!(complaints.is_empty(), "{complaints:?}");
    let rows = |document: &str| document.matches("class=\"row\" aria-rowindex=").count();
    let all = data(&html)["rows"]["uid"].as_array().expect("a column").len();
    assert!(rows(&document) > 10 && rows(&document) < all, "{} of {all} rows", rows(&document));
    assert!(document.contains(&format!("{all} calls</output>")));

    // A search leaves the rows that have the word.
    let (document, complaints) = browse(&path, "#q=stock.reserve").expect("a browser");
    assert!(complaints.is_empty(), "{complaints:?}");
    let found = document.split("class=\"row\" aria-rowindex=").skip(1);
    let found: Vec<&str> = found.map(|row| row.split("</div></div>").next().expect("a row")).collect();
    assert!(
        !found.is_empty() && found.iter().all(|row| row.to_lowercase().contains("stock.reserve")),
        "{found:?}"
    );
    assert!(document.contains(&format!(" of {all} calls</output>")));

    // A call opens with its bytes, and a link to a chain unfolds that.
    let one = data(&html)["calls"].as_object().expect("details").keys().next().expect("a call").clone();
    let (document, complaints) = browse(&path, &format!("#call={one}")).expect("a browser");
    assert!(complaints.is_empty(), "{complaints:?}");
    assert!(
        document.contains("<dialog id=\"call\"") && document.contains("open=\"\"></dialog>")
            || document.contains(&format!("Call {one}: "))
    );
    assert!(document.contains("<h3>Time line</h3>") && document.contains("0000  "));
    let last = html.rsplit("id=\"chain-").next().expect("a chain").split('"').next().expect("a number");
    let is_open =
        |document: &str| document.contains(&format!("class=\"chain\" id=\"chain-{last}\" open=\"\""));
    let (document, _) = browse(&path, &format!("#chain-{last}")).expect("a browser");
    assert!(is_open(&document), "chain {last} is folded");

    // Calls are sorted by their ids, of which 942.10 comes after 942.9, and rows that come into sight are added in their places.
    let renamed = html.replacen("\"942.1\"", "\"942.10\"", 1);
    let start = renamed.find("<meta http-equiv").expect("a policy");
    let policy = &renamed[start..=start + renamed[start..].find('>').expect("its end")];
    // A browser without a window draws no frame if it is short of time, and scrolls within frames alone.
    let clicks = "document.querySelector('#head button').click(); document.getElementById('body').scrollTop = 28 * 108;
        window.requestAnimationFrame = (draw) => setTimeout(draw); document.getElementById('body').dispatchEvent(new Event('scroll'));";
    let scripted =
        renamed.replace(policy, "").replace("</body>", &format!("<script>{clicks}</script></body>"));
    std::fs::write(&path, scripted).expect("written");
    let (document, _) = browse(&path, "").expect("a browser");
    let rows: Vec<(usize, Vec<u64>)> = document
        .split("class=\"row\" aria-rowindex=\"")
        .skip(1)
        .map(|row| {
            let uid =
                row.split("aria-label=\"Call ").nth(1).expect("an id").split('"').next().expect("its end");
            let numbers = uid.split('.').map(|number| number.parse().expect("a number"));
            (row.split('"').next().and_then(|place| place.parse().ok()).expect("a place"), numbers.collect())
        })
        .collect();
    assert!(rows.iter().any(|(_, uid)| *uid == [942, 10]), "{rows:?}");
    assert!(rows.is_sorted_by(|(a, of), (b, next)| a + 1 == *b && of < next), "{rows:?}");

    // Such a page would be complained of: this test can fail, and the policy of the page holds.
    let foreign = html.replace(
        "</main>",
        "<img src=\"http://192.0.2.1/x\" alt=\"\"><script>document.title='x'</script></main>",
    );
    std::fs::write(&path, foreign).expect("written");
    let (_, complaints) = browse(&path, "").expect("a browser");
    assert!(complaints.iter().any(|line| line.contains("192.0.2.1")), "{complaints:?}");
    assert!(complaints.iter().any(|line| line.contains("inline script")), "{complaints:?}");
}
