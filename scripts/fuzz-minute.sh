#!/bin/sh
# Runs every fuzz target on its known inputs and on new ones made from them, for a minute in all (docs/fuzzing.md):
#
#     scripts/fuzz-minute.sh [SECONDS [SEED]]
#
# Needs the stable compiler alone. The same seed makes the same inputs; an input that fails is kept in
# target/fuzz/artifacts/TARGET, and named. CI runs it.
set -eu
cd "$(dirname "$0")/.."

seconds="${1:-60}"
# A minute is worth no optimised build of everything: what `make test` has compiled is taken, and only the parsers and the targets are optimised.
profile=dev
[ "$seconds" -le 60 ] || profile=release
set -- --seconds "$seconds" --seed "${2:-1}"
cargo="--quiet --locked --profile $profile --manifest-path fuzz/Cargo.toml --no-default-features --target-dir ${CARGO_TARGET_DIR:-target}"
# shellcheck disable=SC2086
{
	cargo test $cargo --lib
	cargo run $cargo --bin sweep -- --folder target/fuzz "$@"
}
