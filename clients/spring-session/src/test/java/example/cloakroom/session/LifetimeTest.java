package example.cloakroom.session;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.springframework.session.FindByIndexNameSessionRepository;
import org.springframework.session.FlushMode;

/** How long a session lives after a login, in an app that gives anonymous sessions less time. */
class LifetimeTest {
    private static final String USER = FindByIndexNameSessionRepository.PRINCIPAL_NAME_INDEX_NAME;
    private static final Duration APP_LIMIT = Duration.ofHours(2);
    private static final Duration ANONYMOUS_LIMIT = Duration.ofSeconds(60);
    private static Service service;

    private final CloakroomSessionRepository repository = new CloakroomSessionRepository(service.client());

    /** Whether a login changes the id. */
    private enum Login {
        WITH_ANOTHER_ID, WITH_THE_SAME_ID
    }

    @BeforeAll
    static void start() throws Exception {
        service = Service.start("idle_timeout = \"2h\"\n[apps.shop.anonymous]\nidle_timeout = \"60s\"\n");
    }

    @AfterAll
    static void close() throws Exception {
        service.close();
    }

    private CloakroomSession visitor() {
        CloakroomSession session = repository.createSession();
        session.setAttribute("cart", "1");
        repository.save(session);
        return repository.findById(session.getId());
    }

    /** Logs a user in, and returns the interval that a later request finds. */
    private Duration intervalAfter(Login login, CloakroomSession session) {
        return intervalAfter(login, "ann", session);
    }

    private Duration intervalAfter(Login login, String user, CloakroomSession session) {
        if (login == Login.WITH_ANOTHER_ID) {
            session.changeSessionId();
        }
        session.setAttribute(USER, user);
        repository.save(session);
        return repository.findById(session.getId()).getMaxInactiveInterval();
    }

    @ParameterizedTest
    @EnumSource
    void a_login_gives_a_visitor_the_default_interval(Login login) {
        CloakroomSession visitor = visitor();
        assertThat(visitor.getMaxInactiveInterval()).isEqualTo(ANONYMOUS_LIMIT);
        assertThat(intervalAfter(login, visitor)).isEqualTo(Duration.ofMinutes(30));
        assertThat(visitor.getMaxInactiveInterval()).isEqualTo(Duration.ofMinutes(30));
    }

    @ParameterizedTest
    @EnumSource
    void a_login_gives_a_visitor_the_default_interval_in_the_flush_mode_immediate(Login login) {
        repository.setFlushMode(FlushMode.IMMEDIATE);
        assertThat(intervalAfter(login, visitor())).isEqualTo(Duration.ofMinutes(30));
    }

    @ParameterizedTest
    @EnumSource
    void a_login_in_the_first_request_gives_the_default_interval(Login login) {
        CloakroomSession session = repository.createSession();
        repository.save(session);
        assertThat(intervalAfter(login, session)).isEqualTo(Duration.ofMinutes(30));
    }

    @ParameterizedTest
    @EnumSource
    void a_default_interval_without_an_end_is_the_limit_of_the_app(Login login) {
        repository.setDefaultMaxInactiveInterval(Duration.ZERO);
        assertThat(intervalAfter(login, visitor())).isEqualTo(APP_LIMIT);
    }

    @ParameterizedTest
    @EnumSource
    void an_interval_that_is_set_in_the_request_of_the_login_stays(Login login) {
        for (FlushMode mode : FlushMode.values()) {
            repository.setFlushMode(mode);
            CloakroomSession session = visitor();
            session.setMaxInactiveInterval(Duration.ofMinutes(5));
            assertThat(intervalAfter(login, session)).isEqualTo(Duration.ofMinutes(5));
        }
    }

    @ParameterizedTest
    @EnumSource
    void a_shorter_interval_that_an_earlier_request_has_set_stays(Login login) {
        CloakroomSession session = visitor();
        session.setMaxInactiveInterval(Duration.ofSeconds(45));
        repository.save(session);
        assertThat(intervalAfter(login, repository.findById(session.getId()))).isEqualTo(Duration.ofSeconds(45));
    }

    @ParameterizedTest
    @EnumSource
    void the_interval_of_a_user_stays_at_another_login(Login login) {
        CloakroomSession session = visitor();
        intervalAfter(login, session);
        session.setMaxInactiveInterval(ANONYMOUS_LIMIT);
        repository.save(session);
        assertThat(intervalAfter(login, repository.findById(session.getId()))).isEqualTo(ANONYMOUS_LIMIT);
    }

    @ParameterizedTest
    @EnumSource
    void the_interval_of_a_session_is_the_same_for_the_next_user(Login login) {
        CloakroomSession session = visitor();
        intervalAfter(login, session);
        session.setMaxInactiveInterval(Duration.ofMinutes(5));
        repository.save(session);
        CloakroomSession later = repository.findById(session.getId());
        assertThat(intervalAfter(login, "bob", later)).isEqualTo(Duration.ofMinutes(5));
        assertThat(later.getMaxInactiveInterval()).isEqualTo(Duration.ofMinutes(5));
    }
}
