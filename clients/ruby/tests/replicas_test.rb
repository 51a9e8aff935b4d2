# frozen_string_literal: true

require_relative 'support/helper'
require_relative 'support/certificates'
require_relative 'support/scripted_peer'
require_relative 'support/web'

SERVICE = Service.new
Minitest.after_run { SERVICE.remove }

# Calls to several replicas, each of them an address of the same service.
class ReplicasTest < Minitest::Test
  KEY = 'a key of a session in this test'
  CALLS = 60
  Cloakroom = Rack::Session::Cloakroom

  def setup
    @peers = []
  end

  def teardown
    @peers.each(&:close)
  end

  def test_all_replicas_get_calls
    replicas = Array.new(3) { forwarding }
    client = client(*replicas.map(&:address))

    Processes.wait_until('each replica gets a call') do
      client.open(KEY)
      replicas.none? { |replica| replica.requests.empty? }
    end
  end

  def test_no_request_of_an_application_fails_while_a_replica_is_down
    counting = lambda do |env|
      env['rack.session']['count'] = env['rack.session']['count'].to_i + 1
      [200, {}, [env['rack.session']['count'].to_s]]
    end
    store = Cloakroom.new(counting, service: [down, SERVICE.socket, SERVICE.address], app: 'shop', deadline: 60)
    web = WebServer.new(store)

    browser = web.browser
    counts = Array.new(CALLS) { browser.get('/').body }

    assert_equal (1..CALLS).map(&:to_s), counts
  ensure
    web&.stop
  end

  def test_a_call_to_a_replica_that_hangs_is_made_again_to_another_one
    silent = Queue.new
    hanging = peer { silent.pop }
    other = forwarding
    client = client(hanging.address, other.address, deadline: 20)

    saves = 0
    Processes.wait_until('a call is made to the replica that hangs') do
      client.save(KEY, changes: { increment: { hung: 1 } })
      saves += 1
      !hanging.requests.empty?
    end

    first = body_of(hanging.requests.pop)
    assert_equal first, body_of(Array.new(saves) { other.requests.pop }.last)
    assert_equal saves.to_s, client.open(KEY).dig('session', 'entries', 'hung', 'json')
  end

  def test_a_replica_that_does_not_answer_is_asked_seldom
    breaks = peer { nil }
    client = client(breaks.address, forwarding.address)

    CALLS.times { assert client.open(KEY) }

    # Half of all calls would ask it first if nothing was remembered.
    assert_operator breaks.requests.size, :<=, CALLS / 6
  end

  def test_a_replica_behind_a_proxy_that_answers_502_is_asked_less_and_less
    proxy = peer { "HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n" }
    client = client(proxy.address, forwarding.address)
    # It is asked again after a second at most, then after 1.5 seconds at least.
    asked = [0, 1.1, 2.4].map do |time|
      Cloakroom::Connection.stub(:now, time) { CALLS.times { client.open(KEY) } }
      proxy.requests.size
    end

    assert_equal [1, 2, 2], asked
  end

  def test_a_replica_that_comes_back_gets_calls
    broken = true
    returning = peer { |request| broken ? nil : ScriptedPeer.forward(request, SERVICE) }
    client = client(returning.address, forwarding.address)
    Processes.wait_until('the replica breaks a call') { client.open(KEY) && !returning.requests.empty? }

    broken = false
    returning.requests.clear

    Processes.wait_until('the replica gets a call') { client.open(KEY) && !returning.requests.empty? }
  end

  def test_a_call_that_no_replica_answers_names_the_last_two
    one = down
    two = down

    error = assert_raises(Cloakroom::Unavailable) { client(one, two, deadline: 0.5).open(KEY) }

    [one, two].each { |address| assert_includes error.message, "OpenSession at #{address}: " }
  end

  def test_a_replica_whose_certificate_is_not_trusted_fails_no_call
    certificates = Certificates.new
    services = %w[service other].map { |name| tls_service(certificates, name) }
    addresses = services.map { |service| "https://#{service.address}" }
    client = client(*addresses, credentials: { ca_file: certificates.path('ca.crt') })

    20.times { assert client.open(KEY) }
  ensure
    services&.each(&:remove)
    FileUtils.remove_entry(certificates.folder)
  end

  def test_what_is_no_address_is_refused_with_what_to_write
    ['a:1,b:2', 'a', nil, 50_051, {}, ['a:1', nil], [['a:1']], ['a:1', 'b:70000']].each do |wrong|
      error = assert_raises(ArgumentError, wrong.inspect) { Cloakroom::Client.new(service: wrong) }
      assert_match(%r{ is no address of the service; write host:port, https://host:port or unix:/path, or a list}, error.message)
    end
    error = assert_raises(ArgumentError) { Cloakroom::Client.new(service: []) }
    assert_match(/name at least one address/, error.message)
  end

  private

  def client(*addresses, **options)
    Cloakroom::Client.new(**{ service: addresses, app: 'shop', deadline: 60 }.merge(options))
  end

  def down
    "127.0.0.1:#{Processes.free_port}"
  end

  def peer(&answer)
    ScriptedPeer.new(&answer).tap { |peer| @peers << peer }
  end

  def forwarding
    peer { |request| ScriptedPeer.forward(request, SERVICE) }
  end

  def body_of(request)
    JSON.parse(request.split("\r\n\r\n", 2).last)
  end

  def tls_service(certificates, name)
    Service.new(more: <<~TOML)
      [server.tls]
      certificate_file = "#{certificates.path("#{name}.crt")}"
      key_file = "#{certificates.path("#{name}.key")}"
    TOML
  end
end
