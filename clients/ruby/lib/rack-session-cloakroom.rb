# frozen_string_literal: true

require 'rack/session/cloakroom'
require 'rack/session/cloakroom/railtie' if defined?(Rails::Railtie)
