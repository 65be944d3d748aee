//! The `rpcscope` binary: parses the command line and returns the exit status.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    #[cfg(target_os = "linux")]
    if let Some(status) = rpcscope::helper::main(std::env::args_os()) {
        return status;
    }
    match rpcscope::cli::Cli::try_parse() {
        Ok(cli) => rpcscope::run::main(cli),
        Err(text) => rpcscope::run::conclude_without_run(&text),
    }
}
