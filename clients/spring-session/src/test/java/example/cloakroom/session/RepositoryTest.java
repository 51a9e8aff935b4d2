package example.cloakroom.session;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowable;

import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.springframework.security.authentication.UsernamePasswordAuthenticationToken;
import org.springframework.security.core.authority.AuthorityUtils;
import org.springframework.security.core.context.SecurityContextImpl;
import org.springframework.security.jackson.SecurityJacksonModules;
import org.springframework.session.FindByIndexNameSessionRepository;
import org.springframework.session.FlushMode;
import org.springframework.session.SaveMode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.jsontype.BasicPolymorphicTypeValidator;

/** What Spring Session's own tests ask of its repositories for Redis, and what only this one keeps. */
class RepositoryTest {
    private static final String USER = FindByIndexNameSessionRepository.PRINCIPAL_NAME_INDEX_NAME;
    private static Service service;
    private static CloakroomClient client;

    private final List<String> gone = new ArrayList<>();
    private final CloakroomSessionRepository repository = newRepository();

    @BeforeAll
    static void start() throws Exception {
        service = Service.start();
        client = service.client();
    }

    @AfterAll
    static void close() throws Exception {
        service.close();
    }

    private CloakroomSessionRepository newRepository() {
        CloakroomSessionRepository repository = new CloakroomSessionRepository(client);
        repository.setOnGone((reason, session) -> gone.add(reason));
        return repository;
    }

    private CloakroomSession saved(Map<String, Object> attributes) {
        CloakroomSession session = repository.createSession();
        attributes.forEach(session::setAttribute);
        repository.save(session);
        return session;
    }

    @Test
    void a_session_lives_from_its_first_save_to_its_deletion() {
        CloakroomSession session = repository.createSession();
        assertThat(repository.findById(session.getId())).isNull();

        session.setAttribute("name", "tj");
        session.setAttribute("list", new ArrayList<>(List.of(1, 2L, "three")));
        repository.save(session);
        CloakroomSession found = repository.findById(session.getId());

        assertThat(found.getId()).isEqualTo(session.getId());
        assertThat(found.getAttributeNames()).containsExactly("list", "name");
        assertThat(found.<String>getAttribute("name")).isEqualTo("tj");
        assertThat(found.<List<Object>>getAttribute("list")).containsExactly(1, 2L, "three");
        assertThat(found.<Object>getAttribute("other")).isNull();
        assertThat(found.isExpired()).isFalse();
        assertThat(found.getCreationTime()).isBetween(session.getCreationTime().minusSeconds(60), Instant.now().plusSeconds(60));

        repository.deleteById(session.getId());
        assertThat(repository.findById(session.getId())).isNull();
        repository.deleteById(session.getId());
    }

    @Test
    void a_session_without_attributes_is_saved() {
        CloakroomSession session = saved(Map.of());
        assertThat(repository.findById(session.getId()).getAttributeNames()).isEmpty();
    }

    @Test
    void each_kind_of_value_comes_back_as_it_was() {
        Map<String, Object> values = Map.of("text", "\"ä\u0000🙂", "half", "\ud83d", "true", true, "int", 7, "long", 7L,
                "instant", Instant.ofEpochSecond(1, 2), "bytes", new byte[] {0, 1}, "array", new String[] {"a"});
        CloakroomSession found = repository.findById(saved(values).getId());
        values.forEach((name, value) -> assertThat(found.<Object>getAttribute(name)).isEqualTo(value));
    }

    @Test
    void an_attribute_that_is_removed_or_set_to_null_is_gone() {
        CloakroomSession session = saved(Map.of("a", "1", "b", "2", "c", "3"));
        CloakroomSession found = repository.findById(session.getId());
        found.removeAttribute("a");
        found.setAttribute("b", null);
        repository.save(found);
        assertThat(repository.findById(session.getId()).getAttributeNames()).containsExactly("c");
    }

