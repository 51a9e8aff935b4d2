package example.cloakroom.session;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import ch.qos.logback.classic.Level;
import ch.qos.logback.classic.Logger;
import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.core.AppenderBase;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.sun.net.httpserver.HttpServer;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.slf4j.LoggerFactory;
import org.springframework.context.ApplicationEventPublisher;
import org.springframework.session.FindByIndexNameSessionRepository;
import org.springframework.session.events.AbstractSessionEvent;
import org.springframework.util.FileSystemUtils;

/** The events of sessions, each as `Created`, `Deleted` or `Expired` and the id of its session. */
class EventsTest {
    private static final String USER = FindByIndexNameSessionRepository.PRINCIPAL_NAME_INDEX_NAME;
    private static Service service;

    private final List<String> published = new CopyOnWriteArrayList<>();
    private final List<AbstractSessionEvent> events = new CopyOnWriteArrayList<>();
    private final List<CloakroomSessionRepository> repositories = new ArrayList<>();
    private final Lines log = new Lines();
    private final CloakroomSessionRepository repository = started(service.client(), this::record);

    @BeforeAll
    static void start() throws Exception {
        service = Service.start();
    }

    @AfterAll
    static void close() throws Exception {
        service.close();
    }

    @BeforeEach
    void startLog() {
        log.start();
        ((Logger) LoggerFactory.getLogger("example.cloakroom")).addAppender(log);
    }

    @AfterEach
    void stop() {
        ((Logger) LoggerFactory.getLogger("example.cloakroom")).detachAppender(log);
        repositories.forEach(CloakroomSessionRepository::stop);
    }

    /** The lines of the log, each with its level. */
    private static final class Lines extends AppenderBase<ILoggingEvent> {
        private final List<String> lines = new CopyOnWriteArrayList<>();

        @Override
        protected void append(ILoggingEvent event) {
            lines.add(event.getLevel() + " " + event.getFormattedMessage());
        }

        List<String> from(Level level) {
            return lines.stream().filter(line -> line.startsWith(level + " ")).toList();
        }
    }

    private CloakroomSessionRepository started(CloakroomClient client, ApplicationEventPublisher publisher) {
        CloakroomSessionRepository started = new CloakroomSessionRepository(client);
        started.setPublishEvents(true);
        started.setApplicationEventPublisher(publisher);
        started.start();
        repositories.add(started);
        return started;
    }

    private void record(Object event) {
        AbstractSessionEvent session = (AbstractSessionEvent) event;
        events.add(session);
        published.add(session.getClass().getSimpleName().replaceAll("Session|Event", "") + " " + session.getSessionId());
    }

    private static CloakroomSession save(CloakroomSessionRepository repository, String user) {
        CloakroomSession session = repository.createSession();
        session.setAttribute("a", "1");
        session.setAttribute(USER, user);
        repository.save(session);
        return session;
    }

    private void waitFor(String event) throws Exception {
        Service.waitUntil(event + " of " + published + " " + log.lines, () -> published.contains(event));
    }

    /** Waits until all events that were sent before are published, and returns the others. */
    private List<String> publishedSoFar() throws Exception {
        CloakroomSession last = save(repository, "last");
        repository.deleteById(last.getId());
        waitFor("Deleted " + last.getId());
        return published.stream().filter(event -> !event.endsWith(last.getId())).toList();
    }

    @Test
    void a_session_has_an_event_when_it_is_first_saved_and_one_when_it_ends() throws Exception {
        CloakroomSession session = save(repository, "alice");
        session.setAttribute("a", "2");
        repository.save(session);
        repository.deleteById(session.getId());

        assertThat(publishedSoFar()).containsExactly("Created " + session.getId(), "Deleted " + session.getId());
        for (AbstractSessionEvent event : events.subList(0, 2)) {
            assertThat(event.getSource()).isSameAs(repository);
            assertThat(event.getSession().getAttributeNames()).containsExactly(USER);
            assertThat(event.getSession().<String>getAttribute(USER)).isEqualTo("alice");
            assertThat(event.getSession().getMaxInactiveInterval()).isEqualTo(Duration.ofMinutes(30));
        }
    }

