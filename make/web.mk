# The example apps and the test that drives them.
#
# Everything goes into the project's own folders; by apt come Python's venv module and Chromium, where missing.

WEB_PROTO := proto/cloakroom/v1/session_service.proto
WEB_PYTHON := .tools/web/python/bin/python
WEB_PROTOC := $(WEB_PYTHON) -m grpc_tools.protoc -I proto

.PHONY: web-deps web-chromium test-web

# Runs the three apps against the service that CLOAKROOM_BIN names, or else against the one that was built last.
test-web: web-deps
	node --test --test-reporter=spec tests/web/*.test.mjs

web-deps: web-chromium examples/python/cloakroom/v1/session_service_pb2.py \
	examples/node/node_modules/.package-lock.json tests/web/node_modules/.package-lock.json .tools/web/counter

web-chromium:
	@command -v chromium >/dev/null || { apt-get update && apt-get install --yes --no-install-recommends chromium; }

.tools/web/python/installed: examples/python/requirements.txt
	@python3 -c 'import ensurepip' || { apt-get update && apt-get install --yes --no-install-recommends python3-venv; }
	python3 -m venv --clear .tools/web/python
	$(WEB_PYTHON) -m pip install --quiet --disable-pip-version-check --requirement $<
	touch $@

examples/python/cloakroom/v1/session_service_pb2.py: $(WEB_PROTO) .tools/web/python/installed
	$(WEB_PROTOC) --python_out=examples/python --grpc_python_out=examples/python $<

%/node_modules/.package-lock.json: %/package-lock.json
	npm ci --prefix $* --ignore-scripts --no-audit --no-fund
	touch $@

# The plugins' versions stand in go.mod, as tools.
.tools/web/bin/protoc-gen-go: examples/go/go.mod examples/go/go.sum
	go build -C examples/go -buildvcs=false -o $(CURDIR)/.tools/web/bin/ tool
	touch $@

examples/go/cloakroom/v1/session_service.pb.go: $(WEB_PROTO) .tools/web/bin/protoc-gen-go .tools/web/python/installed
	PATH="$(CURDIR)/.tools/web/bin:$$PATH" $(WEB_PROTOC) --go_out=examples/go --go_opt=paths=source_relative \
		--go-grpc_out=examples/go --go-grpc_opt=paths=source_relative $<
	touch $@

.tools/web/counter: $(wildcard examples/go/*.go) examples/go/cloakroom/v1/session_service.pb.go
	go build -C examples/go -buildvcs=false -o $(CURDIR)/$@ .