    @Test
    void two_requests_at_once_keep_the_attributes_of_both() {
        CloakroomSession session = saved(Map.of("both", "old"));
        CloakroomSession one = repository.findById(session.getId());
        CloakroomSession other = repository.findById(session.getId());
        one.setAttribute("one", "1");
        other.setAttribute("other", "2");
        other.removeAttribute("both");
        repository.save(other);
        repository.save(one);
        assertThat(repository.findById(session.getId()).getAttributeNames()).containsExactly("one", "other");
    }

    @Test
    void a_save_without_a_change_makes_no_call() {
        CloakroomClient nowhere = CloakroomClient.builder().service("127.0.0.1:1").deadline(Duration.ofMillis(50)).build();
        CloakroomSessionRepository unreachable = new CloakroomSessionRepository(nowhere);
        CloakroomSession found = repository.findById(saved(Map.of("a", "1")).getId());
        found.setLastAccessedTime(Instant.now());
        found.getAttribute("a");
        unreachable.save(found);

        found.setAttribute("a", "2");
        assertThatThrownBy(() -> unreachable.save(found)).isInstanceOf(SessionUnavailableException.class);
        found.setAttribute("b", "1");
        repository.save(found);
        unreachable.save(found);
        assertThat(repository.findById(found.getId()).<String>getAttribute("a")).isEqualTo("2");
    }

    @Test
    void nothing_revives_a_session_that_has_ended() {
        CloakroomSession session = saved(Map.of("a", "1"));
        CloakroomSession slow = repository.findById(session.getId());
        repository.deleteById(session.getId());
        slow.setAttribute("a", "2");
        repository.save(slow);
        repository.save(session);
        assertThat(repository.findById(session.getId())).isNull();
        assertThat(gone).containsExactly("END_REASON_DESTROYED");
    }

    @Test
    void the_application_is_told_once_that_a_session_had_ended() {
        CloakroomSession slow = saved(Map.of("a", "1"));
        repository.deleteById(slow.getId());
        slow.setAttribute("a", "2");
        repository.save(slow);
        repository.save(slow);
        slow.setAttribute("a", "3");
        repository.save(slow);
        assertThat(gone).containsExactly("END_REASON_DESTROYED");
    }

    @Test
    void a_save_that_failed_makes_no_call_again_until_the_session_changes() throws Exception {
        AtomicInteger calls = new AtomicInteger();
        try (FakeService away = FakeService.start(request -> {
            calls.incrementAndGet();
            return new FakeService.Answer(503, "{}");
        })) {
            CloakroomClient client = CloakroomClient.builder().service(away.address()).deadline(Duration.ofSeconds(1)).build();
            CloakroomSessionRepository unreachable = new CloakroomSessionRepository(client);
            CloakroomSession session = unreachable.createSession();
            Throwable failure = catchThrowable(() -> unreachable.save(session));
            assertThat(failure).isInstanceOf(SessionUnavailableException.class);
            assertThat(catchThrowable(() -> unreachable.save(session))).isSameAs(failure);

            int before = calls.get();
            session.setAttribute("a", "1");
            assertThatThrownBy(() -> unreachable.save(session)).isInstanceOf(SessionUnavailableException.class);
            assertThat(calls).hasValueGreaterThan(before);
        }
    }

    @Test
    void a_changed_id_has_the_attributes_and_the_old_one_has_ended() {
        CloakroomSession session = saved(Map.of("kept", 1, "changed", "old", "removed", "x"));
        String old = session.getId();
        CloakroomSession found = repository.findById(old);
        found.setAttribute("changed", "new");
        found.removeAttribute("removed");
        String id = found.changeSessionId();
        found.setAttribute("more", "y");
        repository.save(found);

        assertThat(id).isNotEqualTo(old).isEqualTo(found.getId());
        assertThat(repository.findById(old)).isNull();
        CloakroomSession moved = repository.findById(id);
        assertThat(moved.getAttributeNames()).containsExactly("changed", "kept", "more");
        assertThat(moved.<String>getAttribute("changed")).isEqualTo("new");
        assertThat(moved.<Integer>getAttribute("kept")).isEqualTo(1);
    }