    @Test
    void nothing_is_published_unless_it_is_switched_on() {
        CloakroomSessionRepository silent = new CloakroomSessionRepository(CloakroomClient.builder().build());
        silent.start();
        assertThat(silent.isAutoStartup()).isFalse();
        assertThat(silent.isRunning()).isFalse();
    }

    @Test
    void what_is_missing_for_events_is_named_at_the_start() {
        CloakroomSessionRepository withoutAdmin = new CloakroomSessionRepository(CloakroomClient.builder().build());
        withoutAdmin.setPublishEvents(true);
        withoutAdmin.setApplicationEventPublisher(this::record);
        assertThatThrownBy(withoutAdmin::start).hasMessageContaining("adminService");
        CloakroomSessionRepository withoutPublisher = new CloakroomSessionRepository(service.client());
        withoutPublisher.setPublishEvents(true);
        assertThatThrownBy(withoutPublisher::start).hasMessageContaining("setApplicationEventPublisher");
        assertThatThrownBy(() -> repository.setMaxKnownSessions(0)).hasMessageContaining("at least 1");
    }

    @Test
    void an_end_by_an_operator_is_published_in_each_process_that_has_opened_the_session() throws Exception {
        List<String> elsewhere = new CopyOnWriteArrayList<>();
        CloakroomSessionRepository other = started(service.client(),
                event -> elsewhere.add(event.getClass().getSimpleName() + " " + ((AbstractSessionEvent) event).getSessionId()));
        CloakroomSession one = save(repository, "bob");
        CloakroomSession two = save(repository, "bob");
        assertThat(other.findById(one.getId())).isNotNull();

        service.sessions("revoke-subject", "--app", "shop", "bob");

        waitFor("Deleted " + one.getId());
        waitFor("Deleted " + two.getId());
        Service.waitUntil("the other process publishes it", () -> !elsewhere.isEmpty());
        CloakroomSession last = save(other, "");
        Service.waitUntil("the other process has had all events", () -> elsewhere.contains("SessionCreatedEvent " + last.getId()));
        assertThat(elsewhere).containsExactly("SessionDeletedEvent " + one.getId(), "SessionCreatedEvent " + last.getId());
    }

    @Test
    void an_end_of_all_sessions_of_the_app_is_published_for_each() throws Exception {
        CloakroomSession one = save(repository, "carol");
        CloakroomSession two = save(repository, "");
        service.sessions("revoke-app", "--app", "shop", "--yes");
        waitFor("Deleted " + one.getId());
        waitFor("Deleted " + two.getId());
    }

    @Test
    void another_id_is_an_end_and_a_beginning() throws Exception {
        CloakroomSession session = save(repository, "dave");
        String before = session.getId();
        session.changeSessionId();
        repository.save(session);
        assertThat(publishedSoFar()).containsExactly("Created " + before, "Deleted " + before, "Created " + session.getId());
    }

    @Test
    void a_session_that_expires_is_published_once() throws Exception {
        repository.setDefaultMaxInactiveInterval(Duration.ofSeconds(1));
        CloakroomSession session = save(repository, "eve");
        waitFor("Expired " + session.getId());
        repository.setDefaultMaxInactiveInterval(Duration.ofMinutes(30));
        assertThat(publishedSoFar()).containsExactly("Created " + session.getId(), "Expired " + session.getId());
    }

