//! Tests the command line with the real program: its output and exit status.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use rpcscope::pipeline::Options;
use rpcscope::sink::packets::{PacketWriter, Rotation};
use rpcscope::source::{Batch, Source, files};

use crate::support;

fn rpcscope() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rpcscope"));
    command.stdin(Stdio::null()).env_remove("NO_COLOR").env("TZ", "UTC");
    command
}

fn run(args: &[&str]) -> Output {
    rpcscope().args(args).output().expect("the program starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("output is UTF-8")
}

fn capture(name: &str) -> PathBuf {
    support::captures().join(name)
}

fn mixed() -> String {
    capture("kitex/kitex-mixed.pcap").to_string_lossy().into_owned()
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn lines(output: &Output) -> Vec<String> {
    text(&output.stdout).lines().map(str::to_owned).collect()
}

/// The exit status; asserts that standard error has no control characters.
fn status(output: &Output) -> i32 {
    let err = text(&output.stderr);
    assert!(!err.chars().any(|c| c.is_control() && c != '\n'), "{err:?}");
    output.status.code().expect("not killed")
}

#[test]
fn calls_are_printed_one_a_line() {
    let output = run(&["calls", &mixed(), "--format", "jsonl"]);
    assert_eq!(status(&output), 0, "{}", text(&output.stderr));
    let truth = support::lines(&capture("kitex/kitex-mixed.truth.jsonl"));
    let wanted: u64 = truth.iter().map(|line| line["count"].as_u64().unwrap_or(1)).sum();
    assert_eq!(lines(&output).len() as u64, wanted);
}

#[test]
fn relative_times_count_from_the_first_packet() {
    for name in ["demo/all-classes.pcap", "grpc/chain-grpc-ttheader-grpc.pcap"] {
        let path = capture(name).to_string_lossy().into_owned();
        for more in [&["--threads", "1"][..], &["--threads", "2"], &["--link"]] {
            let output = run(&[&["calls", &path, "-t", "relative"], more].concat());
            assert_eq!(status(&output), 0, "{}", text(&output.stderr));
            let lines = lines(&output);
            let times: Vec<f64> = lines
                .iter()
                .filter_map(|line| line.split_whitespace().find_map(|word| word.parse().ok()))
                .collect();
            assert_eq!(times.len(), lines.len(), "{lines:?}");
            assert!(times.iter().all(|time| *time >= 0.0), "{name} {more:?}: {times:?}");
        }
    }
}

#[test]
fn wrong_usage_exits_with_2_and_names_the_mistake() {
    for args in [
        &["calls"][..],
        &["calls", "x.pcap", "--format", "xml"],
        &["calls", "x.pcap", "--fail-on", "bad"],
        &["calls", "x.pcap", "--threads", "0"],
        &["calls", "x.pcap", "--decode-as", "9000"],
        &["calls", "x.pcap", "--decode-as", "sctp.port==9000,trpc"],
        &["calls", "x.pcap", "--decode-as", "tcp.port==9000"],
        &["calls", "x.pcap", "--decode-as", "tcp:9000=smtp"],
        &["calls", "x.pcap", "--duration", "soon"],
        &["calls", "x.pcap", "-Y", "class =="],
        &["calls", "x.pcap", "-Y", "rpc == thrft"],
        &["calls", "-", "-"],
        &["stats", "-r", "-", "x.pcap", "-"],
        &["x.pcap", "--log", "app.log"],
    ] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", text(&output.stderr));
        assert!(output.stdout.is_empty(), "{args:?}");
        assert!(!output.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn a_wrong_line_opens_nothing_and_names_the_right_one() {
    let name = mixed();
    for (args, right) in [
        (&["cals", &name][..], format!("did you mean the command calls? rpcscope calls {name}")),
        (&[&name, "--format", "jsonl"], format!("rpcscope calls {name} --format jsonl")),
        (&["-r", &name, "-z", "io,stat,1"], "rpcscope stats FILE".to_owned()),
        (&["-r", &name, "port", "8888"], "-f 'port 8888'".to_owned()),
        (&["explain", "lat-answer"], "did you mean late-answer?".to_owned()),
    ] {
        let output = run(args);
        assert_eq!((status(&output), output.stdout.len()), (2, 0), "{args:?}");
        assert!(text(&output.stderr).contains(&right), "{args:?}: {}", text(&output.stderr));
    }
}

#[test]
fn what_users_of_tcpdump_and_tshark_type_does_what_it_does_there() {
    let name = mixed();
    let plain = run(&["calls", &name, "--format", "jsonl"]).stdout;
    let typed = run(&["calls", "-nn", "-l", "-r", &name, "--format", "jsonl"]);
    assert_eq!((status(&typed), typed.stdout == plain), (0, true));
    let ignoring = |rule: &str| run(&["calls", &name, "-d", rule, "--format", "jsonl"]).stdout;
    let ours = ignoring("tcp:7100=none");
    assert!(ours.len() < plain.len());
    assert!(ours == ignoring("tcp.port==7100,none") && ours == ignoring("7100=none"));
}

#[test]
#[cfg(target_os = "linux")]
fn help_that_can_not_be_written_is_a_failure() {
    for args in [&["--help"][..], &["--version"], &["help", "calls"]] {
        let full = std::fs::File::options().write(true).open("/dev/full").expect("there is one");
        let output = rpcscope().args(args).stdout(full).output().expect("the program starts");
        assert_eq!(status(&output), 1, "{args:?}");
        assert!(text(&output.stderr).contains("standard output can't be written"), "{args:?}");
        assert_eq!(status(&run(args)), 0, "{args:?}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn records_that_can_not_be_written_cost_no_packet_of_the_copy() {
    let folder = folder();
    let [whole, beside] =
        ["whole", "beside"].map(|name| folder.path().join(name).to_string_lossy().into_owned());
    let captures = capture("kitex").to_string_lossy().into_owned();
    let calls = lines(&run(&["calls", &captures, "--format", "jsonl", "-w", &whole])).len();
    let output = run(&["calls", &captures, "--format", "jsonl", "-l", "-o", "/dev/full", "-w", &beside]);
    let said = text(&output.stderr);
    assert_eq!(status(&output), 1, "{said}");
    assert!(said.contains(&format!("{calls} lines could not be written to /dev/full")), "{said}");
    let [whole, beside] = [whole, beside].map(|path| std::fs::read(path).expect("it was written"));
    assert!(whole == beside, "{} and {} bytes", whole.len(), beside.len());
    // What comes only once is read to its end too.
    let mut command = rpcscope();
    command.args(["calls", "-", "--format", "jsonl", "-l", "-o", "/dev/full"]);
    let mixed = std::fs::File::open(mixed()).expect("readable");
    let output = command.stdin(mixed).output().expect("the program starts");
    assert!(text(&output.stderr).contains("lines could not be written"), "{}", text(&output.stderr));
    assert_eq!(status(&output), 1);
}

#[test]
fn packets_on_standard_output_stand_alone() {
    let name = mixed();
    let packets = run(&["calls", &name, "-w", "-"]);
    assert_eq!(status(&packets), 0);
    let folder = folder();
    let copy = folder.path().join("copy.pcapng");
    std::fs::write(&copy, &packets.stdout).expect("writable");
    let calls = |path: &str| run(&["calls", path, "--format", "jsonl"]).stdout;
    assert_eq!(calls(&copy.to_string_lossy()), calls(&name));
    assert_eq!(status(&run(&["calls", &name, "-w", "-", "-o", "-"])), 2);
}

#[test]
fn a_wrong_filter_is_shown_with_a_caret_under_the_wrong_place() {
    let output = run(&["calls", "x.pcap", "-Y", "class == business and cod == 5"]);
    let err = text(&output.stderr);
    let place = err.lines().position(|line| line.contains("cod == 5")).expect("the filter is shown");
    let column = err.lines().nth(place).and_then(|line| line.find("cod ")).expect("the wrong word");
    let caret = err.lines().nth(place + 1).and_then(|line| line.find('^')).expect("a caret below");
    assert_eq!(caret, column, "{err}");
    assert!(err.contains("code"), "a suggestion: {err}");
}

#[test]
fn inputs_that_are_not_captures_are_named_and_the_others_are_still_read() {
    let folder = folder();
    let empty = folder.path().join("empty.pcap");
    let foreign = folder.path().join("notes.txt");
    std::fs::write(&empty, b"").expect("writable");
    std::fs::write(&foreign, b"dear diary, today I captured nothing at all").expect("writable");
    let missing = folder.path().join("missing.pcap");
    let names = [&empty, &foreign, &missing].map(|path| path.to_string_lossy().into_owned());
    for name in &names {
        let output = run(&["calls", name, &mixed(), "--format", "jsonl"]);
        assert_eq!(status(&output), 1, "{name}");
        let err = text(&output.stderr);
        assert_eq!(err.lines().count(), 1, "{err}");
        assert!(err.contains(name.as_str()), "{err}");
        assert_eq!(output.stdout, run(&["calls", &mixed(), "--format", "jsonl"]).stdout, "{name}");
    }
}

#[test]
fn without_a_readable_input_one_line_says_why_and_no_output_changes() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let records = run(&["calls", &mixed(), "--format", "jsonl"]).stdout;
    let inputs: [(&str, Option<&[u8]>, &str); 4] = [
        ("missing.pcap", None, "no such file"),
        ("empty.pcap", Some(b""), "is empty"),
        ("service.log", Some(b"ERROR order: no stock"), "rpcscope logs CAPTURE LOG"),
        ("calls.jsonl", Some(&records), "rpcscope judge reads them"),
    ];
    let (new, old) = (path("new"), path("old"));
    std::fs::write(&old, "of yesterday").expect("writable");
    for (name, content, why) in inputs {
        let input = path(name);
        if let Some(content) = content {
            std::fs::write(&input, content).expect("writable");
        }
        for words in [
            "calls",
            "calls -w",
            "calls --format parquet -o",
            "stats -o",
            "chains -o",
            "report -o",
            "export -o",
            "show 1",
        ] {
            let is_to_file = words.ends_with("-o") || words.ends_with("-w");
            for output in if is_to_file { [Some(&new), Some(&old)] } else { [None; 2] } {
                let args: Vec<&str> =
                    words.split(' ').chain(output.map(String::as_str)).chain([input.as_str()]).collect();
                let ended = run(&args);
                let err = text(&ended.stderr);
                assert_eq!(status(&ended), 1, "{args:?}: {err}");
                assert!(
                    err.contains(&input) && err.contains(why) && err.lines().count() == 1,
                    "{args:?}: {err}"
                );
                assert_eq!(text(&ended.stdout), "", "{args:?}");
            }
            assert!(!Path::new(&new).exists(), "{words} {name} leaves a file behind");
            assert_eq!(std::fs::read(&old).expect("it stays"), b"of yesterday", "{words} {name}");
        }
    }
    let ended = run(&["judge", &path("missing.jsonl"), "-o", &new]);
    assert!(status(&ended) == 1 && !Path::new(&new).exists(), "{}", text(&ended.stderr));
}

#[test]
fn a_truncated_file_is_read_to_its_end_which_is_reported() {
    let folder = folder();
    let whole = std::fs::read(mixed()).expect("readable");
    let cut = folder.path().join("cut.pcap");
    std::fs::write(&cut, &whole[..whole.len() / 2]).expect("writable");
    let cut = cut.to_string_lossy().into_owned();
    let output = run(&["calls", &cut, "--format", "jsonl"]);
    assert_eq!(status(&output), 1);
    assert!(lines(&output).len() > 10);
    let err = text(&output.stderr);
    assert!(err.contains(&cut) && err.chars().any(|c| c.is_ascii_digit()), "{err}");
}

#[test]
fn an_unknown_link_type_is_reported() {
    let folder = folder();
    let path = folder.path().join("radio.pcap");
    let mut bytes = std::fs::read(mixed()).expect("the capture");
    // IEEE 802.11 behind a Prism header, in the order of the bytes of the file.
    bytes[20] = 119;
    std::fs::write(&path, bytes).expect("a temporary file");
    for threads in ["1", "2"] {
        let output = run(&["calls", &path.to_string_lossy(), "--threads", threads]);
        assert_eq!(status(&output), 1);
        assert!(output.stdout.is_empty());
        let err = text(&output.stderr);
        assert!(
            err.contains("1068 packets of 1068 can't be decoded: link type IEEE802_11_PRISM (119)"),
            "{err}"
        );
    }
}

#[test]
fn a_closed_pipe_is_a_normal_end() {
    // The same capture many times: enough output to fill any pipe.
    let captures: Vec<String> = std::iter::repeat_n(mixed(), 40).collect();
    let mut child = rpcscope()
        .args(["calls", "--format", "jsonl"])
        .args(&captures)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut first = [0u8; 16];
    let mut out = child.stdout.take().expect("piped");
    out.read_exact(&mut first).expect("something is written");
    drop(out);
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(status(&output), 0);
    assert!(output.stderr.is_empty(), "{}", text(&output.stderr));
}

#[test]
fn standard_input_and_read_are_inputs_too() {
    let wanted = run(&["calls", &mixed(), "--format", "jsonl"]).stdout;
    assert_eq!(run(&["calls", "-r", &mixed(), "--format", "jsonl"]).stdout, wanted);
    let mut child = rpcscope()
        .args(["calls", "-", "--format", "jsonl"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let bytes = std::fs::read(mixed()).expect("readable");
    let mut input = child.stdin.take().expect("piped");
    let feeder = std::thread::spawn(move || input.write_all(&bytes));
    let output = child.wait_with_output().expect("it ends");
    feeder.join().expect("no panic").expect("all is read");
    assert_eq!(output.stdout, wanted);
}

#[test]
fn a_broken_input_takes_precedence_over_fail_on() {
    let seen = run(&["calls", &mixed(), "--fail-on", "business,rpc", "--format", "jsonl"]);
    assert_eq!(status(&seen), 3);
    let filtered =
        run(&["calls", &mixed(), "--fail-on", "business", "-Y", "class == ok", "--format", "jsonl"]);
    assert_eq!(status(&filtered), 0);
    let broken = run(&["calls", &mixed(), "/nonexistent.pcap", "--fail-on", "business", "--format", "jsonl"]);
    assert_eq!(status(&broken), 1);
}

#[test]
fn count_and_output_work() {
    let folder = folder();
    let file = folder.path().join("calls.jsonl");
    let output = run(&["calls", &mixed(), "-c", "200", "-o", &file.to_string_lossy(), "--format", "jsonl"]);
    assert_eq!(status(&output), 0);
    assert!(output.stdout.is_empty());
    let records = support::lines(&file);
    assert!(!records.is_empty());
    let last = records.iter().filter_map(|record| record["packets"][1].as_u64()).max();
    assert!(last.is_some_and(|last| last <= 200));
    let nowhere = run(&["calls", &mixed(), "-o", "/nonexistent/calls.jsonl", "--format", "jsonl"]);
    assert_eq!(status(&nowhere), 1);
    let said = text(&nowhere.stderr);
    assert!(said.contains("/nonexistent/calls.jsonl can't be written: there is no such folder"), "{said}");
    let keyless = run(&["calls", &mixed(), "--tls-keylog", "/nonexistent/keys"]);
    assert_eq!(status(&keyless), 1);
    assert!(text(&keyless.stderr).contains("/nonexistent/keys: there was no such key log"));
}

#[test]
fn an_output_never_overwrites_an_input() {
    let folder = folder();
    let input = folder.path().join("x.pcap");
    let whole = std::fs::read(mixed()).expect("readable");
    std::fs::write(&input, &whole).expect("writable");
    let numbered = folder.path().join("x.pcap7");
    std::fs::write(&numbered, &whole).expect("writable");
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&input, &link).expect("a link");
    let [input, link, numbered] = [&input, &link, &numbered].map(|path| path.to_string_lossy().into_owned());
    let parent = folder.path().to_string_lossy().into_owned();
    for args in [
        &["calls", &input, "-o", &input][..],
        &["calls", &input, "-w", &input],
        &["calls", &input, "-w", &link],
        &["calls", &link, "-o", &input],
        &["calls", &parent, "-o", &input],
        &["stats", &parent, "-w", &numbered],
        &["calls", &numbered, "-w", &input, "-C", "1"],
        &["export", &input, "-o", &link],
        &["chains", &input, "-o", &input],
        &["calls", &mixed(), "-o", &input, "-w", &link],
        &["calls", &mixed(), "-o", "/nonexistent/../tmp/same", "-w", "/tmp/same", "-W", "2"],
    ] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", text(&output.stderr));
        assert_eq!(std::fs::read(&input).expect("still there"), whole, "{args:?}");
    }
    let mut stdin = rpcscope();
    stdin.args(["calls", "-", "-o", &input]).stdin(std::fs::File::open(&input).expect("readable"));
    assert_eq!(stdin.status().expect("it runs").code(), Some(2));
    let mut stdout = rpcscope();
    stdout.args(["calls", &input]);
    stdout.stdout(std::fs::File::options().append(true).open(&input).expect("writable"));
    assert_eq!(stdout.status().expect("it runs").code(), Some(2));
    assert_eq!(std::fs::read(&input).expect("still there"), whole);
    // Another file of the folder that is read may be written.
    let other = folder.path().join("calls.jsonl").to_string_lossy().into_owned();
    assert_eq!(status(&run(&["calls", &parent, "-o", &other])), 0);
    assert_eq!(status(&run(&["calls", &parent, "-o", &other])), 0);
}

/// Whatever can't be opened costs nothing that another output holds.
#[test]
fn an_output_that_can_not_be_opened_empties_no_other() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let (kept, nowhere, capture) = (at("kept"), at("missing/x"), mixed());
    std::fs::create_dir(at("is-a-folder")).unwrap();
    for (args, status, words) in [
        (vec!["calls", &capture, "-w", &kept, "-o", &nowhere], 1, "there is no such folder"),
        (vec!["chains", &capture, "-w", &kept, "-o", &nowhere], 1, "there is no such folder"),
        (vec!["calls", &capture, "-o", &kept, "-w", &nowhere], 1, "there is no such folder"),
        (vec!["calls", &capture, "-w", &kept, "-o", &at("is-a-folder")], 1, "it is a folder"),
        (vec!["calls", &capture, "-w", &kept, "--names", &nowhere], 1, "no such file"),
        (vec!["report", &capture, "-o", &kept, "--names", &nowhere], 1, "no such file"),
        (vec!["calls", &capture, "-w", &kept, "-o", &at("calls.jsonl.gz")], 2, "not compressed"),
        (vec!["calls", &capture, "-o", &kept, "-w", &at("packets.pcap.zst")], 2, "| zstd >"),
        (vec!["calls", &capture, "-o", &kept, "-G", "60", "-w", &at("%.pcap")], 2, "a percent sign"),
    ] {
        std::fs::write(&kept, "what was there").unwrap();
        let output = run(&args);
        let said = text(&output.stderr);
        assert_eq!(self::status(&output), status, "{args:?}: {said}");
        assert!(said.contains(words), "{args:?}: {said}");
        assert_eq!(std::fs::read_to_string(&kept).unwrap(), "what was there", "{args:?}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "{args:?}");
    }
}

#[test]
fn written_packets_are_pcap_where_the_name_says_so() {
    let folder = folder();
    let wanted = run(&["calls", &mixed(), "--format", "jsonl"]).stdout;
    for (name, magic) in [("x.pcap", [0x4d, 0x3c, 0xb2, 0xa1]), ("x.pcapng", [0x0a, 0x0d, 0x0d, 0x0a])] {
        let path = folder.path().join(name).to_string_lossy().into_owned();
        assert_eq!(status(&run(&["calls", &mixed(), "-w", &path])), 0);
        assert_eq!(std::fs::read(&path).expect("written")[..4], magic);
        assert_eq!(run(&["calls", &path, "--format", "jsonl"]).stdout, wanted);
    }
    let output = run(&["calls", &mixed(), "-w", &folder.path().join("y").to_string_lossy(), "-W", "3"]);
    assert_eq!(status(&output), 2);
    assert!(text(&output.stderr).contains("-C or -G"), "{}", text(&output.stderr));
}

#[test]
fn decode_as_overrides_what_the_bytes_look_like() {
    let path = capture("trpc/trpc-unary-ok.pcap");
    let path = path.to_string_lossy();
    let all = lines(&run(&["calls", &path, "--format", "jsonl"]));
    let port = serde_json::from_str::<serde_json::Value>(&all[0]).expect("JSON")["server"]
        .as_str()
        .and_then(|server| server.rsplit(':').next().map(str::to_owned))
        .expect("a port");
    let none =
        lines(&run(&["calls", &path, "--decode-as", &format!("tcp:{port}=none"), "--format", "jsonl"]));
    assert!(none.len() < all.len());
    let same =
        lines(&run(&["calls", &path, "--decode-as", &format!("tcp:{port}=trpc"), "--format", "jsonl"]));
    assert_eq!(same, all);
}

#[test]
fn connections_say_why_they_are_not_decoded() {
    let path = capture("noise/noise-tls-no-keys.pcap");
    let output = run(&["calls", &path.to_string_lossy(), "--connections", "--format", "jsonl"]);
    let records: Vec<serde_json::Value> =
        lines(&output).iter().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(!records.is_empty());
    for record in &records {
        assert_eq!(record["type"], "connection");
        assert_eq!(record["reason"], "TLS without keys", "{record}");
    }
    let refused = capture("trpc/trpc-conn-refused.pcap");
    let output = run(&["calls", &refused.to_string_lossy(), "--connections", "--format", "jsonl"]);
    assert!(text(&output.stdout).contains("\"refused\""));
}

#[test]
fn export_writes_packets_with_interface_names_and_without_secrets() {
    let folder = folder();
    let (whole, part) = (folder.path().join("whole.pcapng"), folder.path().join("part.pcapng"));
    let secrets = [files::Secrets { kind: 0x544c_534b, data: b"CLIENT_RANDOM 00 11".to_vec().into() }];
    let mut writer = PacketWriter::create(&whole, Rotation::default()).expect("a temporary file");
    writer.name_interface(0, || Some("eth7".into()));
    writer.secrets(&secrets);
    let mut source = files::open(&[mixed().into()], files::Options::default());
    let mut batch = Batch::default();
    while source.next_batch(&mut batch).expect("a good capture") {
        batch.packets().for_each(|packet| writer.write(&packet, None).expect("room on the disk"));
    }
    writer.finish().expect("room on the disk");

    let (whole, part_name) = (whole.to_string_lossy(), part.to_string_lossy());
    // A part of an HTTP/2 connection is not enough: its headers depend on earlier ones.
    let filter = "class == business and transport == ttheader";
    let output = run(&["export", &whole, "-Y", filter, "-o", &part_name]);
    assert_eq!(status(&output), 0, "{}", text(&output.stderr));
    let business = |path: &str| lines(&run(&["calls", path, "-Y", filter, "--format", "csv"])).len();
    assert!(business(&whole) > 1);
    assert_eq!(business(&part_name), business(&whole));

    let mut source = files::open(&[part], files::Options::default());
    let mut packets = 0;
    while source.next_batch(&mut batch).expect("a good capture") {
        packets += batch.records.len();
    }
    assert!(packets > 0 && packets < 1068, "{packets}");
    // They would open connections of which no packet is there.
    assert_eq!(source.secrets(), []);
    assert!(
        text(&output.stderr).contains("the secrets in the capture are left out"),
        "{}",
        text(&output.stderr)
    );
    assert_eq!(source.interface_name(0), Some("eth7"));
}

#[test]
fn every_shell_has_completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = run(&["completions", shell]);
        assert_eq!(status(&output), 0);
        assert!(text(&output.stdout).contains("rpcscope"), "{shell}");
    }
}

#[test]
fn every_command_has_a_manual_page_with_all_its_options() {
    let folder = folder();
    let output = run(&["man", "--dir", &folder.path().to_string_lossy()]);
    assert_eq!((status(&output), output.stdout.len()), (0, 0), "{}", text(&output.stderr));
    let read = |name: &str| std::fs::read_to_string(folder.path().join(format!("{name}.1"))).expect("a page");
    let mut pages = vec!["rpcscope".to_owned()];
    for line in text(&run(&["--help"]).stdout).split_once("Commands:").expect("a list").1.lines().skip(1) {
        let Some(name) = line.strip_prefix("  ").and_then(|rest| rest.split(' ').next()) else { break };
        if !name.is_empty() && name != "help" {
            pages.push(format!("rpcscope-{name}"));
        }
    }
    assert!(pages.len() > 10, "{pages:?}");
    for name in &pages {
        let page = read(name);
        let command = name.strip_prefix("rpcscope-");
        let args: Vec<&str> = command.into_iter().chain(["--help"]).collect();
        let help = text(&run(&args).stdout);
        let options = help
            .split(|c: char| c.is_whitespace() || ",[=".contains(c))
            .filter(|word| word.starts_with("--"));
        for option in options.filter(|option| option.len() > 2) {
            let option = option.trim_end_matches(|c: char| !c.is_alphanumeric());
            assert!(page.replace(r"\-", "-").contains(option), "{name}: {option}");
        }
        assert!(page.contains(&format!(".TH {} 1", name.to_uppercase())) || page.contains(name), "{name}");
        // The page alone is the same text.
        let alone = run(&command.map_or_else(|| vec!["man"], |command| vec!["man", command]));
        assert_eq!(text(&alone.stdout), page, "{name}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), pages.len());
    let wrong = run(&["man", "cals"]);
    assert_eq!(status(&wrong), 2);
    assert!(text(&wrong.stderr).contains("calls"), "{}", text(&wrong.stderr));
}

#[test]
fn rotated_files_are_one_capture_in_time_order() {
    let folder = folder();
    let whole = std::fs::read(mixed()).expect("readable");
    let parts = split(&whole, 3);
    // The order of the names differs from that of the times.
    for (name, part) in ["c.pcap", "a.pcap", "b.pcap"].iter().zip(&parts) {
        std::fs::write(folder.path().join(name), part).expect("writable");
    }
    let together = run(&["calls", &folder.path().to_string_lossy(), "--format", "jsonl"]);
    assert_eq!(status(&together), 0, "{}", text(&together.stderr));
    assert_eq!(together.stdout, run(&["calls", &mixed(), "--format", "jsonl"]).stdout);
}

/// A little-endian pcap file as `n` files of consecutive packets.
fn split(file: &[u8], n: usize) -> Vec<Vec<u8>> {
    let head = &file[..24];
    let mut records = Vec::new();
    let mut at = 24;
    while at < file.len() {
        let len = u32::from_le_bytes(file[at + 8..at + 12].try_into().expect("four bytes")) as usize;
        records.push(&file[at..at + 16 + len]);
        at += 16 + len;
    }
    let each = records.len().div_ceil(n);
    records.chunks(each).map(|part| [head.to_vec(), part.concat()].concat()).collect()
}

#[test]
fn every_bundled_capture_is_documented() {
    let readme = std::fs::read_to_string(support::captures().join("README.md")).expect("readable");
    for path in support::bundled(".pcap") {
        let folder =
            path.parent().and_then(Path::file_name).expect("in a folder").to_string_lossy().into_owned();
        assert!(readme.contains(&format!("`{folder}`")), "{folder}");
        let truth = path.with_extension("truth.jsonl");
        assert!(truth.exists(), "{} has no truth", path.display());
    }
}

#[test]
fn every_key_carrier_and_finding_is_documented() {
    use rpcscope::calls::{Carrier, Class, Finding};
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/records.md");
    let page = std::fs::read_to_string(page).expect("readable");
    let keys = rpcscope::calls::keys::KEYS.iter().map(|key| key.name);
    let carriers = Carrier::ALL.iter().map(|carrier| carrier.name());
    let findings = Finding::ALL.iter().map(|finding| finding.name());
    let classes = Class::ALL.iter().map(|class| class.name());
    for word in keys.chain(carriers).chain(findings).chain(classes) {
        assert!(page.contains(&format!("| `{word}` |")), "{word}");
    }
}

#[test]
fn exported_packets_give_the_same_calls_again() {
    let folder = folder();
    let out = folder.path().join("out.pcapng");
    let out = out.to_string_lossy();
    for filter in ["class == business", "class == rpc", "rpc == grpc"] {
        let exported = run(&["export", &mixed(), "-Y", filter, "-o", &out]);
        assert_eq!(status(&exported), 0, "{}", text(&exported.stderr));
        let keys = "start,client,class,carrier,code,service,method";
        let wanted = lines(&run(&["calls", &mixed(), "-Y", filter, "--fields", keys]));
        let again = lines(&run(&["calls", &out, "--fields", keys]));
        assert!(!wanted.is_empty());
        for call in &wanted {
            assert!(again.contains(call), "{filter}: {call}");
        }
    }
    assert_eq!(status(&run(&["export", &mixed()])), 2);
    assert_eq!(status(&run(&["export", "-", "-o", &out])), 2);
}

#[test]
fn a_broken_description_is_named_and_takes_the_others_only_if_it_was_asked_for() {
    let folder = folder();
    let capture = capture("payload/thrift-py-framed-binary.pcap").to_string_lossy().into_owned();
    for (name, broken) in [("x.thrift", "struct A {\n 1 i32 x }"), ("x.proto", "message A {\n int32 x }")] {
        let kind = if name == "x.proto" { "--proto" } else { "--idl" };
        let descriptions = folder.path().join(kind);
        std::fs::create_dir(&descriptions).unwrap();
        let path = descriptions.join(name);
        let good =
            if kind == "--idl" { "struct G { 1: i32 a }" } else { "syntax = \"proto3\"; message G {}" };
        std::fs::write(&path, broken).unwrap();
        std::fs::write(descriptions.join(name.replace('x', "good")), good).unwrap();
        let [file, all] = [&path, &descriptions].map(|path| path.to_string_lossy().into_owned());
        let alone = run(&["calls", kind, &file, &capture]);
        assert_eq!((status(&alone), text(&alone.stdout).as_str()), (2, ""));
        assert!(text(&alone.stderr).contains(&format!("{name}:2:")), "{}", text(&alone.stderr));
        let output = run(&["calls", kind, &all, &capture]);
        assert_eq!(status(&output), 0);
        assert!(!output.stdout.is_empty());
        let named = text(&output.stderr).lines().filter(|line| line.contains(&format!("{name}:2:"))).count();
        assert_eq!(named, 1, "{}", text(&output.stderr));
    }
}

#[test]
fn a_call_that_is_exported_with_its_secrets_can_be_read_without_the_key_log() {
    let folder = folder();
    let part = folder.path().join("part.pcapng").to_string_lossy().into_owned();
    // The last one's connection was resumed, so that the key log has no line of it.
    for name in ["tls12-openssl-ticket-refused", "tls13-thrift-py-1conn-framed-binary", "tls12-go-go-resumed"]
    {
        let path = capture("tls").join(name);
        let [input, keys] =
            ["pcap", "keys"].map(|end| path.with_extension(end).to_string_lossy().into_owned());
        let of = |input: &[&str]| {
            let fields = ["--format", "csv", "--fields", "uid,start,method,class,request_bytes"];
            let calls = lines(&run(&[&["calls"], input, &fields].concat()));
            calls
                .iter()
                .filter_map(|line| line.split_once(','))
                .map(|(uid, rest)| (uid.to_owned(), rest.to_owned()))
                .collect::<Vec<_>>()
        };
        let keys = ["--tls-keylog", &keys];
        let (uid, last) = of(&[&input, keys[0], keys[1]]).pop().expect("calls");
        let filter = format!("uid == {uid}");
        let export = [&["export", &input, "--embed-secrets", "-Y", &filter, "-o", &part][..], &keys].concat();
        let exported = run(&export);
        assert_eq!(status(&exported), 0, "{}", text(&exported.stderr));
        let again = of(&[&part]);
        assert!(again.iter().any(|(_, call)| *call == last), "{name}: {last} is not in {again:?}");
    }
}

#[test]
fn packets_exported_without_their_bodies_give_the_same_calls() {
    let folder = folder();
    let [whole, redacted] = ["whole.pcapng", "redacted.pcapng"]
        .map(|name| folder.path().join(name).to_string_lossy().into_owned());
    let keys =
        "start,duration_ns,client,server,rpc,transport,service,method,class,carrier,code,request_bytes";
    for (name, secret) in [
        ("payload/thrift-py-framed-binary.pcap", "тест ✓"),
        ("payload/thrift-py-buffered-compact.pcap", "тест ✓"),
        ("payload/grpc-go-unary-types.pcap", "break ✓"),
        ("trpc/mixed-large.pcap", "hi alice"),
        ("web/triple-go-h1-json.pcap", "screw"),
    ] {
        let input = capture(name).to_string_lossy().into_owned();
        let exported = run(&["export", &input, "-o", &whole]);
        assert_eq!(status(&exported), 0, "{}", text(&exported.stderr));
        let exported = run(&["export", "--redact", "all", &input, "-o", &redacted]);
        assert_eq!(status(&exported), 0, "{}", text(&exported.stderr));
        let [wanted, again] = [&whole, &redacted].map(|file| lines(&run(&["calls", file, "--fields", keys])));
        assert!(!wanted.is_empty());
        assert_eq!(again, wanted, "{name}");
        let [shown, hidden] = [&whole, &redacted].map(|file| {
            let bytes = std::fs::read(file).unwrap();
            bytes.windows(secret.len()).filter(|piece| *piece == secret.as_bytes()).count()
        });
        assert!(shown > 0 && hidden == 0, "{name}: {shown} times, then {hidden}");
    }
}

#[test]
fn a_capture_without_calls_says_what_it_holds_instead() {
    let tls = capture("noise/noise-tls-no-keys.pcap").to_string_lossy().into_owned();
    for command in ["calls", "stats", "chains"] {
        for threads in ["1", "2"] {
            let output = run(&[command, &tls, "--threads", threads]);
            assert_eq!(status(&output), 0, "{command}");
            let err = text(&output.stderr);
            assert_eq!(err.lines().count(), 1, "{err}");
            assert!(err.contains("no calls in 3 connections: 3 TLS without keys"), "{command}: {err}");
        }
        let both = run(&[command, &mixed(), &tls]);
        assert!(text(&both.stderr).contains(": 3 TLS without keys"), "{command}: {}", text(&both.stderr));
        let alone = run(&[command, &mixed()]);
        assert!(alone.stderr.is_empty(), "{command}: {}", text(&alone.stderr));
    }
}

#[test]
fn a_filter_that_nothing_passes_says_so() {
    let output = run(&["calls", &mixed(), "-Y", "method == NoSuchMethod"]);
    assert_eq!((status(&output), output.stdout.len()), (0, 0));
    let all = lines(&run(&["calls", &mixed(), "--format", "jsonl"])).len();
    let expected = format!("none of {all} calls matches the filter");
    assert!(text(&output.stderr).contains(&expected), "{}", text(&output.stderr));
}

#[test]
fn the_last_record_counts_what_was_read_if_asked_for() {
    let tls = capture("noise/noise-tls-no-keys.pcap").to_string_lossy().into_owned();
    for command in ["calls", "chains"] {
        let output = run(&[command, &mixed(), &tls, "--format", "jsonl", "--totals"]);
        assert_eq!(status(&output), 0, "{}", text(&output.stderr));
        let records: Vec<serde_json::Value> =
            lines(&output).iter().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let (totals, others) = records.split_last().expect("records");
        assert_eq!(totals["type"], "totals");
        assert!(others.iter().all(|record| record["type"] != "totals"));
        let calls = lines(&run(&["calls", &mixed(), "--format", "jsonl"])).len();
        assert_eq!(totals["calls"], calls);
        let paths = [&mixed(), &tls].map(PathBuf::from);
        let mut source = files::open(&paths, files::Options::default());
        let (_, read) = support::outputs(&mut source, &Options::default());
        assert_eq!((&totals["packets"], &totals["bytes"]), (&read.packets.into(), &read.bytes.into()));
        let silent = &totals["without_calls"][0];
        assert_eq!((&silent["reason"], &silent["connections"]), (&"TLS without keys".into(), &3.into()));
        assert!(silent["bytes"].as_u64().expect("a number") > 0);
    }
    for wrong in [&["calls", "--format", "csv"][..], &["calls"], &["chains"], &["chains", "--summary"]] {
        let output = run(&[wrong, &[&mixed(), "--totals"]].concat());
        assert_eq!(status(&output), 2, "{wrong:?}");
        assert!(text(&output.stderr).contains("--format jsonl"), "{wrong:?}");
    }
}

#[test]
fn the_filter_chooses_which_calls_fail_a_run_of_chains_too() {
    let of = |filter: &str| {
        let args = ["chains", &mixed(), "--fail-on", "business,rpc", "-Y", filter];
        status(&run(&args))
    };
    assert_eq!(of("class == business"), 3);
    assert_eq!(of("class == ok"), 0);
}

#[test]
fn calls_name_their_parents_if_asked_for() {
    let chain = capture("grpc/chain-grpc-ttheader-grpc.pcap").to_string_lossy().into_owned();
    let records = |args: &[&str]| -> Vec<serde_json::Value> {
        let output = run(&[&["calls", &chain, "--format", "jsonl"], args].concat());
        assert_eq!(status(&output), 0, "{}", text(&output.stderr));
        lines(&output).iter().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    };
    let (plain, linked) = (records(&[]), records(&["--link"]));
    assert!(plain.iter().all(|call| call["parent"].is_null()));
    // The same calls in the same order, with nothing but the parents added.
    let bare = |call: &serde_json::Value| {
        let mut call = call.clone();
        let record = call.as_object_mut().expect("an object");
        record.retain(|key, _| !key.starts_with("parent"));
        call
    };
    assert_eq!(linked.iter().map(bare).collect::<Vec<_>>(), plain);
    let truth = support::lines(&capture("grpc/chain-grpc-ttheader-grpc.chains.jsonl"));
    let hops: usize = truth.iter().map(|chain| chain["hops"].as_array().expect("hops").len() - 1).sum();
    assert_eq!(linked.iter().filter(|call| !call["parent"].is_null()).count(), hops);
    let parents = linked.iter().filter_map(|call| call["parent"].as_str());
    let ids: Vec<_> = linked.iter().filter_map(|call| call["uid"].as_str()).collect();
    assert!(parents.into_iter().all(|parent| ids.contains(&parent)));
    for call in linked.iter().filter(|call| !call["parent"].is_null()) {
        let parent = linked.iter().find(|parent| parent["uid"] == call["parent"]).expect("a call");
        assert!(call["parent_key"].is_string() && call["parent_key"] == parent["call_key"]);
    }
    let children = records(&["--link", "-Y", "parent != null"]);
    assert_eq!(children.len(), hops);
}

#[test]
fn records_of_files_name_their_host_if_told() {
    let hosts = |options: &[&str]| -> Vec<serde_json::Value> {
        let output = run(&[&["calls", &mixed(), "--format", "jsonl"], options].concat());
        let records = lines(&output).into_iter();
        records
            .map(|line| serde_json::from_str::<serde_json::Value>(&line).expect("JSON")["host"].take())
            .collect()
    };
    assert!(hosts(&[]).iter().all(serde_json::Value::is_null));
    let named = hosts(&["--host", "shop-7"]);
    assert!(!named.is_empty() && named.iter().all(|host| host == "shop-7"));
    assert!(hosts(&["--host", "shop-7", "-Y", "host == shop-8"]).is_empty());
}

#[test]
fn parents_that_are_not_sure_are_not_named() {
    let capture = capture("links/links-30-conc4-after-answer.pcap").to_string_lossy().into_owned();
    let records = |args: &[&str]| -> Vec<serde_json::Value> {
        let output = run(&[args, &["--format", "jsonl", &capture]].concat());
        lines(&output).iter().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    };
    let chains = records(&["chains"]);
    let hops = chains.iter().flat_map(|chain| chain["calls"].as_array().expect("calls"));
    let (sure, unsure): (Vec<_>, Vec<_>) = hops
        .filter(|hop| !hop["parent"].is_null())
        .partition(|hop| hop["confidence"].as_f64().expect("a number") >= 0.8);
    assert!(!unsure.is_empty());
    let calls = records(&["calls", "--link"]);
    let named = calls.iter().filter(|call| !call["parent"].is_null()).count();
    assert_eq!(named, sure.len());
}

#[test]
fn options_of_linking_hold_wherever_calls_are_linked() {
    let chain = capture("grpc/chain-grpc-ttheader-grpc.pcap").to_string_lossy().into_owned();
    let parents = |options: &[&str]| {
        let output = run(&[&["calls", &chain, "--format", "jsonl", "--link"], options].concat());
        // Rivals of a link name parents, too.
        let parents = lines(&output).iter().filter(|line| line.contains("\"parent_key\":")).count();
        (parents, text(&output.stderr))
    };
    let (all, complaints) = parents(&[]);
    assert!(all > 0 && complaints.is_empty());
    // No link is surer than 0.99.
    assert_eq!(parents(&["--min-confidence", "1"]).0, 0);
    let (linked, complaints) = parents(&["--calls", "nobody=nothing"]);
    assert_eq!(linked, all);
    assert!(complaints.contains("no call is one to nobody, nothing"), "{complaints}");

    let child =
        lines(&run(&["calls", &chain, "--format", "jsonl", "--link", "-Y", "parent != null"])).remove(0);
    let child: serde_json::Value = serde_json::from_str(&child).expect("JSON");
    let shown = |options: &[&str]| {
        let id = child["uid"].as_str().expect("a uid");
        text(&run(&[&["show", id, &chain, "--link"], options].concat()).stdout)
    };
    let (linked, alone) = (shown(&[]), shown(&["--min-confidence", "1"]));
    assert!(linked.contains("  caused by  ") && alone.contains("perhaps caused by"), "{linked}\n{alone}");

    for command in [&["calls", &chain][..], &["show", "1", &chain]] {
        let output = run(&[command, &["--evidence", "ids"]].concat());
        assert_eq!(status(&output), 2);
        assert!(text(&output.stderr).contains("--link"), "{}", text(&output.stderr));
    }
}

#[test]
fn rotated_files_hold_all_packets_and_a_quota_only_the_newest() {
    let folder = folder();
    let big = capture("kitex").to_string_lossy().into_owned();
    let wanted = run(&["calls", &big, "--format", "jsonl"]).stdout;
    let write = |name: &str, options: &[&str]| {
        let to = folder.path().join(name);
        std::fs::create_dir_all(to.parent().expect("a folder")).expect("writable");
        let to = to.to_string_lossy().into_owned();
        let output = run(&[&["calls", &big, "-w", &to], options].concat());
        assert_eq!(status(&output), 0, "{}", text(&output.stderr));
        text(&output.stderr)
    };
    let files = |name: &str| {
        let entries = std::fs::read_dir(folder.path().join(name)).expect("a folder");
        let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry")).collect();
        files.sort_by_key(std::fs::DirEntry::file_name);
        files
    };
    let captures = support::bundled(".pcap").into_iter().filter(|path| path.starts_with(capture("kitex")));
    let total: u64 = captures.map(|path| path.metadata().expect("a file").len()).sum();
    for name in ["a/x.pcapng", "b/x_%Y.pcapng", "c/x"] {
        assert!(!write(name, &["-C", "1"]).contains("deleted"), "{name}");
        let all = folder.path().join(&name[..1]).to_string_lossy().into_owned();
        assert!(files(&name[..1]).len() as u64 > total / 1_200_000, "{name}");
        assert_eq!(run(&["calls", &all, "--format", "jsonl"]).stdout, wanted, "{name}");
    }
    let said = write("d/x.pcapng", &["--max-disk", "1MB"]);
    let kept = files("d");
    let name = kept.last().expect("files").file_name();
    let number = name.to_str().and_then(|name| name.get(2..7)?.parse::<usize>().ok()).expect("a number");
    let deleted = format!("{} older files of -w deleted", number - kept.len());
    assert!(said.contains(&deleted), "{deleted}: {said}");
    let sum: u64 = kept.iter().map(|file| file.metadata().expect("a file").len()).sum();
    assert!(sum <= 1_000_000 && sum > 700_000, "{sum}");
    let newest = kept.last().expect("files").path().to_string_lossy().into_owned();
    assert_eq!(status(&run(&["calls", &newest])), 0);
    let small = run(&["calls", &big, "-w", "x", "--max-disk", "10kB"]);
    assert_eq!(status(&small), 2);
    assert!(text(&small.stderr).contains("at least 1MB"), "{}", text(&small.stderr));
}

#[test]
fn packets_out_of_order_are_said() {
    let folder = folder();
    let path = folder.path().join("swapped.pcapng");
    let mut writer = PacketWriter::create(&path, Rotation::default()).expect("writable");
    // The first ten packets come last.
    for early in [false, true] {
        let mut source = files::open(&[PathBuf::from(mixed())], files::Options::default());
        let mut batch = Batch::default();
        while source.next_batch(&mut batch).expect("readable") {
            for packet in batch.packets().filter(|packet| (packet.number <= 10) == early) {
                writer.write(&packet, None).expect("writable");
            }
        }
    }
    writer.finish().expect("writable");
    let output = run(&["calls", &path.to_string_lossy(), "--format", "jsonl", "--totals"]);
    assert!(text(&output.stderr).contains("10 packets are older"), "{}", text(&output.stderr));
    let totals: serde_json::Value =
        serde_json::from_str(lines(&output).last().expect("lines")).expect("JSON");
    assert_eq!(totals["backwards"], 10);
}
