#!/bin/sh
# Runs the tests of telemetry with a real OpenTelemetry Collector, over http and https. Builds it from tests/collector: the first time, Go
# fetches its modules and compiles them in about two minutes; afterwards it is there. Needs Go (https://go.dev/dl/).
set -eu
cd "$(dirname "$0")/.."

# Where Go's own archive is unpacked by its instructions.
PATH="$PATH:/usr/local/go/bin"
if ! command -v go >/dev/null 2>&1; then
	echo "make telemetry-test builds the OpenTelemetry Collector, which is written in Go: install Go from https://go.dev/dl/ and run this again." >&2
	exit 1
fi

target="$PWD/target/collector"
mkdir -p "$target"
(cd tests/collector && go build -trimpath -ldflags '-s -w' -o "$target/collector" .)
RPCSCOPE_COLLECTOR="$target/collector" cargo test --locked --features https --lib --test it -- telemetry::
