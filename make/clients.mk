# The conformance kit: clients/conformance/README.md describes it. The service is the one that CLOAKROOM_BIN names, or
# else the one that was built last.
#
#   make test-clients CLIENTS=flask CLIENT_CASES=lost_answers

# Names of clients/conformance/apps/*.json. Empty: all of them.
CLIENTS ?=
# A part of the topic or name of a case.
CLIENT_CASES ?=
# How many applications at the same time: most of it is waiting.
CLIENTS_AT_ONCE ?= 3
KIT_GO := target/conformance/go
KIT_GO_EXAMPLE := target/conformance/go_example
KIT_EXPRESS_EXAMPLE := target/conformance/express/app.mjs
KIT_FILES := $(KIT_GO) $(KIT_GO_EXAMPLE) $(KIT_EXPRESS_EXAMPLE) examples/python/cloakroom/v1/session_service_pb2.py \
	examples/node/node_modules/.package-lock.json clients/node/node_modules/.package-lock.json
.PHONY: kit-packages

test-clients: lint-clients kit-packages redis $(KIT_FILES) ## Tests clients and examples by the conformance kit.
	$(PYTHON) clients/conformance/run.py --at-once=$(CLIENTS_AT_ONCE) --cases='$(CLIENT_CASES)' $(CLIENTS:%=clients/conformance/apps/%.json)
	$(if $(CLIENTS)$(CLIENT_CASES),,$(PYTHON) clients/conformance/sharing.py)

test-kit: lint-clients redis ## Tests the conformance kit: each case fails for a client that is wrong in it.
	$(PYTHON) clients/conformance/selftest/parts_test.py
	$(PYTHON) clients/conformance/selftest/run.py

kit-packages:
	@$(call apt,nodejs npm golang-go)

lint-clients: $(PYTHON_INSTALLED) ## Lints the conformance kit.
	cd clients/conformance && $(CURDIR)/$(PYTHON) -m mypy --strict run.py sharing.py kit
	$(PYTHON) -m ruff check clients/conformance
	$(PYTHON) -m ruff format --check clients/conformance

target/conformance/go: $(shell find clients/go -name '*.go' -o -name 'go.*')
	mkdir -p $(@D)
	go build -C clients/go/tests -buildvcs=false -o $(CURDIR)/$@ ./conformance

# The example with the kit's routes in the place of its own.
KIT_GO_ROUTES := $(CURDIR)/clients/go/tests/conformance/operations.go
$(KIT_GO_EXAMPLE): $(KIT_GO) $(wildcard examples/go/*)
	echo '{"Replace": {"counter.go": "$(KIT_GO_ROUTES)"}}' >$@.overlay
	go build -C examples/go -buildvcs=false -overlay $(CURDIR)/$@.overlay -o $(CURDIR)/$@ .

# A copy of the example in which npm would have installed its packages.
$(KIT_EXPRESS_EXAMPLE): $(wildcard examples/express/*.*) clients/node/node_modules/.package-lock.json
	mkdir -p $(@D)/node_modules
	ln -sfn $(CURDIR)/clients/node $(@D)/node_modules/cloakroom-sessions
	ln -sfn $(CURDIR)/clients/node/node_modules/express $(@D)/node_modules/express
	cp examples/express/*.* $(@D)/
