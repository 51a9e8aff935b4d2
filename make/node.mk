# The Node client. The service that is tested is the one that CLOAKROOM_BIN names, or else the one that was built last.

NODE_INSTALLED := clients/node/node_modules/.package-lock.json
STORE_INSTALLED := clients/connect-cloakroom/node_modules/.package-lock.json
.PHONY: node-packages

test-node: redis lint-node node-packages ## Tests the Node client, with Express, Connect, Fastify, Koa, Hono and real packages.
	cd clients/node && node --test --test-reporter=spec tests/*.test.mjs
	cd clients/node && node-26 --test --test-reporter=spec $(TESTS_OF_SOCKETS)

# What depends on the sockets and the TLS of Node. The conformance kit, which runs there too, has no TLS.
TESTS_OF_SOCKETS := tests/connections.test.mjs tests/grpc.test.mjs

soak-node: node-packages $(NODE_INSTALLED) ## Reads many generated responses as Node does, and makes many random calls.
	cd clients/node && CLOAKROOM_TEST_ANSWERS=300000 CLOAKROOM_TEST_MESSAGES=20000 CLOAKROOM_TEST_STEPS=20000 \
		node --test --test-reporter=spec tests/http1.test.mjs tests/http2.test.mjs tests/protobuf.test.mjs tests/testing_pair.test.mjs

bench-node: redis node-packages $(NODE_INSTALLED) $(STORE_INSTALLED) ## Measures Node's client and store beside connect-redis; build with --profile dist first.
	cd clients/node && node bench/bench.mjs

lint-node: node-packages $(NODE_INSTALLED) ## Checks the types of the Node client.
	cd clients/node && node_modules/.bin/tsc

node-packages:
	@$(call apt,nodejs npm openssl)

NEXT_INSTALLED := clients/node/tests/next/node_modules/.package-lock.json

test-next: node-packages $(NEXT_INSTALLED) ## Tests the Node client in a production build of Next.js.
	node --test --test-reporter=spec clients/node/tests/next/*.test.mjs

# The folder has a copy of the client, as an application has.
$(NEXT_INSTALLED): clients/node/package.json $(shell find clients/node/src clients/node/types -type f)

test-node-stores: redis node-packages $(NODE_INSTALLED) $(STORE_INSTALLED) ## Tests the store for express-session, with passport and beside connect-redis.
	cd clients/connect-cloakroom && node_modules/.bin/tsc && node --test --test-reporter=spec tests/*.test.mjs
