//! `rpcscope` as a library: the stages of the way from packets to classified calls.
//!
//! ```text
//! source ─Packet▶ decode ─Segment▶ flow ─Chunk▶ dispatch ─Event▶ calls ─Call▶ sink
//!                                                                   └──Call▶ chains ─Chain▶ sink
//! ```
//!
//! Data flows in one direction, pushed. A stage knows only the output of the stage before it; [`pipeline`] is the only
//! file that knows their order and the threads. Time comes from packets, so that a replay equals what live showed.
//!
//! | stage | module | output |
//! | --- | --- | --- |
//! | capture files and interfaces | [`source`] | [`source::Packet`] |
//! | links, tunnels, IP, fragments | [`decode`] | [`decode::Segment`] |
//! | connections, TCP reassembly | [`flow`] | [`flow::Chunk`] |
//! | which protocol, its session | [`dispatch`] | [`rpcscope_parsers::Event`] |
//! | TLS, for whoever has its keys | [`tls`] | chunks of plaintext |
//! | pairing, classes | [`calls`] | [`calls::Call`] |
//! | which call caused which | [`chains`] | [`chains::Chain`] |
//! | outputs | [`sink`] | bytes |
//!
//! Around the stages:
//!
//! | for | module |
//! | --- | --- |
//! | options of the command line, the config file, and what each command does with them | [`cli`], [`config`], [`run`] |
//! | the terminal interface | [`tui`] |
//! | choosing calls (`-Y`) | [`filter`] |
//! | one call in full, reread from its packets | [`detail`] |
//! | what is in the body of a message, with the names that descriptions give | [`body`] |
//! | bodies on their way into the records: collected, decoded, redacted | [`payload`] |
//! | the packets of chosen calls as a capture of their own | [`export`] |
//! | error codes and error texts of the frameworks | [`codes`] |
//! | the meaning of codes, findings and log lines | [`explain`] |
//! | whole logs beside a capture: which line is about which call | [`logs`] |
//! | records read back: those of other hosts, and of earlier runs | [`records`] |
//! | captures of several hosts: which host took which file, how their clocks differ | [`capture_point`] |
//! | names of addresses from files (`--names`) | [`naming`] |
//! | which process of this host holds an end of a connection | [`process`] |
//! | what the process may do while it parses packets, and the small processes for the rest | [`sandbox`], `helper` |
//! | spans and metrics for other systems | [`telemetry`] |
//! | wire text made safe for terminals, packet time, numbers as text | [`text`], [`time`], [`digits`] |

pub mod body;
pub mod calls;
pub mod capture_point;
pub mod chains;
pub mod cli;
pub mod codes;
pub mod config;
mod contain;
pub mod decode;
pub mod detail;
pub mod digits;
pub mod dispatch;
pub mod explain;
pub mod export;
pub mod filter;
pub mod flow;
mod folder;
#[cfg(target_os = "linux")]
pub mod helper;
pub mod logs;
pub mod naming;
pub mod payload;
pub mod pipeline;
pub mod process;
pub mod records;
pub mod run;
pub mod sandbox;
pub mod sink;
pub mod source;
pub mod telemetry;
pub mod text;
pub mod time;
pub mod tls;
pub mod tui;
