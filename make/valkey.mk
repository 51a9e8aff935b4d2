# The store on Valkey: the tests that Redis passes, with a server that speaks like it in its place.

# No distribution has it yet. The Python environment has, and tests start what is called `redis-server`.
test-valkey: tools ## Runs the tests of the Redis store on Valkey.
	mkdir -p .tools/valkey
	ln -sf "$$(find $(CURDIR)/.tools/python/lib -name valkey-server)" .tools/valkey/redis-server
	.tools/valkey/redis-server --version | grep --quiet '^Valkey'
	PATH="$(CURDIR)/.tools/valkey:$$PATH" cargo test --locked --test it -- on_redis redis_store outage random_saves
