# frozen_string_literal: true

require 'json'
require_relative 'errors'

module Rack
  module Session
    class Cloakroom
      # Converts between the values of a session and the entries of the service, each of them by its name.
      #
      # What JSON can hold is JSON, which every client can read. All else is refused, or goes through the serializer.
      class Entries
        # `serializer` has `dump`, which returns bytes, and `load`.
        def initialize(serializer = nil)
          @serializer = serializer
        end

        # Returns the values. Bytes are left out without a serializer: another client has written them.
        def decode(entries)
          entries.each_with_object({}) do |(name, value), session|
            if value.key?('json')
              session[name] = JSON.parse(value['json'], max_nesting: false)
            elsif @serializer
              session[name] = @serializer.load(value.fetch('raw', '').unpack1('m0'))
            end
          end
        end

        # Returns the entries of a session, which is a hash with the names as keys.
        def encode(session)
          session.each_with_object({}) { |(name, value), entries| entries[name] = entry_of(name, value) }
        end

        # Returns the entries that differ, and the names of those that are gone. What the application could not see stays:
        # bytes of another client, and null, which Rack leaves out of each session.
        def differences(before, after)
          set = after.reject { |name, value| same?(before[name], value) }
          gone = before.keys - after.keys
          gone.reject! { |name| before[name] == NULL || (@serializer.nil? && before[name].key?('raw')) }
          [set, gone]
        end

        private

        def entry_of(name, value)
          raise ValueRefused, "#{name.inspect} is no name of an entry: it is not UTF-8" unless utf8?(name)

          odd = what_json_lacks(value)
          return { 'json' => JSON.generate(value, JSON_OPTIONS) } if odd.nil?
          return { 'raw' => [@serializer.dump(value)].pack('m0') } if @serializer

          raise ValueRefused, "session[#{name.inspect}] has #{odd}, which JSON cannot hold: convert it to what JSON can " \
                              '(strings as keys of a Hash too), or set the option serializer'
        end

        # Returns what a value is or contains that would be read as something else later. Nil: nothing.
        def what_json_lacks(value)
          case value
          when nil, true, false, Integer, Float then nil
          when String then 'a String that is not UTF-8' unless utf8?(value)
          when Array then first_odd(value)
          when Hash then first_odd_key(value) || first_odd(value.each_value)
          else "an object of #{value.class}"
          end
        end

        def first_odd(values)
          values.each do |value|
            odd = what_json_lacks(value)
            return odd if odd
          end
          nil
        end

        def first_odd_key(hash)
          odd = hash.each_key.find { |key| !(key.is_a?(String) && utf8?(key)) }
          "a Hash with a key that is #{odd.is_a?(String) ? 'not UTF-8' : "an object of #{odd.class}"}" unless odd.nil?
        end

        def utf8?(text)
          text.valid_encoding? && (text.encoding == Encoding::UTF_8 || text.ascii_only?)
        end

        # A client in another language may have written the same value as a different JSON text.
        def same?(before, after)
          return true if before == after
          return false unless before&.key?('json') && after.key?('json')

          JSON.generate(JSON.parse(before['json'], max_nesting: false), JSON_OPTIONS) == after['json']
        end

        # A number that is too large for a Float is read as infinite. The service refuses it if somebody saves it.
        JSON_OPTIONS = { max_nesting: 0, allow_nan: true }.freeze
        NULL = { 'json' => 'null' }.freeze
        private_constant :JSON_OPTIONS, :NULL
      end
    end
  end
end
