# frozen_string_literal: true

require 'json'
require 'securerandom'
require_relative 'address'
require_relative 'credentials'
require_relative 'errors'
require_relative 'replica'

module Rack
  module Session
    class Cloakroom
      # Calls the service for the sessions of one app, by the Connect protocol with JSON.
      #
      # A call has one deadline. Until then it is repeated if that is safe: a save has a request_id, by which the service
      # knows a repeat.
      class Client
        # `service` is an address, or a list of those of several replicas. `deadline` is in seconds and includes the
        # repeats. `pool_size` is the highest number of connections to one address.
        def initialize(service: 'localhost:50051', app: '', deadline: 2, pool_size: 32, credentials: {})
          raise ArgumentError, "deadline is #{deadline.inspect}; it is a number of seconds" unless deadline.to_f.positive?
          raise ArgumentError, "pool_size is #{pool_size.inspect}; it is at least 1" unless pool_size.to_i.positive?

          addresses = Address.parse_all(service)
          @app = app.to_s
          @deadline = deadline.to_f
          @credentials = Credentials.new(**credentials)
          addresses.each { |address| @credentials.check(address) }
          @replicas = addresses.map { |address| Replica.new(address, @credentials, pool_size.to_i) }
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
          "#<#{self.class} #{@replicas.map(&:address).join(', ')}>"
        end

        private

        def call(method, key, request = {})
          body = JSON.generate({ app: @app, key: [key].pack('m0'), **request }, max_nesting: 0)
          deadline = Connection.now + @deadline
          before = nil
          in_order.cycle.with_index(1) do |replica, number|
            return attempt(replica, method, body, end_of_attempt(deadline))
          rescue Unavailable => error
            replica.did_not_answer if unanswered?(error)
            seconds = pause_after(error, number)
            if lasting?(error) || Connection.now + seconds >= deadline
              raise before && (several? || late?(error, deadline)) ? with_reason(error, before) : error
            end

            before = error
            sleep(seconds)
          end
        end

        # The replicas in the order in which a call asks them: by chance, and last those that have not answered lately.
        def in_order
          several? ? @replicas.shuffle.partition { |replica| !replica.avoided? }.flatten : @replicas
        end

        def several?
          @replicas.size > 1
        end

        # Half of the time that is left, so that a replica that hangs leaves time for another one.
        def end_of_attempt(deadline)
          return deadline unless several?

          now = Connection.now
          [now + [(deadline - now) / 2, SHORTEST_ATTEMPT].max, deadline].min
        end

        # Whether the replica, or a proxy before it, is to blame, and not this process.
        def unanswered?(error)
          error.reason.empty? && !error.cause.is_a?(Busy)
        end

        # Seconds before the next attempt: none as long as there are replicas that were not asked.
        def pause_after(error, number)
          round = number - @replicas.size
          return 0 if round.negative?

          # Many repeats would only be a load for a service that works but lacks something that it needs.
          longest = error.reason.empty? ? LONGEST_PAUSE : LONGEST_PAUSE_OF_ANSWERED
          # Random, so that many processes do not repeat at the same time.
          [FIRST_PAUSE * (2**[round, MOST_DOUBLINGS].min), longest].min * (0.5 + (0.5 * rand))
        end

        # Whether a repeat would fail as well, or would be too late.
        def lasting?(error)
          return true if error.reason == 'STORE_FULL'

          # Another replica may be faster, or have a certificate that is trusted.
          !several? && (error.reason == 'DEADLINE_EXCEEDED' || error.cause.is_a?(Untrusted))
        end

        # Whether an attempt failed only because its time was over.
        def late?(error, deadline)
          error.code == 'deadline_exceeded' || Connection.now >= deadline
        end

        # The failure of a repeat. It does not say why the call was repeated: it may be that of another replica, or only that
        # there was no time left.
        def with_reason(error, before)
          Unavailable.new("#{error.message}; the attempt before: #{before.message}", code: error.code, reason: error.reason)
        end

        def attempt(replica, method, body, deadline)
          where = "#{method} at #{replica.address}"
          response = replica.call(request_bytes(replica.address, method, body, deadline), deadline)
          message = JSON.parse(response.body, max_nesting: false) if response.status == 200
          replica.answered if message || response.headers.key?('cloakroom-reason')
          return message if message

          raise error_of(method, where, response)
        rescue TimedOut => error
          raise Unavailable.new("#{where}: #{error.message}", code: 'deadline_exceeded')
        rescue IOError, SystemCallError, SocketError, OpenSSL::OpenSSLError, JSON::ParserError => error
          # The message of a parser shows what it has read.
          cause = error.is_a?(JSON::ParserError) ? 'the response is not JSON' : error.message
          raise Unavailable.new("#{where}: #{cause}", code: 'unavailable')
        end

        def request_bytes(address, method, body, deadline)
          milliseconds = ((deadline - Connection.now) * 1000).ceil.clamp(1, MOST_MILLISECONDS)
          "POST /cloakroom.v1.SessionService/#{method} HTTP/1.1\r\nhost: #{address.authority}\r\n" \
            "content-type: application/json\r\nconnect-timeout-ms: #{milliseconds}\r\n#{authorization}" \
            "content-length: #{body.bytesize}\r\n\r\n#{body}".b
        end

        def authorization
          "authorization: Bearer #{@credentials.token}\r\n" if @credentials.token
        end

        def error_of(method, where, response)
          answer = JSON.parse(response.body)
          code, message = answer.is_a?(Hash) ? answer.values_at('code', 'message') : nil
          reason = response.headers.fetch('cloakroom-reason', '')
          class_of(response.status, reason).new("#{method}: #{message} (#{reason})", code: code.to_s, reason: reason)
        rescue JSON::ParserError
          # A proxy answers like this.
          class_of(response.status).new("#{where}: status #{response.status} without a message")
        end

        def class_of(status, reason = '')
          return Refused if reason == 'REQUEST_TOO_LARGE' # A repeat is as large.
          return Unavailable if UNAVAILABLE.include?(status)

          status < 500 || status == 501 ? Refused : Error
        end

        UNAVAILABLE = [429, 502, 503, 504].freeze
        MOST_DOUBLINGS = 10
        # Seconds.
        FIRST_PAUSE = 0.05
        LONGEST_PAUSE = 0.2
        LONGEST_PAUSE_OF_ANSWERED = 1
        SHORTEST_ATTEMPT = 0.1
        MOST_MILLISECONDS = 9_999_999_999
        private_constant :UNAVAILABLE, :FIRST_PAUSE, :LONGEST_PAUSE, :LONGEST_PAUSE_OF_ANSWERED,
                         :SHORTEST_ATTEMPT, :MOST_DOUBLINGS, :MOST_MILLISECONDS
      end
    end
  end
end
