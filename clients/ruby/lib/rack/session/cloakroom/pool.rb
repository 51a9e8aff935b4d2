# frozen_string_literal: true

require_relative 'connection'

module Rack
  module Session
    class Cloakroom
      # The connections of all threads of a process, a limited number. The block opens one.
      class Pool
        def initialize(size, &open)
          @size = size
          @open = open
          @fork = Mutex.new
          begin_process
        end

        # Makes a call on a connection that no other thread uses, and waits for one until the deadline.
        def call(request, deadline)
          # Timeout and the like may stop the thread while it waits, and not while it counts.
          Thread.handle_interrupt(Exception => :on_blocking) do
            begin_call(deadline)
            begin
              connection = take_idle || @open.call(deadline)
              response = connection.call(request, deadline)
            ensure
              Thread.handle_interrupt(Exception => :never) { end_call(connection, response) }
            end
          end
        end

        private

        # Sets the process last, because other threads use all of this when they see it.
        def begin_process
          @mutex = Mutex.new
          @ended = ConditionVariable.new
          @calls = 0
          @idle = []
          @process = Process.pid
        end

        def begin_call(deadline)
          leave_parent unless @process == Process.pid
          @mutex.synchronize do
            until @calls < @size
              seconds = deadline - Connection.now
              raise Busy, "all #{@size} connections were busy; raise pool_size" unless seconds.positive?

              @ended.wait(@mutex, seconds)
            end
            @calls += 1
          end
        end

        # After a fork the connections belong to the parent: two processes on one would read each other's sessions.
        def leave_parent
          @fork.synchronize do
            next if @process == Process.pid

            @idle.each(&:abandon)
            begin_process
          end
        end

        # The one that was used last, so that others become old and are closed when the load falls.
        def take_idle
          while (connection = @mutex.synchronize { @idle.pop })
            return connection if connection.usable?

            connection.close
          end
        end

        def end_call(connection, response)
          @mutex.synchronize do
            @calls -= 1
            @idle.push(connection) if response&.reusable
            @ended.signal
          end
          connection&.close unless response&.reusable
        end
      end
    end
  end
end
