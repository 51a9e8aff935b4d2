# The example apps and the test that drives them, and the test of hostile pages.

WEB_PROTO := proto/cloakroom/v1/session_service.proto
WEB_PROTOC := $(PYTHON) -m grpc_tools.protoc -I proto
WEB_FILES := examples/python/cloakroom/v1/session_service_pb2.py examples/node/node_modules/.package-lock.json \
	tests/web/node_modules/.package-lock.json .tools/web/counter
.PHONY: web-packages

# Runs the apps against the service that CLOAKROOM_BIN names, or else against the one that was built last.
test-web: web-deps ## Tests the example apps in a browser, and the service against hostile pages.
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

# The plugins' versions stand in go.mod, as tools.
.tools/web/bin/protoc-gen-go: examples/go/go.mod examples/go/go.sum
	go build -C examples/go -buildvcs=false -o $(CURDIR)/.tools/web/bin/ tool
	touch $@

examples/go/cloakroom/v1/session_service.pb.go: $(WEB_PROTO) .tools/web/bin/protoc-gen-go $(PYTHON_INSTALLED)
	PATH="$(CURDIR)/.tools/web/bin:$$PATH" $(WEB_PROTOC) --go_out=examples/go --go_opt=paths=source_relative \
		--go-grpc_out=examples/go --go-grpc_opt=paths=source_relative $<
	touch $@

.tools/web/counter: $(wildcard examples/go/*.go) examples/go/cloakroom/v1/session_service.pb.go
	go build -C examples/go -buildvcs=false -o $(CURDIR)/$@ .
