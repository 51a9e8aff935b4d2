# `make help` lists what there is. Everything that is installed lies in .tools, but for Debian packages.

MAKEFLAGS += --no-builtin-rules
SHELL := /bin/bash
.DEFAULT_GOAL := help
# Several parts install the same tools, and `make check` says what it installs before it does.
.NOTPARALLEL:
export PATH := $(CURDIR)/.tools/bin:$(PATH)
export CLOAKROOM_TOOLS := $(CURDIR)/.tools/bin

# The others name its files as prerequisites.
include make/tools.mk $(filter-out make/tools.mk,$(wildcard make/*.mk))

# Tests of the memory store, of configuration, and of the formats of other session libraries. They need neither Redis nor
# another tool; so those are skipped that import legacy sessions from a Redis, or move an export into one.
UNIT_TESTS := memory config:: django:: express:: scs:: flask::vectors flask::signer --skip redis \
	$(addprefix --skip migration::,django_session express_session flask_session scs_records) \
	--skip a_running_service_exports_what_every_store_imports
# These compile and use all processors.
TESTS_FIRST := lint lint-proto doc
# These wait most of the time, so several of them run at once. The longest come first, so that the end is short.
TESTS_AT_ONCE ?= 2
TESTS := test-rust \
	test-connect \
	test-web \
	test-python \
	test-clients \
	test-valkey \
	test-redis-versions \
	test-node test-next test-node-stores \
	test-go \
	test-kit \
	test-load \
	test-stores \
	test-php \
	test-ruby \
	test-observe \
	test-forward-auth \
	test-helm \
	test-bench
# These run alone: the deadlines of containers are short, two of them build the same packages, and Maven is for one at a time.
TESTS_ALONE := test-java test-packages test-deploy test-dist

help: ## Lists these targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

unit: tidy ## Runs the tests that need nothing but Rust: some two minutes after a change.
	cargo test --locked --lib
	cargo test --locked --test it -- $(UNIT_TESTS)

check: plan lint test-rust ## Lints and all Rust tests, for daily work. Says what it installs before it does.

test: installed built ## Runs everything, as CI does, and says how long each part took.
	@rm -rf target/tests && mkdir -p target/tests
	@cd target/tests && touch $(foreach part,$(TESTS_FIRST) $(TESTS) $(TESTS_ALONE),$(part).failed)
	@echo 'What a part prints is in target/tests, and at the end of this if it fails.'
	@status=0; \
	if $(call run_parts,1,$(TESTS_FIRST)); \
	then $(call run_parts,$(TESTS_AT_ONCE),$(TESTS)) || status=1; $(call run_parts,1,$(TESTS_ALONE)) || status=1; \
	else status=1; fi; \
	cd target/tests; shopt -s nullglob; for failed in *.failed; do \
		test ! -e $${failed%.failed} || tail --verbose --lines=400 $${failed%.failed}; \
	done; \
	test $$status = 0 || echo 'failed, or never begun:' *.failed; exit $$status
	@test "$$(id -u)" = 0 || echo 'not as root: the tests that fill a disk or lose packets have done nothing'
	@echo 'all tests passed'

# $(call run_parts,how many at once,parts) runs all of them, and fails if one has failed.
run_parts = printf '%s\n' $(2) | xargs --max-procs=$(1) --replace=PART $(MAKE) --no-print-directory timed-PART

# Counting instructions takes a minute and more: `make test-bench` alone does that as well. A message with its line is
# enough: stack traces of several failures push the messages out of a log that is cut.
timed-%:
	@echo '$* ...'
	@if RUST_BACKTRACE=0 CLOAKROOM_BIN=$(TESTED) $(MAKE) --no-print-directory $* BENCH_TESTS='every .* is measured' >target/tests/$* 2>&1; \
	then rm target/tests/$*.failed; printf '%-18s %4d s\n' $* $$SECONDS; \
	else printf '%-18s %4d s, failed\n' $* $$SECONDS; exit 1; fi

# What several parts need, so that no two of them make it at the same time.
.PHONY: installed built
installed: tools node-packages php-packages go-packages ruby-packages java-packages kit-packages web-deps \
	deploy-tools dist-tools load-tools bench-tools $(BUF) $(CONFORMANCE) $(STATICCHECK) $(CUSTOM_RESOURCES) $(ENVOY) \
	$(PYTHON_SUITES) $(NODE_INSTALLED) $(NEXT_INSTALLED) $(STORE_INSTALLED) $(KIT_FILES)

built:
	cargo test --locked --package cloakroom --package cloakroom-load-data --no-run
	$(BUILD_PROGRAMS)
	$(BUILD_BENCH)
	mkdir -p $(dir $(TESTED)) && install target/debug/cloakroom $(TESTED)

# Each in the same words everywhere: with other packages beside it, a program may get crates with other features, and cargo
# builds all of them again. The benchmark needs a feature of tonic that the others do not have.
BUILD_PROGRAMS := cargo build --locked --package cloakroom --package cloakroom-connect-conformance --package cloakroom-load-data --bins
BUILD_BENCH := cargo build --locked --package cloakroom-bench

# A copy, because cargo replaces the other one whenever it builds for another part.
TESTED := $(CURDIR)/target/tested/cloakroom

lint: tidy ## Checks format, lints and the tree as a whole.
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- --deny warnings

# By rustc, for cargo builds the service first: some ten seconds, and it runs while the service does not compile.
tidy: ## Checks layers, links, names of types, make targets and files, and words.
	@mkdir -p target
	@rustc --edition 2024 --test tests/tidy/main.rs -o target/tidy && RUST_BACKTRACE=0 target/tidy --quiet

doc: ## Builds the documentation of the code.
	RUSTDOCFLAGS='--deny warnings' cargo doc --locked --no-deps --document-private-items --quiet

test-rust: tools ## Runs all Rust tests.
	cargo test --locked --package cloakroom --package cloakroom-load-data

soak: tools ## Runs for hours what is random by nature: races, model, cookies, tokens, restarts, kills, attacks.
	CLOAKROOM_TEST_TOKENS=10000000 CLOAKROOM_TEST_COOKIES=1000000 CLOAKROOM_TEST_STEPS=2000000 \
		CLOAKROOM_TEST_RACES=20000 CLOAKROOM_TEST_RESTARTS=50 CLOAKROOM_TEST_KILLS=100 CLOAKROOM_TEST_POWER_LOSSES=10000 \
		CLOAKROOM_TEST_SESSIONS=1000000 CLOAKROOM_TEST_FAILOVERS=10 CLOAKROOM_TEST_ATTACK_SECONDS=60 \
		CLOAKROOM_TEST_POOL_HOURS=1000 CLOAKROOM_TEST_MOVED_SESSIONS=30000 CLOAKROOM_TEST_REPLACED_NODES=10 \
		CLOAKROOM_TEST_CLUSTERS=1000 CLOAKROOM_TEST_SUBJECT_SESSIONS=1000000 \
		CLOAKROOM_TEST_CERTIFICATES=200 CLOAKROOM_TEST_CLIENT_KILLS=2000 CLOAKROOM_TEST_HEALTH_MS=1000 \
		PROPTEST_CASES=5000 cargo test --locked --profile soak
	$(SOAK_ATOMIC_MOVES)
	$(MAKE) failovers FAILOVER_SERVERS=valkey

# Only Valkey moves slots in one step.
SOAK_ATOMIC_MOVES = $(valkey_as_redis) && PATH="$(CURDIR)/.tools/valkey:$$PATH" \
	CLOAKROOM_TEST_MOVED_SESSIONS=30000 CLOAKROOM_TEST_SLOT_MOVES=100 \
	cargo test --locked --profile soak --test it -- --ignored atomic_moves

# How often each fault is tried, and on which servers: Debian's Redis and Valkey 9; redis-8 and valkey-8 are there too.
FAILOVER_ROUNDS := 10
FAILOVER_SERVERS := redis valkey
FAILOVERS := redis_store::cluster::faults::a_primary redis_store::sentinel::a_primary_that_is_killed \
	redis_store::sentinel::a_primary_that_hung redis_store::sentinel::sentinels_that_are_all_down \
	redis_store::failover::a_primary_that_hung

failovers: tools ## Kills and hangs servers of Sentinels and clusters, with nothing else on this machine, and judges gaps, errors and losses.
	@$(foreach server,$(filter-out redis valkey redis-8 valkey-8,$(FAILOVER_SERVERS)),$(error there is no server $(server): FAILOVER_SERVERS takes redis, valkey, redis-8 and valkey-8))$(valkey_as_redis) && mkdir -p target && echo '|rounds|longest gap|ready|errors|gap elsewhere|errors|writes|lost|twice' >target/failovers
	@result=0; $(foreach server,$(FAILOVER_SERVERS),echo '$(server):' >>target/failovers; \
		PATH="$(path_of_$(server))$$PATH" $(JUDGE_FAILOVERS) || result=$$?;) \
	awk -F '|' '{ printf "%-44s %6s %11s %8s %6s %13s %6s %8s %5s %5s\n", $$1, $$2, $$3, $$4, $$5, $$6, $$7, $$8, $$9, $$10 }' \
		target/failovers; exit $$result

JUDGE_FAILOVERS = CLOAKROOM_TEST_FAILOVERS=$(FAILOVER_ROUNDS) CLOAKROOM_TEST_FAILOVER_TABLE=$(CURDIR)/target/failovers \
	cargo test --locked --test it -- --test-threads=1 $(FAILOVERS)

losses: tools ## Counts which acknowledged saves are lost by each fault and setting, also by a power loss, for which it has to be root.
	CLOAKROOM_TEST_FAILOVERS=$(FAILOVER_ROUNDS) $(COUNT_LOSSES)
	$(valkey_as_redis) && PATH="$(CURDIR)/.tools/valkey:$$PATH" CLOAKROOM_TEST_FAILOVERS=$(FAILOVER_ROUNDS) $(COUNT_LOSSES)

COUNT_LOSSES = cargo test --locked --test it -- --test-threads=1 --include-ignored --nocapture redis_store::loss

clean: ## Removes everything that was built or installed here.
	rm -rf target .tools

# A target with a line of help is a command and no file.
.PHONY: $(shell sed -n 's/^\([a-z-]*\):.*## .*/\1/p' $(MAKEFILE_LIST))
