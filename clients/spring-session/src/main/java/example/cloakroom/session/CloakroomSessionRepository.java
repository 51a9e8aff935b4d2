package example.cloakroom.session;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.security.SecureRandom;
import java.time.Duration;
import java.time.Instant;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.function.BiConsumer;
import java.util.function.Supplier;
import org.apache.commons.logging.Log;
import org.apache.commons.logging.LogFactory;
import org.springframework.context.ApplicationEventPublisher;
import org.springframework.context.ApplicationEventPublisherAware;
import org.springframework.context.SmartLifecycle;
import org.springframework.session.FindByIndexNameSessionRepository;
import org.springframework.session.FlushMode;
import org.springframework.session.IndexResolver;
import org.springframework.session.MapSession;
import org.springframework.session.PrincipalNameIndexResolver;
import org.springframework.session.SaveMode;
import org.springframework.session.Session;
import org.springframework.session.SessionIdGenerator;

/**
 * Keeps the sessions of Spring Session in an app of kind `external`.
 *
 * <p>Spring Session makes the id of a session and its cookie. The id is the key of the session in Cloakroom. A save sends
 * only the attributes that changed, so that requests at the same time keep each other's. Nothing revives a session that
 * has ended.
 */
public final class CloakroomSessionRepository
        implements FindByIndexNameSessionRepository<CloakroomSession>, ApplicationEventPublisherAware, SmartLifecycle {
    private static final Log LOG = LogFactory.getLog(CloakroomSessionRepository.class);
    private static final String SECURITY_CONTEXT = "SPRING_SECURITY_CONTEXT";
    /** Begins the id of a session that was found by its user, whose key is not known. No key begins so. */
    private static final String PUBLIC_ID = "public-id:";
    private static final Duration SHORTEST_IDLE_TIMEOUT = Duration.ofSeconds(1);
    private static final int ID_BYTES = 32;
    private static final int DEFAULT_MAX_KNOWN_SESSIONS = 10_000;
    /** Events begin before the web server does, and end after it. */
    private static final int PHASE = 0;

    private final CloakroomClient client;
    private final IndexResolver<Session> users = new PrincipalNameIndexResolver<>(PRINCIPAL_NAME_INDEX_NAME);
    private AttributeSerializer serializer = new JdkAttributeSerializer();
    private SessionIdGenerator idGenerator = new RandomIds();
    private Duration defaultMaxInactiveInterval = MapSession.DEFAULT_MAX_INACTIVE_INTERVAL;
    private FlushMode flushMode = FlushMode.ON_SAVE;
    private SaveMode saveMode = SaveMode.ON_SET_ATTRIBUTE;
    private BiConsumer<String, CloakroomSession> onGone = (reason, session) -> LOG.warn(
            "A session had ended (" + reason + ") before it was saved. Nothing was written.");

    private boolean isPublishing;
    private int maxKnownSessions = DEFAULT_MAX_KNOWN_SESSIONS;
    private ApplicationEventPublisher publisher;
    /** Null if nothing is published. */
    private volatile KnownSessions known;
    private volatile SessionEvents events;

    public CloakroomSessionRepository(CloakroomClient client) {
        this.client = client;
    }

    /** Sets how values become bytes. {@link JdkAttributeSerializer} if not set. */
    public void setAttributeSerializer(AttributeSerializer serializer) {
        this.serializer = serializer;
    }

    /** Sets who makes ids. They have to be secrets of at least 128 random bits and 16 to 256 bytes; a UUID has 122. */
    public void setSessionIdGenerator(SessionIdGenerator generator) {
        idGenerator = generator;
    }

    /** Sets how long a new session lives without a use, at most the app's `idle_timeout`. 30 minutes if not set. */
    public void setDefaultMaxInactiveInterval(Duration interval) {
        defaultMaxInactiveInterval = interval;
    }

    /** Sets when changes are sent. At the end of the request if not set. */
    public void setFlushMode(FlushMode mode) {
        flushMode = mode;
    }

    /** Sets which attributes a save sends. Those that were set if not set. */
    public void setSaveMode(SaveMode mode) {
        saveMode = mode;
    }

    /** Sets who is told, with the reason, that a session had ended before it was saved. The log if not set. */
    public void setOnGone(BiConsumer<String, CloakroomSession> onGone) {
        this.onGone = onGone;
    }

    /**
     * Publishes SessionCreatedEvent, SessionDeletedEvent and SessionExpiredEvent of the sessions that this process has opened
     * or saved, by one stream of AdminService. The caller needs the role `viewer` or `admin`. Nothing is published if not set.
     */
    public void setPublishEvents(boolean isPublishing) {
        this.isPublishing = isPublishing;
    }

    /**
     * Sets of how many live sessions this process can publish events. Beyond them it publishes none of those that
     * were used longest ago. Each takes about 700 bytes. 10,000 if not set.
     */
    public void setMaxKnownSessions(int limit) {
        if (limit < 1) {
            throw new IllegalArgumentException("maxKnownSessions is " + limit + ". It has to be at least 1");
        }
        maxKnownSessions = limit;
    }

    /** Sets who gets the events. The container does this with a bean. */
    @Override
    public void setApplicationEventPublisher(ApplicationEventPublisher publisher) {
        this.publisher = publisher;
    }

    /** The container starts a bean that publishes events, and no other. */
    @Override
    public boolean isAutoStartup() {
        return isPublishing;
    }

    @Override
    public int getPhase() {
        return PHASE;
    }

    /** Begins to publish events, if {@link #setPublishEvents} is on. The container does this with a bean. */
    @Override
    public synchronized void start() {
        if (!isPublishing || events != null) {
            return;
        }
        client.requireAdminService();
        if (publisher == null) {
            throw new IllegalStateException("there is nobody to publish events to. Make the repository a bean, or call"
                    + " setApplicationEventPublisher");
        }
        if (known == null) {
            known = new KnownSessions(maxKnownSessions);
        }
        events = new SessionEvents(client, new SessionEventPublisher(client, known, publisher, this));
        events.start();
    }

    /** Ends the stream of events. A listener that is running has two seconds to finish. */
    @Override
    public synchronized void stop() {
        if (events != null) {
            events.stop();
            events = null;
        }
    }

    @Override
    public boolean isRunning() {
        return events != null;
    }

    @Override
    public CloakroomSession createSession() {
        Instant now = Instant.now();
        var stored = new CloakroomSession.Stored("", now, now, defaultMaxInactiveInterval);
        Attributes none = new Attributes(serializer, JsonNodeFactory.instance.objectNode());
        CloakroomSession session = new CloakroomSession(this, newId(), none, stored);
        if (flushMode == FlushMode.IMMEDIATE) {
            save(session);
        }
        return session;
    }

    /** Returns null for an id that is unknown or whose session has ended. */
    @Override
    public CloakroomSession findById(String id) {
        if (!CloakroomClient.isKey(id)) {
            return null;
        }
        JsonNode session = FailedLoad.load(() -> client.open(id)).path("session");
        if (session.path("new").asBoolean() || session.has("nullSession")) {
            return null;
        }
        remember(id, session, false);
        return load(id, session).asStored();
    }

    private void remember(String id, JsonNode session, boolean isNew) {
        if (known != null) {
            known.remember(KnownSession.of(id, session, isNew));
        }
    }

    @Override
    public void save(CloakroomSession session) {
        requireKey(session);
        if (session.hasEnded()) {
            return;
        }
        Set<String> changed = session.changed();
        String subject = subjectOf(session, changed);
        boolean isOtherUser = !session.subject().isEmpty() && !subject.equals(session.subject());
        if (isOtherUser && !subject.isEmpty()) {
            // The service removes what the first user left. The attributes of a session in Spring stay.
            changed.addAll(session.getAttributeNames());
        }
        if (session.isStored() && changed.isEmpty() && !session.isLifetimeChanged()) {
            return;
        }
        if (session.subject().isEmpty() && !subject.isEmpty()) {
            setIntervalOfUser(session);
        }
        JsonNode saved = call(session, () -> client.save(session.getId(), changes(session, changed, subject)));
        if (session.hasEnded()) {
            return;
        }
        if (saved.has("session")) {
            remember(session.getId(), saved.path("session"), saved.path("outcome").asText().equals("OUTCOME_CREATED"));
        }
        session.saved(subject);
    }

    /**
     * Sets the interval of a session that gains a user. It has to be sent even if it stays, because the service gives such a
     * session the app's limits. One that the service has cut to the limit of anonymous sessions becomes the default.
     */
    private void setIntervalOfUser(CloakroomSession session) {
        Duration interval = session.getMaxInactiveInterval();
        boolean maybeCut = session.isIntervalLoaded()
                && (isEndless(defaultMaxInactiveInterval) || interval.compareTo(defaultMaxInactiveInterval) < 0);
        session.setInterval(maybeCut && interval.equals(anonymousLimit(session)) ? defaultMaxInactiveInterval : interval);
    }

    private Duration anonymousLimit(CloakroomSession session) {
        return Durations.parse(call(session, client::policy).path("anonymousIdleTimeout").asText());
    }

    private static void requireKey(CloakroomSession session) {
        if (session.isReadOnly()) {
            throw new UnsupportedOperationException("this session was found by its user, so its key is not known. It can be read"
                    + " and ended, and not changed");
        }
    }

    /**
     * Makes a call for a session, and tells the application if the session had ended. Spring Session saves a session several
     * times in a request if that fails. So a call that failed fails again at once, and a request waits for one deadline only.
     */
    private JsonNode call(CloakroomSession session, Supplier<JsonNode> call) {
        session.throwFailure();
        JsonNode answer;
        try {
            answer = call.get();
        } catch (CloakroomException failure) {
            session.failed(failure);
            throw failure;
        }
        if (answer.path("outcome").asText().equals("OUTCOME_GONE")) {
            session.ended();
            onGone.accept(answer.path("endReason").asText("unknown"), session);
        }
        return answer;
    }

    /** Ends a session, that of a user included: `findByPrincipalName(name).keySet().forEach(repository::deleteById)`. */
    @Override
    public void deleteById(String id) {
        if (id.startsWith(PUBLIC_ID)) {
            client.revoke(id.substring(PUBLIC_ID.length()));
        } else if (CloakroomClient.isKey(id)) {
            client.destroy(id);
        }
    }

    /**
     * Returns the sessions of a user, newest use first. Their keys are secrets that the service does not have. So each has
     * a public id in place of its own, which can be given to {@link #deleteById} and opens nothing.
     */
    @Override
    public Map<String, CloakroomSession> findByIndexNameAndIndexValue(String indexName, String indexValue) {
        if (!indexName.equals(PRINCIPAL_NAME_INDEX_NAME) || indexValue.isEmpty()) {
            return Map.of();
        }
        Map<String, CloakroomSession> found = new LinkedHashMap<>();
        String pageToken = "";
        do {
            JsonNode page = client.list(indexValue, pageToken);
            for (JsonNode session : page.path("sessions")) {
                String id = PUBLIC_ID + session.path("id").asText();
                found.put(id, load(id, session).asReadOnly());
            }
            pageToken = page.path("nextPageToken").asText("");
        } while (!pageToken.isEmpty());
        return found;
    }

    String newId() {
        return idGenerator.generate();
    }

    FlushMode flushMode() {
        return flushMode;
    }

    SaveMode saveMode() {
        return saveMode;
    }

    /** Ends what a session was until it gets another id. A value that cannot be saved fails before the end. */
    void end(CloakroomSession session) {
        requireKey(session);
        session.getAttributeNames().forEach(session.attributes()::encode);
        call(session, () -> client.destroy(session.getId()));
    }

    private CloakroomSession load(String id, JsonNode session) {
        Instant accessTime = Instant.parse(session.path("accessTime").asText());
        var stored = new CloakroomSession.Stored(session.path("subject").asText(""),
                Instant.parse(session.path("createTime").asText()), accessTime, idleTimeout(session, accessTime));
        return new CloakroomSession(this, id, new Attributes(serializer, session.path("entries")), stored);
    }

    /** AdminService gives the time of the end in place of the timeout. */
    private static Duration idleTimeout(JsonNode session, Instant accessTime) {
        if (session.has("idleTimeout")) {
            return Durations.parse(session.path("idleTimeout").asText());
        }
        return Duration.between(accessTime, Instant.parse(session.path("expireTime").asText()));
    }

    /** Returns the user, who can have changed only with one of two attributes. */
    private String subjectOf(CloakroomSession session, Set<String> changed) {
        if (session.isStored() && !changed.contains(SECURITY_CONTEXT) && !changed.contains(PRINCIPAL_NAME_INDEX_NAME)) {
            return session.subject();
        }
        String user = users.resolveIndexesFor(session).get(PRINCIPAL_NAME_INDEX_NAME);
        return Objects.requireNonNullElse(user, "");
    }

    private static ObjectNode changes(CloakroomSession session, Set<String> changed, String subject) {
        ObjectNode changes = JsonNodeFactory.instance.objectNode();
        ObjectNode set = changes.putObject("set");
        ArrayNode unset = changes.putArray("unset");
        for (String name : changed) {
            JsonNode value = session.attributes().encode(name);
            if (value == null) {
                unset.add(name);
            } else {
                set.set(name, value);
            }
        }
        boolean isOtherSubject = !subject.equals(session.isStored() ? session.subject() : "");
        if (isOtherSubject) {
            changes.put("subject", subject);
        }
        // With another subject, the service would give the session the app's own timeouts again.
        if (!session.isStored() || session.isLifetimeChanged() || isOtherSubject) {
            putLifetime(changes, session.getMaxInactiveInterval());
        }
        return changes;
    }

    /** Whether Spring Session would never end a session with this interval. */
    private static boolean isEndless(Duration interval) {
        return interval.isZero() || interval.isNegative();
    }

    /** A session without an end, in the words of Spring Session, lives as long as the app lets it. */
    private static void putLifetime(ObjectNode changes, Duration interval) {
        if (isEndless(interval)) {
            changes.put("defaultLifetime", true);
        } else {
            Duration longEnough = interval.compareTo(SHORTEST_IDLE_TIMEOUT) < 0 ? SHORTEST_IDLE_TIMEOUT : interval;
            changes.put("idleTimeout", Durations.format(longEnough));
        }
    }

    /** Ids of 256 random bits. */
    private static final class RandomIds implements SessionIdGenerator {
        private final SecureRandom random = new SecureRandom();

        @Override
        public String generate() {
            byte[] bytes = new byte[ID_BYTES];
            random.nextBytes(bytes);
            return Base64.getUrlEncoder().withoutPadding().encodeToString(bytes);
        }
    }
}
