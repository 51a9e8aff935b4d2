# frozen_string_literal: true

require_relative 'support/helper'
require 'rack/mock'

SERVICE = Service.new
Minitest.after_run { SERVICE.remove }

# What a value is when it comes back, and what a save sends of a session.
class ValuesTest < Minitest::Test
  include Stores

  KEPT = {
    'text' => "ünïcode \u{1F35E} \0 \\ \" \u2028", 'empty' => '', 'number' => 2**80, 'float' => -1.5e-7, 'yes' => true,
    'no' => false, 'list' => [1, [nil, {}], []], 'hash' => { 'a' => { '' => [nil] } }, 'name ✓' => 1,
    'ascii' => 'abc'.encode(Encoding::US_ASCII)
  }.freeze
  REFUSED = {
    { a: 1 } => 'a Hash with a key that is an object of Symbol', { 1 => 2 } => 'a Hash with a key that is an object of Integer',
    :name => 'an object of Symbol', [Time.at(0)] => 'an object of Time', "\xFF" => 'a String that is not UTF-8',
    'ä'.encode(Encoding::ISO_8859_1) => 'a String that is not UTF-8', { 'a' => [1..2] } => 'an object of Range'
  }.freeze

  def setup
    @store = store_of(->(_env) {})
  end

  def test_values_of_json_come_back_the_same
    cookie = write(KEPT)

    assert_equal KEPT, read(cookie)
  end

  def test_a_value_that_would_come_back_as_another_is_refused_before_anything_is_written
    REFUSED.each do |value, what|
      cookie = write('before' => 1)

      error = assert_raises(Rack::Session::Cloakroom::ValueRefused) { write({ 'after' => 1, 'odd' => value }, cookie) }

      assert_match(/\Asession\["odd"\] has #{what}, which JSON cannot hold/, error.message)
      assert_equal({ 'before' => 1 }, read(cookie))
    end
  end

  def test_a_name_that_is_not_utf_8_is_refused
    assert_raises(Rack::Session::Cloakroom::ValueRefused) { write("\xFF" => 1) }
  end

  def test_the_serializer_keeps_what_json_cannot_hold
    @store = store_of(->(_env) {}, serializer: Marshal)
    odd = { 'symbols' => { a: :b }, 'time' => Time.at(0), 'bytes' => "\xFF".b, 'user_id' => 'ann' }

    cookie = write(odd)
    write({ 'more' => 1 }, cookie)

    assert_equal odd.merge('more' => 1), read(cookie)
    assert_equal 1, SERVICE.sessions('--app', 'shop', 'list', '--subject', 'ann').size
  end

  def test_what_another_client_wrote_as_bytes_or_null_stays
    cookie = write('a' => 1)
    key = Rack::Session::SessionId.new(cookie[/\A[^=]+=(\h+)/, 1]).private_id
    client = Rack::Session::Cloakroom::Client.new(service: SERVICE.address, app: 'shop', deadline: 60)
    client.save(key, changes: { set: { raw: { raw: 'AAE=' }, none: { json: 'null' }, a: { json: '  1 ' } } })

    write({ 'b' => 2 }, cookie)

    assert_equal({ 'a' => 1, 'b' => 2 }, read(cookie).compact)
    entries = client.open(key)['session']['entries']
    assert_equal [{ 'raw' => 'AAE=' }, { 'json' => 'null' }, { 'json' => '  1 ' }], entries.values_at('raw', 'none', 'a')
  end

  def test_a_save_of_the_same_values_makes_no_call
    cookie = write('a' => { 'b' => [1, 2] })
    before = SERVICE.calls('SaveSession')

    write({ 'a' => { 'b' => [1, 2] } }, cookie)

    assert_equal before, SERVICE.calls('SaveSession')
  end

  private

  def write(values, cookie = nil)
    response = serve(cookie) { |session| session.update(values) }
    response['Set-Cookie'] || cookie
  end

  def read(cookie)
    seen = nil
    serve(cookie) { |session| seen = session.to_hash }
    seen
  end

  def serve(cookie)
    app = lambda do |env|
      yield env['rack.session']
      [200, {}, []]
    end
    Rack::MockRequest.new(Rack::Utils::Context.new(@store, app)).get('/', cookie ? { 'HTTP_COOKIE' => cookie } : {})
  end
end
