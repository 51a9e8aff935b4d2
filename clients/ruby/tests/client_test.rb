# frozen_string_literal: true

require_relative 'support/helper'
require_relative 'support/certificates'
require_relative 'support/scripted_peer'
require 'digest'
require 'rack/mock'
require 'timeout'

SERVICE = Service.new
Minitest.after_run { SERVICE.remove }

# How calls reach the service: connections, deadlines, repeats, and errors that say what to do.
class ClientTest < Minitest::Test
  TOKEN = 'a-caller-token-of-this-test'
  KEY = 'a key of a session in this test'
  Cloakroom = Rack::Session::Cloakroom

  def setup
    @peers = []
  end

  def teardown
    @peers.each(&:close)
  end

  def test_a_unix_socket_is_an_address
    client = client(service: SERVICE.socket)
    client.save(KEY, changes: { set: { a: { json: '1' } } })

    assert_equal '1', client().open(KEY).dig('session', 'entries', 'a', 'json')
  end

  def test_tls_needs_a_certificate_of_the_authority_and_for_the_name
    certificates = Certificates.new
    service = tls_service(certificates, 'service')
    other = tls_service(certificates, 'other')
    known = { token: TOKEN, ca_file: certificates.path('ca.crt') }

    assert tls_client(service, known).open(KEY)['session']['new']
    assert_match(/certificate verify failed/, error_of(service, { token: TOKEN }).message)
    assert_match(/name 127.0.0.1\z/, error_of(other, known).message)
  ensure
    [service, other].compact.each(&:remove)
    FileUtils.remove_entry(certificates.folder)
  end

  def test_a_caller_shows_a_token_or_a_certificate
    certificates = Certificates.new
    service = tls_service(certificates, 'service')
    trust = { ca_file: certificates.path('ca.crt') }
    certificate = { certificate_file: certificates.path('caller.crt'), key_file: certificates.path('caller.key') }

    assert tls_client(service, { token: TOKEN, **trust }).open(KEY)
    assert tls_client(service, { **certificate, **trust }).open(KEY)
    [{}, { token: 'wrong' }].each do |wrong|
      error = assert_raises(Cloakroom::Refused) { tls_client(service, { **wrong, **trust }).open(KEY) }
      assert_equal 'CALLER_UNKNOWN', error.reason
    end
  ensure
    service&.remove
    FileUtils.remove_entry(certificates.folder)
  end

  def test_calls_one_after_the_other_share_a_connection
    peer = forwarding

    client = client(service: peer.address)
    3.times { client.open(KEY) }

    assert_equal 1, peer.connections
  end

  def test_a_connection_that_the_service_has_closed_is_replaced
    closes_after_each = peer { |request| ScriptedPeer.forward(request, SERVICE).sub("\r\n", "\r\nconnection: close\r\n") }
    client = client(service: closes_after_each.address)

    3.times { assert client.open(KEY) }

    assert_equal [3, 3], [closes_after_each.connections, closes_after_each.requests.size]
  end

  def test_a_save_whose_answer_is_lost_is_repeated_with_the_same_request_id
    lost = 0
    lossy = peer do |request|
      answer = ScriptedPeer.forward(request, SERVICE)
      (lost += 1) == 1 ? nil : answer
    end
    key = 'a key of a session whose answer is lost'

    saved = client(service: lossy.address).save(key, changes: { increment: { count: 1 } })

    first, second = Array.new(2) { JSON.parse(lossy.requests.pop.split("\r\n\r\n", 2).last) }
    assert_equal first, second
    assert_operator first['requestId'].size, :>=, 16
    assert_equal ['OUTCOME_CREATED', '1'], [saved['outcome'], saved['counters']['count']]
  end

  def test_what_is_refused_is_not_repeated_and_says_what_to_change
    peer = forwarding

    error = assert_raises(Cloakroom::Refused) { client(service: peer.address).open('short') }
    unknown = assert_raises(Cloakroom::Refused) { client(app: 'unknown').open(KEY) }

    assert_equal ['KEY_INVALID', 'invalid_argument', 1], [error.reason, error.code, peer.requests.size]
    assert_match(/key has 5 bytes and needs 16 to 256/, error.message)
    assert_equal 'APP_UNKNOWN', unknown.reason
  end

  def test_a_request_that_is_too_large_is_refused
    text = JSON.generate('x' * (4 << 20))

    error = assert_raises(Cloakroom::Refused) { client.save(KEY, changes: { set: { a: { json: text } } }) }

    assert_equal 'REQUEST_TOO_LARGE', error.reason
  end

  def test_a_service_that_hangs_is_unavailable_at_the_deadline
    service = Service.new
    client = client(service: service.address, deadline: 0.5)
    service.signal('STOP')

    began = Processes.now
    error = assert_raises(Cloakroom::Unavailable) { client.open(KEY) }

    assert_operator Processes.now - began, :>=, 0.5
    assert_match(/OpenSession at 127.0.0.1:\d+: /, error.message)
  ensure
    service&.signal('CONT')
    service&.remove
  end

  def test_an_address_of_a_name_that_answers_is_reached_after_others_that_hang
    addresses = [*Array.new(4) { hanging }, Addrinfo.tcp('127.0.0.1', SERVICE.port)]

    answer = of_name(addresses) { client(service: 'localhost:50051', deadline: 3).open(KEY) }

    assert answer['session']
  end

  def test_addresses_of_a_name_that_hang_cost_the_deadline_and_no_more
    silent = Addrinfo.tcp('127.0.0.1', Integer(peer { nil }.address[/\d+\z/]))
    { 'localhost:50051' => Array.new(4) { hanging },
      'https://localhost:50051' => [*Array.new(3) { hanging }, silent] }.each do |service, addresses|
      began = Processes.now
      of_name(addresses) do
        assert_raises(Cloakroom::Unavailable) { client(service: service, deadline: 1).open(KEY) }
      end

      assert_includes 1.0..3.0, Processes.now - began
    end
  end

  def test_a_look_up_of_a_name_gets_no_more_time_than_the_call
    seconds = []
    look_up = lambda do |*, timeout: nil|
      seconds << timeout
      [Addrinfo.tcp('127.0.0.1', SERVICE.port)]
    end

    Addrinfo.stub(:getaddrinfo, look_up) { client(service: 'localhost:50051', deadline: 0.9).open(KEY) }

    assert_operator seconds.fetch(0), :<=, 0.9
  end

  def test_a_call_whose_repeat_has_no_time_left_says_why_it_was_repeated
    answers = 0
    silent = Queue.new
    peer = peer { (answers += 1) == 1 ? nil : silent.pop }

    error = assert_raises(Cloakroom::Unavailable) { client(service: peer.address, deadline: 4).open(KEY) }

    assert_match(/: no answer in time; the attempt before: .*the service closed the connection\z/, error.message)
    assert_equal 'deadline_exceeded', error.code
  end

  def test_a_service_that_is_away_is_unavailable_or_what_the_application_answers
    client_options = { service: "127.0.0.1:#{Processes.free_port}", app: 'shop', deadline: 0.2 }
    reading = ->(env) { [200, {}, [env['rack.session']['a'].to_s]] }
    answering = ->(_env, error) { [503, { 'Retry-After' => '5' }, [error.class.name]] }

    plain = Cloakroom.new(reading, **client_options)
    answered = Cloakroom.new(reading, on_unavailable: answering, **client_options)

    assert_raises(Cloakroom::Unavailable) { request(plain) }
    assert_equal [503, '5', Cloakroom::Unavailable.name], [request(answered).status, request(answered)['Retry-After'], request(answered).body]
  end

  def test_a_request_that_reads_again_after_an_outage_fails_at_once
    away = peer { nil }
    calls = []
    reading = lambda do |env|
      2.times do
        env['rack.session']['a']
      rescue Cloakroom::Unavailable
        calls << away.requests.size
      end
      [503, {}, []]
    end
    # With this option Rack reads the session once more, at the end.
    store = Cloakroom.new(reading, service: away.address, app: 'shop', deadline: 1, expire_after: 3600)

    response = request(store)

    assert_equal [calls[0], calls[0]], [calls[1], away.requests.size]
    assert_equal [503, nil], [response.status, response['Set-Cookie']]
  end

  def test_a_request_that_does_not_use_its_session_works_in_an_outage_also_with_expire_after
    plain = ->(_env) { [200, {}, ['a page']] }
    store = Cloakroom.new(plain, service: "127.0.0.1:#{Processes.free_port}", app: 'shop', deadline: 0.2, expire_after: 3600)

    response = request(store)

    assert_equal [200, 'a page', nil], [response.status, response.body, response['Set-Cookie']]
  end

  def test_a_response_that_is_not_clear_is_never_read_as_a_session
    [
      "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}",
      "HTTP/1.1 200 OK\r\n\r\n{}", "HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\n{}",
      "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
      "HTTP/1.1 200 OK\r\ncontent-length : 2\r\n\r\n{}", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{]",
      "HTTP/2 200\r\ncontent-length: 2\r\n\r\n{}", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nx\r\n{}\r\n0\r\n\r\n",
      "HTTP/1.1 200 OK\r\nx: #{'a' * 70_000}\r\n\r\n", "HTTP/1.1 502 Bad Gateway\r\ncontent-length: 4\r\n\r\nnope"
    ].each do |bytes|
      wrong = peer { bytes }

      error = assert_raises(Cloakroom::Unavailable, bytes[0, 80]) { client(service: wrong.address, deadline: 0.2).open(KEY) }

      refute_includes error.message, KEY
    end
  end

  def test_chunks_and_interim_responses_are_read
    chunked = "HTTP/1.1 100 Continue\r\ncontent-length: 0\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" \
              "5;x=y\r\n{\"a\":\r\n2\r\n1}\r\n0\r\nx-trailer: 1\r\n\r\n"
    peer = peer { chunked }
    client = client(service: peer.address)

    assert_equal [{ 'a' => 1 }] * 2, Array.new(2) { client.open(KEY) }
    assert_equal 1, peer.connections
  end

  def test_threads_share_a_limited_number_of_connections
    peer = forwarding
    client = client(service: peer.address, pool_size: 2)

    threads = Array.new(8) { Thread.new { Array.new(10) { client.open(KEY) } } }

    assert_equal 80, threads.sum { |thread| thread.value.size }
    assert_operator peer.connections, :<=, 2
  end

  def test_a_thread_that_is_stopped_in_a_call_leaves_its_place_and_no_half_read_response
    released = Queue.new
    slow = peer do |request|
      released.pop if request.include?(['an unknown cookie'].pack('m0'))
      ScriptedPeer.forward(request, SERVICE)
    end
    client = client(service: slow.address, deadline: 20, pool_size: 1)
    client.save(KEY, changes: { set: { a: { json: '"mine"' } } })

    5.times { assert_raises(Timeout::Error) { Timeout.timeout(0.2) { client.open('an unknown cookie') } } }
    mine = client.open(KEY)

    assert_equal '"mine"', mine.dig('session', 'entries', 'a', 'json')
  end

  def test_processes_after_a_fork_have_connections_of_their_own
    client = client()
    keys = Array.new(4) { |index| "a key of the process with the number #{index}" }
    keys.each { |key| client.save(key, changes: { set: { a: { json: key.to_json } } }) }

    children = keys.drop(1).map { |key| fork { exit!(right?(client, key)) } }

    assert right?(client, keys.first)
    assert(children.all? { |child| Process.wait2(child).last.success? })
  end

  def test_nothing_that_is_printed_has_the_token
    store = Cloakroom.new(->(_env) {}, service: 'https://localhost:50051', credentials: { token: TOKEN })

    refute_includes store.inspect, TOKEN
    refute_includes store.default_options.inspect, TOKEN
    refute_includes store.instance_variable_get(:@client).instance_variable_get(:@credentials).inspect, TOKEN
  end

  private

  def client(**options)
    Cloakroom::Client.new(**{ service: SERVICE.address, app: 'shop', deadline: 60 }.merge(options))
  end

  def peer(&answer)
    ScriptedPeer.new(&answer).tap { |peer| @peers << peer }
  end

  # The address of a listener on which nobody accepts and whose queue is full, so that an attempt to connect hangs.
  def hanging
    listener = TCPServer.new('127.0.0.1', 0)
    listener.listen(0)
    @peers << listener
    loop { @peers << listener.local_address.connect(timeout: 0.1) }
  rescue Errno::ETIMEDOUT
    listener.local_address
  end

  # Lets each name stand for these addresses.
  def of_name(addresses, &call)
    Addrinfo.stub(:getaddrinfo, ->(*, **) { addresses }, &call)
  end

  def forwarding
    peer { |request| ScriptedPeer.forward(request, SERVICE) }
  end

  def request(store)
    Rack::MockRequest.new(store).get('/', 'HTTP_COOKIE' => 'rack.session=an-id')
  end

  # Whether each of many calls gets the session that it asked for.
  def right?(client, key)
    Array.new(100) { client.open(key).dig('session', 'entries', 'a', 'json') == key.to_json }.all?
  end

  def tls_client(service, credentials)
    client(service: "https://#{service.address}", credentials: credentials)
  end

  def error_of(service, credentials)
    assert_raises(Cloakroom::Unavailable) { tls_client(service, credentials).open(KEY) }
  end

  def tls_service(certificates, name)
    Service.new(more: <<~TOML)
      [server.tls]
      certificate_file = "#{certificates.path("#{name}.crt")}"
      key_file = "#{certificates.path("#{name}.key")}"
      client_ca_file = "#{certificates.path('ca.crt')}"
      [callers.token]
      roles = ["frontend"]
      apps = ["shop"]
      token_hashes = ["#{Digest::SHA256.hexdigest(TOKEN)}"]
      [callers.certificate]
      roles = ["frontend"]
      apps = ["shop"]
      certificate_names = ["shop.example"]
    TOML
  end
end
