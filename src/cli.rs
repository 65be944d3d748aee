//! Command-line arguments. The commands themselves are in `run/`; [`parse`] reads the line and says what was meant by a wrong one.

mod foreign;
mod hints;
mod later;
mod values;

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

#[cfg(feature = "parquet")]
use clap::Arg;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::calls::{Class, Uid};
use crate::dispatch::DecodeAs;
use crate::logs::window::Moment;
use crate::sink::chains::ChainFormat;
use crate::sink::logs::LogFormat;
use crate::sink::{RecordFormat, StatsFormat, TimeFormat};
use crate::tui::Look;

pub use hints::parse;
pub use later::Later;
#[cfg(feature = "parquet")]
use values::no_packets;
#[cfg(feature = "otlp")]
use values::parse_queue;
use values::{class_parser, parse_duration, parse_memory, parse_payload_limit, parse_quota, parse_share};

/// The options of all commands stand behind those of each.
const LAST: usize = 900;

/// Shows every RPC on the wire, and for each failed one whether the framework or the business failed.
///
/// Files are replayed; -i sniffs an interface. On a terminal this opens the live interface; if standard output is not a
/// terminal, it prints one line per call.
#[derive(Debug, Parser)]
#[command(name = "rpcscope", version, max_term_width = 110, args_conflicts_with_subcommands = true)]
#[command(
    after_help = "Exit status: 0 success; 1 an input could not be read to its end, or an output could not be written, or no call is \
what explain was asked for; 2 wrong usage; 3 a call of a --fail-on class was seen."
)]
pub struct Cli {
    /// The command; by default the live interface, or calls as text.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Input and output of the live interface.
    #[command(flatten)]
    pub live: View,
    /// How the live interface links calls.
    #[command(flatten)]
    pub linking: Linking,
    /// Mark the calls that the error lines of this log are about, in the interface; repeatable. It may grow, be replaced, or
    /// come later.
    #[arg(long = "log", value_name = "FILE")]
    pub logs: Vec<PathBuf>,
    /// List the interfaces that can be sniffed (same as the command `interfaces`).
    #[arg(short = 'D', long = "list-interfaces", exclusive = true)]
    pub list_interfaces: bool,
    /// Don't read the config file.
    #[arg(long = "no-config", global = true, help_heading = None, display_order = LAST)]
    pub no_config: bool,
    /// Print on the terminal itself, not through $PAGER (less -FRX where that is not set).
    #[arg(long = "no-pager", global = true, help_heading = None, display_order = LAST)]
    pub no_pager: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print one record per call.
    Calls(Later<CallsArgs>),
    /// Print totals per service and method: calls, errors by class, latency percentiles.
    Stats(Later<StatsArgs>),
    /// Print which call caused which, where each error began, and how each hop changed it.
    Chains(Later<ChainsArgs>),
    /// Join the records of many hosts (calls --link) into chains: which call caused which, and where each error began.
    Judge(Later<JudgeArgs>),
    /// Write linked call records into a folder of Parquet files by hour and host, as an agent that may be killed at any time.
    ///
    /// sudo rpcscope record -i any --dir /var/lib/rpcscope --keep 7d --max-disk 50GB
    #[cfg(feature = "parquet")]
    Record(Later<RecordArgs>),
    /// Print one call in full: verdict, headers, messages, bytes.
    Show(Later<ShowArgs>),
    /// Write the packets of the matching calls to -o FILE, as pcapng for Wireshark.
    Export(Later<View>),
    /// List the interfaces that can be sniffed.
    Interfaces,
    /// Explain a code, a word of the call record or an error text; with files, list the calls that carry it.
    ///
    /// rpcscope explain trpc 171 · rpcscope explain late-answer · rpcscope explain 'type:framework, code:101, msg:…' FILE
    Explain(Later<ExplainArgs>),
    /// Read whole logs beside a capture: each error line with its call and where the error began, and what no line says.
    ///
    /// rpcscope logs app.log capture.pcap · rpcscope logs --follow -i any --log app.log
    Logs(Later<LogsArgs>),
    /// Write a config file with all keys and their defaults as comments, and say where.
    Config(ConfigArgs),
    /// Write one page of HTML to hand on: what failed, whose fault, since when, and the proof.
    ///
    /// rpcscope report capture.pcap -o incident.html · rpcscope report a.pcap b.pcap --log app.log --redact -o incident.html
    Report(Later<ReportArgs>),
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page of the program or of a command, or write all of them into a folder.
    Man(ManArgs),
}

