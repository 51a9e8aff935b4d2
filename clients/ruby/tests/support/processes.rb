# frozen_string_literal: true

require 'minitest'
require 'socket'

# Starts and ends the processes that a test needs.
module Processes
  SECONDS = 60
  CLAIMS = []

  module_function

  def now
    Process.clock_gettime(Process::CLOCK_MONOTONIC)
  end

  # Returns a port of 127.0.0.1 that no other test gets until this process ends, whether it listens there or not yet: a
  # listener on an address that nothing else uses holds it. It has another number, so that programs can listen on the
  # port at all addresses. The port is below those that the system gives to outgoing connections, which could take it.
  def free_port
    port = rand(10_000...32_768)
    CLAIMS << TCPServer.new('127.255.255.254', port + 32_768)
    TCPServer.new('127.0.0.1', port).close
    port
  rescue SystemCallError
    retry
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

  # Starts a process, and returns its id when it listens.
  def started(command, port, **options)
    pid = Process.spawn(*command, **options)
    Minitest.after_run { stop(pid, 'KILL') }
    wait_until("#{command.first} listens") do
      raise "#{command.first} ended" if ended?(pid)

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
