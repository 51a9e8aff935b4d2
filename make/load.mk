# A load test by ghz, on this machine's loopback alone; deploy/load/README.md says how to read its table.
#
#   make load LOAD_SECONDS=10 LOAD_SESSIONS=10000 LOAD_STORES='memory embedded redis'

.PHONY: load-tools

load: load-tools ## Measures what this machine takes under a load like the real one.
	cargo build --locked --profile dist --bin cloakroom
	node deploy/load/run.mjs

# The whole of it in seconds, with the program that was built for the tests.
test-load: load-tools ## Tests that the load test runs.
	cargo build --locked --bin cloakroom
	CLOAKROOM_BIN=target/debug/cloakroom node --test --test-reporter=spec tests/load/*.test.mjs

load-tools: redis $(GHZ) examples/node/node_modules/.package-lock.json
	@$(call apt,nodejs)