    @Test
    void a_change_of_the_id_does_not_revive_a_session_that_has_ended() {
        for (FlushMode mode : FlushMode.values()) {
            gone.clear();
            repository.setFlushMode(mode);
            String id = saved(Map.of(USER, "kim")).getId();
            CloakroomSession slow = repository.findById(id);
            repository.deleteById(id);

            assertThat(slow.changeSessionId()).isEqualTo(id).isEqualTo(slow.getId());
            slow.setAttribute("a", "2");
            repository.save(slow);
            assertThat(slow.changeSessionId()).isEqualTo(id);
            repository.save(slow);

            assertThat(repository.findByPrincipalName("kim")).isEmpty();
            assertThat(gone).containsExactly("END_REASON_DESTROYED");
        }
    }

    @Test
    void a_change_of_the_id_with_a_value_that_cannot_be_saved_ends_no_session() {
        CloakroomSession session = saved(Map.of("cart", "apples"));
        CloakroomSession found = repository.findById(session.getId());
        found.setAttribute("odd", new Object());

        assertThatThrownBy(found::changeSessionId).hasMessageContaining("attribute 'odd'");

        assertThat(found.getId()).isEqualTo(session.getId());
        assertThat(repository.findById(session.getId()).getAttributeNames()).containsExactly("cart");
    }

    @Test
    void an_id_that_changes_before_the_first_save_or_twice_is_one_session() {
        CloakroomSession session = repository.createSession();
        session.setAttribute("a", "1");
        String first = session.getId();
        String second = session.changeSessionId();
        repository.save(session);
        session.changeSessionId();
        String last = session.changeSessionId();
        repository.save(session);
        assertThat(List.of(first, second)).allMatch(id -> repository.findById(id) == null);
        assertThat(repository.findById(last).<String>getAttribute("a")).isEqualTo("1");
    }

    @Test
    void a_session_that_is_ended_after_its_id_changed_is_nowhere() {
        CloakroomSession session = saved(Map.of("a", "1"));
        String old = session.getId();
        session.changeSessionId();
        repository.deleteById(session.getId());
        assertThat(repository.findById(old)).isNull();
        assertThat(repository.findById(session.getId())).isNull();
    }

    @Test
    void the_sessions_of_a_user_are_found_and_ended() {
        CloakroomSession one = saved(Map.of(USER, "rob", "a", "1"));
        CloakroomSession other = saved(Map.of(USER, "rob"));
        CloakroomSession ofOther = saved(Map.of(USER, "robin"));

        Map<String, CloakroomSession> found = repository.findByPrincipalName("rob");
        assertThat(found).hasSize(2).doesNotContainKeys(one.getId(), other.getId());
        assertThat(found.values()).extracting(session -> session.<String>getAttribute("a")).containsExactlyInAnyOrder("1", null);
        assertThat(repository.findByIndexNameAndIndexValue("color", "rob")).isEmpty();
        assertThat(repository.findByPrincipalName("nobody")).isEmpty();

        found.keySet().forEach(repository::deleteById);
        assertThat(repository.findByPrincipalName("rob")).isEmpty();
        assertThat(repository.findById(one.getId())).isNull();
        assertThat(repository.findById(other.getId())).isNull();
        assertThat(repository.findById(ofOther.getId())).isNotNull();
    }

    @Test
    void the_sessions_of_a_user_are_found_on_all_pages() throws Exception {
        try (FakeService pages = FakeService.start(request -> {
            String token = request.path("pageToken").asText("");
            String next = token.isEmpty() ? "second" : token.equals("second") ? "third" : "";
            return new FakeService.Answer(200, """
                    {"sessions": [{"id": "of-page-%s", "createTime": "2026-01-01T00:00:00Z", "accessTime": "2026-01-01T00:00:00Z",
                     "expireTime": "2026-01-02T00:00:00Z"}], "nextPageToken": "%s"}""".formatted(token, next));
        })) {
            var paged = new CloakroomSessionRepository(service.builder().adminService(pages.address()).build());
            assertThat(paged.findByPrincipalName("rob").keySet())
                    .containsExactly("public-id:of-page-", "public-id:of-page-second", "public-id:of-page-third");
        }
    }