/// What to do with the config file.
#[derive(Clone, Copy, Debug, Args)]
pub struct ConfigArgs {
    /// Only print where the file is looked for.
    #[arg(long)]
    pub path: bool,
}

/// Which manual page.
#[derive(Clone, Debug, Args)]
pub struct ManArgs {
    /// The command; without one, the page of the program.
    pub command: Option<String>,
    /// Write rpcscope.1 and a page for each command into this folder.
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    pub dir: Option<PathBuf>,
}

/// Where packets come from and how to read them.
#[derive(Clone, Debug, Default, Args)]
pub struct Input {
    /// Capture files (pcap, pcapng, also .gz and .zst), folders of rotated files, or - for standard input. Files from
    /// several hosts are recognised by the packets they share: clocks are corrected, and each call counts once.
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// A capture file; the same as a bare FILE, for users of tcpdump.
    #[arg(short = 'r', long = "read", value_name = "FILE")]
    pub read: Vec<PathBuf>,
    /// Sniff this interface; repeatable. `any` is all interfaces (Linux).
    #[arg(short = 'i', long = "interface", value_name = "NAME")]
    pub interfaces: Vec<String>,
    /// Capture filter in libpcap syntax, for interfaces and files.
    #[arg(short = 'f', long = "bpf", value_name = "EXPR")]
    pub bpf: Option<String>,
    /// Stop after this many packets.
    #[arg(short = 'c', long = "count", value_name = "N")]
    pub count: Option<u64>,
    /// Stop after this time: packet time in files, wall time live (30s, 5m, 500ms; a bare number is seconds).
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub duration: Option<Duration>,
    /// Keep reading a growing file.
    #[arg(long, conflicts_with = "interfaces")]
    pub follow: bool,
    /// Capture at most this many bytes of each packet; 0 means whole packets.
    #[arg(short = 's', long = "snaplen", value_name = "BYTES", requires = "interfaces")]
    pub snap_len: Option<u32>,
    /// Size of each interface's kernel buffer, in KiB.
    #[arg(short = 'B', long = "buffer-size", value_name = "KIB", requires = "interfaces")]
    pub buffer_size: Option<u32>,
    /// Don't switch interfaces to promiscuous mode.
    #[arg(short = 'p', long = "no-promiscuous", requires = "interfaces")]
    pub no_promiscuous: bool,
    /// Switch to this user once the interfaces are open (root's default: the user who called sudo).
    #[arg(short = 'Z', long = "relinquish-privileges", value_name = "USER", requires = "interfaces")]
    pub relinquish: Option<String>,
    /// Write all packets to this file: pcap if the name ends in .pcap, otherwise pcapng.
    #[arg(short = 'w', long = "write", value_name = "FILE")]
    pub write: Option<PathBuf>,
    /// Start a new -w file after this many million bytes. Names with a time format (`x_%H%M%S.pcap`) take the time of
    /// the first packet; otherwise x.pcap becomes `x_00001_20261125210000.pcap` and so on.
    #[arg(short = 'C', value_name = "MB", requires = "write", value_parser = clap::value_parser!(u64).range(1..))]
    pub rotate_size: Option<u64>,
    /// Start a new -w file after this many seconds.
    #[arg(short = 'G', value_name = "SECONDS", requires = "write", value_parser = clap::value_parser!(u64).range(1..))]
    pub rotate_seconds: Option<u64>,
    /// With -C or -G: keep this many -w files; the oldest is overwritten or deleted.
    #[arg(short = 'W', value_name = "COUNT", requires = "write", value_parser = clap::value_parser!(u32).range(1..))]
    pub rotate_count: Option<u32>,
    /// Keep at most this much in all -w files of the run together (10GB); the oldest are deleted.
    #[arg(long = "max-disk", value_name = "SIZE", requires = "write", value_parser = parse_quota)]
    pub max_disk: Option<u64>,
    /// Put the secrets that were used into the -w file, or the -o file of export, so that others can read its TLS. Whoever has the
    /// file then can read all that these connections said.
    #[arg(long = "embed-secrets")]
    pub embed_secrets: bool,
    /// Put the verdict of each call as a comment on its last packet in the -w file, for Wireshark; live, packets are written a
    /// second late for it.
    #[arg(long, requires = "write", conflicts_with_all = ["embed_secrets", "packet_buffered"])]
    pub comments: bool,
    /// Write each packet to the -w file as soon as it is captured, instead of within half a second. Without -w the same as -l.
    #[arg(short = 'U', long = "packet-buffered")]
    pub packet_buffered: bool,
    /// The host that captured this, for the key host of the records; live, by default, the name of this one.
    #[arg(long, value_name = "NAME")]
    pub host: Option<String>,
    /// Take names of addresses from this file: a hosts file, CSV (address,name,pod,node), `kubectl get pods,services -A -o json`, or the
    /// JSON of Consul's catalog; repeatable. Live, it is read again when it changes.
    #[arg(long, value_name = "FILE")]
    pub names: Vec<PathBuf>,
    /// Treat connections on this port as this protocol (9000=trpc, udp:9000=trpc, as in tshark tcp.port==9000,trpc; =none ignores
    /// them). Without a network it is TCP.
    #[arg(short = 'd', long = "decode-as", value_name = "PORT=PROTOCOL")]
    pub decode_as: Vec<DecodeAs>,
    /// Read TLS with the secrets of this key log (`SSLKEYLOGFILE`); repeatable. It may grow, be replaced, or come later. `env`
    /// stands for the file that the variable SSLKEYLOGFILE names. Secrets inside of pcapng files are used in any case.
    #[arg(long = "tls-keylog", value_name = "FILE")]
    pub tls_keylog: Vec<PathBuf>,
    /// For users of tcpdump: changes nothing, because addresses are never looked up.
    #[arg(short = 'n', action = clap::ArgAction::Count)]
    pub numeric: u8,
    /// Number of threads; it never changes the output.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: Option<u16>,
    /// Use about this much memory at most (256MiB, 4GB); by default 512MiB. What is shed at the bound is counted and said.
    #[arg(long = "max-memory", value_name = "SIZE", value_parser = parse_memory)]
    pub max_memory: Option<usize>,
    /// Keep the rights to open files, start programs and connect while packets are parsed.
    #[arg(long = "no-sandbox")]
    pub no_sandbox: bool,
    /// Bodies of messages.
    #[command(flatten)]
    pub bodies: Bodies,
    /// Logs that are read beside it.
    #[arg(skip)]
    pub logs: Vec<PathBuf>,
    /// The folder of records that is written.
    #[arg(skip)]
    pub records: Option<PathBuf>,
    /// The config file was read, so that the interface may change it.
    #[arg(skip)]
    pub keeps_config: bool,
}

