# The same commands on a desk, in CI and in the README.
.POSIX:
.PHONY: help setup demo test check fmt bench budget budget-update fuzz fuzz-minute valgrind fleet-test engines-test telemetry-test pictures dist clean

CARGO = cargo

help: ## Lists the targets.
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile

setup: ## Installs what building needs (libpcap's headers), or names it.
	@sh scripts/setup.sh

demo: setup ## Builds, and shows a bundled capture with all classes in it.
	@sh scripts/demo.sh

test: setup ## Runs all tests.
	$(CARGO) test --workspace --locked

fmt: ## Formats every tracked Rust file (modules declared by macro are not reached by `cargo fmt`).
	git ls-files '*.rs' | xargs rustfmt --edition 2024

check: setup ## Format, lints, docs, licences and advisories of dependencies.
	@sh scripts/check.sh

bench: setup ## Speed, memory and instructions, beside tcpdump and tshark where they are installed.
	@sh scripts/bench.sh table

budget: setup ## Compares the instructions of each stage with benches/budget.toml (needs valgrind).
	@sh scripts/budget.sh

budget-update: setup ## Writes benches/budget.toml from this build (needs valgrind).
	@sh scripts/budget.sh --update

fuzz: setup ## Runs every fuzz target for 30 seconds (needs a C++ compiler; docs/fuzzing.md).
	@sh scripts/fuzz.sh

fuzz-minute: setup ## Runs every fuzz target on known and new inputs, for a minute in all (CI).
	@sh scripts/fuzz-minute.sh

valgrind: setup ## Runs the hostile captures under memcheck (needs valgrind).
	@scripts/valgrind.sh

fleet-test: setup ## Chains of many hosts on Spark: a master and two workers, one of which is killed (needs Java 17, Python; 500 MB).
	@scripts/fleet-test.sh spark

engines-test: setup ## Reads Parquet with DuckDB, Polars, ClickHouse, DataFusion and Spark, and runs the SQL of fleet/ (needs Python; 1.3 GB).
	@scripts/fleet-test.sh engines

telemetry-test: setup ## Runs the tests of telemetry with a real OpenTelemetry Collector, over https too (needs Go).
	@sh scripts/telemetry-test.sh

pictures: setup ## Makes the pictures of the README from the program's own screen.
	$(CARGO) build --release --locked
	$(CARGO) run --release --locked --example pictures

dist: ## Builds what people install, in dist/: a static program, packages, manual pages, checksums (docs/install.md).
	@sh scripts/dist.sh

clean: ## Removes what was built.
	$(CARGO) clean
