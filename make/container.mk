# The image, compose and the manifests.

IMAGE := cloakroom:latest
IMAGE_ARGS := --build-arg VERSION=$(shell sed -n '0,/^version/s/^version = "\(.*\)"/\1/p' Cargo.toml) \
	--build-arg REVISION=$(shell git rev-parse HEAD 2>/dev/null || echo unknown) --tag $(IMAGE) .

.PHONY: deploy-tools

# Around a program that is built already. One container at a time, for the tests' deadlines are for a machine that does
# nothing else.
test-deploy: deploy-tools static ## Tests the image, compose and the manifests with podman.
	node --test --test-reporter=spec tests/deploy/manifests.test.mjs
	node --test --test-reporter=spec tests/deploy/container.test.mjs

# The network that podman has by default on Debian 12 finds no names where there is no route to the internet.
deploy-tools: redis $(GRPCURL) helm-tools $(PYTHON_INSTALLED)
	@$(call apt,nodejs buildah podman runc catatonit iptables openssl)
	@$(call apt,netavark aardvark-dns) || echo 'compose will not be tested: there is no netavark here' >&2

# The flag is for the last crate alone: all others are those that `cargo test` has built. Only the linking is done twice.
static: ## Builds the program without shared libraries, for the image.
	cargo rustc --locked --bin cloakroom -- -C target-feature=+crt-static
	mkdir -p target/container
	strip -o target/container/cloakroom target/debug/cloakroom

# The base image is made of Debian's packages and this machine's Rust.
test-image: deploy-tools ## Builds the whole image without a registry of images, and runs it.
	@$(call apt,debootstrap)
	node --test --test-reporter=spec tests/deploy/image.test.mjs

image: ## Builds the image with docker or buildah.
	@if docker info >/dev/null 2>&1; then docker build $(IMAGE_ARGS); \
	elif command -v buildah >/dev/null; then buildah bud --format docker $(IMAGE_ARGS); \
	else echo 'make image needs docker or buildah' >&2; exit 1; fi