/// What to make of the bodies of messages.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Bodies of messages")]
pub struct Bodies {
    /// Thrift IDL: a file, or a folder with all its .thrift files; repeatable. Exceptions of the IDL get their names.
    #[arg(long, value_name = "FILE|DIR")]
    pub idl: Vec<PathBuf>,
    /// Protobuf: a .proto file, or a folder with all its .proto files; repeatable.
    #[arg(long, value_name = "FILE|DIR")]
    pub proto: Vec<PathBuf>,
    /// Look for includes and imports in this folder too; repeatable.
    #[arg(short = 'I', long = "include", value_name = "DIR")]
    pub include: Vec<PathBuf>,
    /// Protobuf: a serialised set of descriptors (`protoc --include_imports -o FILE`, `buf build -o FILE`); repeatable.
    #[arg(long = "descriptor-set", value_name = "FILE")]
    pub descriptor_set: Vec<PathBuf>,
    /// Include the bodies of messages in the records (keys request, response, exception, error of jsonl).
    #[arg(long)]
    pub payload: bool,
    /// Leave out bodies of more bytes than this (64KiB, 10MB); by default 1MiB.
    #[arg(long = "payload-limit", value_name = "SIZE", value_parser = parse_payload_limit)]
    pub payload_limit: Option<NonZeroU32>,
    /// Replace the values of these fields of bodies, or of all, in records and views; export leaves out
    /// the bytes of all bodies, and -w writes packets as they are.
    #[arg(long, value_name = "FIELD,…|all", value_delimiter = ',', num_args = 0..=1, default_missing_value = "all")]
    pub redact: Vec<String>,
}

