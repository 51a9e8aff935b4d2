# Reverse proxies that ask the service who is logged in. The service that is tested is the one that CLOAKROOM_BIN names, or
# else the one that was built last.

CHECKS_PROXIES := --config clients/conformance/ruff.toml tests/forward_auth

test-forward-auth: $(PYTHON_INSTALLED) $(ENVOY) ## Tests forward authentication with nginx, Caddy and Envoy.
	@$(call apt,nginx-light caddy)
	$(PYTHON) -m ruff check $(CHECKS_PROXIES)
	$(PYTHON) -m ruff format --check $(CHECKS_PROXIES)
	cd tests/forward_auth && PATH="$(CURDIR)/.tools/python/bin:$(CURDIR)/.tools/envoy/bin:$$PATH" \
		python -m pytest --override-ini pythonpath=$(CURDIR)/clients/python/tests forward_auth_test.py
