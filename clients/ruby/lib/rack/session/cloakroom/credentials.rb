# frozen_string_literal: true

require 'openssl'
require_relative 'version'

module Rack
  module Session
    class Cloakroom
      # What the calls are authenticated by. Files are read for each new connection, so renewed ones are used.
      class Credentials
        NAMES = %i[token ca_file certificate_file key_file].freeze
        attr_reader :token

        def initialize(token: nil, ca_file: nil, certificate_file: nil, key_file: nil)
          @token = token
          @ca_file = ca_file
          @certificate_file = certificate_file
          @key_file = key_file
        end

        # Raises ArgumentError if these are no credentials for the address.
        def check(address)
          if @certificate_file.nil? != @key_file.nil?
            raise ArgumentError, 'certificate_file and key_file belong together: set both or none'
          end
          unless token.nil? || TOKEN.match?(token)
            raise ArgumentError, 'token has a character that is not visible ASCII, such as a newline at its end'
          end
          return check_files if address.tls?
          return if (@ca_file || @certificate_file).nil?

          raise ArgumentError, 'the credentials need TLS: write the address as https://host:port'
        end

        def tls_context
          context = OpenSSL::SSL::SSLContext.new
          context.set_params(verify_mode: OpenSSL::SSL::VERIFY_PEER, cert_store: authorities)
          context.alpn_protocols = ['http/1.1']
          add_certificate(context) if @certificate_file
          context
        end

        # Without the token.
        def inspect
          "#<#{self.class}>"
        end

        private

        def check_files
          tls_context
        rescue OpenSSL::OpenSSLError, SystemCallError => error
          raise ArgumentError, "ca_file, certificate_file or key_file is no readable file in PEM: #{error.message}"
        end

        # A store of its own, because what is added to the default one is trusted by the whole process.
        def authorities
          store = OpenSSL::X509::Store.new
          @ca_file ? store.add_file(@ca_file) : store.set_default_paths
          store
        end

        def add_certificate(context)
          chain = OpenSSL::X509::Certificate.load_file(@certificate_file)
          context.add_certificate(chain.first, OpenSSL::PKey.read(::File.read(@key_file)), chain.drop(1))
        end

        TOKEN = /\A[!-~]+\z/.freeze
        private_constant :TOKEN
      end
    end
  end
end
