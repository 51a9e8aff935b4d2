# frozen_string_literal: true

require_relative 'pool'

module Rack
  module Session
    class Cloakroom
      # One address of the service, its connections, and whether it has answered lately.
      class Replica
        attr_reader :address

        def initialize(address, credentials, pool_size)
          @address = address
          @pool = Pool.new(pool_size) { |deadline| Connection.open(address, credentials, deadline) }
          answered
        end

        def call(request, deadline)
          @pool.call(request, deadline)
        end

        def answered
          @avoid_seconds = 0
          @avoid_until = 0
        end

        # Lets calls ask other replicas first for a while, which doubles until this one answers. Calls that fail at the same
        # time count as one.
        def did_not_answer
          return if avoided?

          @avoid_seconds = (@avoid_seconds * 2).clamp(FIRST_AVOID_SECONDS, LAST_AVOID_SECONDS)
          @avoid_until = Connection.now + (@avoid_seconds * (0.75 + (0.25 * rand)))
        end

        def avoided?
          Connection.now < @avoid_until
        end

        FIRST_AVOID_SECONDS = 1
        LAST_AVOID_SECONDS = 30
        private_constant :FIRST_AVOID_SECONDS, :LAST_AVOID_SECONDS
      end
    end
  end
end
