# frozen_string_literal: true

require_relative 'support/helper'
require_relative 'support/web'
require 'rails'
require 'action_controller/railtie'
require 'rack-session-cloakroom'

SERVICE = Service.new
Minitest.after_run { SERVICE.remove }

# An application with a login, as `rails new` makes one, without a database.
class Shop < Rails::Application
  config.load_defaults 6.1
  config.eager_load = false
  config.secret_key_base = 'a' * 64
  config.hosts.clear
  config.logger = Logger.new(LOG = StringIO.new)
  config.consider_all_requests_local = false
  config.session_store :cloakroom_store, key: '_shop', service: SERVICE.address, app: 'shop', deadline: 60
end

class ShopController < ActionController::Base
  protect_from_forgery with: :exception

  def show
    render json: { user: session[:user_id], flash: flash.to_h, token: form_authenticity_token, cart: session[:cart] }
  end

  def login
    cart = session[:cart]
    reset_session
    session[:user_id] = params[:user]
    session[:cart] = cart
    redirect_to '/', notice: "Hello #{params[:user]}", flash: { tags: %w[a b] }
  end

  def add
    session[:cart] = [*session[:cart], params[:item]]
    head :ok
  end

  def logout
    reset_session
    redirect_to '/', alert: 'Goodbye'
  end

  def symbol
    session[:state] = { step: 1 }
    head :ok
  end
end

Shop.initialize!
Shop.routes.draw do
  root to: 'shop#show'
  %w[login add logout symbol].each { |name| post name, to: "shop##{name}" }
end

# Rails: its session, flash and tokens against forged requests.
class RailsTest < Minitest::Test
  def setup
    @web = WebServer.new(Shop)
    @browser = @web.browser
  end

  def teardown
    @web.stop
  end

  def test_a_login_moves_to_another_id_with_flash_and_entries
    show
    submit('/add', item: 'tea')
    planted = @browser.tab

    submit('/login', user: 'ann')

    page = show
    assert_equal ['ann', ['tea'], { 'notice' => 'Hello ann', 'tags' => %w[a b] }], page.values_at('user', 'cart', 'flash')
    assert_equal [{}, 'ann'], show.values_at('flash', 'user')
    refute_equal planted.cookie, @browser.cookie
    assert_nil show(planted)['user']
    assert_equal 1, SERVICE.sessions('--app', 'shop', 'list', '--subject', 'ann').size
  end

  def test_a_logout_ends_the_session_and_shows_its_flash
    show
    submit('/login', user: 'bob')
    before = @browser.tab
    show

    submit('/logout')

    assert_equal [nil, { 'alert' => 'Goodbye' }], show.values_at('user', 'flash')
    assert_nil show(before)['user']
    assert_empty SERVICE.sessions('--app', 'shop', 'list', '--subject', 'bob')
  end

  def test_a_request_without_the_token_of_the_session_is_refused
    show

    refused = @browser.post('/add', item: 'tea', authenticity_token: 'forged')

    assert_equal '422', refused.code
    assert_nil show['cart']
  end

  def test_revoke_subject_logs_a_user_out
    show
    submit('/login', user: 'eve')

    SERVICE.sessions('--app', 'shop', 'revoke-subject', 'eve')

    assert_nil show['user']
  end

  def test_a_value_that_would_come_back_as_another_is_refused_with_its_name
    show

    response = submit('/symbol')

    assert_equal '500', response.code
    assert_match(/ValueRefused.*session\["state"\] has a Hash with a key that is an object of Symbol/, Shop::LOG.string)
  end

  def test_an_outage_is_the_status_503
    reading = ->(env) { [200, {}, [ActionDispatch::Request.new(env).session[:user_id].to_s]] }
    service = "127.0.0.1:#{Processes.free_port}"
    store = ActionDispatch::Session::CloakroomStore.new(reading, key: '_shop', service: service, app: 'shop', deadline: 0.2)
    pages = ActionDispatch::PublicExceptions.new('/nowhere')
    application = ActionDispatch::ShowExceptions.new(store, pages)

    env = { 'HTTP_COOKIE' => '_shop=an-id', 'action_dispatch.show_exceptions' => true }
    response = Rack::MockRequest.new(application).get('/', Shop.env_config.merge(env))

    assert_equal 503, response.status
  end

  private

  def show(browser = @browser)
    JSON.parse(browser.get('/').body)
  end

  def submit(path, form = {})
    response = @browser.post(path, form.merge(authenticity_token: show['token']))
    assert_includes %w[200 302 500], response.code
    response
  end
end
