# What the examples need that call the service without a library: PHP, Ruby, Bash with curl and jq, and Deno.

DENO_VERSION := 2.9.6
DENO := .tools/deno/$(DENO_VERSION).installed
shows_php-curl := php -r 'exit(extension_loaded("curl") ? 0 : 1);'
shows_php-cli := type php
shows_ruby-webrick := ruby -r webrick -e ''
.PHONY: wire-packages

web-deps: wire-packages $(DENO)

wire-packages:
	@$(call apt,php-cli php-curl ruby ruby-webrick busybox curl jq)

# Without the script of the package, which would put a copy of the program into another folder.
$(DENO):
	@$(call apt,npm)
	npm install --prefix .tools/deno --no-save --ignore-scripts --no-audit --no-fund deno@$(DENO_VERSION)
	mkdir -p .tools/bin
	cd .tools/bin && ln -sf ../deno/node_modules/@deno/*/deno deno
	touch $@
