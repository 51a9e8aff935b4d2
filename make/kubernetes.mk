# The chart and the manifests on a cluster of yours. Not part of `make test`, which has no cluster.

.PHONY: kubernetes

kubernetes: helm-tools $(PYTHON_INSTALLED) ## Runs the chart and the manifests on the cluster of KUBECONFIG, with CLOAKROOM_IMAGE.
	@test -n "$$CLOAKROOM_IMAGE" || { echo 'set CLOAKROOM_IMAGE to an image that the cluster can pull: docs/releasing.md' >&2; exit 1; }
	node --test --test-concurrency=1 --test-reporter=spec tests/kubernetes/*.test.mjs
