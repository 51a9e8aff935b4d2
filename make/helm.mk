# The Helm chart.

HELM_VERSION := v4.3.1
HELM := .tools/bin/helm-$(HELM_VERSION).installed
# The schemas of GRPCRoute, ServiceMonitor and PrometheusRule.
CUSTOM_RESOURCES := .tools/custom-resources/installed
CUSTOM_RESOURCES_PACKAGES := @kubernetes-models/gateway-api@2.0.0 @kubernetes-models/prometheus-operator@6.0.0
.PHONY: helm-tools

# `make test-deploy` runs the rendered pod. The service is the one that CLOAKROOM_BIN names, or else the debug build.
test-helm: helm-tools $(CUSTOM_RESOURCES) $(PYTHON_INSTALLED) ## Tests the Helm chart: rendering, configuration, what is refused.
	@$(call apt,openssl)
	node --test --test-reporter=spec tests/helm/*.test.mjs

helm-files: helm-tools $(PYTHON_INSTALLED) ## Renews the chart's README and the golden files of its tests.
	node tests/helm/renew.mjs

helm-tools: $(HELM)
	@$(call apt,nodejs)

$(HELM):
	@$(call apt,golang-go)
	CGO_ENABLED=0 GOBIN=$(CURDIR)/.tools/bin go install -ldflags '-s -w' helm.sh/helm/v4/cmd/helm@$(HELM_VERSION)
	touch $@

$(CUSTOM_RESOURCES):
	@$(call apt,npm)
	npm install --prefix $(@D) --no-save --ignore-scripts --no-audit --no-fund --loglevel=error $(CUSTOM_RESOURCES_PACKAGES)
	touch $@
