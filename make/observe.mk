# Metrics, alerts and the dashboard, against a real Prometheus.

# Asks the service that CLOAKROOM_BIN names, or else the one that was built last. Only Prometheus' programs are wanted:
# the service that its package may start is not in the way on port 9090.
test-observe: redis $(GRPCURL) ## Tests metrics, alerts and the dashboard against Prometheus.
	@$(call apt,prometheus openssl)
	python3 tests/observe/observe_test.py
