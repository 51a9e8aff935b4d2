package example.cloakroom.session;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.time.Duration;
import java.util.Base64;
import java.util.List;
import java.util.function.Supplier;
import javax.net.ssl.SSLContext;

/** The calls of one app of kind `external`. Safe for use by many threads; make one for each process. */
public final class CloakroomClient {
    private static final String SESSIONS = "cloakroom.v1.SessionService/";
    private static final String ADMIN = "cloakroom.v1.AdminService/";
    private static final int SHORTEST_KEY = 16;
    private static final int LONGEST_KEY = 256;
    private static final int REQUEST_ID_BYTES = 16;

    private final SecureRandom random = new SecureRandom();
    private final String app;
    private final Duration deadline;
    private final Transport sessions;
    private final Transport admin;

    private CloakroomClient(Options options) {
        app = options.app;
        deadline = options.deadline;
        sessions = new Transport(options, options.addresses);
        admin = options.adminAddresses.isEmpty() ? null : new Transport(options, options.adminAddresses);
    }

    public static Builder builder() {
        return new Builder();
    }

    /** A browser chooses what it sends as the id of a session, so that it may be no key at all. */
    static boolean isKey(String id) {
        int length = id.getBytes(StandardCharsets.UTF_8).length;
        return SHORTEST_KEY <= length && length <= LONGEST_KEY;
    }

    JsonNode open(String key) {
        return sessions.call(SESSIONS + "OpenSession", named(key));
    }

    /** Saves changes. A session without entries is kept, because Spring Session keeps it. */
    JsonNode save(String key, ObjectNode changes) {
        ObjectNode request = named(key).put("keepEmpty", true).put("requestId", requestId());
        request.set("changes", changes);
        return sessions.call(SESSIONS + "SaveSession", request);
    }

    JsonNode destroy(String key) {
        return sessions.call(SESSIONS + "DestroySession", named(key).put("requestId", requestId()));
    }

    /** Returns the limits of the app. */
    JsonNode policy() {
        return sessions.call(SESSIONS + "GetAppPolicy", named());
    }

    /** Returns a page of the sessions of a user. The token is that of the page before, and empty for the first one. */
    JsonNode list(String subject, String pageToken) {
        ObjectNode request = named().put("subject", subject).put("withEntries", true).put("pageToken", pageToken);
        return admin().call(ADMIN + "ListSessions", request);
    }

    void revoke(String publicId) {
        admin().call(ADMIN + "RevokeSession", named().put("id", publicId));
    }

    /** Returns a session by its public id, also one that ended in the last 16 minutes. */
    JsonNode find(String publicId) {
        return admin().call(ADMIN + "GetSession", named().put("id", publicId)).path("session");
    }

    /** Follows what happens to the sessions of the app, after a cursor, or from now on if it is empty. */
    ResponseStream watchEvents(String cursor) {
        return admin().stream(ADMIN + "WatchEvents", named().put("cursor", cursor));
    }

    /** Returns whether a call of AdminService that failed so would fail again. */
    boolean isLastingForAdmin(CloakroomException failure) {
        return admin().isLasting(failure);
    }

    /** Fails if the address of AdminService is not set. */
    void requireAdminService() {
        admin();
    }

    Duration deadline() {
        return deadline;
    }

    private Transport admin() {
        if (admin == null) {
            throw new IllegalStateException("the sessions of a user and events come from AdminService. Set"
                    + " adminService(\"host:50052\") of CloakroomClient.builder()");
        }
        return admin;
    }

    private ObjectNode named() {
        return JsonNodeFactory.instance.objectNode().put("app", app);
    }

    private ObjectNode named(String key) {
        return named().put("key", Base64.getEncoder().encodeToString(key.getBytes(StandardCharsets.UTF_8)));
    }

    private String requestId() {
        byte[] bytes = new byte[REQUEST_ID_BYTES];
        random.nextBytes(bytes);
        return Base64.getUrlEncoder().withoutPadding().encodeToString(bytes);
    }

    /** The settings of a client. */
    public static final class Builder {
        private final Options options = new Options();

        private Builder() {
        }

        /** Sets the addresses of one or more replicas, `host:port` each. `localhost:50051` if not set. */
        public Builder service(String... addresses) {
            options.addresses = addresses(addresses);
            return this;
        }

        /** Sets the addresses of AdminService, which finds and ends the sessions of a user, and has events. None if not set. */
        public Builder adminService(String... addresses) {
            options.adminAddresses = addresses(addresses);
            return this;
        }

        /** Sets the name of the app, which is of kind `external`. `default` if not set. */
        public Builder app(String app) {
            options.app = app;
            return this;
        }

        /** Sets the caller token. */
        public Builder token(String token) {
            return token(() -> token);
        }

        /** Sets where each call gets its caller token from, so that it may change. */
        public Builder token(Supplier<String> token) {
            options.token = token;
            return this;
        }

        /** Sets how long one call may take with its repeats. 2 seconds if not set. */
        public Builder deadline(Duration deadline) {
            if (deadline.isNegative() || deadline.isZero()) {
                throw new IllegalArgumentException("deadline has to be positive");
            }
            options.deadline = deadline;
            return this;
        }

        /** Calls by TLS. The certificate of the service has to be of an authority that Java trusts. */
        public Builder tls() {
            options.tls = true;
            return this;
        }

        /** Calls by TLS, and trusts the authorities of a PEM file and no others. */
        public Builder caFile(Path file) {
            options.caFile = file;
            return this;
        }

        /** Calls by TLS with a context, such as one with a client certificate. */
        public Builder sslContext(SSLContext context) {
            options.sslContext = context;
            return this;
        }

        public CloakroomClient build() {
            return new CloakroomClient(options);
        }

        private static List<String> addresses(String... addresses) {
            for (String address : addresses) {
                if (!address.matches("[^/@?#\\s]+:\\d+")) {
                    throw new IllegalArgumentException("'" + address + "' is no address. Write host:port, such as"
                            + " localhost:50051");
                }
            }
            if (addresses.length == 0) {
                throw new IllegalArgumentException("no address is given. Write host:port, such as localhost:50051");
            }
            return List.of(addresses);
        }
    }
}
