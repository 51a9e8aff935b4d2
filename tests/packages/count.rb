# frozen_string_literal: true

# Counts the visits of one session in two requests, with the gem that is installed.
#
#   ruby count.rb SERVICE

require 'rack'
require 'rack/mock'
require 'rack-session-cloakroom'

count = lambda do |env|
  session = env['rack.session']
  session['visits'] = session['visits'].to_i + 1
  [200, {}, [session['visits'].to_s]]
end
browser = Rack::MockRequest.new(Rack::Session::Cloakroom.new(count, service: ARGV.first, app: 'external', deadline: 60))
first = browser.get('/')
second = browser.get('/', 'HTTP_COOKIE' => first['Set-Cookie'][/\A[^;]+/])
puts "#{first.body} #{second.body}"
