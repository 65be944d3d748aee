//! Asks the linker for a smaller program where it can make one (docs/performance.md, "Size").
//!
//! Not every linker and C library can: rust-lld, by which Rust links on x86-64 Linux, and glibc 2.36 do. Therefore each option is tried on a
//! program that does nothing.

use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, fs};

/// Functions of the same code are kept once; relocations take about a bit each instead of 24 bytes.
const OPTIONS: [&str; 2] = ["-Wl,--icf=all", "-Wl,-z,pack-relative-relocs"];

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // Debug builds are linked often, and programs for another machine can't be run here.
    if var("PROFILE") != "release" || var("HOST") != var("TARGET") {
        return;
    }
    for option in OPTIONS.into_iter().filter(|option| works(option)) {
        println!("cargo:rustc-link-arg-bins={option}");
    }
}

fn var(name: &str) -> String {
    env::var(name).unwrap_or_default()
}

/// Whether a program that is linked like ours and with this option runs.
fn works(option: &str) -> bool {
    let folder = var("OUT_DIR");
    let (source, program) = (Path::new(&folder).join("nothing.rs"), Path::new(&folder).join("nothing"));
    if fs::write(&source, "fn main() {}\n").is_err() {
        return false;
    }
    let mut rustc = Command::new(var("RUSTC"));
    rustc
        .arg("--edition=2024")
        .args(["-C", &format!("link-arg={option}")])
        .arg("-o")
        .args([&program, &source]);
    rustc.args(var("CARGO_ENCODED_RUSTFLAGS").split('\u{1f}').filter(|flag| !flag.is_empty()));
    if let Ok(linker) = env::var("RUSTC_LINKER") {
        rustc.arg(format!("-Clinker={linker}"));
    }
    succeeds(&mut rustc) && succeeds(Command::new(program).env("LLVM_PROFILE_FILE", "/dev/null"))
}

fn succeeds(command: &mut Command) -> bool {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}
