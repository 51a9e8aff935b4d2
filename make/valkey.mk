# The tests of the Redis store, with Valkey in place of Redis.

# Valkey comes with the Python environment, because Debian 12 has no package of it. Tests start `redis-server`.
test-valkey: tools ## Runs the tests of the Redis store on Valkey.
	mkdir -p .tools/valkey
	ln -sf "$$(find $(CURDIR)/.tools/python/lib -name valkey-server)" .tools/valkey/redis-server
	.tools/valkey/redis-server --version | grep --quiet '^Valkey'
	# That Valkey is built without TLS.
	PATH="$(CURDIR)/.tools/valkey:$$PATH" cargo test --locked --test it -- on_redis redis_store outage random_saves upgrade --skip tls
	PATH="$(CURDIR)/.tools/valkey:$$PATH" cargo test --locked --test it -- --ignored atomic_moves
	# The Redis Cluster of the other tests has six primaries.
	PATH="$(CURDIR)/.tools/valkey:$$PATH" CLOAKROOM_TEST_PRIMARIES=3 cargo test --locked --test it -- redis_cluster
