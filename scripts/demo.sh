#!/bin/sh
# Builds rpcscope and shows what it makes of a bundled capture that holds calls of every class.
set -eu
cd "$(dirname "$0")/.."

echo "Building rpcscope: three to six minutes on two cores the first time, seconds after that."
cargo build --release --locked
capture="captures/demo/all-classes.pcap"
rpcscope="${CARGO_TARGET_DIR:-target}/release/rpcscope"
printed="$(mktemp)"
trap 'rm -f "$printed"' EXIT

# show WORDS…: a command as a user would type it, and the beginning of what it prints.
show() {
	lines="$1"
	shift
	echo
	printf '$ rpcscope'
	for word in "$@"; do
		case "$word" in
		*[!A-Za-z0-9./_=:,-]*) printf " '%s'" "$word" ;;
		*) printf ' %s' "$word" ;;
		esac
	done
	echo
	"$rpcscope" "$@" >"$printed"
	head -n "$lines" "$printed"
}

show 40 stats "$capture"
show 16 calls "$capture" -Y 'class != ok'
show 16 chains "$capture" -Y 'class in (rpc, business)'
show 20 explain trpc 141

echo
echo "Now try the terminal interface: $rpcscope $capture"
