# The clients' packages, in target/packages.

shows_php-zip := php -r 'exit(extension_loaded("zip") ? 0 : 1);'

BUILDS_PACKAGES := --config clients/conformance/ruff.toml clients/build_packages.py tests/packages

packages: $(PYTHON_INSTALLED) ## Builds the clients' packages with their checksums into target/packages.
	@$(call apt,nodejs npm golang-go ruby default-jdk-headless maven)
	$(PYTHON) clients/build_packages.py target/packages

# The service is the one that CLOAKROOM_BIN names, or else the one that was built last.
test-packages: lint-packages packages ## Tests the packages: the same bytes each time, and each works in an empty project.
	@$(call apt,php-cli composer php-zip ruby-rack)
	$(PYTHON) tests/packages/packages_test.py

lint-packages: $(PYTHON_INSTALLED) ## Lints what builds and tests the packages.
	$(PYTHON) -m ruff check $(BUILDS_PACKAGES)
	$(PYTHON) -m ruff format --check $(BUILDS_PACKAGES)
