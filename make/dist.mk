# What a release consists of, in target/dist-files.

DIST_TARGET := $(shell rustc -vV | sed -n 's/^host: //p')
# Paths of this machine would make other bytes on another one.
DIST_FLAGS := --remap-path-prefix=$(CURDIR)=/cloakroom --remap-path-prefix=$(or $(CARGO_HOME),$(HOME)/.cargo)=/cargo
DIST_BUILD := $(PYTHON) deploy/dist/build.py
DIST_SOURCES := --config clients/conformance/ruff.toml deploy/dist
.PHONY: dist-tools

dist: dist-tools packages ## Builds all files of a release into target/dist-files: program, image, .deb, chart, packages, SBOM.
	RUSTFLAGS='$(DIST_FLAGS)' cargo rustc --locked --profile dist --target $(DIST_TARGET) --bin cloakroom -- \
		-C target-feature=+crt-static
	$(DIST_BUILD) target/$(DIST_TARGET)/dist/cloakroom target/dist-files

# Around the program of `make static`, which is not optimized.
test-dist: lint-dist dist-tools deploy-tools packages static ## Tests the files of a release, with the program of `make static`.
	@$(call apt,openssl systemd zsh fish)
	@# A package that is quick to make is enough here.
	DPKG_DEB_COMPRESSOR_LEVEL=1 $(DIST_BUILD) target/container/cloakroom target/dist-test
	DPKG_DEB_COMPRESSOR_LEVEL=1 node --test --test-concurrency=1 --test-reporter=spec tests/dist/*.test.mjs

lint-dist: $(PYTHON_INSTALLED) ## Lints what builds a release.
	$(PYTHON) -m ruff check $(DIST_SOURCES)
	$(PYTHON) -m ruff format --check $(DIST_SOURCES)

dist-tools: helm-tools $(PYTHON_INSTALLED)
	@$(call apt,binutils buildah)
