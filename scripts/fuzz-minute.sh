#!/bin/sh
# Runs every fuzz target on its known inputs and on new ones made from them, for a minute in all (docs/fuzzing.md):
#
#     scripts/fuzz-minute.sh [SECONDS [SEED]]
#
# Needs the stable compiler alone. The same seed makes the same inputs; an input that fails is kept in
# target/fuzz/artifacts/TARGET, and named. CI runs it.
set -eu
cd "$(dirname "$0")/.."

# What only the targets need is compiled with this.
export RUSTFLAGS="--cfg fuzzing"
sweep="cargo run --quiet --release --locked --manifest-path fuzz/Cargo.toml --no-default-features --target-dir target/fuzz"
cargo test --quiet --release --locked --manifest-path fuzz/Cargo.toml --no-default-features --target-dir target/fuzz --lib
$sweep --bin sweep -- --folder target/fuzz --seconds "${1:-60}" --seed "${2:-1}"