    @Test
    void a_public_id_opens_nothing_and_its_session_cannot_be_changed() {
        saved(Map.of(USER, "ann"));
        var found = repository.findByPrincipalName("ann").entrySet().iterator().next();
        assertThat(repository.findById(found.getKey())).isNull();
        found.getValue().setAttribute("a", "1");
        assertThatThrownBy(() -> repository.save(found.getValue())).isInstanceOf(UnsupportedOperationException.class);
    }

    @Test
    void the_user_of_a_session_comes_and_changes_and_goes() {
        CloakroomSession session = saved(Map.of("a", "1"));
        session.setAttribute("SPRING_SECURITY_CONTEXT", context("first"));
        repository.save(session);
        assertThat(repository.findByPrincipalName("first")).hasSize(1);

        CloakroomSession found = repository.findById(session.getId());
        found.setAttribute("SPRING_SECURITY_CONTEXT", context("second"));
        repository.save(found);
        assertThat(repository.findByPrincipalName("first")).isEmpty();
        CloakroomSession changed = repository.findByPrincipalName("second").values().iterator().next();
        assertThat(changed.<String>getAttribute("a")).isEqualTo("1");
        SecurityContextImpl context = changed.getAttribute("SPRING_SECURITY_CONTEXT");
        assertThat(context.getAuthentication().getName()).isEqualTo("second");

        found.removeAttribute("SPRING_SECURITY_CONTEXT");
        repository.save(found);
        assertThat(repository.findByPrincipalName("second")).isEmpty();
        assertThat(repository.findById(session.getId()).<String>getAttribute("a")).isEqualTo("1");
    }

    private static SecurityContextImpl context(String name) {
        var authorities = AuthorityUtils.createAuthorityList("USER");
        return new SecurityContextImpl(new UsernamePasswordAuthenticationToken(name, "n/a", authorities));
    }

    @Test
    void attributes_can_be_json_with_the_modules_of_spring_security() {
        var types = BasicPolymorphicTypeValidator.builder().allowIfSubType(Long.class);
        var modules = SecurityJacksonModules.getModules(getClass().getClassLoader(), types);
        JsonMapper mapper = JsonMapper.builder().addModules(modules).build();
        repository.setAttributeSerializer(new AttributeSerializer() {
            @Override
            public byte[] serialize(Object value) {
                return mapper.writerFor(Object.class).writeValueAsBytes(value);
            }

            @Override
            public Object deserialize(byte[] bytes) {
                return mapper.readValue(bytes, Object.class);
            }
        });
        CloakroomSession session = saved(Map.of("SPRING_SECURITY_CONTEXT", context("jack"), "long", 7L));
        CloakroomSession found = repository.findById(session.getId());
        assertThat(found.<Object>getAttribute("SPRING_SECURITY_CONTEXT")).isEqualTo(context("jack"));
        assertThat(found.<Object>getAttribute("long")).isEqualTo(7L);
    }

    @Test
    void a_user_stays_found_after_the_id_changed() {
        CloakroomSession session = saved(Map.of(USER, "eve"));
        CloakroomSession found = repository.findById(session.getId());
        found.changeSessionId();
        repository.save(found);
        assertThat(repository.findByPrincipalName("eve")).hasSize(1);
    }

    @Test
    void a_session_has_its_own_interval() {
        CloakroomSession session = saved(Map.of("a", "1"));
        assertThat(repository.findById(session.getId()).getMaxInactiveInterval()).isEqualTo(Duration.ofMinutes(30));
        session.setMaxInactiveInterval(Duration.ofMillis(90_500));
        repository.save(session);
        assertThat(repository.findById(session.getId()).getMaxInactiveInterval()).isEqualTo(Duration.ofMillis(90_500));
    }

