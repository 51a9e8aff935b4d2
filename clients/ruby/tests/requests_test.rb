# frozen_string_literal: true

require_relative 'support/helper'
require_relative 'support/redis_server'
require_relative 'support/web'
require 'rack/session/pool'
require 'redis-rack'

SERVICE = Service.new
Minitest.after_run { SERVICE.remove }

# Requests at the same time, on Puma: what both write is kept, and what has ended stays ended.
class RequestsTest < Minitest::Test
  include Stores

  ROUNDS = Integer(ENV.fetch('CLOAKROOM_TEST_ROUNDS', 200))

  def setup
    @gates = Hash.new { |gates, name| gates[name] = Gate.new }
    @servers = []
  end

  def teardown
    @servers.each(&:stop)
  end

  def test_two_requests_at_the_same_time_keep_both_entries
    browser = serve { |app| store_of(app) }
    browser.get('/set?name=first&value=1')

    ROUNDS.times do |round|
      both(browser, round)

      expected = { 'first' => '1', 'left' => round.to_s, 'right' => round.to_s }
      assert_equal expected, JSON.parse(browser.get('/').body)
    end
  end

  def test_the_stores_for_redis_and_memory_lose_one_of_both
    redis = RedisServer.new
    [->(app) { Rack::Session::Redis.new(app, redis_server: redis.url) }, ->(app) { Rack::Session::Pool.new(app) }].each do |store|
      browser = serve(&store)
      browser.get('/set?name=first&value=1')

      both(browser, 0)

      assert_equal 2, JSON.parse(browser.get('/').body).size
    end
  end

  def test_many_first_requests_at_the_same_time_have_a_session_each
    browsers = Array.new(32) { browser }

    threads = browsers.each_with_index.map { |each, index| Thread.new { each.get("/set?name=a&value=#{index}") } }
    threads.each(&:join)

    assert_equal (0...32).map(&:to_s), browsers.map { |each| JSON.parse(each.get('/').body)['a'] }
    assert_equal 32, browsers.map(&:cookie).uniq.size
  end

  def test_a_slow_request_does_not_revive_a_session_that_a_logout_has_ended
    browser = logged_in('bob')
    slow = Thread.new { browser.tab.get('/set?name=late&value=1&gate=slow&count=2') }
    @gates['slow'].wait_for_arrival

    browser.post('/logout')
    @gates['slow'].arrive(2)
    slow.join

    assert_equal '{}', browser.get('/').body
    assert_empty SERVICE.sessions('--app', 'shop', 'list', '--subject', 'bob')
    assert_includes @server.errors, 'failed to save session'
  end

  def test_a_login_ends_the_id_before_it
    browser = browser()
    browser.get('/set?name=cart&value=1')
    planted = browser.tab

    browser.post('/login?user=ann')

    assert_equal '{}', planted.get('/').body
    assert_equal({ 'cart' => '1', 'user_id' => 'ann' }, JSON.parse(browser.get('/').body))
  end

  def test_a_change_of_the_id_does_not_revive_a_session_that_was_ended_meanwhile
    browser = logged_in('fay')
    tab = browser.tab

    renew_after_the_end(tab, 'fay', 'renew')

    assert_equal browser.cookie, tab.cookie
    assert_equal '{}', tab.get('/').body
    assert_empty SERVICE.sessions('--app', 'shop', 'list', '--subject', 'fay')
    assert_includes @server.errors, 'did not change the id of a session that had ended'
  end

  def test_a_login_whose_session_ended_meanwhile_works_at_the_next_try
    browser = logged_in('gil')

    renew_after_the_end(browser, 'gil', 'login')
    after_the_end = browser.get('/').body
    browser.post('/login?user=gil')

    assert_equal ['{}', '{"user_id":"gil"}'], [after_the_end, browser.get('/').body]
  end

  def test_a_session_that_is_destroyed_after_its_end_can_be_followed_by_a_login
    browser = logged_in('hal')

    renew_after_the_end(browser, 'hal', 'destroy-and-login')

    assert_equal '{"user_id":"hal"}', browser.get('/').body
  end

  def test_revoke_subject_ends_all_sessions_of_a_user_within_a_second
    browsers = Array.new(3) { logged_in('eve') }
    other = logged_in('ann')
    assert_equal 3, SERVICE.sessions('--app', 'shop', 'list', '--subject', 'eve').size

    SERVICE.sessions('--app', 'shop', 'revoke-subject', 'eve')

    # The command has answered, so no time is left to wait for.
    assert_equal ['{}'] * 3, browsers.map { |browser| browser.get('/').body }
    assert_includes other.get('/').body, 'ann'
  end

  def test_a_restart_of_the_service_loses_no_request_and_no_entry
    browser = logged_in('carl')
    SERVICE.stop
    restarted = Thread.new { SERVICE.launch }

    answers = Array.new(3) { |index| browser.get("/set?name=n#{index}&value=1").code }

    assert restarted.value
    assert_equal %w[200] * 3, answers
    assert_equal %w[n0 n1 n2 user_id], JSON.parse(browser.get('/').body).keys.sort
  end

  def test_no_id_and_no_key_is_in_a_log
    browser = logged_in('dora')
    browser.get('/set?name=a&value=1')
    sid = Rack::Session::SessionId.new(browser.cookie.split('=').last)
    browser.post('/logout')
    browser.get('/')

    log = SERVICE.log + @server.errors

    assert_includes log, 'DestroySession'
    [sid.public_id, sid.private_id, [sid.private_id].pack('m0')].each { |secret| refute_includes log, secret }
  end

  private

  # Lets requests go on when a number of them has come.
  class Gate
    def initialize
      @mutex = Mutex.new
      @changed = ConditionVariable.new
      @arrived = 0
    end

    def arrive(count)
      wait(count) { @arrived += 1 }
    end

    def wait_for_arrival
      wait(1) { nil }
    end

    private

    def wait(count)
      @mutex.synchronize do
        yield
        @changed.broadcast
        @changed.wait(@mutex, Processes::SECONDS) until @arrived >= count
      end
    end
  end

  # Two requests that both have loaded the session before one of them saves it.
  def both(browser, round)
    threads = %w[left right].map do |name|
      Thread.new { browser.tab.get("/set?name=#{name}&value=#{round}&gate=#{round}-#{browser.object_id}&count=2").value }
    end
    threads.each(&:join)
  end

  # A request for another id, whose session is ended after it was loaded.
  def renew_after_the_end(browser, user, path)
    slow = Thread.new { browser.post("/#{path}?user=#{user}&gate=#{path}&count=2") }
    @gates[path].wait_for_arrival
    SERVICE.sessions('--app', 'shop', 'revoke-subject', user)
    @gates[path].arrive(2)
    slow.join
  end

  def logged_in(user)
    browser.tap { |browser| browser.post("/login?user=#{user}") }
  end

  def browser
    @server ||= new_server { |app| store_of(app) }
    @server.browser
  end

  def serve(&store)
    new_server(&store).browser
  end

  def new_server
    WebServer.new(yield(method(:answer))).tap { |server| @servers << server }
  end

  def answer(env)
    request = Rack::Request.new(env)
    session = request.session
    session.to_hash
    pass_gate(request.params)
    case request.path
    when '/set' then session[request.params['name']] = request.params['value']
    when '/renew' then request.session_options[:renew] = true
    when '/login' then log_in(request)
    when '/destroy-and-login'
      request.session_options[:renew] = true
      session.destroy
      log_in(request)
    when '/logout' then session.destroy
    end
    [200, { 'Content-Type' => 'application/json' }, [JSON.generate(session.to_hash)]]
  end

  def log_in(request)
    request.session['user_id'] = request.params['user']
    request.session_options[:renew] = true
  end

  # Waits for other requests with a session that is loaded.
  def pass_gate(params)
    @gates[params['gate']].arrive(params['count'].to_i) if params['gate']
  end
end
