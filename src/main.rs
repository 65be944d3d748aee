//! The `rpcscope` binary: parses the command line and returns the exit status.

use std::process::ExitCode;

fn main() -> ExitCode {
    #[cfg(target_os = "linux")]
    if let Some(status) = rpcscope::helper::main(std::env::args_os()) {
        return status;
    }
    let arguments: Vec<_> = std::env::args_os().collect();
    match rpcscope::cli::parse(&arguments) {
        Ok(cli) => rpcscope::run::main(cli),
        Err(text) => rpcscope::run::conclude_without_run(&text),
    }
}
