# The session handler for PHP. The service that is tested is the one that CLOAKROOM_BIN names, or else the one that was
# built last.

PHP_TESTS := node --test --test-reporter=spec tests/*.test.mjs
shows_php-fpm := compgen -c php-fpm
shows_php-redis := php -r 'exit(extension_loaded("redis") ? 0 : 1);'
.PHONY: php-packages

test-php: lint-php redis ## Tests the session handler for PHP, under php -S and php-fpm, beside PHP's files and phpredis.
	cd clients/php && $(PHP_TESTS)

soak-php: php-packages redis ## Splits many random sessions, and makes many requests at the same time.
	cd clients/php && CLOAKROOM_TEST_SESSIONS=200000 CLOAKROOM_TEST_ROUNDS=5000 $(PHP_TESTS)

bench-php: php-packages redis ## Measures the session handler for PHP beside phpredis and files; build with --profile dist first.
	node clients/php/bench/bench.mjs

lint-php: php-packages ## Checks the syntax of PHP.
	for file in $$(git ls-files '*.php'); do php -l $$file >/dev/null || exit; done

php-packages:
	@$(call apt,php-cli php-fpm php-redis nodejs openssl)
