//! Integration tests: one binary, a module per concern.

mod chains;
mod chains_in_turn;
mod chains_links;
mod chains_simulator;
mod cli;
mod config;
mod contrib;
mod deduced;
mod detail;
mod docs;
// Loopback is captured as `lo`, and files are watched with inotify.
#[cfg(target_os = "linux")]
mod endings;
#[cfg(feature = "parquet")]
mod engines;
mod explain;
mod explain_lines;
#[cfg(target_os = "linux")]
mod hostile;
mod hosts;
mod known_links;
mod likely;
mod logs;
mod mangle;
mod names;
mod nat;
mod payload;
mod peers;
#[cfg(all(target_os = "linux", feature = "parquet"))]
mod record;
#[cfg(all(target_os = "linux", feature = "parquet"))]
mod record_steps;
mod records;
mod replay;
mod report;
#[cfg(target_os = "linux")]
mod sandbox;
#[cfg(target_os = "linux")]
mod shells;
mod support;
#[cfg(feature = "otlp")]
mod telemetry;
mod terminal;
#[cfg(target_os = "linux")]
mod tls_live;
mod tls_tshark;
mod tui;
