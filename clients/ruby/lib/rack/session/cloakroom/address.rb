# frozen_string_literal: true

require_relative 'version'

module Rack
  module Session
    class Cloakroom
      # Where the service listens: a TCP port, with or without TLS, or a Unix socket.
      class Address
        attr_reader :host, :port, :path

        # Reads one address, or a list of at least one.
        def self.parse_all(service)
          texts = service.is_a?(Array) ? service : [service]
          raise ArgumentError, 'service is an empty list; name at least one address' if texts.empty?

          texts.map { |text| parse(text) }
        end

        def self.parse(text)
          raise ArgumentError, wrong(text) unless text.is_a?(String)

          socket = UNIX.match(text)
          return new(path: socket[1]) if socket

          found = TCP.match(text)
          unless found && (1..65_535).cover?(found[:port].to_i)
            raise ArgumentError, wrong(text)
          end
          new(host: found[:ipv6] || found[:host], port: found[:port].to_i, tls: found[:scheme] == 'https')
        end

        def self.wrong(text)
          "#{text.inspect} is no address of the service; write host:port, https://host:port or unix:/path, or a list of " \
            'these for several replicas'
        end
        private_class_method :wrong

        def initialize(host: 'localhost', port: nil, path: nil, tls: false)
          @host = host
          @port = port
          @path = path
          @tls = tls
        end

        def tls?
          @tls
        end

        # The value of the header `host`.
        def authority
          return host if port.nil?

          host.include?(':') ? "[#{host}]:#{port}" : "#{host}:#{port}"
        end

        def to_s
          path ? "unix:#{path}" : "#{'https://' if tls?}#{authority}"
        end

        UNIX = %r{\Aunix:(/.+)\z}.freeze
        TCP = %r{\A(?:(?<scheme>https?)://)?(?:\[(?<ipv6>[0-9a-fA-F:.]+)\]|(?<host>[^/:\[\]\s]+)):(?<port>\d{1,5})/?\z}.freeze
        private_constant :UNIX, :TCP
      end
    end
  end
end