impl Bodies {
    /// Whether any of it needs bodies to be read.
    #[must_use]
    pub fn asks(&self) -> bool {
        let Self { idl, proto, include: _, descriptor_set, payload, payload_limit: _, redact } = self;
        *payload || !(idl.is_empty() && proto.is_empty() && descriptor_set.is_empty() && redact.is_empty())
    }
}

/// The bound of memory, where none is set.
const MAX_MEMORY: usize = 512 << 20;

impl Input {
    /// Bytes of memory to use at most.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.max_memory.unwrap_or(MAX_MEMORY)
    }

    /// All files, those of `-r` first.
    #[must_use]
    pub fn paths(&self) -> Vec<PathBuf> {
        self.read.iter().chain(&self.files).cloned().collect()
    }

    /// The key logs; `env` is replaced by what the environment names. An error if it names none.
    pub fn key_logs(&self) -> Result<Vec<PathBuf>, String> {
        let named = |path: &PathBuf| {
            if path.as_os_str() != "env" {
                return Ok(path.clone());
            }
            let file = std::env::var_os("SSLKEYLOGFILE").filter(|file| !file.is_empty());
            file.map(PathBuf::from).ok_or_else(|| {
                "--tls-keylog env takes the file that SSLKEYLOGFILE names, but that is not set".to_owned()
            })
        };
        self.tls_keylog.iter().map(named).collect()
    }

    /// Whether `-w` may write several files.
    #[must_use]
    pub fn rotates(&self) -> bool {
        self.rotate_size.is_some() || self.rotate_seconds.is_some() || self.max_disk.is_some()
    }

    /// Whether the input has no end: interfaces, growing files.
    #[must_use]
    pub fn is_endless(&self) -> bool {
        !self.interfaces.is_empty() || self.follow
    }
}

/// What to show and how.
#[derive(Clone, Debug, Default, Args)]
pub struct View {
    /// Input.
    #[command(flatten)]
    pub input: Input,
    /// Show only matching calls: keys of the call record, == != < <= > >= ~ !~ in, and or not, units on numbers.
    #[arg(short = 'Y', long = "filter", value_name = "EXPR")]
    pub filter: Option<String>,
    /// Write to this file instead of standard output.
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Write each line at once, to files and pipes too.
    #[arg(short = 'l', long = "line-buffered")]
    pub line_buffered: bool,
    /// When to use colours.
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    pub color: Color,
    /// How to print times [default: local].
    #[arg(short = 't', long = "time", value_enum, value_name = "FORMAT")]
    pub time: Option<TimeFormat>,
    /// Exit with status 3 if a call of one of these classes is seen.
    #[arg(long = "fail-on", value_name = "CLASS", value_delimiter = ',', value_parser = class_parser())]
    pub fail_on: Vec<Class>,
    /// What the config file says of the interface.
    #[arg(skip)]
    pub look: Look,
}

