# frozen_string_literal: true

require_relative 'support/helper'
require 'rack/mock'
require 'time'

SERVICE = Service.new
Minitest.after_run { SERVICE.remove }

# What Rack asks of a store: the cases of Rack's own store in memory, and what its options mean.
class RackTest < Minitest::Test
  include Stores

  COOKIE = /\Arack\.session=(\h{64});/.freeze

  def setup
    @store = store_of(counting)
  end

  def test_a_first_write_sets_a_cookie
    response = get

    assert_match COOKIE, response['Set-Cookie']
    assert_equal '{"counter"=>1}', response.body
  end

  def test_the_cookie_opens_the_session_and_is_not_sent_again
    cookie = get['Set-Cookie']

    answers = Array.new(2) { get(cookie) }

    assert_equal ['{"counter"=>2}', '{"counter"=>3}'], answers.map(&:body)
    assert_equal [nil, nil], answers.map { |answer| answer['Set-Cookie'] }
  end

  def test_an_unknown_cookie_begins_a_session_with_another_id
    ['blarghfasel', '', 'a' * 64, '%FF%00', 'x' * 3000].each do |value|
      response = get("rack.session=#{value}")

      assert_equal '{"counter"=>1}', response.body
      refute_equal value, response['Set-Cookie'][COOKIE, 1]
    end
  end

  def test_drop_ends_the_session_and_sets_no_cookie
    cookie = get['Set-Cookie']

    dropped = get(cookie, with(drop: true))
    later = get(cookie)

    assert_equal ['{"counter"=>2}', nil], [dropped.body, dropped['Set-Cookie']]
    assert_equal '{"counter"=>1}', later.body
    refute_equal cookie, later['Set-Cookie']
  end

  def test_renew_moves_the_entries_to_another_id_and_ends_the_old_one
    cookie = get['Set-Cookie']

    renewed = get(cookie, with(renew: true))
    moved = renewed['Set-Cookie']

    refute_equal cookie[COOKIE, 1], moved[COOKIE, 1]
    assert_equal ['{"counter"=>2}', '{"counter"=>3}'], [renewed.body, get(moved).body]
    assert_equal '{"counter"=>1}', get(cookie).body
  end

  def test_renew_keeps_the_entries_of_a_session_that_the_request_did_not_read
    cookie = get['Set-Cookie']

    moved = get(cookie, with({ renew: true }, nothing))['Set-Cookie']

    assert_equal '{"counter"=>2}', get(moved).body
  end

  def test_renew_with_a_value_that_is_refused_leaves_the_session_as_it_was
    cookie = get['Set-Cookie']
    odd = lambda do |env|
      env['rack.session']['odd'] = :symbol
      [200, {}, []]
    end

    assert_raises(Rack::Session::Cloakroom::ValueRefused) { get(cookie, with({ renew: true }, odd)) }

    assert_equal '{"counter"=>2}', get(cookie).body
  end

  def test_destroy_ends_the_session_and_what_follows_has_another_id
    cookie = get['Set-Cookie']
    destroying = lambda do |env|
      env['rack.session'].destroy
      counting.call(env)
    end

    begun = get(cookie, destroying)

    assert_equal ['{"counter"=>1}', '{"counter"=>2}'], [begun.body, get(begun['Set-Cookie']).body]
    assert_equal '{"counter"=>1}', get(cookie).body
  end

  def test_a_logout_without_a_write_sets_no_cookie
    cookie = get['Set-Cookie']

    response = get(cookie, ->(env) { [200, {}, [env['rack.session'].destroy.class.name]] })

    assert_nil response['Set-Cookie']
    assert_equal '{"counter"=>1}', get(cookie).body
  end

  def test_defer_saves_and_sets_no_cookie
    cookie = get['Set-Cookie']

    assert_nil get(nil, with(defer: true))['Set-Cookie']
    assert_nil get(cookie, with(defer: true))['Set-Cookie']
    assert_equal '{"counter"=>3}', get(cookie).body
  end

  def test_skip_saves_nothing_and_sets_no_cookie
    cookie = get['Set-Cookie']

    assert_nil get(nil, with(skip: true))['Set-Cookie']
    assert_equal '{"counter"=>2}', get(cookie, with(skip: true)).body
    assert_equal '{"counter"=>2}', get(cookie).body
  end

  def test_a_request_that_does_not_write_sets_no_cookie_and_stores_nothing
    reading = ->(env) { [200, {}, [env['rack.session'].to_hash.inspect]] }
    before = SERVICE.calls('SaveSession')

    [nothing, reading].each do |app|
      [nil, 'rack.session=unknown'].each { |cookie| assert_nil get(cookie, app)['Set-Cookie'] }
    end
    assert_nil get(nil, nothing, store_of(nothing, expire_after: 3600))['Set-Cookie']

    assert_equal before, SERVICE.calls('SaveSession')
  end

  def test_a_request_that_only_reads_makes_one_call
    cookie = get['Set-Cookie']
    before = %w[OpenSession SaveSession].map { |rpc| SERVICE.calls(rpc) }

    get(cookie, ->(env) { [200, {}, [env['rack.session']['counter'].to_s]] })
    get(cookie, nothing)

    assert_equal [before[0] + 1, before[1]], %w[OpenSession SaveSession].map { |rpc| SERVICE.calls(rpc) }
  end

  def test_what_stood_in_the_session_before_the_store_is_saved
    store = store_of(nothing, expire_after: 3600)

    response = Rack::MockRequest.new(store).get('/', 'rack.session' => { 'not' => 'empty' })

    assert_equal '{"not"=>"empty", "counter"=>1}', get(response['Set-Cookie']).body
  end

  def test_the_store_of_an_inner_application_leaves_the_session_of_the_outer_one_alone
    cookie = get['Set-Cookie'][/\A[^;]+/]
    inner = store_of(counting, key: 'inner.session')

    2.times do |round|
      visited = get(cookie, round.zero? ? inner : lambda { |env| env['rack.session']['counter'] && inner.call(env) })

      assert_match(/\Ainner\.session=\h{64}; [^\n]*\z/, visited['Set-Cookie'])
    end
    assert_equal '{"counter"=>2}', get(cookie).body
  end

  def test_expire_after_is_the_lifetime_of_the_cookie_and_of_the_session
    store = store_of(counting, expire_after: 3600)
    cookie = get(nil, counting, store)['Set-Cookie']

    again = get(cookie, nothing_but_a_read, store)

    assert_includes cookie, 'expires='
    assert_includes again['Set-Cookie'], 'expires='
    assert_includes lifetimes, 3600
  end

  def test_a_slow_request_that_only_reads_does_not_replace_the_cookie_of_a_login
    store = store_of(counting, expire_after: 3600)
    cookie = get(nil, counting, store)['Set-Cookie']
    seconds = 0
    login = ''
    slow = lambda do |env|
      counter = env['rack.session']['counter']
      login = get(cookie, with(renew: true), store)['Set-Cookie']
      seconds = 1
      [200, {}, [counter.to_s]]
    end

    late = with_clock(-> { seconds }) { get(cookie, slow, store) }

    assert_equal ['1', nil], [late.body, late['Set-Cookie']]
    assert_equal '{"counter"=>3}', get(login, counting, store).body
  end

  def test_a_slow_request_that_only_reads_sends_its_cookie_in_an_outage_too
    service = Service.new
    store = store_of(counting, service: service.address, deadline: 2, expire_after: 3600)
    cookie = get(nil, counting, store)['Set-Cookie']
    seconds = 0
    slow = lambda do |env|
      counter = env['rack.session']['counter']
      service.stop
      seconds = 1
      [200, {}, [counter.to_s]]
    end

    late = with_clock(-> { seconds }) { get(cookie, slow, store) }

    assert_equal ['1', cookie[COOKIE, 1]], [late.body, late['Set-Cookie'][COOKIE, 1]]
  ensure
    service&.remove
  end

  def test_a_request_may_choose_another_lifetime_which_stays
    cookie = get['Set-Cookie']

    get(cookie, with({ expire_after: 1234 }, nothing_but_a_read))
    get(cookie)

    assert_includes lifetimes, 1234
  end

  def test_a_chosen_lifetime_goes_back_to_the_default_if_the_next_request_does_not_choose_it
    store = store_of(counting, expire_after: 3456)
    cookie = get(nil, with(expire_after: 2345), store)['Set-Cookie']
    chosen = lifetimes

    get(cookie, counting, store)

    assert_includes chosen, 2345
    refute_includes lifetimes, 2345
    assert_includes lifetimes, 3456
  end

  def test_a_lifetime_that_each_request_chooses_from_an_entry_stays
    store = store_of(counting, expire_after: 3456)
    remembering = lambda do |env|
      env['rack.session']['lifetime'] ||= 2222
      with({ expire_after: env['rack.session']['lifetime'] }).call(env)
    end
    cookie = get(nil, remembering, store)['Set-Cookie']

    get(cookie, remembering, store)

    assert_includes lifetimes, 2222
  end

  def test_the_cookie_has_the_attributes_that_the_options_name
    { none: 'None', lax: 'Lax' }.each do |name, text|
      [name, ->(_request, _response) { name }].each do |same_site|
        store = store_of(counting, same_site: same_site, path: '/shop', key: 'shop.session')

        cookie = get(nil, counting, store)['Set-Cookie']

        assert_match(/\Ashop\.session=\h{64}; .*path=\/shop.*samesite=#{text}/i, cookie)
      end
    end
  end

  def test_a_secure_session_is_saved_by_https_only
    store = store_of(counting, secure: true)

    assert_nil get(nil, counting, store)['Set-Cookie']
    assert_match(/secure/i, Rack::MockRequest.new(store).get('https://example.org/')['Set-Cookie'])
  end

  def test_an_entry_that_is_removed_or_nil_is_gone
    cookie = get(nil, ->(env) { [200, {}, [env['rack.session'].update('a' => 1, 'b' => 2, 'c' => 3).inspect]] })['Set-Cookie']

    get(cookie, lambda { |env|
      env['rack.session'].delete('a')
      env['rack.session']['b'] = nil
      [200, {}, []]
    })

    assert_equal '{"c"=>3}', get(cookie, ->(env) { [200, {}, [env['rack.session'].to_hash.inspect]] }).body
  end

  def test_options_that_cannot_work_are_refused_with_what_to_write
    {
      { sidbits: 64 } => /sidbits is 64; it is at least 128/, { service: 'cloakroom' } => /write host:port, https/,
      { deadline: 0 } => /deadline is 0/, { pool_size: 0 } => /pool_size is 0/,
      { credentials: { ca_file: '/ca.pem' } } => %r{write the address as https://host:port},
      { credentials: { token: "secret\n" } } => /token has a character that is not visible ASCII/,
      { credentials: { certificate_file: '/c.pem' } } => /belong together/,
      { service: 'https://localhost:1', credentials: { ca_file: '/nowhere.pem' } } => /ca_file, .* is no readable file in PEM/,
      { service: 'https://localhost:1', credentials: { certificate_file: __FILE__, key_file: __FILE__ } } => /in PEM/
    }.each do |options, message|
      error = assert_raises(ArgumentError) { Rack::Session::Cloakroom.new(counting, **options) }

      assert_match message, error.message
      refute_includes error.message, 'secret'
    end
  end

  private

  def counting
    lambda do |env|
      env['rack.session']['counter'] = (env['rack.session']['counter'] || 0) + 1
      [200, {}, [env['rack.session'].to_hash.inspect]]
    end
  end

  def nothing
    ->(_env) { [200, {}, ['nothing']] }
  end

  def nothing_but_a_read
    ->(env) { [200, {}, [env['rack.session']['counter'].inspect]] }
  end

  # An application that sets options of the session before it goes on.
  def with(options, app = counting)
    lambda do |env|
      env['rack.session.options'].update(options)
      app.call(env)
    end
  end

  def get(cookie = nil, app = counting, store = @store)
    Rack::MockRequest.new(Rack::Utils::Context.new(store, app)).get('/', cookie ? { 'HTTP_COOKIE' => cookie } : {})
  end

  # Runs a block while the clock of the store is as many seconds fast.
  def with_clock(seconds, &block)
    connection = Rack::Session::Cloakroom::Connection
    now = connection.method(:now)
    connection.stub(:now, -> { now.call + seconds.call }, &block)
  end

  # The seconds that each session lives after its last use.
  def lifetimes
    SERVICE.sessions('--app', 'shop', 'list').map do |session|
      (Time.iso8601(session['expire_time']) - Time.iso8601(session['access_time'])).round
    end
  end
end
