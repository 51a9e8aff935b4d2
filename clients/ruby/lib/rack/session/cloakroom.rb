# frozen_string_literal: true

require_relative 'cloakroom/persistence'

module Rack
  module Session
    # Keeps sessions in an app of the kind `external`. Rack makes the session ids and the cookies.
    class Cloakroom < Abstract::PersistedSecure
      include Persistence
    end
  end
end