impl View {
    /// Whether each line is written at once.
    #[must_use]
    pub fn writes_each_line(&self) -> bool {
        self.line_buffered || self.input.packet_buffered && self.input.write.is_none()
    }

    /// How to print times.
    #[must_use]
    pub fn time(&self) -> TimeFormat {
        self.time.unwrap_or_default()
    }
}

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What other systems get while calls are read.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Telemetry")]
pub struct Telemetry {
    /// Send spans and metrics of the calls to this receiver of OTLP/HTTP, such as `http://localhost:4318`; `env` takes the receiver and its
    /// headers from the variables `OTEL_EXPORTER_OTLP_…`. The exit status is 1 if some could not be sent.
    #[cfg(feature = "otlp")]
    #[arg(long, value_name = "URL")]
    pub otlp: Option<String>,
    /// The version of OpenTelemetry's conventions whose names the attributes have.
    #[cfg(feature = "otlp")]
    #[arg(long = "otlp-names", value_enum, default_value_t, value_name = "VERSION", requires = "otlp")]
    pub otlp_names: crate::telemetry::otlp::spans::Names,
    /// Send this share of the traces in which nothing failed (1/100, 1%), and all others. Metrics count all calls.
    #[cfg(feature = "otlp")]
    #[arg(long, value_name = "SHARE", requires = "otlp")]
    pub sample: Option<crate::telemetry::otlp::Sample>,
    /// Keep batches in this folder until the receiver takes them, also for a later run. Without it, they wait in memory and for a minute at most.
    #[cfg(feature = "otlp")]
    #[arg(long = "otlp-queue", value_name = "DIR", requires = "otlp")]
    pub otlp_queue: Option<std::path::PathBuf>,
    /// Most bytes in that folder; beyond, the oldest batches are dropped. A file is read more slowly instead, as long as the receiver takes something.
    #[cfg(feature = "otlp")]
    #[arg(long = "otlp-queue-size", value_name = "SIZE", default_value = "256MB", value_parser = parse_queue, requires = "otlp_queue")]
    pub otlp_queue_size: u64,
    /// Serve a page for Prometheus at this address, path /metrics: a port (then on loopback), or ADDRESS:PORT.
    #[arg(long, value_name = "ADDR", value_parser = crate::telemetry::scrape::address)]
    pub metrics: Option<std::net::SocketAddr>,
}

impl Telemetry {
    /// Whether any of it is asked for.
    #[must_use]
    pub fn asks(&self) -> bool {
        #[cfg(feature = "otlp")]
        let has_receiver = self.otlp.is_some();
        #[cfg(not(feature = "otlp"))]
        let has_receiver = false;
        has_receiver || self.metrics.is_some()
    }
}

/// Arguments of `calls`.
#[derive(Clone, Debug, Default, Args)]
#[command(after_long_help = crate::calls::keys::help())]
pub struct CallsArgs {
    /// Input and view.
    #[command(flatten)]
    pub view: View,
    /// Output format.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: RecordFormat,
    /// Print only these keys of the call record (text and csv).
    #[arg(long, value_delimiter = ',', value_name = "KEY")]
    pub fields: Vec<String>,
    /// Also print connections: refused, reset before any call, not decoded and why.
    #[arg(long)]
    pub connections: bool,
    /// Fill `parent`: the call that caused the call, where that is sure. Calls of a file are printed at its end.
    #[arg(long)]
    pub link: bool,
    /// How `--link` links calls.
    #[command(flatten)]
    pub linking: Linking,
    /// Include headers and `trans_info`.
    #[arg(long)]
    pub metadata: bool,
    /// End with a record of type totals: what was read, and what of it could not be decoded (jsonl).
    #[arg(long)]
    pub totals: bool,
    /// What other systems get.
    #[command(flatten)]
    pub telemetry: Telemetry,
}

