# frozen_string_literal: true

require_relative 'processes'

# A Redis of its own, for the store that the tests compare with.
class RedisServer
  attr_reader :port

  def initialize
    @port = Processes.free_port
    command = ['redis-server', '--port', port.to_s, '--bind', '127.0.0.1', '--save', '']
    @pid = Processes.started(command, port, out: File::NULL)
  end

  def url
    "redis://127.0.0.1:#{port}/0/rack:session"
  end

  def stop
    Processes.stop(@pid)
  end
end
