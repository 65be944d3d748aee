//! The `rpcscope` binary: exit codes and nothing else.

fn main() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
