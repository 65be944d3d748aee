//! The `rpcscope` binary: the command line in, an exit status out.

use clap::Parser as _;

fn main() -> std::process::ExitCode {
    rpcscope::run::main(rpcscope::cli::Cli::parse())
}
