# frozen_string_literal: true

require_relative 'version'

module Rack
  module Session
    class Cloakroom
      # A call failed. No message has the key of a session or the caller token in it.
      class Error < StandardError
        # The code of the call, such as `unavailable`.
        attr_reader :code
        # The service's reason, such as `STORE_UNAVAILABLE`. Empty if the service did not answer.
        attr_reader :reason

        def initialize(message, code: 'unknown', reason: '')
          super(message)
          @code = code
          @reason = reason
        end
      end

      # The service did not answer in time, or cannot. A later request may succeed. Answer it with 503.
      class Unavailable < Error; end

      # The service refused the call. Nothing was written.
      class Refused < Error; end

      # A value of the session cannot be saved. Nothing was written.
      class ValueRefused < Error; end
    end
  end
end
