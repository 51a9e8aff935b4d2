# What a session costs inside a Flask request, beside Flask-Session and signed cookies. Build with --release first.
.PHONY: bench bench-python

bench: bench-python

bench-python: python-deps
	@$(call apt,redis-server,redis-server)
	cd $(PYTHON_CLIENT)/tests && PATH="$(CURDIR)/.tools/python/bin:$$PATH" ../../../$(PYTHON) bench.py
