# frozen_string_literal: true

# An application on Rack and Puma. Who names a user is logged in.

$LOAD_PATH.unshift(File.expand_path('../../clients/ruby/lib', __dir__))
require 'rack'
require 'rack/session/cloakroom'
require_relative '../../clients/ruby/tests/support/web'

def answer(request)
  session = request.session
  case request.path_info
  when '/login'
    session.options[:renew] = true
    session['user'] = request.params['username']
    [303, { 'location' => '/' }, []]
  when '/set'
    session[request.params['name']] = request.params['value']
    [200, {}, ['set']]
  else
    page(session['user'])
  end
end

def page(user)
  [200, { 'content-type' => 'text/html' }, [<<~HTML]]
    <link rel="icon" href="data:,"><p>#{user ? "logged in as #{Rack::Utils.escape_html(user)}" : 'not logged in'}</p>
    <form method="post" action="/login"><input name="username"><button>Log in</button></form>
  HTML
end

pages = ->(env) { answer(Rack::Request.new(env)) }
store = Rack::Session::Cloakroom.new(pages, service: ENV.fetch('CLOAKROOM_ADDRESS'), app: 'stores', deadline: 60)
server = WebServer.new(store)
$stdout.sync = true
puts "http://127.0.0.1:#{server.port}"
sleep
