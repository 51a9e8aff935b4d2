# frozen_string_literal: true

# A login and a counter in Ruby, which has no client for these sessions: calls by HTTP and JSON, as docs/wire.md has them.

%w[cgi json net/http securerandom webrick].each { |library| require library }

HEADERS = { 'content-type' => 'application/json', 'connect-timeout-ms' => '20000' }.freeze

def call(method, message)
  host, port = ENV.fetch('CLOAKROOM_ADDRESS').split(':')
  path = "/cloakroom.v1.SessionService/#{method}"
  answer = Net::HTTP.new(host, port, nil).post(path, JSON.generate(message), HEADERS)
  answer.code == '200' ? JSON.parse(answer.body) : raise(answer.body)
end

def save(message)
  call('SaveSession', requestId: SecureRandom.hex, accessed: true, **message)
end

def page(entries)
  name, count = %w[name count].map { |key| JSON.parse(entries.dig(key, 'json') || 'null') }
  <<~HTML
    <!doctype html><meta charset="utf-8"><title>Cloakroom</title>
    <p id="who">#{name ? "Hello, #{CGI.escapeHTML(name)}" : 'not logged in'}</p>
    <p>Counter: <output id="count">#{count || 0}</output></p>
    <form method="post" action="/count"><button>Count</button></form>
    <form method="post" action="/logout"><button>Log out</button></form>
    <form method="post" action="/login"><input name="name" required><button>Log in</button></form>
  HTML
end

# Returns the page that a request asks for, or nil for the first page, and the headers to send.
def handle(path, cookies, form)
  return [nil, call('DestroySession', cookieHeader: cookies)['headers']] if path == '/logout'

  if path == '/login'
    name = form['name'].to_s.force_encoding('utf-8')
    changes = { set: { name: { json: JSON.generate(name) } }, subject: name }
    return [nil, save(cookieHeader: cookies, rotate: true, changes: changes)['headers']]
  end
  opened = call('OpenSession', cookieHeader: cookies)
  entries = opened['session']['entries'] || {}
  return [page(entries), opened['readHeaders']] unless path == '/count'

  saved = save(token: opened['session']['token'], cookieOutdated: opened['cookieOutdated'], changes: { increment: { count: 1 } })
  [page(entries.merge('count' => { 'json' => saved['counters']['count'] })), saved['headers']]
end

server = WEBrick::HTTPServer.new(BindAddress: '127.0.0.1', Port: 0, AccessLog: [])
server.mount_proc('/') do |request, response|
  cookies = request.header['cookie'].join('; ').encode('utf-8', 'iso-8859-1')
  body, headers = handle(request.path, cookies, request.query)
  headers&.each { |h| h['name'] == 'Set-Cookie' ? response.cookies << h['value'] : response[h['name']] = h['value'] }
  body ? response.body = body : response.status = 303
  body ? response.content_type = 'text/html' : response['location'] = '/'
end
trap('TERM') { server.shutdown }
puts "http://127.0.0.1:#{server.config[:Port]}"
$stdout.flush
server.start
