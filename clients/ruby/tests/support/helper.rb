# frozen_string_literal: true

$LOAD_PATH.unshift(File.expand_path('../../lib', __dir__))
require 'minitest/autorun'
require 'rack'
require 'rack/session/cloakroom'
require_relative 'service'

# A store of the service, with a deadline for a busy machine.
module Stores
  def store_of(app, **options)
    Rack::Session::Cloakroom.new(app, service: SERVICE.address, app: 'shop', deadline: 60, **options)
  end
end
