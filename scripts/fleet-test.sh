#!/bin/sh
# What reads the records of many hosts: "spark" runs fleet/chains.py on a cluster of its own, "engines" reads Parquet with engines and
# runs the SQL. Installs the Python packages into target/, about 500 MB and 800 MB.
set -eu
cd "$(dirname "$0")/.."

lacks() {
	echo "make $1-test can't run: $2" >&2
	exit 1
}

kind="$1"
name=$([ "$kind" = spark ] && echo fleet || echo engines)
python3 -m venv target/fleet || lacks "$name" "python3 with venv is missing"
[ "$kind" != spark ] || command -v java >/dev/null || [ -n "${JAVA_HOME:-}" ] || lacks "$name" "Java 17 or later is missing"
install() {
	target/fleet/bin/pip install --quiet -r "$1" || lacks "$name" "the packages of $1 can't be installed"
}
install fleet/requirements.txt
if [ "$kind" = spark ]; then
	cargo build --locked
	exec target/fleet/bin/python fleet/test.py "${CARGO_TARGET_DIR:-target}/debug/rpcscope"
fi
install fleet/requirements-engines.txt
RPCSCOPE_PYTHON="$PWD/target/fleet/bin/python" exec cargo test --locked --test it -- engines:: hosts::fleet::clickhouse hosts::fleet::sql --nocapture
