package example.cloakroom.session;

import com.fasterxml.jackson.databind.JsonNode;
import java.time.Duration;
import java.util.function.Supplier;

/**
 * The load of a session that the service did not answer in this thread's request. Spring MVC loads the session several times
 * if that fails. So a load that failed fails again at once for a while, and a request waits for one deadline only.
 */
final class FailedLoad {
    private static final Duration LIFE = Duration.ofSeconds(5);
    private static final ThreadLocal<FailedLoad> OF_REQUEST = new ThreadLocal<>();

    private SessionUnavailableException failure;
    private long nanos;

    private FailedLoad() {
    }

    static void beginRequest() {
        OF_REQUEST.set(new FailedLoad());
    }

    static void endRequest() {
        OF_REQUEST.remove();
    }

    /** Makes a load, unless one of the same request has just failed. Outside of a request it is always made. */
    static JsonNode load(Supplier<JsonNode> load) {
        FailedLoad last = OF_REQUEST.get();
        if (last == null) {
            return load.get();
        }
        if (last.failure != null && System.nanoTime() - last.nanos < LIFE.toNanos()) {
            throw last.failure;
        }
        try {
            return load.get();
        } catch (SessionUnavailableException failure) {
            last.failure = failure;
            last.nanos = System.nanoTime();
            throw failure;
        }
    }
}
