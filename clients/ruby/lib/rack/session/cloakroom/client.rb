# frozen_string_literal: true

require 'json'
require 'securerandom'
require_relative 'address'
require_relative 'credentials'
require_relative 'errors'
require_relative 'pool'

module Rack
  module Session
    class Cloakroom
      # Calls the service for the sessions of one app, by the Connect protocol with JSON.
      #
      # A call has one deadline. Until then it is repeated if that is safe: a save has a request_id, by which the service
      # knows a repeat.
      class Client
        # `deadline` is in seconds and includes the repeats. `pool_size` is the highest number of connections.
        def initialize(service: 'localhost:50051', app: '', deadline: 2, pool_size: 32, credentials: {})
          raise ArgumentError, "deadline is #{deadline.inspect}; it is a number of seconds" unless deadline.to_f.positive?
          raise ArgumentError, "pool_size is #{pool_size.inspect}; it is at least 1" unless pool_size.to_i.positive?

          @address = Address.parse(service)
          @app = app.to_s
          @deadline = deadline.to_f
          @credentials = Credentials.new(**credentials)
          @credentials.check(@address)
          @pool = Pool.new(pool_size.to_i) { |by| Connection.open(@address, @credentials, by) }
        end

        def open(key)
          call('OpenSession', key)
        end

        def save(key, request)
          call('SaveSession', key, requestId: SecureRandom.urlsafe_base64(16), **request)
        end

        def destroy(key)
          call('DestroySession', key, requestId: SecureRandom.urlsafe_base64(16))
        end

        # Without credentials.
        def inspect
          "#<#{self.class} #{@address}>"
        end

        private

        def call(method, key, request = {})
          body = JSON.generate({ app: @app, key: [key].pack('m0'), **request }, max_nesting: 0)
          deadline = Connection.now + @deadline
          pause = FIRST_PAUSE
          before = nil
          begin
            attempt(method, body, deadline)
          rescue Unavailable => error
            # Random, so that many processes do not repeat at the same time.
            seconds = pause * (0.5 + 0.5 * rand)
            if lasting?(error) || Connection.now + seconds >= deadline
              raise before && late?(error, deadline) ? with_reason(error, before) : error
            end

            before = error
            sleep(seconds)
            # Many repeats would only be a load for a service that works but lacks something that it needs.
            pause = [pause * 2, error.reason.empty? ? LONGEST_PAUSE : LONGEST_PAUSE_OF_ANSWERED].min
            retry
          end
        end

        # Whether a repeat would fail as well, or would be too late.
        def lasting?(error)
          NOT_REPEATED.include?(error.reason) || error.cause.is_a?(Untrusted)
        end

        # Whether an attempt failed only because its time was over.
        def late?(error, deadline)
          error.code == 'deadline_exceeded' || Connection.now >= deadline
        end

        # The failure of a repeat. That there was no time left for it does not say why the call was repeated.
        def with_reason(error, before)
          Unavailable.new("#{error.message}; the attempt before: #{before.message}", code: error.code, reason: error.reason)
        end

        def attempt(method, body, deadline)
          response = @pool.call(request_bytes(method, body, deadline), deadline)
          return JSON.parse(response.body, max_nesting: false) if response.status == 200

          raise error_of(method, response)
        rescue TimedOut => error
          raise Unavailable.new("#{method} at #{@address}: #{error.message}", code: 'deadline_exceeded')
        rescue IOError, SystemCallError, SocketError, OpenSSL::OpenSSLError, JSON::ParserError => error
          # The message of a parser shows what it has read.
          cause = error.is_a?(JSON::ParserError) ? 'the response is not JSON' : error.message
          raise Unavailable.new("#{method} at #{@address}: #{cause}", code: 'unavailable')
        end

        def request_bytes(method, body, deadline)
          milliseconds = ((deadline - Connection.now) * 1000).ceil.clamp(1, MOST_MILLISECONDS)
          "POST /cloakroom.v1.SessionService/#{method} HTTP/1.1\r\nhost: #{@address.authority}\r\n" \
            "content-type: application/json\r\nconnect-timeout-ms: #{milliseconds}\r\n#{authorization}" \
            "content-length: #{body.bytesize}\r\n\r\n#{body}".b
        end

        def authorization
          "authorization: Bearer #{@credentials.token}\r\n" if @credentials.token
        end

        def error_of(method, response)
          answer = JSON.parse(response.body)
          code, message = answer.is_a?(Hash) ? answer.values_at('code', 'message') : nil
          reason = response.headers.fetch('cloakroom-reason', '')
          class_of(response.status).new("#{method}: #{message} (#{reason})", code: code.to_s, reason: reason)
        rescue JSON::ParserError
          # A proxy answers like this.
          class_of(response.status).new("#{method} at #{@address}: status #{response.status} without a message")
        end

        def class_of(status)
          return Unavailable if UNAVAILABLE.include?(status)

          status < 500 || status == 501 ? Refused : Error
        end

        UNAVAILABLE = [429, 502, 503, 504].freeze
        NOT_REPEATED = %w[REQUEST_TOO_LARGE STORE_FULL DEADLINE_EXCEEDED].freeze
        # Seconds.
        FIRST_PAUSE = 0.05
        LONGEST_PAUSE = 0.2
        LONGEST_PAUSE_OF_ANSWERED = 1
        MOST_MILLISECONDS = 9_999_999_999
        private_constant :UNAVAILABLE, :NOT_REPEATED, :FIRST_PAUSE, :LONGEST_PAUSE, :LONGEST_PAUSE_OF_ANSWERED,
                         :MOST_MILLISECONDS
      end
    end
  end
end
