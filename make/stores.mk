# All stores together. The service is the one that CLOAKROOM_BIN names, or else the one that was built last.

STORES := node-packages php-packages ruby-packages java-packages web-packages $(NODE_INSTALLED) $(STORE_INSTALLED) \
	tests/web/node_modules/.package-lock.json
# Each file starts all applications, so they go one after the other.
STORES_TESTS := node --test --test-concurrency=1 --test-reporter=spec tests/stores/*.test.mjs
.PHONY: stores-applications

test-stores: stores-applications ## Logs in through all stores in one browser, and lets stores of several languages write at once.
	$(STORES_TESTS)

soak-stores: stores-applications ## The same many times, and each end of all sessions has to take less than a second.
	CLOAKROOM_TEST_LOGINS=20 CLOAKROOM_TEST_ENDS_WITHIN=1000 CLOAKROOM_TEST_ROUNDS=5000 $(STORES_TESTS)

# With the class path of the Java application, so that it starts without Maven.
stores-applications: $(STORES)
	mkdir -p target/stores
	go build -C clients/go/tests -buildvcs=false -o $(CURDIR)/target/stores/go ./login
	$(mvn) --quiet test-compile dependency:build-classpath -Dmdep.outputFile=$(CURDIR)/target/stores/java-class-path
