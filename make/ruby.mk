# The store for the sessions of Rack and Rails. The service is the one that CLOAKROOM_BIN names, or else the one that was
# built last.

RUBY_TESTS := $(wildcard clients/ruby/tests/*_test.rb)
shows_puma := type puma
shows_ruby-actionpack := ruby -r action_controller -e ''
shows_ruby-minitest := ruby -r minitest -e ''
shows_ruby-rack := ruby -r rack -e ''
shows_ruby-railties := ruby -r rails -e ''
shows_ruby-redis-rack := ruby -r redis-rack -e ''
.PHONY: ruby-packages

test-ruby: redis lint-ruby ## Tests the store for Rack and Rails, on Puma and beside Rack's stores for memory and Redis.
	for test in $(RUBY_TESTS); do echo "$$test" && ruby "$$test" || exit 1; done

soak-ruby: redis ruby-packages ## Lets two requests of Rack write at the same time, 20,000 times.
	CLOAKROOM_TEST_ROUNDS=20000 ruby clients/ruby/tests/requests_test.rb

bench-ruby: redis ruby-packages ## Measures the store for Rack beside Rack's store for Redis; build with --profile dist first.
	ruby clients/ruby/bench/bench.rb

lint-ruby: ruby-packages ## Checks the Ruby code for what its interpreter warns of.
	@! find clients/ruby -name '*.rb' -exec ruby -wc {} \; 2>&1 | grep -v '^Syntax OK$$'

# Rails without its databases: 23 small packages.
ruby-packages:
	@$(call apt,ruby ruby-rack ruby-minitest puma ruby-redis-rack ruby-actionpack ruby-railties)