/// Arguments of `stats`.
#[derive(Clone, Debug, Args)]
#[command(after_long_help = crate::calls::keys::help())]
pub struct StatsArgs {
    /// Input and view.
    #[command(flatten)]
    pub view: View,
    /// Output format.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: StatsFormat,
}

/// Arguments of `show`.
#[derive(Clone, Debug, Args)]
pub struct ShowArgs {
    /// The call's `uid` from the records (71 or 71.2).
    #[arg(value_name = "ID")]
    pub id: Uid,
    /// Input.
    #[command(flatten)]
    pub input: Input,
    /// Link all calls, and add what caused the call, what else may have, and what it caused.
    #[arg(long)]
    pub link: bool,
    /// How `--link` links calls.
    #[command(flatten)]
    pub linking: Linking,
    /// When to use colours.
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    pub color: Color,
    /// How to print times [default: local]; relative ones are printed as local ones.
    #[arg(short = 't', long = "time", value_enum, value_name = "FORMAT")]
    pub time: Option<TimeFormat>,
}

/// Arguments of `explain`.
#[derive(Clone, Debug, Args)]
pub struct ExplainArgs {
    /// A family and a code (trpc, thrift, kitex, ttstream, grpc, http2, http), a code, a word of the record, or a line of a
    /// log as it was pasted (`-` reads it from standard input); then capture files. With files, the calls that the line is about
    /// are printed, the likeliest first; the exit status is 1 if there is none.
    #[arg(value_name = "WHAT", allow_negative_numbers = true)]
    pub what: Vec<String>,
    /// A capture file; the same as a bare FILE after the question.
    #[arg(short = 'r', long = "read", value_name = "FILE")]
    pub read: Vec<PathBuf>,
    /// Output format.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: ExplanationFormat,
    /// Keep the rights to open files, start programs and connect while packets are parsed.
    #[arg(long = "no-sandbox")]
    pub no_sandbox: bool,
    /// When to use colours.
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    pub color: Color,
}

/// Output formats of `explain`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ExplanationFormat {
    /// For people.
    #[default]
    Text,
    /// An object of type explanation in a line, then the calls, one in a line.
    Jsonl,
}

/// What the files of `logs` may be.
const LOG_FILES: &str = "Logs and captures, told apart by their first bytes: captures as elsewhere, anything else is a log (also .gz and .zst). \
- is what is missing: a log where a capture is named, else a capture";

/// Arguments of `logs`.
#[derive(Clone, Debug, Default, Args)]
#[command(mut_arg("files", |files| files.help(LOG_FILES)), after_long_help = crate::calls::keys::help())]
pub struct LogsArgs {
    /// Input and view; calls that do not match the filter are left out with their lines.
    #[command(flatten)]
    pub view: View,
    /// A log; the same as a bare FILE, whatever it begins with. With -i or --follow it may grow, be replaced, or come later.
    #[arg(long, value_name = "FILE")]
    pub log: Vec<PathBuf>,
    /// Output format.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: LogFormat,
    /// Leave out calls and lines before this time of the capture's clock: 22:33:00 on a day of the capture, or with a date (and a
    /// zone; else the one in which times are printed).
    #[arg(long, value_name = "TIME")]
    pub from: Option<Moment>,
    /// Leave out calls and lines after this time.
    #[arg(long, value_name = "TIME")]
    pub to: Option<Moment>,
    /// Links.
    #[command(flatten)]
    pub linking: Linking,
}

