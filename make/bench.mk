# What calls cost, beside a bare tonic echo and beside Redis; benches/README.md says how to read it.
#
#   make bench-service BENCH_PARTS='rates instructions stores' BENCH_SECONDS=2 BENCH_ROUNDS=5

.PHONY: bench bench-service test-bench bench-tools

bench: bench-service

bench-service: bench-tools
	cargo build --locked --release --bin cloakroom
	cargo build --locked --release --package cloakroom-bench
	node benches/run.mjs

# Which tests, as a pattern of their names.
BENCH_TESTS ?= .

# The whole of it in seconds, with programs that are not optimized: it must run, not be fast.
test-bench: bench-tools
	cargo build --locked --bin cloakroom
	cargo build --locked --package cloakroom-bench
	CLOAKROOM_BIN=target/debug/cloakroom CLOAKROOM_BENCH_BIN=target/debug/cloakroom-bench \
		node --test --test-reporter=spec --test-name-pattern='$(BENCH_TESTS)' tests/bench/*.test.mjs

bench-tools: redis examples/node/node_modules/.package-lock.json
	@$(call apt,node,nodejs)
	@$(call apt,valgrind,valgrind)
