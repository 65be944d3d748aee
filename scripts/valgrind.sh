#!/bin/bash
# Runs the program under valgrind's memcheck on the captures of tests/it/hostile (a fraction of their size), on compressed ones, and live on
# loopback: the program has no unsafe code, so this looks at libpcap, zstd, and the libraries around the sandbox.
#
#     scripts/valgrind.sh [FOLDER]
#
# Fails at the first read or write outside of what was allocated, use of what was never written, or leak.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v valgrind >/dev/null || { echo "valgrind: not installed" >&2; exit 1; }

folder=${1:-target/valgrind}
rpcscope=${CARGO_TARGET_DIR:-target}/debug/rpcscope
rm -rf "$folder"
mkdir -p "$folder"
cargo build --locked --quiet
RPCSCOPE_HOSTILE_WRITE=$PWD/$folder cargo test --locked --quiet --test it -- --exact hostile::written >/dev/null
gzip -c captures/demo/all-classes.pcap >"$folder/demo.gz"
if command -v zstd >/dev/null; then zstd -q captures/demo/all-classes.pcap -o "$folder/demo.zst"; fi

check() {
	valgrind --quiet --error-exitcode=9 --leak-check=full --errors-for-leak-kinds=definite --show-leak-kinds=definite \
		"$rpcscope" "$@" 2>"$folder/log" || {
		# 1: a damaged input, or something was shed.
		status=$?
		[ $status -eq 1 ] && return
		echo "valgrind: rpcscope $* ends with $status:" >&2
		tail -n 40 "$folder/log" >&2
		exit 1
	}
}

runs=0
for capture in "$folder"/[a-z]*; do
	case $capture in */log) continue ;; esac
	check calls --threads 2 --metadata --payload --format jsonl -o /dev/null "$capture"
	runs=$((runs + 1))
done
check chains -o /dev/null captures/demo/all-classes.pcap captures/demo/all-classes.pcap
check stats -o /dev/null "$folder"/demo.*
check calls -o /dev/null -w "$folder/written.pcapng" captures/demo/all-classes.pcap 'tcp and not port 1'
runs=$((runs + 3))

if "$rpcscope" calls -i lo -c 1 --duration 1s -o /dev/null 2>/dev/null; then
	(for _ in $(seq 40); do echo hello >/dev/udp/127.0.0.1/9 2>/dev/null || true; sleep 0.1; done) &
	check calls -i lo -f 'udp port 9' --duration 3s -w "$folder/live.pcapng" -o /dev/null
	wait
	runs=$((runs + 1))
else
	echo "valgrind: no live run: capturing on loopback is not permitted" >&2
fi
echo "valgrind: $runs runs without an error"
