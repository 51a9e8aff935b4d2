package example.cloakroom.session;

import static org.assertj.core.api.Assertions.assertThat;

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.springframework.context.ConfigurableApplicationContext;

/** A real application with real requests. */
class ApplicationTest {
    private static final int ROUNDS = Integer.parseInt(System.getenv().getOrDefault("CLOAKROOM_TEST_ROUNDS", "200"));
    private static final Map<String, String> ALICE = Map.of("username", "alice", "password", "secret");
    private static final List<String> KEYS = new ArrayList<>();

    private static final ExecutorService EXECUTOR = Executors.newFixedThreadPool(2);
    private static Service service;
    private static ConfigurableApplicationContext shop;

    @BeforeAll
    static void start() throws Exception {
        service = Service.start();
        shop = Shop.start(service.client(), service.folder().resolve("shop.log").toString());
    }

    @AfterAll
    static void close() throws Exception {
        EXECUTOR.shutdownNow();
        shop.close();
        try {
            String logs = Files.readString(service.folder().resolve("shop.log")) + Files.readString(service.log());
            assertThat(logs).contains("Started").doesNotContain(KEYS);
        } finally {
            service.close();
        }
    }

    private static Browser newBrowser() {
        return new Browser(Shop.port(shop));
    }

    private static Browser loggedIn() throws Exception {
        Browser browser = newBrowser();
        browser.submit("/login", ALICE);
        assertThat(browser.get("/me").body()).isEqualTo("alice");
        KEYS.add(browser.sessionId());
        return browser;
    }

    @Test
    void two_requests_at_once_keep_the_attributes_of_both_in_every_round() throws Exception {
        Browser browser = newBrowser();
        browser.get("/set?name=first&value=1");
        KEYS.add(browser.sessionId());
        for (int round = 0; round < ROUNDS; round++) {
            String query = "&round=" + round;
            Future<?> one = EXECUTOR.submit(() -> browser.get("/set-together?name=one" + query));
            Future<?> other = EXECUTOR.submit(() -> browser.get("/set-together?name=other" + query));
            one.get(2, TimeUnit.MINUTES);
            other.get(2, TimeUnit.MINUTES);
            assertThat(browser.get("/attributes").body())
                    .isEqualTo("{\"first\":\"1\",\"one\":\"%d\",\"other\":\"%d\"}".formatted(round, round));
        }
    }

    @Test
    void a_login_has_another_id_and_the_attributes_and_a_logout_ends_it() throws Exception {
        Browser browser = newBrowser();
        browser.get("/set?name=cart&value=apples");
        String before = browser.sessionId();
        assertThat(browser.get("/me").statusCode()).isEqualTo(302);

        browser.submit("/login", ALICE);
        String after = browser.sessionId();
        assertThat(browser.get("/me").body()).isEqualTo("alice");
        assertThat(browser.get("/attributes").body()).contains("\"cart\":\"apples\"");
        CloakroomSessionRepository repository = shop.getBean(CloakroomSessionRepository.class);
        assertThat(after).isNotEqualTo(before);
        assertThat(repository.findById(before)).isNull();

        browser.submit("/logout", Map.of());
        assertThat(repository.findById(after)).isNull();
        assertThat(browser.get("/me").statusCode()).isEqualTo(302);
        KEYS.addAll(List.of(before, after));
    }

    @Test
    void all_sessions_of_a_user_end_within_a_second() throws Exception {
        List<Browser> browsers = List.of(loggedIn(), loggedIn(), loggedIn());
        Browser otherBrowser = newBrowser();
        otherBrowser.get("/set?name=a&value=1");
        assertThat(shop.getBean(CloakroomSessionRepository.class).findByPrincipalName("alice")).hasSizeGreaterThanOrEqualTo(3);

        service.sessions("revoke-subject", "--app", "shop", "alice");

        // The very next request of each: nothing of it is remembered in the application.
        for (Browser browser : browsers) {
            assertThat(browser.get("/me").statusCode()).isEqualTo(302);
        }
        assertThat(otherBrowser.get("/attributes").body()).contains("\"a\":\"1\"");
    }

