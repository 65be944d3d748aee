//! The `rpcscope` binary: parses the command line and returns the exit status.

use clap::Parser as _;

fn main() -> std::process::ExitCode {
    rpcscope::run::main(rpcscope::cli::Cli::parse())
}