    @Test
    void a_session_that_another_process_uses_has_not_expired() {
        KnownSessions known = new KnownSessions(10);
        SessionEventPublisher publisher = new SessionEventPublisher(service.client(), known, this::record, this);
        JsonNode answer = service.client().save("e".repeat(32), JsonNodeFactory.instance.objectNode()).path("session");
        JsonNode earlier = answer.<ObjectNode>deepCopy().put("expireTime", answer.path("createTime").asText());
        known.remember(KnownSession.of("e".repeat(32), earlier, false));
        assertThat(publisher.nextWorkTime()).isBefore(Instant.now().plusSeconds(60));

        publisher.work();
        assertThat(published).isEmpty();
        assertThat(publisher.nextWorkTime()).isEqualTo(Instant.parse(answer.path("expireTime").asText()));

        service.client().destroy("e".repeat(32));
        publisher.checkAll();
        publisher.work();
        assertThat(published).containsExactly("Deleted " + "e".repeat(32));
    }

    @Test
    void a_listener_that_throws_ends_nothing() throws Exception {
        List<String> heard = new CopyOnWriteArrayList<>();
        CloakroomSessionRepository failing = started(service.client(), event -> {
            heard.add(((AbstractSessionEvent) event).getSessionId());
            Thread.currentThread().interrupt();
            throw new AssertionError("a listener has a defect");
        });
        CloakroomSession one = save(failing, "");
        CloakroomSession two = save(failing, "");
        Service.waitUntil("both are heard", () -> heard.containsAll(List.of(one.getId(), two.getId())));
        assertThat(log.from(Level.ERROR)).first().asString().contains("SessionCreatedEvent").doesNotContain(one.getId());
    }

    @Test
    void a_listener_that_takes_long_delays_no_request_and_no_stop() throws Exception {
        CountDownLatch listening = new CountDownLatch(1);
        CountDownLatch released = new CountDownLatch(1);
        CloakroomSessionRepository slow = started(service.client(), event -> {
            listening.countDown();
            awaitQuietly(released);
        });
        save(slow, "");
        assertThat(listening.await(60, TimeUnit.SECONDS)).isTrue();
        CloakroomSession session = save(slow, "");
        assertThat(slow.findById(session.getId())).isNotNull();
        slow.stop();
        assertThat(slow.isRunning()).isFalse();
        released.countDown();
    }

    private static void awaitQuietly(CountDownLatch latch) {
        try {
            latch.await();
        } catch (InterruptedException interrupt) {
            throw new IllegalStateException(interrupt);
        }
    }

    @Test
    void what_ends_while_nothing_is_published_is_published_after_the_next_start() throws Exception {
        CloakroomSession session = save(repository, "");
        waitFor("Created " + session.getId());
        repository.stop();
        repository.stop();
        repository.deleteById(session.getId());
        CloakroomSession late = save(repository, "");
        assertThat(published).containsExactly("Created " + session.getId());

        repository.start();
        repository.start();
        waitFor("Deleted " + session.getId());
        waitFor("Created " + late.getId());
        assertThat(publishedSoFar()).hasSize(3);
    }

    @Test
    void events_go_on_after_a_restart_of_the_service() throws Exception {
        CloakroomSession session = save(repository, "frank");
        waitFor("Created " + session.getId());
        service.stop();
        Service.waitUntil("the log says it", () -> !log.from(Level.WARN).isEmpty());
        service.launch();

        service.sessions("revoke-subject", "--app", "shop", "frank");
        waitFor("Deleted " + session.getId());
        assertThat(log.from(Level.WARN)).singleElement().asString().contains("interrupted");
        assertThat(log.from(Level.INFO)).singleElement().asString().contains("again");
        assertThat(publishedSoFar()).hasSize(2);
    }

    @Test
    void events_that_were_missed_are_told_once_and_ends_are_looked_up() throws Exception {
        Service forgetful = Service.start();
        try {
            CloakroomSessionRepository other = started(forgetful.client(), this::record);
            CloakroomSession session = save(other, "");
            waitFor("Created " + session.getId());
            forgetful.stop();
            FileSystemUtils.deleteRecursively(forgetful.folder().resolve("data"));
            forgetful.launch();

            waitFor("Deleted " + session.getId());
            assertThat(log.from(Level.WARN)).filteredOn(line -> line.contains("missed")).hasSize(1);
            CloakroomSession next = save(other, "");
            waitFor("Created " + next.getId());
        } finally {
            forgetful.close();
        }
    }

