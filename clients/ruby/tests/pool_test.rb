# frozen_string_literal: true

require_relative 'support/helper'
require 'minitest/mock'

# The connections of a process, and of one that it forks.
class PoolTest < Minitest::Test
  # A connection that answers with the id of the process that has opened it.
  class Opened
    Answer = Struct.new(:process, :reusable)

    def initialize
      @process = Process.pid
    end

    def call(*)
      Answer.new(@process, true)
    end

    def usable?
      true
    end

    def abandon; end
  end

  def test_no_thread_of_a_forked_process_takes_a_connection_of_its_parent
    pool = Rack::Session::Cloakroom::Pool.new(2) { Opened.new }
    opener = -> { pool.call('', Processes.now + Processes::SECONDS).process }
    opener.call

    child = fork { exit!(openers_of_a_first_call(opener) == [Process.pid]) }

    assert Process.wait2(child).last.success?
  end

  private

  # Makes the first call of a process, and in the middle of its preparation the call of another thread.
  def openers_of_a_first_call(opener)
    condition = ConditionVariable.new
    other = nil
    interrupted = lambda do
      (other = Thread.new(&opener)).join(0.2)
      condition
    end
    first = ConditionVariable.stub(:new, interrupted) { opener.call }
    [first, other.value].uniq
  end
end