/// Arguments of `report`.
#[derive(Clone, Debug, Default, Args)]
#[command(after_long_help = crate::calls::keys::help())]
pub struct ReportArgs {
    /// Input.
    #[command(flatten)]
    pub input: Input,
    /// Write the page to this file; it opens in any browser and needs nothing else.
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// The heading of the page.
    #[arg(long, value_name = "TEXT")]
    pub title: Option<String>,
    /// Join the error lines of this log with the calls; repeatable.
    #[arg(long, value_name = "FILE")]
    pub log: Vec<PathBuf>,
    /// Report only matching calls, and the chains with such a call, in the syntax of `calls -Y`.
    #[arg(short = 'Y', long = "filter", value_name = "EXPR")]
    pub filter: Option<String>,
    /// Exit with status 3 if a call of one of these classes is seen.
    #[arg(long = "fail-on", value_name = "CLASS", value_delimiter = ',', value_parser = class_parser())]
    pub fail_on: Vec<Class>,
    /// Links.
    #[command(flatten)]
    pub linking: Linking,
}

/// Arguments of `chains`.
#[derive(Clone, Debug, Args)]
pub struct ChainsArgs {
    /// Input and view; a chain is printed if one of its calls matches the filter.
    #[command(flatten)]
    pub view: View,
    /// Output format; mermaid and dot draw the service graph.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: ChainFormat,
    /// Print totals instead: which service turns which error into what, how often, with an example (text and jsonl).
    #[arg(long)]
    pub summary: bool,
    /// Include headers and `trans_info` in the call records.
    #[arg(long)]
    pub metadata: bool,
    /// End with a record of type totals: what was read, and what of it could not be decoded (jsonl).
    #[arg(long)]
    pub totals: bool,
    /// How calls are linked.
    #[command(flatten)]
    pub linking: Linking,
    /// What other systems get.
    #[command(flatten)]
    pub telemetry: Telemetry,
}

/// Arguments of `record`.
#[cfg(feature = "parquet")]
#[derive(Clone, Debug, Args)]
#[command(
    mut_arg("rotate_size", part_size),
    mut_arg("rotate_seconds", part_seconds),
    mut_arg("max_disk", records_quota),
    mut_args(no_packets)
)]
pub struct RecordArgs {
    /// Input.
    #[command(flatten)]
    pub input: Input,
    /// Write into this folder, which is created: DIR/dt=2026-01-02/hour=03/host=NAME/….parquet, by the start of the calls in UTC.
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// Delete files of this host that were written longer ago than this (7d, 36h).
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub keep: Option<Duration>,
    /// Record only matching calls, in the syntax of `calls -Y`.
    #[arg(short = 'Y', long = "filter", value_name = "EXPR")]
    pub filter: Option<String>,
    /// Exit with status 3 if a call of one of these classes is seen.
    #[arg(long = "fail-on", value_name = "CLASS", value_delimiter = ',', value_parser = class_parser())]
    pub fail_on: Vec<Class>,
    /// Include headers and `trans_info`.
    #[arg(long)]
    pub metadata: bool,
    /// How calls are linked.
    #[command(flatten)]
    pub linking: Linking,
    /// What other systems get.
    #[command(flatten)]
    pub telemetry: Telemetry,
}

/// Millions of bytes of records, as JSON lines, in one file of `record` by default.
#[cfg(feature = "parquet")]
pub(crate) const PART_SIZE: u64 = 512;

/// Seconds of one file of `record` by default.
#[cfg(feature = "parquet")]
pub(crate) const PART_SECONDS: u64 = 60;

/// `-C` of `record`.
#[cfg(feature = "parquet")]
fn part_size(_: Arg) -> Arg {
    let text = "Complete a file after this many million bytes of records, counted as JSON lines; Parquet takes much less [default: 512]";
    let arg = Arg::new("rotate_size").short('C').value_name("MB").help(text);
    arg.value_parser(clap::value_parser!(u64).range(1..))
}

/// `-G` of `record`.
#[cfg(feature = "parquet")]
fn part_seconds(_: Arg) -> Arg {
    let text = "Complete a file after this many seconds [default: 60]";
    let arg = Arg::new("rotate_seconds").short('G').value_name("SECONDS").help(text);
    arg.value_parser(clap::value_parser!(u64).range(1..))
}