    @Test
    void a_caller_without_the_role_is_told_it_once_and_its_sessions_work() throws Exception {
        String token = "a-token-of-a-caller-that-nobody-guesses";
        byte[] hash = MessageDigest.getInstance("SHA-256").digest(token.getBytes(StandardCharsets.UTF_8));
        Service strict = Service.start("[callers.shop]\nroles = [\"frontend\"]\napps = [\"shop\"]\ntoken_hashes = [\""
                + HexFormat.of().formatHex(hash) + "\"]\n");
        try {
            CloakroomSessionRepository other = started(strict.builder().token(token).build(), this::record);
            Service.waitUntil("the log says it", () -> !log.from(Level.ERROR).isEmpty());
            CloakroomSession session = save(other, "");
            assertThat(other.findById(session.getId())).isNotNull();
            assertThat(log.from(Level.ERROR)).singleElement().asString().contains("ROLE_MISSING").contains("'viewer'")
                    .contains("in a minute").doesNotContain(token);
        } finally {
            strict.close();
        }
    }

    @Test
    void a_service_that_does_not_answer_is_told_once_and_no_stop_waits_for_it() throws Exception {
        try (ServerSocket silent = new ServerSocket(0, 50, InetAddress.getLoopbackAddress())) {
            CloakroomClient client = service.builder().adminService("127.0.0.1:" + silent.getLocalPort())
                    .deadline(Duration.ofMillis(100)).build();
            CloakroomSessionRepository other = started(client, this::record);
            for (int attempt = 0; attempt < 4; attempt++) {
                silent.accept();
            }
            assertThat(log.from(Level.WARN)).singleElement().asString().contains("no answer within 100 ms");
            other.stop();

            CloakroomSessionRepository waiting = started(service.builder().adminService("127.0.0.1:" + silent.getLocalPort())
                    .deadline(Duration.ofHours(4)).build(), this::record);
            try (Socket connection = silent.accept()) {
                requestOf(connection);
                waiting.stop();
                assertThat(connection.getInputStream().read()).isEqualTo(-1);
            }
        }
    }

    @Test
    void a_stream_that_is_cut_off_is_resumed_by_its_cursor_and_a_stop_closes_its_connection() throws Exception {
        try (ServerSocket listener = new ServerSocket(0, 50, InetAddress.getLoopbackAddress())) {
            CloakroomSessionRepository other = started(
                    service.builder().adminService("127.0.0.1:" + listener.getLocalPort()).build(), this::record);
            try (Socket first = listener.accept()) {
                assertThat(requestOf(first)).contains("\"cursor\":\"\"");
                answer(first, "{\"cursor\":\"first\"}");
            }
            try (Socket second = listener.accept()) {
                assertThat(requestOf(second)).contains("\"cursor\":\"first\"");
                answer(second, "{\"cursor\":\"second\"}");
                other.stop();
                assertThat(second.getInputStream().read()).isEqualTo(-1);
            }
        }
    }

    /** Reads up to the end of the message. */
    private static String requestOf(Socket socket) throws Exception {
        socket.setSoTimeout(60_000);
        StringBuilder request = new StringBuilder();
        while (request.indexOf("}") < 0) {
            request.append((char) socket.getInputStream().read());
        }
        return request.toString();
    }

    private static void answer(Socket socket, String message) throws Exception {
        String envelope = "\0\0\0\0" + (char) message.length() + message;
        socket.getOutputStream().write(("HTTP/1.1 200 OK\r\ncontent-type: application/connect+json\r\ntransfer-encoding: chunked\r\n\r\n"
                + Integer.toHexString(envelope.length()) + "\r\n" + envelope + "\r\n").getBytes(StandardCharsets.ISO_8859_1));
    }

