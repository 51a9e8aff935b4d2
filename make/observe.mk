# Metrics, alerts and the dashboard, against a real Prometheus (by apt, where it is missing).

.PHONY: observe-deps test-observe

# Asks the service that CLOAKROOM_BIN names, or else the one that was built last.
test-observe: observe-deps $(GRPCURL)
	python3 tests/observe/observe_test.py

# Only its programs are wanted: its own service, if the package starts one, is in nobody's way on port 9090.
observe-deps:
	@$(call apt,promtool,prometheus)
	@$(call apt,openssl,openssl)
