# frozen_string_literal: true

require 'action_dispatch'
require 'rails/railtie'
require 'rack/session/cloakroom'

ActionDispatch::Session.autoload(:CloakroomStore, 'action_dispatch/session/cloakroom_store')

module Rack
  module Session
    class Cloakroom
      # Lets Rails answer an outage with its page for the status 503.
      class Railtie < ::Rails::Railtie
        initializer 'cloakroom.unavailable' do
          ActionDispatch::ExceptionWrapper.rescue_responses[Unavailable.name] = :service_unavailable
        end
      end
    end
  end
end
