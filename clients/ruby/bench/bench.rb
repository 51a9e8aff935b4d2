# frozen_string_literal: true

# Measures what a session costs inside a request of Rack, beside Rack's store for Redis. Run by `make bench-ruby`.
#
# The cost of a session is the CPU of this process for a request, less that of the same request without sessions. All
# variants take turns in one run of one process. A ratio is the median of the rounds, with the quartiles that it lies
# between.
require 'minitest'
require_relative '../tests/support/redis_server'
require_relative '../tests/support/service'
$LOAD_PATH.unshift(File.expand_path('../lib', __dir__))
require 'rack'
require 'rack/mock'
require 'rack/session/cloakroom'
require 'redis-rack'

ROUNDS = Integer(ENV.fetch('BENCH_RUBY_ROUNDS', 15))
REQUESTS = 300
NONE = 'no sessions'
BASELINE = 'Rack::Session::Redis'

# An application and its session of about a kilobyte.
class Variant
  attr_reader :name

  def initialize(name)
    @name = name
    @rack = Rack::MockRequest.new(yield(method(:answer)))
    @cookie = @rack.get('/fill')['Set-Cookie'].to_s[/\A[^;]+/]
  end

  # Returns the CPU of this process and the time of a request, in microseconds.
  def measure(path)
    env = @cookie ? { 'HTTP_COOKIE' => @cookie } : {}
    before = clocks
    REQUESTS.times { @rack.get(path, env) }
    clocks.zip(before).map { |after, start| (after - start) / REQUESTS }
  end

  private

  def clocks
    [Process::CLOCK_PROCESS_CPUTIME_ID, Process::CLOCK_MONOTONIC].map do |clock|
      Process.clock_gettime(clock, :float_microsecond)
    end
  end

  def answer(env)
    session = env['rack.session'] ||= { 'user' => 'ada', 'count' => 0 }
    case env['PATH_INFO']
    when '/fill' then session.update('user' => 'ada', 'cart' => [*0...50], 'text' => 'x' * 500, 'count' => 0)
    when '/read' then session['user']
    when '/write' then session['count'] += 1
    end
    [200, {}, ['ok']]
  end
end

def quartiles(values)
  sorted = values.sort
  [0.5, 0.25, 0.75].map { |part| sorted[(part * (sorted.size - 1)).round] }
end

def show(values, digits = 0)
  median, low, high = quartiles(values).map { |value| format("%.#{digits}f", value) }
  "#{median} [#{low} #{high}]"
end

def report(path, times)
  costs = times.transform_values { |rounds| rounds.zip(times[NONE]).map { |one, none| [one[0] - none[0], one[1] - none[1]] } }
  puts "\n#{path}: the session's part of a request in us, of which ratio to #{BASELINE}"
  costs.each do |name, rounds|
    next if name == NONE

    columns = %w[cpu wall].each_with_index.map do |kind, index|
      ratios = rounds.zip(costs[BASELINE]).map { |one, base| one[index] / base[index] }
      "#{kind} #{show(rounds.map { |round| round[index] })} = #{show(ratios, 2)}"
    end
    puts format('  %-22<name>s %<columns>s', name: name, columns: columns.join('  '))
  end
end

service = Service.new(level: 'error', store: 'memory')
redis = RedisServer.new
variants = [
  Variant.new(NONE) { |app| app },
  Variant.new(BASELINE) { |app| Rack::Session::Redis.new(app, redis_server: redis.url) },
  Variant.new('TCP') { |app| Rack::Session::Cloakroom.new(app, service: service.address, app: 'shop') },
  Variant.new('Unix socket') { |app| Rack::Session::Cloakroom.new(app, service: service.socket, app: 'shop') }
]
begin
  %w[/read /write /untouched].each do |path|
    times = Hash.new { |all, name| all[name] = [] }
    # The first round warms up. Every second round runs backwards, so that no variant profits from its place in the order.
    (-1...ROUNDS).each do |round|
      (round.odd? ? variants : variants.reverse).each do |variant|
        measured = variant.measure(path)
        times[variant.name] << measured if round >= 0
      end
    end
    report(path, times)
  end
ensure
  redis.stop
  service.remove
end
