package example.cloakroom.session;

import java.time.Instant;
import java.util.Collections;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.NavigableSet;
import java.util.Set;
import java.util.TreeSet;
import org.apache.commons.logging.Log;
import org.apache.commons.logging.LogFactory;

/**
 * The sessions that this process has opened or saved, by the public ids that events have. Beyond its limit it forgets those
 * that were used longest ago.
 */
final class KnownSessions {
    private static final Log LOG = LogFactory.getLog(KnownSessions.class);
    private static final int MAX_ENDED = 10_000;

    private final int limit;
    /** In the order of their last use. */
    private final Map<String, KnownSession> sessions = new LinkedHashMap<>();
    private final NavigableSet<KnownSession> byCheckTime = new TreeSet<>(
            Comparator.comparing((KnownSession session) -> session.checkTime).thenComparing(session -> session.publicId));
    /** An answer from before the end of a session may come after the event. No session lives again after its end. */
    private final Set<String> ended = Collections.newSetFromMap(new LinkedHashMap<>() {
        @Override
        protected boolean removeEldestEntry(Map.Entry<String, Boolean> eldest) {
            return size() > MAX_ENDED;
        }
    });
    private boolean isLimitLogged;

    KnownSessions(int limit) {
        this.limit = limit;
    }

    synchronized void remember(KnownSession session) {
        if (ended.contains(session.publicId)) {
            return;
        }
        KnownSession before = remove(session.publicId);
        put(before != null && before.isNew ? session.asNew(before.checkTime) : session);
        if (sessions.size() > limit) {
            remove(sessions.keySet().iterator().next());
            logLimit();
        }
    }

    private void logLimit() {
        if (!isLimitLogged) {
            isLimitLogged = true;
            LOG.warn("This process has opened more than " + limit + " live sessions. It publishes no more events of those that"
                    + " were used longest ago. Raise maxKnownSessions of the repository");
        }
    }

    synchronized KnownSession find(String publicId) {
        return sessions.get(publicId);
    }

    /** Returns the session if its creation is to be published, which is so once and only in the process that created it. */
    synchronized KnownSession takeNew(String publicId) {
        KnownSession session = sessions.get(publicId);
        if (session == null || !session.isNew) {
            return null;
        }
        put(session.asPublished());
        return session;
    }

    /** Returns a session that has ended, and forgets it, or null if it is not known. */
    synchronized KnownSession takeEnded(String publicId) {
        KnownSession session = remove(publicId);
        if (session != null) {
            ended.add(publicId);
        }
        return session;
    }

    /** Returns the session to be checked first, or null if there is none. */
    synchronized KnownSession nextCheck() {
        return byCheckTime.isEmpty() ? null : byCheckTime.first();
    }

    /** Lets a session be checked at another time, unless it was used in the meantime. */
    synchronized void check(KnownSession session, Instant time) {
        if (sessions.get(session.publicId) == session) {
            put(session.checkedAt(time));
        }
    }

    /** Lets all sessions be checked. */
    synchronized void checkAll(Instant time) {
        for (KnownSession session : List.copyOf(sessions.values())) {
            if (session.checkTime.isAfter(time)) {
                put(session.checkedAt(time));
            }
        }
    }

    private void put(KnownSession session) {
        KnownSession before = sessions.put(session.publicId, session);
        if (before != null) {
            byCheckTime.remove(before);
        }
        byCheckTime.add(session);
    }

    private KnownSession remove(String publicId) {
        KnownSession before = sessions.remove(publicId);
        if (before != null) {
            byCheckTime.remove(before);
        }
        return before;
    }
}
