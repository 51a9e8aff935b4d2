# A load test by ghz, on this machine's loopback alone; deploy/load/README.md says how to read its table.
#
#   make load LOAD_SECONDS=10 LOAD_SESSIONS=10000 LOAD_STORES='memory embedded redis'

GHZ_VERSION := v0.93.0
GHZ := .tools/bin/ghz-$(GHZ_VERSION).installed

LOAD_PARTS := redis $(GHZ) examples/node/node_modules/.package-lock.json

.PHONY: load test-load

load: $(LOAD_PARTS)
	cargo build --locked --release --bin cloakroom
	node deploy/load/run.mjs

# The whole of it in seconds, with the program that was built for the tests: it must run, not be fast.
test-load: $(LOAD_PARTS)
	cargo build --locked --bin cloakroom
	CLOAKROOM_BIN=target/debug/cloakroom node --test --test-reporter=spec tests/load/*.test.mjs

$(GHZ):
	@$(call apt,go,golang-go)
	GOBIN=$(CURDIR)/.tools/bin go install github.com/bojand/ghz/cmd/ghz@$(GHZ_VERSION)
	touch $@
