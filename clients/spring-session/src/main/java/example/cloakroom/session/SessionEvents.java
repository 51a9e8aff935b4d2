package example.cloakroom.session;

import com.fasterxml.jackson.databind.JsonNode;
import java.time.Duration;
import java.time.Instant;
import java.util.HashSet;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import org.apache.commons.logging.Log;
import org.apache.commons.logging.LogFactory;

/**
 * Follows the stream of events, in a thread of its own. After a failure it goes on where it was, or where it can.
 */
final class SessionEvents {
    private static final Log LOG = LogFactory.getLog(SessionEvents.class);
    private static final long FIRST_PAUSE_MILLIS = 100;
    private static final long LONGEST_PAUSE_MILLIS = 10_000;
    /** Roles change while the service runs, so a refusal is no end. */
    private static final long REFUSED_PAUSE_MILLIS = 60_000;
    private static final Set<String> ROLE_REASONS = Set.of("CALLER_UNKNOWN", "ROLE_MISSING", "APP_NOT_ALLOWED");
    /** A stream begins anew after this time, in case its connection was lost without a sign. */
    private static final Duration STREAM_LIFE = Duration.ofMinutes(3);
    private static final Duration STOP_TIMEOUT = Duration.ofSeconds(2);

    private final CloakroomClient client;
    private final SessionEventPublisher publisher;
    private final CountDownLatch stopped = new CountDownLatch(1);
    private final Thread thread = new Thread(this::run, "cloakroom-session-events");
    private volatile ResponseStream stream;

    // What follows belongs to the thread.
    private final Set<String> logged = new HashSet<>();
    private String cursor = "";
    private int failures;

    SessionEvents(CloakroomClient client, SessionEventPublisher publisher) {
        this.client = client;
        this.publisher = publisher;
        thread.setDaemon(true);
    }

    void start() {
        thread.start();
    }

    /** Ends the stream, and waits a moment for a listener that is running. */
    void stop() {
        stopped.countDown();
        ResponseStream last = stream;
        if (last != null) {
            last.close();
        }
        try {
            thread.join(STOP_TIMEOUT.toMillis());
        } catch (InterruptedException interrupt) {
            Thread.currentThread().interrupt();
        }
    }

    private boolean isStopped() {
        return stopped.getCount() == 0;
    }

    private void run() {
        try {
            while (!isStopped()) {
                try {
                    follow();
                } catch (RuntimeException failure) {
                    if (stopped.await(pauseAfter(failure), TimeUnit.MILLISECONDS)) {
                        return;
                    }
                }
            }
        } catch (InterruptedException interrupt) {
            LOG.warn("The thread of session events was interrupted. No more events are published.");
        }
    }

    /** Follows the stream until its life is over. */
    private void follow() throws InterruptedException {
        try (ResponseStream opened = client.watchEvents(cursor)) {
            stream = opened;
            if (isStopped()) {
                return;
            }
            JsonNode first = opened.next(client.deadline().toMillis());
            if (first == null) {
                throw Transport.unavailable("WatchEvents", "no answer within " + client.deadline().toMillis() + " ms", null);
            }
            begin();
            receive(first);
            Instant end = Instant.now().plus(STREAM_LIFE);
            while (!isStopped() && Instant.now().isBefore(end)) {
                JsonNode message = opened.next(millisUntilWork());
                if (message != null) {
                    receive(message);
                }
                publisher.work();
            }
        }
    }

    private void receive(JsonNode message) {
        publisher.receive(message);
        cursor = message.path("cursor").asText();
    }

    /** Waits a second at most: another session may become known meanwhile. */
    private long millisUntilWork() {
        Instant now = Instant.now();
        Instant longest = now.plusSeconds(1);
        Instant work = publisher.nextWorkTime();
        return Math.max(0, Duration.between(now, work.isAfter(longest) ? longest : work).toMillis());
    }

    private void begin() {
        if (cursor.isEmpty()) {
            publisher.checkAll();
        }
        if (!logged.isEmpty()) {
            LOG.info("Session events are published again.");
        }
        logged.clear();
        failures = 0;
    }

    /** Logs a failure, each reason once until the stream works again, and returns the pause before the next attempt. */
    private long pauseAfter(RuntimeException failure) {
        failures++;
        if (!(failure instanceof CloakroomException refused)) {
            log("", () -> LOG.error("Session events are interrupted by an unexpected failure.", failure));
            return LONGEST_PAUSE_MILLIS;
        }
        if (refused.reason().equals("EVENTS_MISSED")) {
            cursor = "";
            LOG.warn("Session events were missed. The sessions of this process are looked up instead, and those that have"
                    + " ended are published: " + failure.getMessage());
        } else if (client.isLastingForAdmin(refused)) {
            String hint = ROLE_REASONS.contains(refused.reason()) ? " The caller needs the role 'viewer' or 'admin' for the app." : "";
            log(refused.reason(), () -> LOG.error("No session events are published, because the service refuses to send them."
                    + hint + " The next attempt is in a minute: " + failure.getMessage()));
            return REFUSED_PAUSE_MILLIS;
        } else if (failures > 1) {
            // The first failure is often that of a connection that has become old.
            log("unavailable", () -> LOG.warn("Session events are interrupted. They go on where they stopped when the service"
                    + " answers: " + failure.getMessage()));
        }
        long pause = Math.min(FIRST_PAUSE_MILLIS << Math.min(failures - 1, 10), LONGEST_PAUSE_MILLIS);
        return ThreadLocalRandom.current().nextLong(pause / 2, pause + 1);
    }

    private void log(String reason, Runnable line) {
        if (logged.add(reason)) {
            line.run();
        }
    }
}
