# What the examples need that call the service without a library: PHP, Ruby, and Bash with curl and jq.
# Deno, which one of them needs too, is in make/runtimes.mk.

shows_php-curl := php -r 'exit(extension_loaded("curl") ? 0 : 1);'
shows_php-cli := type php
shows_ruby-webrick := ruby -r webrick -e ''
.PHONY: wire-packages

web-deps: wire-packages

wire-packages:
	@$(call apt,php-cli php-curl ruby ruby-webrick busybox curl jq)
