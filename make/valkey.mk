# The tests of the Redis store, with Valkey or another version in place of Debian's Redis.

# Valkey comes with the Python environment, because Debian 12 has no package of it. Tests start `redis-server`.
valkey_as_redis = mkdir -p .tools/valkey && \
	ln -sf "$$(find $(CURDIR)/.tools/python/lib -name valkey-server)" .tools/valkey/redis-server

test-valkey: tools ## Runs the tests of the Redis store on Valkey.
	$(valkey_as_redis)
	.tools/valkey/redis-server --version | grep --quiet '^Valkey'
	# That Valkey is built without TLS.
	PATH="$(CURDIR)/.tools/valkey:$$PATH" cargo test --locked --test it -- on_redis redis_store outage random_saves upgrade \
		--skip tls $(same_everywhere)
	PATH="$(CURDIR)/.tools/valkey:$$PATH" cargo test --locked --test it -- --ignored atomic_moves
	# The Redis Cluster of the other tests has six primaries.
	PATH="$(CURDIR)/.tools/valkey:$$PATH" CLOAKROOM_TEST_PRIMARIES=3 cargo test --locked --test it -- redis_cluster

# Minutes of tests that run on Debian's Redis alone: scripted clusters have no Redis, and these races run the same few
# scripts as the conformance suite.
same_everywhere = $(addprefix --skip ,cluster::redirections cluster::circles \
	no_automatic_write_replaces of_two_logins_after_a_lost_answer)

# Where each server that takes the place of Debian's Redis is called `redis-server`.
path_of_valkey := $(CURDIR)/.tools/valkey:
path_of_redis-8 := $(CURDIR)/.tools/servers/redis:
path_of_valkey-8 := $(CURDIR)/.tools/servers/valkey:

# What a version may do in its own way, besides what all stores share. The tests over the wire run on Valkey 9 as well.
of_a_version = $(addprefix redis_store::,acknowledge contents counters failover:: fsync full health rights \
	scans sentinel:: versions)
# The contract of stores and the model, on a single Redis with 64 partitions.
of_a_store = ::redis --skip redis_cluster --skip redis_with_1024_partitions

test-redis-versions: tools ## Runs the tests that depend on the version of Redis on Redis 8 and Valkey 8.
	.tools/servers/redis/redis-server --version | grep --quiet '^Redis server v=8'
	.tools/servers/valkey/redis-server --version | grep --quiet '^Valkey server v=8'
	# These are built without TLS.
	PATH="$(CURDIR)/.tools/servers/redis:$$PATH" cargo test --locked --test it -- $(of_a_version) $(of_a_store) --skip tls $(same_everywhere)
	PATH="$(CURDIR)/.tools/servers/valkey:$$PATH" cargo test --locked --test it -- $(of_a_version) $(of_a_store) --skip tls $(same_everywhere)
