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

step "the oldest Rust of dependencies"
# What of the standard library is younger than rust-version is a lint of clippy above, in tests too (clippy.toml).
ours=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
theirs=$(cargo metadata --locked --format-version 1 | grep -o '"rust_version":"[0-9.]*"' | tr -d '"' | cut -d: -f2 | sort -V | tail -n 1)
[ "$(printf '%s\n' "$ours.0" "$theirs" | sort -V | tail -n 1)" = "$ours.0" ] || {
	echo "a dependency needs Rust $theirs, but rust-version is $ours" >&2
	exit 1
}

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
