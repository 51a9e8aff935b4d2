# frozen_string_literal: true

require 'openssl'
require 'socket'
require_relative 'response_reader'

module Rack
  module Session
    class Cloakroom
      # One connection that stays open. It carries one call at a time.
      class Connection
        def self.now
          Process.clock_gettime(Process::CLOCK_MONOTONIC)
        end

        # Connects, or raises an error if that is not possible until the time `deadline`.
        def self.open(address, credentials, deadline)
          socket = connect(address, end_of_step(deadline))
          address.tls? ? new(socket).encrypt(address.host, credentials, end_of_step(deadline)) : new(socket)
        rescue IOError, SystemCallError, OpenSSL::OpenSSLError
          socket&.close
          raise
        end

        # Connects to the first address of a name that answers. Each of them may take its share of the time.
        def self.connect(address, deadline)
          seconds = left(deadline)
          return UNIXSocket.new(address.path) if address.path

          found = Addrinfo.getaddrinfo(address.host, address.port, nil, :STREAM, timeout: seconds)
          found.each.with_index(1) do |each, number|
            socket = each.connect(timeout: left(deadline) / (found.size - number + 1))
            socket.setsockopt(Socket::IPPROTO_TCP, Socket::TCP_NODELAY, 1)
            return socket
          rescue SystemCallError
            raise if number == found.size
          end
        end

        def self.left(deadline)
          seconds = deadline - now
          raise TimedOut, 'no connection in time' unless seconds.positive?

          seconds
        end

        def self.end_of_step(deadline)
          [now + CONNECT_SECONDS, deadline].min
        end
        private_class_method :connect, :left, :end_of_step

        def initialize(io)
          @io = io
          @last_use = Connection.now
        end

        # Puts TLS around the connection. A certificate for another name is refused.
        def encrypt(host, credentials, deadline)
          raw = @io
          @io = OpenSSL::SSL::SSLSocket.new(raw, credentials.tls_context)
          @io.sync_close = true
          @io.hostname = host unless IP.match?(host) # RFC 6066 has names only.
          wait_for(deadline) { @io.connect_nonblock(exception: false) }
          @io.post_connection_check(host)
          self
        rescue OpenSSL::SSL::SSLError => error
          raise if @io.verify_result == OpenSSL::X509::V_OK && !@io.state.start_with?('SSLOK')

          raise Untrusted, "#{error.message}; set ca_file to the authority of the service's certificate, which has to " \
                           "name #{host}"
        end

        # Sends a request, and returns the response. After an error the connection has to be closed.
        def call(request, deadline)
          send_all(request, deadline)
          # A read without a wait would only find out that there is nothing yet.
          wait(:wait_readable, deadline) unless @io.is_a?(OpenSSL::SSL::SSLSocket)
          bytes = receive(deadline)
          response = ResponseReader.whole(bytes) || ResponseReader.new(bytes) { receive(deadline) }.read
          @last_use = Connection.now
          response
        end

        # Whether an idle connection can take a call: it was used a short time ago, and the service has not closed it.
        def usable?
          Connection.now - @last_use < IDLE_SECONDS && !@io.to_io.wait_readable(0)
        end

        def close
          @io.close
        rescue IOError, SystemCallError, OpenSSL::SSL::SSLError
          nil # It was lost already.
        end

        # Leaves a connection that a parent process goes on with. A TLS socket would say to the service that it ends.
        def abandon
          @io.to_io.close
        end

        private

        def send_all(bytes, deadline)
          until bytes.empty?
            written = wait_for(deadline) { @io.write_nonblock(bytes, exception: false) }
            bytes = written == bytes.bytesize ? '' : bytes.byteslice(written..)
          end
        end

        def receive(deadline)
          bytes = wait_for(deadline) { @io.read_nonblock(READ_BYTES, exception: false) }
          bytes || raise(EOFError, 'the service closed the connection')
        end

        # Repeats an operation until it need not wait.
        def wait_for(deadline)
          loop do
            result = yield
            return result unless %i[wait_readable wait_writable].include?(result)

            wait(result, deadline)
          end
        end

        # `what` is `wait_readable` or `wait_writable`.
        def wait(what, deadline)
          seconds = deadline - Connection.now
          raise TimedOut, 'no answer in time' unless seconds.positive? && @io.to_io.public_send(what, seconds)
        end

        # The time in which a connection has to open. TLS has as much time again.
        CONNECT_SECONDS = 1
        # The service closes idle connections after 15 minutes by default.
        IDLE_SECONDS = 60
        READ_BYTES = 65_536
        IP = /\A[\d.]+\z|:/.freeze
        private_constant :IP, :CONNECT_SECONDS, :IDLE_SECONDS, :READ_BYTES
      end

      # The certificate of the service is not one that is trusted here.
      class Untrusted < OpenSSL::SSL::SSLError; end

      # The deadline of the call has passed.
      class TimedOut < IOError; end

      # All connections of this process were in use.
      class Busy < TimedOut; end
    end
  end
end
