package example.cloakroom.session;

import com.fasterxml.jackson.databind.JsonNode;
import java.time.Duration;
import java.time.Instant;
import org.springframework.session.FindByIndexNameSessionRepository;
import org.springframework.session.MapSession;

/** A session whose id this process knows, as it was when the service last answered about it. Has no attributes. */
final class KnownSession {
    /** If the stream begins during the first save, it may begin after the event of that: then this check finds the end. */
    private static final Duration CREATION_CHECK_DELAY = Duration.ofSeconds(1);

    final String publicId;
    /** When the service is asked whether the session has ended. */
    final Instant checkTime;
    /** Whether this process created the session, and has not published that yet. */
    final boolean isNew;
    private final MapSession session;
    private final Instant expireTime;

    private KnownSession(String publicId, Instant checkTime, boolean isNew, MapSession session, Instant expireTime) {
        this.publicId = publicId;
        this.checkTime = checkTime;
        this.isNew = isNew;
        this.session = session;
        this.expireTime = expireTime;
    }

    /** Reads the answer to an open or a save of a session with this id. */
    static KnownSession of(String id, JsonNode answer, boolean isNew) {
        MapSession session = new MapSession(id);
        session.setCreationTime(Instant.parse(answer.path("createTime").asText()));
        session.setLastAccessedTime(Instant.parse(answer.path("accessTime").asText()));
        session.setMaxInactiveInterval(Durations.parse(answer.path("idleTimeout").asText()));
        String user = answer.path("subject").asText("");
        if (!user.isEmpty()) {
            session.setAttribute(FindByIndexNameSessionRepository.PRINCIPAL_NAME_INDEX_NAME, user);
        }
        Instant expireTime = Instant.parse(answer.path("expireTime").asText());
        Instant checkTime = isNew ? Instant.now().plus(CREATION_CHECK_DELAY) : expireTime;
        return new KnownSession(answer.path("id").asText(), checkTime, isNew, session, expireTime);
    }

    /** Returns the session for one event. What a listener changes in it stays there. */
    MapSession session() {
        return new MapSession(session);
    }

    /** Returns whether the session has expired, unless another process has used it. */
    boolean isOver(Instant now) {
        return !now.isBefore(expireTime);
    }

    Duration idleTimeout() {
        return session.getMaxInactiveInterval();
    }

    KnownSession checkedAt(Instant time) {
        return new KnownSession(publicId, time, isNew, session, expireTime);
    }

    KnownSession asNew(Instant checkTime) {
        return new KnownSession(publicId, checkTime, true, session, expireTime);
    }

    /** Returns this session after its creation was published. */
    KnownSession asPublished() {
        return new KnownSession(publicId, expireTime, false, session, expireTime);
    }
}
