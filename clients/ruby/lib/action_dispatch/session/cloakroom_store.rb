# frozen_string_literal: true

require 'action_dispatch/middleware/session/abstract_store'
require 'rack/session/cloakroom'

module ActionDispatch
  module Session
    # The same for Rails: `config.session_store :cloakroom_store`.
    class CloakroomStore < AbstractSecureStore
      include Rack::Session::Cloakroom::Persistence
    end
  end
end
