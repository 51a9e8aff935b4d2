# The example apps and the test that drives them, and the test of hostile pages.

WEB_PROTO := proto/cloakroom/v1/session_service.proto
WEB_PROTOC := $(PYTHON) -m grpc_tools.protoc -I proto
WEB_FILES := examples/python/cloakroom/v1/session_service_pb2.py examples/node/node_modules/.package-lock.json \
	tests/web/node_modules/.package-lock.json target/examples/go
.PHONY: web-packages

# Runs the apps against the service that CLOAKROOM_BIN names, or else against the one that was built last.
test-web: web-deps ## Tests the example apps in a browser, what README.md shows, and the service against hostile pages.
	node --test --test-reporter=spec tests/web/*.test.mjs

web-deps: web-packages $(WEB_FILES) ## Installs and generates what the example apps need.

web-packages:
	@$(call apt,chromium nodejs npm golang-go redis-server curl openssl)

# With a file that makes a package of it, for the environment has the Python client's package of the same name.
examples/python/cloakroom/v1/session_service_pb2.py: $(WEB_PROTO) $(PYTHON_INSTALLED)
	$(WEB_PROTOC) --python_out=examples/python --grpc_python_out=examples/python $<
	touch examples/python/cloakroom/__init__.py

%/node_modules/.package-lock.json: %/package-lock.json
	@$(call apt,npm)
	npm ci --prefix $* --ignore-scripts --no-audit --no-fund
	touch $@

target/examples/go: $(wildcard examples/go/*) $(shell find clients/go -name '*.go' -o -name 'go.*')
	mkdir -p $(@D)
	go build -C examples/go -buildvcs=false -o $(CURDIR)/$@ .
