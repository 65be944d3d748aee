#!/bin/sh
# Speed and peak memory of `rpcscope calls` on large captures made from the bundled ones, beside tshark (which decodes too)
# and tcpdump (which only copies) where they are installed. `scripts/bench.sh [COPIES]`; criterion benches: cargo bench.
set -eu
cd "$(dirname "$0")/.."

copies=${1:-20}
folder=target/bench
rpcscope=target/release/rpcscope
mkdir -p "$folder"
cargo build --release --locked --bin rpcscope --example multiply

if /usr/bin/time -f %e true 2>/dev/null; then
	measure() { /usr/bin/time -o "$folder/time" -f '%e %M' "$@" >/dev/null 2>"$folder/errors"; }
else
	echo "GNU time is not installed: memory is not measured" >&2
	measure() {
		{ time -p "$@" >/dev/null 2>"$folder/errors"; } 2>"$folder/real"
		awk '/^real/ { print $2, 0 }' "$folder/real" >"$folder/time"
	}
fi

# Runs a command and prints a line about it; the best of so many runs. What the first one took is what the others are
# measured by.
row() {
	name=$1 runs=$2 file=$3 packets=$4
	shift 4
	best= peak=
	while [ "$runs" -gt 0 ]; do
		measure "$@" || { echo "$name failed: $(cat "$folder/errors")" >&2; return 0; }
		read -r seconds kib <"$folder/time"
		best=$(echo "$seconds ${best:-$seconds}" | awk '{ print ($1 < $2) ? $1 : $2 }')
		peak=$kib
		runs=$((runs - 1))
	done
	reference=${reference:-$best}
	bytes=$(wc -c <"$file")
	echo "$best $peak $packets $bytes $reference" | awk -v name="$name" '{
		if ($1 == 0) $1 = 0.005; if ($5 == 0) $5 = 0.005
		printf "%-44s %8.2f s %8.1f MB/s %8.0f ns/packet %7.0f MiB %8.2fx\n", name, $1, $4 / $1 / 1e6, $1 / $3 * 1e9, $2 / 1024, $1 / $5
	}'
}

large() {
	target/release/examples/multiply "$@"
}

tshark_fields="-T fields -e frame.number -e http2.headers.path -e http2.headers.status -e thrift.method -e thrift.seq_id"

for part in all grpc; do
	reference=
	filter=
	[ "$part" = all ] || filter=$part
	small=$folder/$part.pcap
	packets=$(large "$copies" "$small" $filter)
	echo
	echo "$part: $packets packets, $(wc -c <"$small") bytes"
	row "rpcscope calls, one thread" 3 "$small" "$packets" "$rpcscope" calls --threads 1 --format jsonl "$small"
	row "rpcscope calls, all threads" 3 "$small" "$packets" "$rpcscope" calls --format jsonl "$small"
	if command -v tcpdump >/dev/null 2>&1; then
		row "tcpdump -w (copies)" 3 "$small" "$packets" tcpdump -nr "$small" -w /dev/null
	fi
	if command -v tshark >/dev/null 2>&1; then
		# shellcheck disable=SC2086
		row "tshark with the fields of http2 and thrift" 1 "$small" "$packets" tshark -nr "$small" $tshark_fields
	fi
	tenfold=$folder/$part-tenfold.pcap
	packets=$(large "$((copies * 10))" "$tenfold" $filter)
	row "rpcscope calls, one thread, tenfold file" 1 "$tenfold" "$packets" "$rpcscope" calls --threads 1 --format jsonl "$tenfold"
	rm "$tenfold"
done
