#!/bin/sh
# Everything that is no test: format, lints, documentation, dependencies.
set -eu
cd "$(dirname "$0")/.."

step() {
	echo "== $*"
}

step "format of every tracked file"
git ls-files '*.rs' | xargs rustfmt --edition 2024 --check

step "clippy"
cargo clippy --workspace --all-targets --locked -- -D warnings

step "clippy without optional features"
# What a feature would use of itself is not there without it.
cargo clippy --workspace --locked --no-default-features -- -D warnings -A clippy::unused_self

step "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --quiet

step "licences, advisories and sources of dependencies"
if command -v cargo-deny >/dev/null 2>&1; then
	# Advisories need a database from the network: without one the rest is still checked.
	cargo deny --locked check bans licenses sources
	cargo deny --locked check advisories || {
		echo "advisories could not be checked, or there are some: see above" >&2
		[ "${CI:-}" = true ] || exit 1
	}
else
	echo "cargo-deny is not installed (cargo install --locked cargo-deny): left out" >&2
fi
