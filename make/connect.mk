# Connect's official conformance suite, against the server: tests/connect/ has the server, and what is known to fail.

CONFORMANCE_VERSION := v1.0.7
CONFORMANCE := .tools/bin/connectconformance-$(CONFORMANCE_VERSION).installed

test-connect: $(CONFORMANCE) ## Runs the conformance suite of Connect, over Connect and gRPC.
	@$(call apt,nodejs)
	$(BUILD_PROGRAMS)
	node --test --test-reporter=spec tests/connect/*.test.mjs

$(CONFORMANCE):
	@$(call apt,golang-go)
	GOBIN=$(CURDIR)/.tools/bin go install connectrpc.com/conformance/cmd/connectconformance@$(CONFORMANCE_VERSION)
	touch $@
