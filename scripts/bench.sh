#!/bin/sh
# Builds rpcscope as it is released, with line tables for profiles, and the program that measures it; passes its arguments
# on: `scripts/bench.sh table [ROUNDS]`, `scripts/bench.sh budget [--update]`. `scripts/bench.sh build` only builds.
set -eu
cd "$(dirname "$0")/.."

cargo build --profile measured --locked --quiet -p rpcscope -p rpcscope-bench --bins
[ "${1:-}" != build ] || exit 0
exec "${CARGO_TARGET_DIR:-target}/measured/bench" "$@"