    @Test
    void a_change_of_the_id_does_not_revive_a_session_that_was_revoked_and_the_next_login_works() throws Exception {
        List<String> gone = new CopyOnWriteArrayList<>();
        CloakroomSessionRepository repository = shop.getBean(CloakroomSessionRepository.class);
        repository.setOnGone((reason, session) -> gone.add(reason));
        Browser browser = loggedIn();
        String id = browser.sessionId();
        CountDownLatch round = shop.getBean(Shop.Pages.class).round("revoked");
        Future<String> slow = EXECUTOR.submit(() -> browser.get("/change-id?round=revoked").body());
        Service.waitUntil("the request has loaded its session", () -> round.getCount() == 1);
        service.sessions("revoke-subject", "--app", "shop", "alice");
        round.countDown();

        assertThat(slow.get(2, TimeUnit.MINUTES)).isEqualTo(id).isEqualTo(browser.sessionId());
        assertThat(repository.findByPrincipalName("alice")).isEmpty();
        assertThat(gone).containsExactly("END_REASON_REVOKED");

        browser.submit("/login", ALICE);
        assertThat(browser.get("/me").body()).isEqualTo("alice");
        KEYS.add(browser.sessionId());
    }

    @Test
    void a_restart_of_the_service_costs_no_request() throws Exception {
        Browser browser = loggedIn();
        service.stop();
        Future<String> during = EXECUTOR.submit(() -> browser.get("/set?name=during&value=restart").body());
        service.launch();
        assertThat(during.get(2, TimeUnit.MINUTES)).isEqualTo("set");
        assertThat(browser.get("/attributes").body()).contains("\"during\":\"restart\"");
        assertThat(browser.get("/me").body()).isEqualTo("alice");
    }

    @Test
    void listeners_learn_the_ids_of_sessions_that_end_and_the_application_stops() throws Exception {
        ConfigurableApplicationContext other = Shop.start(service.client(), service.folder().resolve("events.log").toString(), true);
        try {
            Browser browser = new Browser(Shop.port(other));
            browser.get("/set?name=a&value=1");
            String before = browser.sessionId();
            browser.submit("/login", ALICE);
            String after = browser.sessionId();
            KEYS.addAll(List.of(before, after));
            Shop.Ends ends = other.getBean(Shop.Ends.class);
            Service.waitUntil("the id before the login has ended", () -> ends.ids().contains(before));
            assertThat(ends.ids()).doesNotContain(after);

            service.sessions("revoke-subject", "--app", "shop", "alice");
            Service.waitUntil("the session of the user has ended", () -> ends.ids().contains(after));
            assertThat(other.getBean(CloakroomSessionRepository.class).isRunning()).isTrue();
        } finally {
            other.close();
        }
        assertThat(eventThreads()).isZero();
    }

    private static long eventThreads() {
        return Thread.getAllStackTraces().keySet().stream().filter(thread -> thread.getName().equals("cloakroom-session-events"))
                .count();
    }

    @Test
    void a_request_loads_its_session_once_in_an_outage() throws Exception {
        AtomicInteger calls = new AtomicInteger();
        try (FakeService away = FakeService.start(request -> {
            calls.incrementAndGet();
            return new FakeService.Answer(503, "{}");
        })) {
            // The deadline is shorter than the pause before a repeat, so each load is one call at most.
            CloakroomClient client = CloakroomClient.builder().service(away.address()).deadline(Duration.ofMillis(40)).build();
            try (ConfigurableApplicationContext other = Shop.start(client, service.folder().resolve("away.log").toString())) {
                URI page = URI.create("http://127.0.0.1:" + Shop.port(other) + "/attributes");
                KEYS.add("x".repeat(43));
                String cookie = "SESSION=" + Base64.getEncoder().encodeToString(KEYS.get(KEYS.size() - 1).getBytes(StandardCharsets.UTF_8));
                HttpRequest request = HttpRequest.newBuilder(page).header("cookie", cookie).build();
                HttpClient http = HttpClient.newHttpClient();

                for (int requests = 1; requests <= 10; requests++) {
                    assertThat(http.send(request, HttpResponse.BodyHandlers.discarding()).statusCode()).isEqualTo(503);
                    assertThat(calls).hasValueLessThanOrEqualTo(requests);
                }
            }
        }
    }

    @Test
    void an_outage_is_answered_by_503_and_the_user_stays_logged_in() throws Exception {
        Browser browser = loggedIn();
        CloakroomClient shortDeadline = service.builder().deadline(Duration.ofMillis(300)).build();
        ConfigurableApplicationContext other = Shop.start(shortDeadline, service.folder().resolve("other.log").toString());
        try {
            Browser visitor = new Browser(Shop.port(other));
            service.stop();
            var answer = visitor.get("/set?name=a&value=1");
            assertThat(answer.statusCode()).isEqualTo(503);
            assertThat(answer.headers().firstValue("retry-after")).contains("1");
            assertThat(answer.headers().firstValue("set-cookie")).isEmpty();
        } finally {
            service.launch();
            other.close();
        }
        assertThat(browser.get("/me").body()).isEqualTo("alice");
    }
}
