#!/bin/sh
# Builds rpcscope as it is released, with line tables for profiles, and the example that measures it; passes its arguments
# on: `scripts/bench.sh table [ROUNDS]`, `scripts/bench.sh budget [--update]`. `scripts/bench.sh build` only builds.
set -eu
cd "$(dirname "$0")/.."

cargo build --profile measured --locked --quiet --bin rpcscope --example bench
[ "${1:-}" != build ] || exit 0
exec "${CARGO_TARGET_DIR:-target}/measured/examples/bench" "$@"
