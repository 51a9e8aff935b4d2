# frozen_string_literal: true

require_relative 'version'

module Rack
  module Session
    class Cloakroom
      # One response. The names of its headers are in lower case. `reusable` is whether its connection may go on.
      Response = Struct.new(:status, :headers, :body, :reusable)

      # The bytes are not one clear response of HTTP/1.1, so the connection cannot go on.
      class Malformed < IOError; end

      # Reads one response of HTTP/1.1 (RFC 9112). It makes no call: a block gives it the next bytes.
      class ResponseReader
        # Returns a response from its first bytes if they are all of it and it is as the service writes it. Nil: read it.
        def self.whole(bytes)
          head = WHOLE.match(bytes)
          return unless head && bytes.bytesize == head.end(0) + head[1].to_i

          Response.new(200, {}, bytes.byteslice(head.end(0)..).force_encoding(Encoding::UTF_8), true)
        end

        # `bytes` have arrived already.
        def initialize(bytes, &more)
          @more = more
          @buffer = bytes
        end

        def read
          status, headers = read_head
          status, headers = read_head while status.between?(100, 199) && status != 101
          body = read_body(headers).force_encoding(Encoding::UTF_8)
          Response.new(status, headers, body, keeps_connection?(headers) && @buffer.empty?)
        end

        private

        def read_head
          lines = take_until("\r\n\r\n", MAX_HEAD).split("\r\n")
          status = STATUS_LINE.match(lines.shift)
          raise Malformed, 'the response is not one of HTTP/1.1' if status.nil?

          headers = {}
          lines.each do |line|
            field = FIELD.match(line)
            raise Malformed, 'the response has a header without a name' if field.nil?

            name = field[1].downcase
            raise Malformed, "the response has two headers #{name}" if LENGTHS.include?(name) && headers.key?(name)

            headers[name] = field[2]
          end
          [status[1].to_i, headers]
        end

        def read_body(headers)
          length, encoding = headers.values_at(*LENGTHS)
          return take(length.to_i) if encoding.nil? && LENGTH.match?(length || '') && length.to_i <= MAX_BODY
          return read_chunks if length.nil? && encoding&.downcase == 'chunked'

          raise Malformed, "the response does not say how long it is, or is over #{MAX_BODY} bytes"
        end

        def read_chunks
          body = String.new(encoding: Encoding::BINARY)
          while (size = chunk_size).positive?
            raise Malformed, "the response is over #{MAX_BODY} bytes" if body.bytesize + size > MAX_BODY

            body << take(size)
            raise Malformed, 'a chunk of the response has another length than it says' unless take(2) == "\r\n"
          end
          nil until take_until("\r\n", MAX_HEAD).empty? # Trailers.
          body
        end

        def chunk_size
          size = CHUNK_LINE.match(take_until("\r\n", MAX_HEAD))
          raise Malformed, 'a chunk of the response does not say how long it is' if size.nil?

          size[1].to_i(16)
        end

        # Takes the bytes before a mark, and removes the mark.
        def take_until(mark, limit)
          found = nil
          until (found = @buffer.index(mark))
            raise Malformed, "the head of the response is over #{limit} bytes" if @buffer.bytesize > limit

            @buffer << @more.call
          end
          taken = @buffer.slice!(0, found)
          @buffer.slice!(0, mark.bytesize)
          taken
        end

        def take(size)
          @buffer << @more.call while @buffer.bytesize < size
          @buffer.slice!(0, size)
        end

        def keeps_connection?(headers)
          !headers.fetch('connection', '').downcase.split(/\s*,\s*/).include?('close')
        end

        WHOLE = %r{\AHTTP/1\.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: (\d{1,7})\r\n\r\n}n.freeze
        STATUS_LINE = %r{\AHTTP/1\.1 (\d{3})(?: |\z)}.freeze
        FIELD = /\A([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*\z/n.freeze
        LENGTHS = %w[content-length transfer-encoding].freeze
        LENGTH = /\A\d{1,10}\z/.freeze
        CHUNK_LINE = /\A(\h{1,8})[ \t]*(?:;.*)?\z/n.freeze
        MAX_HEAD = 65_536
        MAX_BODY = 16 * 1024 * 1024
        private_constant :WHOLE, :STATUS_LINE, :FIELD, :LENGTHS, :LENGTH, :CHUNK_LINE, :MAX_HEAD, :MAX_BODY
      end
    end
  end
end
