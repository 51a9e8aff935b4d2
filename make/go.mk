# The Go client. The service that is tested is the one that CLOAKROOM_BIN names, or else the one that was built last.

STATICCHECK_VERSION := v0.8.2
STATICCHECK := .tools/bin/staticcheck-$(STATICCHECK_VERSION).installed
GO_MESSAGES_OPTIONS := --go_opt=module=cloakroom.example/cloakroom \
	$(foreach file,session admin,--go_opt=Mcloakroom/v1/$(file)_service.proto=cloakroom.example/cloakroom/cloakroomv1)
# $(call go_messages,folder) generates the messages of the client into a folder.
go_messages = go build -C clients/go -buildvcs=false -o $(CURDIR)/.tools/go/bin/ tool && \
	PATH="$(CURDIR)/.tools/go/bin:$$PATH" $(PYTHON) -m grpc_tools.protoc -I proto --go_out=$(1) $(GO_MESSAGES_OPTIONS) \
		cloakroom/v1/session_service.proto cloakroom/v1/admin_service.proto
.PHONY: go-packages

test-go: lint-go go-packages redis ## Tests the Go client and its stores, with net/http, chi, gin, echo, gorilla and scs' own tests.
	go test -C clients/go -race ./...
	$(on_oldest_go)
	go test -C clients/go/gorillastore -race ./...
	go test -C clients/go/tests -race ./...

# With the version that the module asks for, in place of this machine's. Some mirrors of modules have no versions of Go.
OLDEST_GO := $(shell sed -n 's/^go /go/p' clients/go/go.mod)
on_oldest_go = if GOTOOLCHAIN=$(OLDEST_GO) go version; then GOTOOLCHAIN=$(OLDEST_GO) go test -C clients/go ./...; \
	else echo 'not tested with $(OLDEST_GO): it cannot be installed here' >&2; fi

lint-go: go-packages $(STATICCHECK) $(PYTHON_INSTALLED) ## Lints the Go client, and checks that its messages are those of proto/.
	@unformatted=$$(gofmt -l clients/go examples/go/*.go); test -z "$$unformatted" || { echo "gofmt: $$unformatted"; exit 1; }
	cd clients/go && go vet ./... && $(CURDIR)/.tools/bin/staticcheck ./...
	cd clients/go/gorillastore && go vet ./... && $(CURDIR)/.tools/bin/staticcheck ./...
	cd clients/go/tests && go vet ./... && $(CURDIR)/.tools/bin/staticcheck ./...
	cd examples/go && go vet ./... && $(CURDIR)/.tools/bin/staticcheck ./...
	rm -rf target/go-messages && mkdir -p target/go-messages
	$(call go_messages,target/go-messages)
	diff --recursive target/go-messages/cloakroomv1 clients/go/cloakroomv1

bench-go: go-packages redis ## Measures the Go client beside scs; build with --profile dist first.
	mkdir -p target/bench
	go build -C clients/go/tests -buildvcs=false -o $(CURDIR)/target/bench/go ./bench
	CLOAKROOM_BIN="$${CLOAKROOM_BIN:-$(CURDIR)/target/dist/cloakroom}" target/bench/go

soak-go: go-packages ## Reads millions of generated responses as net/http reads them, and compares sessions in memory with the service.
	CLOAKROOM_TEST_ANSWERS=5000000 go test -C clients/go -count=1 ./internal/connect
	CLOAKROOM_TEST_STEPS=30000 go test -C clients/go/tests -count=1 -run RandomCalls -timeout 1h .

go-messages: go-packages $(PYTHON_INSTALLED) ## Renews the Go client's messages after a change of the contract.
	$(call go_messages,clients/go)

go-packages:
	@$(call apt,golang-go)

$(STATICCHECK):
	@$(call apt,golang-go)
	GOBIN=$(CURDIR)/.tools/bin go install honnef.co/go/tools/cmd/staticcheck@$(STATICCHECK_VERSION)
	touch $@
