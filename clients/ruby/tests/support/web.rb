# frozen_string_literal: true

require 'net/http'
require 'puma'
require 'puma/server'
require 'rack/version'

# Puma with an application, in this process.
class WebServer
  THREADS = 8
  attr_reader :port

  def initialize(app)
    @errors = StringIO.new
    events = Puma::Events.new(@errors, @errors)
    @server = Puma::Server.new(app, events, min_threads: THREADS, max_threads: THREADS)
    @port = @server.add_tcp_listener('127.0.0.1', 0).addr[1]
    @server.run
  end

  def browser(cookie: nil)
    Browser.new(@port, cookie)
  end

  # What the application has written to `rack.errors`.
  def errors
    @errors.string
  end

  def stop
    @server.stop(true)
  end
end

# A browser with one cookie. Each thread needs a connection of its own, so each request makes one.
class Browser
  attr_accessor :cookie

  def initialize(port, cookie)
    @port = port
    @cookie = cookie
  end

  def get(path)
    request(Net::HTTP::Get.new(path))
  end

  def post(path, form = {})
    request(Net::HTTP::Post.new(path).tap { |post| post.set_form_data(form) })
  end

  # The same browser in another tab.
  def tab
    Browser.new(@port, cookie)
  end

  private

  def request(request)
    request['cookie'] = cookie if cookie
    request['user-agent'] = 'a test'
    response = Net::HTTP.start('127.0.0.1', @port, nil, read_timeout: 120) { |http| http.request(request) }
    set = response.get_fields('set-cookie')&.last
    self.cookie = set[/\A[^;]+/] if set
    response
  end
end
