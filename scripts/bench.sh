#!/bin/sh
# Builds rpcscope as it is released, with line tables for profiles, and the example that measures it; passes its arguments
# on: `scripts/bench.sh table [ROUNDS]`, `scripts/bench.sh budget [--update]`.
set -eu
cd "$(dirname "$0")/.."

cargo build --profile measured --locked --quiet --bin rpcscope --example bench
exec "${CARGO_TARGET_DIR:-target}/measured/examples/bench" "$@"
