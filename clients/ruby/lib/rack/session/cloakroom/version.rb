# frozen_string_literal: true

begin
  require 'rack/session/abstract/id'
rescue LoadError
  raise LoadError, 'Rack 3 has its sessions in a gem of their own: add the gem rack-session to the Gemfile'
end

module Rack
  module Session
    class Cloakroom < Abstract::PersistedSecure
      VERSION = '0.1.0'
    end
  end
end
