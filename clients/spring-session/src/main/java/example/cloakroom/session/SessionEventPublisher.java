package example.cloakroom.session;

import com.fasterxml.jackson.databind.JsonNode;
import java.time.DateTimeException;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashSet;
import java.util.Iterator;
import java.util.Set;
import org.apache.commons.logging.Log;
import org.apache.commons.logging.LogFactory;
import org.springframework.context.ApplicationEventPublisher;
import org.springframework.session.events.AbstractSessionEvent;
import org.springframework.session.events.SessionCreatedEvent;
import org.springframework.session.events.SessionDeletedEvent;
import org.springframework.session.events.SessionExpiredEvent;

/**
 * Publishes what happens to the sessions that this process knows. The service has no event for a session that expires, and
 * one without an id for all sessions of the app. So this also asks the service about sessions. It belongs to one thread.
 */
final class SessionEventPublisher {
    private static final Log LOG = LogFactory.getLog(SessionEventPublisher.class);
    /** One end of all sessions of the app may send many events. */
    private static final Duration CHECK_ALL_DELAY = Duration.ofSeconds(1);
    private static final Duration SHORTEST_CHECK_INTERVAL = Duration.ofSeconds(1);
    private static final Duration FAILED_CHECK_PAUSE = Duration.ofMinutes(1);
    private static final Duration UNAVAILABLE_PAUSE = Duration.ofSeconds(10);
    /** An event may come before the answer to the call that it is about. */
    private static final Duration WAITING_LIFE = Duration.ofSeconds(10);
    private static final Duration WAITING_INTERVAL = Duration.ofMillis(250);
    private static final int MAX_WAITING = 10_000;

    private final CloakroomClient client;
    private final KnownSessions known;
    private final ApplicationEventPublisher publisher;
    private final Object source;
    private final Deque<WaitingEvent> waiting = new ArrayDeque<>();
    private Instant checkAllTime = Instant.MAX;
    private Instant checkPauseEnd = Instant.MIN;
    private boolean isFailedCheckLogged;

    SessionEventPublisher(CloakroomClient client, KnownSessions known, ApplicationEventPublisher publisher, Object source) {
        this.client = client;
        this.known = known;
        this.publisher = publisher;
        this.source = source;
    }

    /** An event of a session that this process does not know, or not yet. */
    private record WaitingEvent(String publicId, boolean isCreation, String endReason, Instant endOfWait) {
    }

    /** Publishes the events of one response. */
    void receive(JsonNode message) {
        publishWaiting();
        Instant endOfWait = Instant.now().plus(WAITING_LIFE);
        for (JsonNode event : message.path("events")) {
            switch (event.path("kind").asText()) {
                case "SESSION_EVENT_KIND_CREATED" -> waiting.add(new WaitingEvent(event.path("id").asText(), true, "", endOfWait));
                case "SESSION_EVENT_KIND_ENDED" -> waiting.add(new WaitingEvent(event.path("id").asText(), false,
                        event.path("endReason").asText(), endOfWait));
                case "SESSION_EVENT_KIND_APP_REVOKED" -> checkAllTime = Instant.now().plus(CHECK_ALL_DELAY);
                default -> { }
            }
        }
        publishWaiting();
    }

    /** Publishes the events of sessions that are known, those of one session in their order. */
    private void publishWaiting() {
        Instant now = Instant.now();
        Set<String> behind = new HashSet<>();
        for (Iterator<WaitingEvent> events = waiting.iterator(); events.hasNext();) {
            WaitingEvent event = events.next();
            boolean isDone = !behind.contains(event.publicId) && publish(event);
            if (isDone || event.endOfWait.isBefore(now)) {
                events.remove();
            } else {
                behind.add(event.publicId);
            }
        }
        while (waiting.size() > MAX_WAITING) {
            waiting.removeFirst();
        }
    }

    /** Returns false if the session is not known. */
    private boolean publish(WaitingEvent event) {
        if (!event.isCreation) {
            return publishEnd(event.publicId, event.endReason);
        }
        if (known.find(event.publicId) == null) {
            return false;
        }
        publishCreation(event.publicId);
        return true;
    }

