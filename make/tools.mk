# What tests and lints need besides Rust. All of it goes into .tools, but for what comes by apt where it is missing.

GRPCURL_VERSION := v1.9.3
BUF_VERSION := 1.75.0
GHZ_VERSION := v0.120.0

SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
apt = command -v $(1) >/dev/null || { $(SUDO) apt-get update && $(SUDO) apt-get install --yes --no-install-recommends $(2); }

GRPCURL := .tools/bin/grpcurl-$(GRPCURL_VERSION).installed
BUF := .tools/bin/buf-$(BUF_VERSION).installed
GHZ := .tools/bin/ghz-$(GHZ_VERSION).installed

.PHONY: tools redis lint-proto contract

tools: redis $(GRPCURL) $(BUF) $(GHZ)

redis:
	@$(call apt,redis-server,redis-server)

$(GRPCURL):
	@$(call apt,go,golang-go)
	GOBIN=$(CURDIR)/.tools/bin go install github.com/fullstorydev/grpcurl/cmd/grpcurl@$(GRPCURL_VERSION)
	touch $@

$(GHZ):
	@$(call apt,go,golang-go)
	GOBIN=$(CURDIR)/.tools/bin go install github.com/bojand/ghz/cmd/ghz@$(GHZ_VERSION)
	touch $@

$(BUF):
	@$(call apt,npm,npm)
	npm install --prefix .tools/buf --no-save --ignore-scripts --no-audit --no-fund --loglevel=error @bufbuild/buf@$(BUF_VERSION)
	mkdir -p .tools/bin
	ln -sf ../buf/node_modules/.bin/buf .tools/bin/buf
	touch $@

# What clients were built from still fits. A change that breaks it on purpose runs `make contract` and says why.
lint-proto: $(BUF)
	.tools/bin/buf lint proto
	.tools/bin/buf breaking proto --against proto/contract.binpb

contract: $(BUF)
	.tools/bin/buf build proto --exclude-source-info --output proto/contract.binpb
