# `make test` installs what the tests need and runs them all. Nothing else is needed on a machine with Rust.

MAKEFLAGS += --no-builtin-rules
SHELL := /bin/bash
export PATH := $(CURDIR)/.tools/bin:$(PATH)
export CLOAKROOM_TOOLS := $(CURDIR)/.tools/bin

.PHONY: all test check lint doc test-rust soak clean

all: check

# What lands has passed this.
test: tools lint lint-proto doc test-rust test-valkey test-web test-python test-observe test-deploy test-load test-bench
	@echo 'all tests passed'

# Counting instructions takes a minute and more: `make test-bench` alone does that as well.
test: BENCH_TESTS := every call is measured

# The quick part, for while you work.
check: lint test-rust

lint:
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- --deny warnings

doc:
	RUSTDOCFLAGS='--deny warnings' cargo doc --locked --no-deps --document-private-items --quiet

test-rust: tools
	cargo test --locked

# What takes long by nature: every race twenty thousand times, a story of two million steps on each store, fifty
# rolling restarts under load.
soak: tools
	CLOAKROOM_TEST_TOKENS=10000000 CLOAKROOM_TEST_COOKIES=1000000 CLOAKROOM_TEST_STEPS=2000000 \
		CLOAKROOM_TEST_RACES=20000 CLOAKROOM_TEST_RESTARTS=50 PROPTEST_CASES=5000 cargo test --locked --profile soak

clean:
	rm -rf target .tools

include make/*.mk
