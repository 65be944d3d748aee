#!/bin/sh
# Compares the instructions of each stage with benches/budget.toml; says why where that is not possible. Installs valgrind
# only in CI, and only as root.
set -eu
cd "$(dirname "$0")/.."

if ! command -v valgrind >/dev/null 2>&1; then
	if [ "${CI:-}" = true ] && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null 2>&1; then
		{ apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q valgrind; } >/dev/null 2>&1 ||
			echo "valgrind can't be installed" >&2
	fi
	# Without valgrind there is nothing to build for.
	command -v valgrind >/dev/null 2>&1 || {
		echo "instruction counts are not compared: valgrind is not installed"
		exit 0
	}
fi
exec sh scripts/bench.sh budget "$@"
