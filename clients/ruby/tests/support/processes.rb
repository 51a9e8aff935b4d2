# frozen_string_literal: true

require 'minitest'
require 'socket'

# Starts and ends the processes that a test needs.
module Processes
  SECONDS = 60

  module_function

  def now
    Process.clock_gettime(Process::CLOCK_MONOTONIC)
  end

  # A port that was free a moment ago. Another process may take it: see `started`.
  def free_port
    server = TCPServer.new('127.0.0.1', 0)
    server.addr[1]
  ensure
    server&.close
  end

  # Returns what the block returns when it is true.
  def wait_until(description)
    deadline = now + SECONDS
    while now < deadline
      result = yield
      return result if result

      sleep 0.02
    end
    raise "not within #{SECONDS} seconds: #{description}"
  end

  def listening?(port)
    TCPSocket.new('127.0.0.1', port).close
    true
  rescue SystemCallError
    false
  end

  # Starts a process, and returns its id when it listens. Nil if it ended first, because its port was taken.
  def started(command, port, **options)
    pid = Process.spawn(*command, **options)
    Minitest.after_run { stop(pid, 'KILL') }
    wait_until("#{command.first} listens") do
      return nil if ended?(pid)

      listening?(port)
    end
    pid
  end

  def stop(pid, signal = 'TERM')
    return if ended?(pid)

    Process.kill(signal, pid)
    wait_until("process #{pid} ends") { ended?(pid) }
  end

  def ended?(pid)
    !Process.wait(pid, Process::WNOHANG).nil?
  rescue Errno::ECHILD
    true
  end
end
