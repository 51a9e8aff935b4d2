# frozen_string_literal: true

require 'socket'

# A peer that answers each request with what a block returns for it: bytes, or nil for a connection that breaks.
class ScriptedPeer
  attr_reader :requests

  def initialize(&answer)
    @answer = answer
    @requests = Queue.new
    @server = TCPServer.new('127.0.0.1', 0)
    @opened = Queue.new
    @acceptor = Thread.new { accept }
  end

  # A block for a peer that hands all requests on to the service.
  def self.forward(request, service)
    upstream = TCPSocket.new('127.0.0.1', service.port)
    upstream.write(request.sub("\r\n\r\n", "\r\nconnection: close\r\n\r\n"))
    upstream.read.sub("connection: close\r\n", '')
  ensure
    upstream&.close
  end

  def address
    "127.0.0.1:#{@server.addr[1]}"
  end

  # How many connections were opened.
  def connections
    @opened.size
  end

  def close
    @acceptor.kill
    @server.close
  end

  private

  def accept
    loop do
      socket = @server.accept
      @opened << socket
      Thread.new { serve(socket) }
    end
  end

  def serve(socket)
    while (request = read(socket))
      @requests << request
      answer = @answer.call(request)
      break if answer.nil?

      socket.write(answer)
    end
  rescue SystemCallError
    nil # The other side has closed the connection.
  ensure
    socket.close
  end

  def read(socket)
    head = socket.gets("\r\n\r\n") or return
    head + socket.read(head[/content-length: (\d+)/, 1].to_i)
  end
end
