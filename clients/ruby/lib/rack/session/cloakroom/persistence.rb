# frozen_string_literal: true

require_relative 'client'
require_relative 'entries'

module Rack
  module Session
    class Cloakroom
      # What Rack and Rails ask of a store: finds, writes and ends sessions. The classes of both have `generate_sid`.
      #
      # A request remembers what it has loaded, and a write sends the entries that differ from it, so that requests at
      # the same time keep each other's. The key of a session is a hash of its id, so no id leaves the process.
      module Persistence
        def initialize(app, options = {})
          # Rack has the others in `rack.session.options` of each request, where no caller token should be.
          super(app, options.reject { |name, _| OWN_OPTIONS.include?(name) })
          @client = Client.new(**options.slice(*CLIENT_OPTIONS))
          @entries = Entries.new(options[:serializer])
          @on_unavailable = options[:on_unavailable]
          @send_context = options.fetch(:send_context, true)
          # An application inside of this one may have a store of its own, which gets the same requests.
          @known = "cloakroom.session.#{object_id}"
          @failure = "cloakroom.failure.#{object_id}"
          sidbits = default_options.fetch(:sidbits, LEAST_SIDBITS)
          raise ArgumentError, "sidbits is #{sidbits}; it is at least #{LEAST_SIDBITS}" if sidbits < LEAST_SIDBITS
        end

        # Serves a request. In an outage the application server gets the error, or `on_unavailable` makes the response.
        def context(env, app = @app)
          super
        rescue Unavailable => error
          raise if @on_unavailable.nil?

          @on_unavailable.call(env, error)
        end

        # Without options, which may have secrets.
        def inspect
          "#<#{self.class} #{@client.inspect}>"
        end

        # Returns a session and its id. A session that is unknown or has ended is never continued: it gets another id.
        def find_session(request, sid)
          known = request.get_header(@known)
          return [known.sid, {}] if sid && known&.ended == sid.public_id
          return begin_session(request) if sid.nil?

          session = open_session(request, sid)
          return begin_session(request) if session['new'] || session.key?('nullSession')

          entries = session.fetch('entries', {})
          request.set_header(@known, Known.new(sid, entries, session['idleTimeout'], true, nil, Connection.now))
          [sid, @entries.decode(entries)]
        end

        # Saves what differs from what was loaded. Returns false, and Rack warns, if the session has ended meanwhile, or is that
        # of another store: Rack has one session for a request, and hands that of an inner store to the outer one.
        def write_session(request, sid, session, options)
          known = request.get_header(@known)
          return false unless known && known.sid.public_id == sid.public_id

          entries = @entries.encode(session)
          set, unset = @entries.differences(known.entries, entries)
          lifetime = lifetime_of(options)
          if set.empty? && unset.empty? && !lifetime_changed?(known, lifetime)
            return lifetime && ended_meanwhile?(known) ? false : sid
          end

          changes = { set: set, unset: unset, idleTimeout: lifetime }.compact
          saved = @client.save(sid.private_id, { changes: changes, context: context_of(request) }.compact)
          return false if saved['outcome'] == 'OUTCOME_GONE'

          request.set_header(@known, Known.new(sid, entries, lifetime || known.lifetime, true))
          sid
        end

        # Ends a session for good. Returns the id of the next one, unless the session is to be dropped. A session that had
        # ended before does not go on with another id.
        def delete_session(request, sid, options)
          # The entries go on with the next id, so they have to be loaded before the end.
          moved = options[:renew] ? request.get_header(RACK_SESSION).to_hash : {}
          # A value that cannot be saved has to fail before the old session ends. Rack leaves out nil.
          @entries.encode(moved.compact)
          ended = @client.destroy(sid.private_id) if sid && stored?(request)
          return warn_of_end(request) if ended && ended['outcome'] == 'OUTCOME_GONE' && !moved.empty?

          begin_session(request, ended: sid&.public_id).first unless options[:drop]
        end

        private

        # Opens a session. For a while after an outage, a request fails again at once: an error page or a commit that reads
        # the session does not wait for the service a second time.
        def open_session(request, sid)
          failure = request.get_header(@failure)
          raise failure.error if failure && Connection.now - failure.time < FAILURE_SECONDS

          begin
            @client.open(sid.private_id).fetch('session')
          rescue Unavailable => error
            request.set_header(@failure, Failure.new(error, Connection.now))
            raise
          end
        end

        # Returns no id. So Rack saves nothing and sends no cookie.
        def warn_of_end(request)
          warning = "Warning! #{self.class.name} did not change the id of a session that had ended. Content dropped."
          request.get_header(RACK_ERRORS).puts(warning)
          nil
        end

        # A session that holds nothing and is not stored needs no write and no cookie. With `expire_after` Rack loads the session
        # here if the application has not. In an outage the response goes out without another cookie.
        def commit_session?(request, session, options)
          super && !(session.empty? && !stored?(request))
        rescue Unavailable
          false
        end

        # Whether the service may have the session of the request.
        def stored?(request)
          known = request.get_header(@known)
          known.nil? ? !extract_session_id(request).nil? : known.stored
        end

        def begin_session(request, ended: nil)
          sid = generate_sid
          request.set_header(@known, Known.new(sid, {}, nil, false, ended))
          [sid, {}]
        end

        # A session lives without a use as long as its cookie, if the cookie does not end with the browser.
        def lifetime_of(options)
          seconds = options[:max_age] || options[:expire_after]
          "#{[seconds.to_f.ceil, 1].max}s" if seconds
        end

        # Whether the request has chosen another lifetime than the one that the session has got with its other changes.
        def lifetime_changed?(known, lifetime)
          known.stored && lifetime && lifetime != known.lifetime && lifetime != lifetime_of(default_options)
        end

        # Whether the session of a slow request has ended, such as by a login in another tab. The cookie with a lifetime goes
        # with each response, and must not take the place of that of the login.
        def ended_meanwhile?(known)
          return false if known.load_time.nil? || Connection.now - known.load_time < SLOW_SECONDS

          @client.save(known.sid.private_id, {})['outcome'] == 'OUTCOME_GONE'
        rescue Unavailable
          false
        end

        def context_of(request)
          return unless @send_context

          { userAgent: utf8(request.user_agent), remoteAddress: utf8(request.ip) }.compact
        end

        def utf8(header)
          header && String.new(header, encoding: Encoding::UTF_8).scrub('?')
        end

        # What a request knows of its session: its id, what the service has of it, whether it is stored, the id of the
        # session before it that this request has ended, and when it was loaded.
        Known = Struct.new(:sid, :entries, :lifetime, :stored, :ended, :load_time) do
          # Without the entries and the id.
          def inspect
            "#<#{self.class}>"
          end
        end
        # The error of a load that the service did not answer, and when that was.
        Failure = Struct.new(:error, :time)
        CLIENT_OPTIONS = %i[service app deadline pool_size credentials].freeze
        OWN_OPTIONS = [*CLIENT_OPTIONS, :serializer, :on_unavailable, :send_context].freeze
        FAILURE_SECONDS = 5
        # A request that takes as long asks whether its session still lives, if nothing else does.
        SLOW_SECONDS = 1
        # The service needs a secret of as many bits.
        LEAST_SIDBITS = 128
        private_constant :Known, :Failure, :CLIENT_OPTIONS, :OWN_OPTIONS, :FAILURE_SECONDS, :SLOW_SECONDS, :LEAST_SIDBITS
      end
    end
  end
end
