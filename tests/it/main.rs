//! Integration tests: one binary, a module per concern.

mod chains;
mod chains_simulator;
mod cli;
mod detail;
mod endings;
mod explain;
mod hosts;
mod mangle;
mod peers;
mod replay;
mod support;
mod terminal;
mod tui;
