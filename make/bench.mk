# What calls cost, beside a bare tonic echo and beside Redis; benches/README.md says how to read it.
#
#   make bench-service BENCH_PARTS='rates instructions stores cluster' BENCH_SECONDS=2 BENCH_ROUNDS=5

# Which tests, as a pattern of their names.
BENCH_TESTS ?= .
.PHONY: bench-tools

bench: bench-service bench-python bench-node bench-go bench-php bench-ruby ## Measures what a call and a session cost, a quarter of an hour beside the build.

bench-service: bench-tools ## Measures the service beside an echo and beside Redis.
	$(BUILD_PROGRAMS) --profile dist
	$(BUILD_BENCH) --profile dist
	node benches/run.mjs

bench-python: redis $(PYTHON_INSTALLED) ## Measures the Python client beside other session libraries; build with --profile dist first.
	$(in_client) python tests/bench.py
	$(in_client) python tests/bench_asgi.py
	$(in_client) python tests/bench_django.py

# The whole of it in seconds, with programs that are not optimized.
test-bench: bench-tools ## Tests that the benchmark runs; times nothing.
	$(BUILD_PROGRAMS)
	$(BUILD_BENCH)
	CLOAKROOM_BIN=$${CLOAKROOM_BIN:-target/debug/cloakroom} CLOAKROOM_BENCH_BIN=target/debug/cloakroom-bench \
		CLOAKROOM_LOAD_DATA_BIN=target/debug/cloakroom-load-data \
		node --test --test-reporter=spec --test-name-pattern='$(BENCH_TESTS)' tests/bench/*.test.mjs

bench-tools: redis examples/node/node_modules/.package-lock.json
	@$(call apt,nodejs valgrind openssl)
