package example.cloakroom.session;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.Base64;
import java.util.Collections;
import java.util.HexFormat;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** TLS, callers, and services that do not answer. */
class ClientTest {
    private static final String TOKEN = "a-token-of-a-caller-that-nobody-guesses";
    private static final char[] PASSWORD = "password".toCharArray();
    @TempDir
    private static Path folder;
    private static Service service;

    @BeforeAll
    static void start() throws Exception {
        makeCertificate();
        byte[] hash = MessageDigest.getInstance("SHA-256").digest(TOKEN.getBytes(StandardCharsets.UTF_8));
        String files = "certificate_file = \"%1$s/tls.crt\"\nkey_file = \"%1$s/tls.key\"\n".formatted(folder);
        service = Service.start("[server.tls]\n" + files + "[admin.tls]\n" + files
                + "[callers.shop]\nroles = [\"frontend\", \"admin\"]\napps = [\"shop\"]\ntoken_hashes = [\""
                + HexFormat.of().formatHex(hash) + "\"]\n");
    }

    @AfterAll
    static void close() throws Exception {
        service.close();
    }

    /** Makes a certificate that is its own authority, with the tool of the JDK. */
    private static void makeCertificate() throws Exception {
        Path store = folder.resolve("store.p12");
        String keytool = Path.of(System.getProperty("java.home"), "bin", "keytool").toString();
        Process made = new ProcessBuilder(keytool, "-genkeypair", "-alias", "tls", "-keyalg", "RSA", "-dname",
                "CN=service", "-ext", "san=ip:127.0.0.1", "-validity", "2", "-storetype", "PKCS12", "-keystore", store.toString(),
                "-storepass", new String(PASSWORD)).redirectErrorStream(true).start();
        String printed = new String(made.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertThat(made.waitFor()).as(printed).isZero();
        KeyStore keys = KeyStore.getInstance(store.toFile(), PASSWORD);
        Files.writeString(folder.resolve("tls.crt"), pem("CERTIFICATE", keys.getCertificate("tls").getEncoded()));
        Files.writeString(folder.resolve("tls.key"), pem("PRIVATE KEY", keys.getKey("tls", PASSWORD).getEncoded()));
    }

    private static String pem(String what, byte[] bytes) {
        String text = Base64.getMimeEncoder(64, new byte[] {'\n'}).encodeToString(bytes);
        return "-----BEGIN %1$s-----\n%2$s\n-----END %1$s-----\n".formatted(what, text);
    }

    @Test
    void a_call_by_tls_with_a_token_works() {
        CloakroomClient client = service.builder().caFile(folder.resolve("tls.crt")).token(TOKEN).build();
        CloakroomSessionRepository repository = new CloakroomSessionRepository(client);
        CloakroomSession session = repository.createSession();
        repository.save(session);
        assertThat(repository.findById(session.getId())).isNotNull();
        assertThat(repository.findByPrincipalName("nobody")).isEmpty();
    }

    @Test
    void events_come_by_tls_with_a_token_from_the_replica_that_answers() throws Exception {
        CloakroomClient client = service.builder().adminService("127.0.0.1:1", service.adminAddress())
                .caFile(folder.resolve("tls.crt")).token(TOKEN).build();
        List<Object> published = new CopyOnWriteArrayList<>();
        CloakroomSessionRepository repository = new CloakroomSessionRepository(client);
        repository.setPublishEvents(true);
        repository.setApplicationEventPublisher(published::add);
        repository.start();
        try {
            repository.save(repository.createSession());
            Service.waitUntil("the event is published", () -> !published.isEmpty());
        } finally {
            repository.stop();
        }
    }

    @Test
    void a_wrong_token_is_refused_without_repeats_and_without_the_token_in_the_message() {
        CloakroomClient client = service.builder().caFile(folder.resolve("tls.crt")).token("another-token-of-a-caller").build();
        assertThatThrownBy(() -> client.open("x".repeat(32))).isInstanceOfSatisfying(CloakroomException.class, failure -> {
            assertThat(failure.reason()).isEqualTo("CALLER_UNKNOWN");
            assertThat(failure).hasMessageContaining("token_hashes").hasMessageNotContaining("another-token");
        });
    }

    @Test
    void a_certificate_that_is_not_trusted_is_an_error_at_once() {
        // So long that the test only ends in time if nothing is repeated.
        Duration hours = Duration.ofHours(4);
        CloakroomClient anotherAuthority = service.builder().tls().token(TOKEN).deadline(hours).build();
        CloakroomClient anotherName = CloakroomClient.builder().service("localhost:" + service.port())
                .caFile(folder.resolve("tls.crt")).deadline(hours).build();
        for (CloakroomClient client : List.of(anotherAuthority, anotherName)) {
            assertThatThrownBy(() -> client.open("x".repeat(32))).isInstanceOf(SessionUnavailableException.class)
                    .hasMessageContaining("caFile").hasMessageContaining("authority");
        }
    }

    @Test
    void a_replica_whose_certificate_is_not_trusted_is_passed_over() {
        CloakroomClient client = service.builder().service("localhost:" + service.port(), service.address())
                .caFile(folder.resolve("tls.crt")).token(TOKEN).build();
        for (int call = 0; call < 4; call++) {
            assertThat(client.open("x".repeat(32)).path("session").path("new").asBoolean()).isTrue();
        }
    }

    @Test
    void a_file_without_certificates_is_refused() throws Exception {
        Path empty = Files.createFile(folder.resolve("empty.crt"));
        assertThatThrownBy(() -> service.builder().caFile(empty).build()).hasMessageContaining("has no certificate");
        assertThatThrownBy(() -> service.builder().caFile(folder.resolve("none")).build()).hasMessageContaining("PEM");
    }

    @Test
    void a_call_that_a_proxy_answers_by_502_is_made_again() throws Exception {
        AtomicInteger calls = new AtomicInteger();
        try (FakeService proxy = FakeService.start(request -> {
            calls.incrementAndGet();
            return new FakeService.Answer(502, "Bad Gateway");
        })) {
            CloakroomClient client = CloakroomClient.builder().service(proxy.address()).deadline(Duration.ofSeconds(2)).build();
            assertThatThrownBy(() -> client.open("the-key-of-a-session")).isInstanceOf(SessionUnavailableException.class)
                    .hasMessageContaining("502");
            assertThat(calls.get()).isGreaterThan(1);
        }
    }

    @Test
    void a_service_that_does_not_answer_costs_the_deadline_and_no_more() throws Exception {
        try (ServerSocket silent = new ServerSocket(0, 50, InetAddress.getLoopbackAddress())) {
            CloakroomClient client = CloakroomClient.builder().service("127.0.0.1:" + silent.getLocalPort())
                    .deadline(Duration.ofMillis(800)).build();
            long begin = System.nanoTime();
            assertThatThrownBy(() -> client.open("the-key-of-a-session")).isInstanceOf(SessionUnavailableException.class)
                    .hasMessageContaining("did not answer").hasMessageNotContaining("the-key-of-a-session");
            assertThat(Duration.ofNanos(System.nanoTime() - begin)).isBetween(Duration.ofMillis(400), Duration.ofSeconds(60));
        }
    }

    @Test
    void a_call_whose_repeat_has_no_time_left_says_why_it_was_repeated() throws Exception {
        try (ServerSocket listener = new ServerSocket(0, 50, InetAddress.getLoopbackAddress())) {
            // The first connection ends, and all others are silent.
            Thread first = new Thread(() -> closeOne(listener));
            first.start();
            CloakroomClient client = CloakroomClient.builder().service("127.0.0.1:" + listener.getLocalPort())
                    .deadline(Duration.ofSeconds(4)).build();
            assertThatThrownBy(() -> client.open("x".repeat(32))).isInstanceOf(SessionUnavailableException.class)
                    .hasMessageMatching("(?s).*no answer within \\d+ ms.*; the attempt before: (?!.*no answer within).*");
            first.join();
        }
    }

    private static void closeOne(ServerSocket listener) {
        try {
            listener.accept().close();
        } catch (IOException failure) {
            throw new UncheckedIOException(failure);
        }
    }

    @Test
    void a_call_goes_to_the_replica_that_answers() throws Exception {
        CloakroomClient client = service.builder().service("127.0.0.1:1", service.address()).caFile(folder.resolve("tls.crt"))
                .token(TOKEN).build();
        for (int call = 0; call < 4; call++) {
            assertThat(client.open("x".repeat(32)).path("session").path("new").asBoolean()).isTrue();
        }
    }

    @Test
    void a_repeat_goes_to_another_replica_whatever_other_calls_do() throws Exception {
        AtomicReference<CloakroomClient> client = new AtomicReference<>();
        try (FakeService live = FakeService.start(request -> new FakeService.Answer(200, "{\"session\": {\"new\": true}}"));
                FakeService away = FakeService.start(request -> {
                    // Another call of the process comes between a call and its repeat.
                    client.get().open("another-key-of-a-session");
                    return new FakeService.Answer(503, "{}");
                })) {
            client.set(CloakroomClient.builder().service(away.address(), live.address()).deadline(Duration.ofSeconds(10)).build());
            assertThat(client.get().open("the-key-of-a-session").path("session").path("new").asBoolean()).isTrue();
        }
    }

    @Test
    void a_call_asks_every_replica_before_it_waits() {
        // The waits between so many attempts would take longer than the deadline.
        String[] addresses = Collections.nCopies(31, "127.0.0.1:1").toArray(String[]::new);
        addresses[30] = service.address();
        CloakroomClient client = service.builder().service(addresses).caFile(folder.resolve("tls.crt")).token(TOKEN)
                .deadline(Duration.ofSeconds(12)).build();
        assertThat(client.open("x".repeat(32)).path("session").path("new").asBoolean()).isTrue();
    }

    @Test
    void idle_connections_are_kept_for_a_minute_unless_the_application_says_otherwise() {
        String property = "jdk.httpclient.keepalive.timeout";
        System.clearProperty(property);
        service.client();
        // Newer versions of Java keep them for less than a minute by themselves.
        assertThat(System.getProperty(property)).isEqualTo(Runtime.version().feature() < 20 ? "60" : null);

        System.setProperty(property, "7");
        service.client();
        assertThat(System.getProperty(property)).isEqualTo("7");
        System.clearProperty(property);
    }

    @Test
    void what_is_no_address_is_refused() {
        for (String address : List.of("", "localhost", "http://localhost:1", "user@localhost:1", "local host:1")) {
            assertThatThrownBy(() -> CloakroomClient.builder().service(address)).hasMessageContaining("host:port");
        }
        assertThatThrownBy(() -> CloakroomClient.builder().deadline(Duration.ZERO)).hasMessageContaining("positive");
        assertThatThrownBy(() -> CloakroomClient.builder().build().list("rob", "")).hasMessageContaining("adminService");
    }
}
