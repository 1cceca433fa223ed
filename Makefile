# `make help` lists what can be made. ARGS is passed on: make test ARGS=seek_paging

# A toolchain that scripts/prerequisites finds or installs there is used, also where PATH lacks it.
export PATH := $(PATH):$(HOME)/.cargo/bin
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help demo test unit chaos bench build servers chart test-kubernetes fmt lint deny advisories sbom reproducible

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo '  ARGS is passed on, for example: make demo ARGS="--events 100"'

demo: ## build the release binary and run everything in one process; ends with Ctrl-C
	@scripts/prerequisites build
	cargo build --release --locked
	cargo run --quiet --release --locked -- demo $(ARGS)

# Most tests wait for servers most of the time: more of them than cores run at once.
test: export RUST_TEST_THREADS ?= 6
test: ## the whole suite, against a real Kafka and a real Schema Registry (ARGS: a filter)
	@scripts/prerequisites build servers chart
	@if [ "$$(id -u)" = 0 ]; then scripts/prerequisites containers; fi
	@scripts/servers fetch >/dev/null
	@scripts/prometheus fetch >/dev/null
	@scripts/kubernetes tools >/dev/null
	cargo test --locked --no-run
	CALLFEED_TEST_FORMER=$$(scripts/former-version) && export CALLFEED_TEST_FORMER && \
	  scripts/servers run cargo test --locked --no-fail-fast $(ARGS)

test-kubernetes: ## the chart in a real Kubernetes without containers, and its pods in runc (ARGS: a filter)
	@scripts/prerequisites build servers chart
	@if [ "$$(id -u)" = 0 ]; then scripts/prerequisites containers; fi
	@scripts/servers fetch >/dev/null
	@scripts/kubernetes build >/dev/null
	cargo test --locked --no-run --test kubernetes
	scripts/servers run scripts/kubernetes run cargo test --locked --no-fail-fast --test kubernetes $(ARGS)

unit: ## only the tests that need no server (ARGS: a filter)
	@scripts/prerequisites build
	cargo test --locked --lib --bins $(ARGS)

chaos: ## replicas on three brokers under faults of every kind (ARGS: --seed 7 --minutes 30, or --help)
	@scripts/prerequisites build servers
	@scripts/servers fetch >/dev/null
	cargo test --locked --no-run --test chaos
	scripts/servers run cargo test --locked --quiet --test chaos -- $(ARGS)

bench: ## the benchmarks: against a plain producer (ARGS), quiet and many accounts, weeks in virtual time; print figures
	@scripts/prerequisites build servers
	@scripts/servers fetch >/dev/null
	cargo bench --locked --no-run
	scripts/servers run cargo bench --locked --bench backfill $(ARGS)
	scripts/servers run cargo bench --locked --bench quiet
	scripts/servers run cargo bench --locked --bench many
	cargo bench --locked --bench virtual_time

build: ## the release binary, target/release/callfeed
	@scripts/prerequisites build
	cargo build --release --locked

servers: ## a real Kafka and Schema Registry to try things with; ends with Ctrl-C
	@scripts/prerequisites servers
	@scripts/servers up

chart: ## the schema and the README of the Helm chart, from the binary and from values.yaml
	@scripts/prerequisites build chart
	cargo build --locked --bin callfeed
	scripts/chart generate target/debug/callfeed

fmt: ## format the code
	@scripts/prerequisites lint
	cargo fmt

lint: ## what the CI checks besides the tests
	@scripts/prerequisites build lint
	cargo fmt --check
	cargo clippy --locked --all-targets --test kubernetes -- -D warnings

deny: ## licences of the crates, crates in two versions, and where they come from, against deny.toml
	@scripts/prerequisites build supply-chain
	scripts/supply-chain deny

advisories: ## known vulnerabilities of the crates; needs GitHub, where the database is
	@scripts/prerequisites build supply-chain
	scripts/supply-chain advisories

sbom: ## a bill of materials of the binary (CycloneDX), target/callfeed.cdx.json
	@scripts/prerequisites build supply-chain
	scripts/supply-chain sbom target/callfeed.cdx.json

reproducible: ## build the release binary twice, in two folders, and compare (ten minutes of two cores each)
	@scripts/prerequisites build
	scripts/release compare target/reproducible
