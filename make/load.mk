# A load test by ghz (gRPC) and h2load (HTTP/1.1), on this machine's loopback alone. deploy/load/README.md says how to
# read its table.
#
#   make load LOAD_SECONDS=10 LOAD_SESSIONS=10000 LOAD_STORES='memory embedded redis'

GHZ_VERSION := v0.120.0
GHZ := .tools/bin/ghz-$(GHZ_VERSION).installed
.PHONY: load-tools

load: load-tools ## Measures what this machine takes under a load like the real one.
	$(BUILD_PROGRAMS) --profile dist
	node deploy/load/run.mjs

# The same within seconds, with debug builds.
test-load: load-tools ## Tests that the load test runs.
	$(BUILD_PROGRAMS)
	CLOAKROOM_BIN=$${CLOAKROOM_BIN:-target/debug/cloakroom} CLOAKROOM_LOAD_DATA_BIN=target/debug/cloakroom-load-data \
		node --test --test-reporter=spec tests/load/*.test.mjs

load-tools: redis $(GHZ) examples/node/node_modules/.package-lock.json
	@$(call apt,nodejs nghttp2-client)

$(GHZ):
	@$(call apt,golang-go)
	GOBIN=$(CURDIR)/.tools/bin go install github.com/bojand/ghz/cmd/ghz@$(GHZ_VERSION)
	touch $@
