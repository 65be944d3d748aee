#!/bin/sh
# Builds the fuzz targets of fuzz/ with the stable compiler and runs them one after the other (docs/fuzzing.md):
#
#     scripts/fuzz.sh [-s SECONDS] [-r SEED] [-f FOLDER] [TARGET…]
#
# Each target first runs the inputs in fuzz/corpus/TARGET and the seeds that it makes of samples and captures, then
# mutates them for SECONDS (30). What it finds new is kept in FOLDER/corpus (target/fuzz), an input that crashes
# it in FOLDER/artifacts. The last lines say how often each target was executed, FOLDER/executions.tsv how often in all runs.
set -eu
cd "$(dirname "$0")/.."

seconds=30
seed=1
folder=target/fuzz
while getopts s:r:f: option; do
	case $option in
	s) seconds=$OPTARG ;;
	r) seed=$OPTARG ;;
	f) folder=$OPTARG ;;
	*) exit 2 ;;
	esac
done
shift $((OPTIND - 1))

# libFuzzer is C++.
if ! command -v "${CXX:-c++}" >/dev/null 2>&1; then
	echo "fuzz: no C++ compiler (${CXX:-c++}): the fuzz targets are left out" >&2
	exit 0
fi

triple=$(rustc -vV | sed -n 's/^host: //p')
# What cargo-fuzz passes, as far as the stable compiler takes it: coverage and comparisons, no address sanitizer.
RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1" \
	cargo build --quiet --release --locked --manifest-path fuzz/Cargo.toml --target-dir "$folder" --target "$triple"
programs=$folder/$triple/release

[ $# -gt 0 ] || set -- $(ls fuzz/fuzz_targets | sed 's/\.rs$//')
summary=
failed=
for name; do
	corpus=$folder/corpus/$name
	artifacts=$folder/artifacts/$name
	log=$folder/$name.log
	mkdir -p "$corpus" "$artifacts"
	kept=fuzz/corpus/$name
	[ -d "$kept" ] || kept=
	RPCSCOPE_SEEDS=$corpus "$programs/$name" >"$log" 2>&1
	# Four seconds for one input is a bug of its own.
	if "$programs/$name" -seed="$seed" -max_total_time="$seconds" -timeout=4 -rss_limit_mb=2048 -max_len=16384 \
		-reload=0 -print_final_stats=1 -artifact_prefix="$artifacts/" "$corpus" $kept >"$log" 2>&1; then
		executed=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
		covered=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)
		printf '%s\tguided\t%s\t%s\t%s\n' "$name" "$seed" "$executed" "$seconds" >>"$folder/executions.tsv"
		summary="$summary$(printf '%-24s %12s executions, %6s branches' "$name" "$executed" "$covered")
"
	else
		failed="$failed $name"
		grep -a -B 2 -A 3 'panicked at\|ERROR: libFuzzer\|SUMMARY' "$log" >&2 || tail -n 20 "$log" >&2
		echo "fuzz: $name fails, see $log; again: $programs/$name $artifacts/…" >&2
	fi
done
printf '%s' "$summary"
if [ -n "$failed" ]; then
	echo "fuzz: failed:$failed" >&2
	exit 1
fi