    @Test
    void an_address_of_another_service_is_told() throws Exception {
        HttpServer another = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        another.createContext("/", exchange -> {
            exchange.sendResponseHeaders(404, 0);
            exchange.close();
        });
        another.start();
        try {
            started(service.builder().adminService("127.0.0.1:" + another.getAddress().getPort()).build(), this::record);
            Service.waitUntil("the log says it", () -> !log.from(Level.ERROR).isEmpty());
            assertThat(log.from(Level.ERROR)).singleElement().asString().contains("HTTP 404");
        } finally {
            another.stop(0);
        }
    }

    @Test
    void beyond_the_limit_the_sessions_that_were_used_longest_ago_have_no_events() throws Exception {
        CloakroomSessionRepository small = new CloakroomSessionRepository(service.client());
        small.setPublishEvents(true);
        small.setMaxKnownSessions(2);
        small.setApplicationEventPublisher(this::record);
        repository.stop();
        small.start();
        repositories.add(small);
        CloakroomSession one = save(small, "");
        CloakroomSession two = save(small, "");
        waitFor("Created " + one.getId());
        waitFor("Created " + two.getId());
        assertThat(small.findById(one.getId())).isNotNull();
        CloakroomSession three = save(small, "");
        for (CloakroomSession session : List.of(two, one, three)) {
            small.deleteById(session.getId());
        }
        waitFor("Deleted " + one.getId());
        waitFor("Deleted " + three.getId());
        assertThat(published).doesNotContain("Deleted " + two.getId());
        assertThat(log.from(Level.WARN)).singleElement().asString().contains("maxKnownSessions");
    }

    @Test
    void a_creation_whose_event_was_before_the_stream_is_published() throws Exception {
        KnownSessions known = new KnownSessions(10);
        SessionEventPublisher publisher = new SessionEventPublisher(service.client(), known, this::record, this);
        String key = "n".repeat(32);
        JsonNode answer = service.client().save(key, JsonNodeFactory.instance.objectNode()).path("session");
        known.remember(KnownSession.of(key, answer, true));
        known.remember(KnownSession.of(key, answer, false));
        Service.waitUntil("its time to be looked up has come", () -> !Instant.now().isBefore(publisher.nextWorkTime()));
        publisher.work();
        publisher.receive(event(answer, "CREATED"));
        assertThat(published).containsExactly("Created " + key);
        assertThat(publisher.nextWorkTime()).isEqualTo(Instant.parse(answer.path("expireTime").asText()));
    }

    @Test
    void an_event_that_comes_before_the_answer_to_its_call_is_published_after_it() throws Exception {
        KnownSessions known = new KnownSessions(10);
        SessionEventPublisher publisher = new SessionEventPublisher(service.client(), known, this::record, this);
        JsonNode answer = service.client().save("k".repeat(32), JsonNodeFactory.instance.objectNode()).path("session");
        publisher.receive(event(answer, "CREATED"));
        publisher.receive(event(answer, "ENDED"));
        assertThat(published).isEmpty();

        known.remember(KnownSession.of("k".repeat(32), answer, true));
        publisher.work();
        assertThat(published).containsExactly("Created " + "k".repeat(32), "Deleted " + "k".repeat(32));

        // An answer from before the end does not make the session known again.
        known.remember(KnownSession.of("k".repeat(32), answer, false));
        assertThat(known.nextCheck()).isNull();
        publisher.receive(event(answer, "ENDED"));
        assertThat(published).hasSize(2);
    }

    private static JsonNode event(JsonNode session, String kind) {
        var message = JsonNodeFactory.instance.objectNode().put("cursor", "c");
        message.putArray("events").addObject().put("id", session.path("id").asText()).put("kind", "SESSION_EVENT_KIND_" + kind)
                .put("endReason", "END_REASON_DESTROYED");
        return message;
    }
}
