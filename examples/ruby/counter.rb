# A counter: opens the session by the Cookie header, saves the change, and sends the headers that the service returns.
%w[json net/http securerandom webrick].each { |library| require library }
HEADERS = { 'content-type' => 'application/json', 'connect-timeout-ms' => '2000' }.freeze
# The connections of all threads. The nil stands for no proxy, because calls carry tokens.
POOL = Queue.new(Array.new(8) { Net::HTTP.new(*ENV.fetch('CLOAKROOM_ADDRESS', '127.0.0.1:50051').split(':'), nil) })

def call(method, request)
  http, attempt = POOL.pop, 1
  http.open_timeout, http.read_timeout, http.keep_alive_timeout = 1, 2.5, 60 # seconds
  begin
    http.start unless http.started?
    answer = http.post("/cloakroom.v1.SessionService/#{method}", JSON.generate(request), HEADERS)
    raise IOError, answer.body if %w[429 503 504].include?(answer.code)
  rescue SystemCallError, IOError, Timeout::Error => error
    retry if (attempt += 1) == 2 && sleep(0.2) # With the same requestId, so the save is made once.
    warn error.message
    raise WEBrick::HTTPStatus::ServiceUnavailable
  end
  raise WEBrick::HTTPStatus::BadRequest if answer.code == '400' # A write beside the cookies of two sessions.
  answer.code == '200' ? JSON.parse(answer.body) : raise(answer.body)
ensure
  POOL << http
end

server = WEBrick::HTTPServer.new(BindAddress: '127.0.0.1', Port: ENV.fetch('PORT', 8004).to_i, AccessLog: [])
server.mount_proc('/') do |request, response|
  opened = call('OpenSession', cookieHeader: request.header['cookie'].join('; ').encode('utf-8', 'iso-8859-1'))
  count, headers = opened['session'].dig('entries', 'count', 'json'), opened['readHeaders']
  if request.request_method == 'POST'
    saved = call('SaveSession', token: opened['session']['token'], cookieOutdated: opened['cookieOutdated'],
      requestId: SecureRandom.hex, accessed: true, changes: { increment: { count: 1 } })
    response.status = 409 if saved['outcome'] == 'OUTCOME_GONE' # The session has ended.
    count, headers = saved.dig('counters', 'count'), saved['headers']
  end
  headers&.each { |h| h['name'] == 'Set-Cookie' ? response.cookies << h['value'] : response[h['name']] = h['value'] }
  response.content_type = 'text/html'
  response.body = %(<output id="count">#{count || 0}</output> <form method="post"><button>Count</button></form>)
end
trap('TERM') { server.shutdown }
server.start
