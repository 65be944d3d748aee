//! `rpcscope` as a library: the stages of the way from packets to classified calls.
//!
//! ```text
//! source ─Packet▶ decode ─Segment▶ flow ─Chunk▶ dispatch ─Message▶ calls ─Call▶ sink
//!                                                                     └──Call▶ chains ─Chain▶ sink
//! ```
//!
//! One direction, pushed. A stage names only the output of the stage before it; [`pipeline`] is the only file that knows
//! their order and the threads. Time comes from packets, so that a replay equals what live showed.
//!
//! | stage | module | gives |
//! | --- | --- | --- |
//! | capture files and interfaces | [`source`] | [`source::Packet`] |
//! | links, tunnels, IP, fragments | [`decode`] | [`decode::Segment`] |
//! | connections, TCP reassembly | [`flow`] | [`flow::Chunk`] |
//! | which protocol, its session | [`dispatch`] | [`rpcscope_parsers::Message`] |
//! | pairing, classes | [`calls`] | [`calls::Call`] |
//! | which call caused which | [`chains`] | [`chains::Chain`] |
//! | outputs | [`sink`] | bytes |
//!
//! Around the stages stand the rooms of the people who use them:
//!
//! | for | module |
//! | --- | --- |
//! | options of the command line, and what each command does with them | [`cli`], [`run`] |
//! | the terminal interface | [`tui`] |
//! | choosing calls (`-Y`) | [`filter`] |
//! | one call in full, read again from its packets | [`detail`] |
//! | the packets of chosen calls as a capture of their own | [`export`] |
//! | error codes and error texts of the frameworks | [`codes`] |
//! | what codes, findings and lines of logs mean | [`explain`] |
//! | files of several hosts: whose they are, how their clocks differ | [`capture_point`] |
//! | which process of this host holds an end of a connection | [`process`] |
//! | text of the wire made harmless for terminals, time as packets have it, numbers as text | [`text`], [`time`], [`digits`] |

pub mod calls;
pub mod capture_point;
pub mod chains;
pub mod cli;
pub mod codes;
pub mod decode;
pub mod detail;
pub mod digits;
pub mod dispatch;
pub mod explain;
pub mod export;
pub mod filter;
pub mod flow;
pub mod pipeline;
pub mod process;
pub mod run;
pub mod sink;
pub mod source;
pub mod text;
pub mod time;
pub mod tui;