/// `--max-disk` of `record`.
#[cfg(feature = "parquet")]
fn records_quota(_: Arg) -> Arg {
    let text = "Keep at most this much in all files of this host (10GB), those of earlier runs too; the oldest are deleted";
    let arg = Arg::new("max_disk").long("max-disk").value_name("SIZE").help(text);
    arg.value_parser(parse_quota)
}

/// Arguments of `judge`.
#[derive(Clone, Debug, Args)]
pub struct JudgeArgs {
    /// Records of `calls --link --format jsonl` (also .gz and .zst) or `--format parquet`, folders of them, or - for standard input, which
    /// is the default. Records of several hosts may come in any order.
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Output format; mermaid and dot draw the service graph.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: ChainFormat,
    /// Print totals instead: which service turns which error into what, how often, with an example (text and jsonl).
    #[arg(long)]
    pub summary: bool,
    /// End with the records of --summary and one of type totals: how many records were taken, rejected and left out (jsonl).
    #[arg(long)]
    pub totals: bool,
    /// Show only chains with a matching call, in the syntax of `calls -Y`.
    #[arg(short = 'Y', long = "filter", value_name = "EXPR")]
    pub filter: Option<String>,
    /// Write to this file instead of standard output.
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// When to use colours.
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    pub color: Color,
    /// Exit with status 3 if a call of one of these classes is seen.
    #[arg(long = "fail-on", value_name = "CLASS", value_delimiter = ',', value_parser = class_parser())]
    pub fail_on: Vec<Class>,
    /// Take names of addresses from this file, where records have none: a hosts file, CSV, or JSON of kubectl or Consul; repeatable.
    #[arg(long, value_name = "FILE")]
    pub names: Vec<PathBuf>,
    /// Use about this much memory at most (256MiB, 4GB); by default 512MiB. Calls beyond it are left out, counted and said.
    #[arg(long = "max-memory", value_name = "SIZE", value_parser = parse_memory)]
    pub max_memory: Option<usize>,
    /// Keep the rights to open files, start programs and connect while records are parsed.
    #[arg(long = "no-sandbox")]
    pub no_sandbox: bool,
    /// What other systems get.
    #[command(flatten)]
    pub telemetry: Telemetry,
}

/// Which links between calls are made.
#[derive(Clone, Debug, Default, PartialEq, Args)]
#[command(next_help_heading = "Links between calls")]
pub struct Linking {
    /// Make only links that are at least this likely right, 0 to 1 or 0% to 100%. No link is surer than 0.99.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = parse_share, allow_negative_numbers = true)]
    pub min_confidence: f64,
    /// Evidence that counts: all of it, or only ids that both calls carry.
    #[arg(long, value_enum, default_value_t, value_name = "KIND")]
    pub evidence: LinkEvidence,
    /// All services that a service calls, as SERVICE=CALLEE,CALLEE; repeatable. A name is that in the header, the interface, the last
    /// part of either, or an address with its port. Services that are not named before a = may call any.
    #[arg(long, value_name = "HINT")]
    pub calls: Vec<crate::chains::CallHint>,
}

/// Evidence of `--evidence`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LinkEvidence {
    /// Ids, names, contents, and times.
    #[default]
    All,
    /// Trace, log and request ids.
    Ids,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_file_of_packets_each_line_is_written_at_once() {
        for (line, each) in [
            ("calls x.pcap", false),
            ("calls -l x.pcap", true),
            ("calls -U x.pcap", true),
            ("calls -U -w y.pcap x.pcap", false),
            ("calls -U -l -w y.pcap x.pcap", true),
        ] {
            let cli = Cli::try_parse_from(["rpcscope"].into_iter().chain(line.split(' '))).unwrap();
            let Some(Command::Calls(args)) = cli.command else { panic!("{line}") };
            assert_eq!(args.view.writes_each_line(), each, "{line}");
        }
    }
}
