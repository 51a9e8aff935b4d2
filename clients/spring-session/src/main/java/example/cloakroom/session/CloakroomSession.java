package example.cloakroom.session;

import java.time.Duration;
import java.time.Instant;
import java.util.HashSet;
import java.util.Set;
import org.springframework.session.FlushMode;
import org.springframework.session.SaveMode;
import org.springframework.session.Session;

/** A session, and what a save has to send of it. As every session of Spring Session, it belongs to one request. */
public final class CloakroomSession implements Session {
    private final CloakroomSessionRepository repository;
    private final Attributes attributes;
    private final Instant creationTime;
    /** The names of the attributes that a save sends, or removes if there is no such attribute. */
    private final Set<String> changed = new HashSet<>();
    private String id;
    private String subject;
    private boolean isStored;
    private boolean hasEnded;
    private boolean isReadOnly;
    private boolean isLifetimeChanged;
    /** Whether the interval is what the service has said, which may be less than what the application has set. */
    private boolean isIntervalLoaded;
    private Instant lastAccessedTime;
    private Duration maxInactiveInterval;
    /** The failure of the last call, or null if something has changed since. */
    private CloakroomException failure;

    CloakroomSession(CloakroomSessionRepository repository, String id, Attributes attributes, Stored stored) {
        this.repository = repository;
        this.id = id;
        this.attributes = attributes;
        this.subject = stored.subject();
        this.creationTime = stored.createTime();
        this.lastAccessedTime = stored.accessTime();
        this.maxInactiveInterval = stored.idleTimeout();
    }

    /** What the service knows of a session besides its entries. */
    record Stored(String subject, Instant createTime, Instant accessTime, Duration idleTimeout) {
    }

    CloakroomSession asStored() {
        isStored = true;
        isIntervalLoaded = true;
        return this;
    }

    CloakroomSession asReadOnly() {
        isReadOnly = true;
        return asStored();
    }

    @Override
    public String getId() {
        return id;
    }

    /**
     * Ends the session of the old id at once. The next save begins that of the new id, with all attributes. A session that
     * had ended before keeps its id, and nothing of it is saved.
     */
    @Override
    public String changeSessionId() {
        if (isStored && !hasEnded) {
            repository.end(this);
        }
        if (hasEnded) {
            return id;
        }
        id = repository.newId();
        isStored = false;
        isLifetimeChanged = true;
        changed.clear();
        flush();
        return id;
    }

    @Override
    @SuppressWarnings("unchecked")
    public <T> T getAttribute(String name) {
        Object value = attributes.get(name);
        if (value != null && repository.saveMode() == SaveMode.ON_GET_ATTRIBUTE) {
            changed.add(name);
        }
        return (T) value;
    }

    @Override
    public Set<String> getAttributeNames() {
        return attributes.names();
    }

    @Override
    public void setAttribute(String name, Object value) {
        if (value == null) {
            attributes.remove(name);
        } else {
            attributes.put(name, value);
        }
        changed.add(name);
        flush();
    }

    @Override
    public void removeAttribute(String name) {
        setAttribute(name, null);
    }

    @Override
    public Instant getCreationTime() {
        return creationTime;
    }

    /** Sends nothing: the service has counted the load of the session as a use. */
    @Override
    public void setLastAccessedTime(Instant time) {
        lastAccessedTime = time;
    }

    @Override
    public Instant getLastAccessedTime() {
        return lastAccessedTime;
    }

    @Override
    public void setMaxInactiveInterval(Duration interval) {
        setInterval(interval);
        flush();
    }

    /** Sets the interval for the next save. */
    void setInterval(Duration interval) {
        maxInactiveInterval = interval;
        isIntervalLoaded = false;
        isLifetimeChanged = true;
    }

    @Override
    public Duration getMaxInactiveInterval() {
        return maxInactiveInterval;
    }

    @Override
    public boolean isExpired() {
        boolean isEndless = maxInactiveInterval.isZero() || maxInactiveInterval.isNegative();
        return !isEndless && !Instant.now().minus(maxInactiveInterval).isBefore(lastAccessedTime);
    }

    /** Ends a change: a call that failed is made again, and in the mode `IMMEDIATE` the change is sent. */
    private void flush() {
        failure = null;
        if (repository.flushMode() == FlushMode.IMMEDIATE) {
            repository.save(this);
        }
    }

    Attributes attributes() {
        return attributes;
    }

    String subject() {
        return subject;
    }

    boolean isStored() {
        return isStored;
    }

    boolean hasEnded() {
        return hasEnded;
    }

    boolean isReadOnly() {
        return isReadOnly;
    }

    boolean isIntervalLoaded() {
        return isIntervalLoaded;
    }

    boolean isLifetimeChanged() {
        return isLifetimeChanged;
    }

    /** Returns the names of the attributes that a save sends. */
    Set<String> changed() {
        Set<String> names = new HashSet<>(changed);
        if (!isStored || repository.saveMode() == SaveMode.ALWAYS) {
            names.addAll(attributes.names());
        }
        return names;
    }

    /** Forgets the changes, which the service has now. */
    void saved(String subject) {
        this.subject = subject;
        isStored = true;
        isLifetimeChanged = false;
        changed.clear();
    }

    /** Takes note that the service has refused a call because the session had ended. No call is made for it any more. */
    void ended() {
        hasEnded = true;
    }

    /** Keeps a failure for later calls. */
    void failed(CloakroomException failure) {
        this.failure = failure;
    }

    /** Fails as the last call did, unless something has changed since. */
    void throwFailure() {
        if (failure != null) {
            throw failure;
        }
    }
}