    @Test
    void a_session_ends_after_its_interval_which_is_at_least_a_second() throws Exception {
        repository.setDefaultMaxInactiveInterval(Duration.ofMillis(1));
        CloakroomSession session = saved(Map.of("a", "1"));
        Instant saved = Instant.now();
        Service.waitUntil("the interval is over", () -> Instant.now().isAfter(saved.plusSeconds(2)));
        assertThat(repository.findById(session.getId())).isNull();
    }

    @Test
    void an_interval_without_an_end_is_that_of_the_app() {
        CloakroomSession session = saved(Map.of());
        session.setMaxInactiveInterval(Duration.ofSeconds(-1));
        repository.save(session);
        assertThat(session.isExpired()).isFalse();
        assertThat(repository.findById(session.getId()).getMaxInactiveInterval()).isGreaterThan(Duration.ofMinutes(30));
    }

    @Test
    void a_session_expires_by_its_own_clock() {
        CloakroomSession session = repository.createSession();
        session.setLastAccessedTime(Instant.now().minus(Duration.ofMinutes(29)));
        assertThat(session.isExpired()).isFalse();
        session.setLastAccessedTime(Instant.now().minus(Duration.ofMinutes(31)));
        assertThat(session.isExpired()).isTrue();
    }

    @Test
    void what_changes_inside_of_a_value_is_sent_by_the_save_mode() {
        for (SaveMode mode : SaveMode.values()) {
            repository.setSaveMode(mode);
            CloakroomSession session = saved(Map.of("list", new ArrayList<>(List.of("old")), "unread", new ArrayList<>()));
            CloakroomSession found = repository.findById(session.getId());
            found.<List<String>>getAttribute("list").add("new");
            repository.save(found);
            int size = repository.findById(session.getId()).<List<String>>getAttribute("list").size();
            assertThat(size).as(mode.name()).isEqualTo(mode == SaveMode.ON_SET_ATTRIBUTE ? 1 : 2);
        }
    }

    @Test
    void the_mode_always_sends_what_nobody_read() {
        repository.setSaveMode(SaveMode.ALWAYS);
        CloakroomSession session = saved(Map.of("a", "old"));
        CloakroomSession found = repository.findById(session.getId());
        session.setAttribute("a", "new");
        repository.save(session);
        repository.save(found);
        assertThat(repository.findById(session.getId()).<String>getAttribute("a")).isEqualTo("old");
    }

    @Test
    void the_flush_mode_immediate_needs_no_save() {
        repository.setFlushMode(FlushMode.IMMEDIATE);
        CloakroomSession session = repository.createSession();
        assertThat(repository.findById(session.getId())).isNotNull();
        session.setAttribute("a", "1");
        assertThat(repository.findById(session.getId()).<String>getAttribute("a")).isEqualTo("1");
        session.setMaxInactiveInterval(Duration.ofMinutes(1));
        assertThat(repository.findById(session.getId()).getMaxInactiveInterval()).isEqualTo(Duration.ofMinutes(1));
        session.changeSessionId();
        assertThat(repository.findById(session.getId()).<String>getAttribute("a")).isEqualTo("1");
        session.removeAttribute("a");
        assertThat(repository.findById(session.getId()).getAttributeNames()).isEmpty();
    }

    @Test
    void what_a_browser_sends_as_an_id_never_fails() {
        for (String id : List.of("", "short", "x".repeat(257), "ä".repeat(129), "\u0000".repeat(20), "v1.a.b.c",
                "public-id:" + "0".repeat(32))) {
            assertThat(repository.findById(id)).isNull();
        }
        repository.deleteById("short");
    }

    @Test
    void a_generator_of_short_ids_is_refused_without_the_id_in_the_message() {
        repository.setSessionIdGenerator(() -> "k-3151592");
        CloakroomSession session = repository.createSession();
        assertThatThrownBy(() -> repository.save(session)).isInstanceOfSatisfying(CloakroomException.class, failure -> {
            assertThat(failure.reason()).isEqualTo("KEY_INVALID");
            assertThat(failure).hasMessageContaining("16").hasMessageNotContaining("k-3151592");
        });
    }
}