    /** Publishes that a session was created, if this process did it and has not published it yet. */
    private void publishCreation(String publicId) {
        KnownSession created = known.takeNew(publicId);
        if (created != null) {
            publish(new SessionCreatedEvent(source, created.session()));
        }
    }

    private boolean publishEnd(String publicId, String reason) {
        publishCreation(publicId);
        KnownSession ended = known.takeEnded(publicId);
        if (ended == null) {
            return false;
        }
        boolean isExpired = reason.equals("END_REASON_IDLE") || reason.equals("END_REASON_ABSOLUTE");
        publish(isExpired ? new SessionExpiredEvent(source, ended.session()) : new SessionDeletedEvent(source, ended.session()));
        return true;
    }

    /** Whatever a listener throws, the events after this one are published. */
    private void publish(AbstractSessionEvent event) {
        try {
            publisher.publishEvent(event);
        } catch (Throwable failure) {
            LOG.error("A listener failed with a " + event.getClass().getSimpleName() + ".", failure);
        } finally {
            // Only a listener interrupts this thread, and that is to end no stream.
            Thread.interrupted();
        }
    }

    /** Lets the service be asked about all sessions that this process knows, because events of them may be missing. */
    void checkAll() {
        checkAllTime = Instant.now();
    }

    /** Returns when {@link #work} has something to do, if no other session becomes known until then. */
    Instant nextWorkTime() {
        KnownSession next = known.nextCheck();
        Instant checkTime = earlier(next == null ? Instant.MAX : next.checkTime, checkAllTime);
        Instant allowed = checkTime.isBefore(checkPauseEnd) ? checkPauseEnd : checkTime;
        return waiting.isEmpty() ? allowed : earlier(allowed, Instant.now().plus(WAITING_INTERVAL));
    }

    private static Instant earlier(Instant one, Instant other) {
        return one.isBefore(other) ? one : other;
    }

    /** Publishes what has waited, and asks about one session at most. */
    void work() {
        publishWaiting();
        Instant now = Instant.now();
        if (!now.isBefore(checkAllTime)) {
            checkAllTime = Instant.MAX;
            known.checkAll(now);
        }
        KnownSession session = known.nextCheck();
        if (session != null && !now.isBefore(session.checkTime) && !now.isBefore(checkPauseEnd)) {
            check(session, now);
        }
    }

    /** Asks about a session whose time may be over. */
    private void check(KnownSession session, Instant now) {
        try {
            read(session, client.find(session.publicId));
            isFailedCheckLogged = false;
        } catch (CloakroomException | DateTimeException failure) {
            if (failure instanceof CloakroomException refused && refused.reason().equals("SESSION_UNKNOWN")) {
                // It ended more than 16 minutes ago.
                publishEnd(session.publicId, session.isOver(now) ? "END_REASON_IDLE" : "");
                return;
            }
            if (!isFailedCheckLogged) {
                isFailedCheckLogged = true;
                LOG.warn("It is not known whether a session has ended. The service is asked again in a minute: "
                        + failure.getMessage());
            }
            known.check(session, now.plus(FAILED_CHECK_PAUSE));
            if (failure instanceof SessionUnavailableException) {
                checkPauseEnd = now.plus(UNAVAILABLE_PAUSE);
            }
        }
    }

    private void read(KnownSession session, JsonNode found) {
        if (found.has("endReason")) {
            publishEnd(session.publicId, found.path("endReason").asText());
            return;
        }
        publishCreation(session.publicId);
        // The clocks may differ, so the time of the end alone would not do.
        Duration tenth = session.idleTimeout().dividedBy(10);
        Instant earliest = Instant.now().plus(tenth.compareTo(SHORTEST_CHECK_INTERVAL) < 0 ? SHORTEST_CHECK_INTERVAL : tenth);
        Instant expireTime = Instant.parse(found.path("expireTime").asText());
        known.check(session, expireTime.isBefore(earliest) ? earliest : expireTime);
    }
}
