# The Python client. The service that is tested is the one that CLOAKROOM_BIN names, or else the one that was built last.

FLASK_VERSION := $(shell sed -n 's/^Flask==//p' examples/flask/requirements.txt)
FLASK_SUITE := .tools/python-suites/flask-$(FLASK_VERSION)
DJANGO_VERSION := $(shell sed -n 's/^Django==//p' tests/requirements.txt)
DJANGO_SUITE := .tools/python-suites/django-$(DJANGO_VERSION)
STARLETTE_VERSION := $(shell sed -n 's/^starlette==//p' tests/requirements.txt)
STARLETTE_SUITE := .tools/python-suites/starlette-$(STARLETTE_VERSION)
PYTHON_SUITES := $(FLASK_SUITE)/pyproject.toml $(DJANGO_SUITE)/pyproject.toml $(STARLETTE_SUITE)/pyproject.toml
in_client = cd clients/python && PATH="$(CURDIR)/.tools/python/bin:$(CURDIR)/.tools/envoy/bin:$$PATH"

test-python: lint-python redis $(PYTHON_SUITES) $(ENVOY) ## Tests the Python client, with the tests of Flask, Django and Starlette.
	@$(call apt,haproxy nginx-light)
	$(in_client) python -m pytest

soak-python: $(PYTHON_INSTALLED) ## Compares a million responses with Python's own HTTP client, and sessions in memory with the service.
	$(in_client) CLOAKROOM_TEST_ANSWERS=1000000 python -m pytest tests/test_http1.py
	$(in_client) CLOAKROOM_TEST_STEPS=50000 python -m pytest tests/test_testing_differential.py

lint-python: $(PYTHON_INSTALLED) ## Lints the Python client and its example.
	@$(call apt,nodejs npm)
	$(in_client) python -m mypy
	$(in_client) python -m mypy --strict tests/typed_app.py
	$(in_client) python -m pyright tests/typed_app.py
	$(in_client) python -m ruff check . ../../examples/flask
	$(in_client) python -m ruff format --check . ../../examples/flask

# The source distributions have the tests.
$(PYTHON_SUITES): .tools/python-suites/%/pyproject.toml: $(PYTHON_INSTALLED)
	mkdir -p .tools/python-suites
	$(call pip,.tools/python) download --no-deps --no-binary $(firstword $(subst -, ,$*)) --dest .tools/python-suites $(subst -,==,$*)
	tar --extract --gzip --touch --file .tools/python-suites/$*.tar.gz --directory .tools/python-suites
