package example.cloakroom.session;

import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpSession;
import jakarta.servlet.http.HttpSessionEvent;
import jakarta.servlet.http.HttpSessionListener;
import java.security.Principal;
import java.time.Duration;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.EnableAutoConfiguration;
import org.springframework.boot.web.server.context.WebServerApplicationContext;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.context.annotation.Import;
import org.springframework.security.config.Customizer;
import org.springframework.security.config.annotation.web.builders.HttpSecurity;
import org.springframework.security.core.userdetails.User;
import org.springframework.security.provisioning.InMemoryUserDetailsManager;
import org.springframework.security.web.SecurityFilterChain;
import org.springframework.session.config.annotation.web.http.EnableSpringHttpSession;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RequestParam;
import org.springframework.web.bind.annotation.RestController;

/** An application on Spring Boot with Spring MVC and Spring Security, whose users may read and set attributes. */
@Configuration(proxyBeanMethods = false)
@EnableAutoConfiguration
@EnableSpringHttpSession
@Import(Shop.Pages.class)
class Shop {
    /** Runs the application with a service that the environment names, and prints its address. */
    public static void main(String... arguments) {
        CloakroomClient client = CloakroomClient.builder().service(System.getenv("CLOAKROOM_ADDRESS")).app("stores")
                .deadline(Duration.ofMinutes(1)).build();
        System.out.println("http://127.0.0.1:" + port(start(client, System.getenv("LOG_FILE"))));
    }

    /** Starts the application at a free port. */
    static ConfigurableApplicationContext start(CloakroomClient client, String logFile) {
        return start(client, logFile, false);
    }

    static ConfigurableApplicationContext start(CloakroomClient client, String logFile, boolean withEvents) {
        SpringApplication application = new SpringApplication(Shop.class);
        application.addInitializers(context -> context.getBeanFactory().registerSingleton("client", client));
        return application.run("--server.address=127.0.0.1", "--server.port=0", "--spring.main.banner-mode=off",
                "--logging.file.name=" + logFile, "--logging.threshold.console=off", "--events=" + withEvents,
                "--logging.level.example.cloakroom=trace", "--logging.level.org.springframework.session=trace");
    }

    static int port(ConfigurableApplicationContext context) {
        return ((WebServerApplicationContext) context).getWebServer().getPort();
    }

    @Bean
    CloakroomSessionRepository sessionRepository(CloakroomClient client, @Value("${events}") boolean withEvents) {
        CloakroomSessionRepository repository = new CloakroomSessionRepository(client);
        repository.setPublishEvents(withEvents);
        return repository;
    }

    @Bean
    Ends ends() {
        return new Ends();
    }

    /** The ids of the sessions that have ended, as a listener of the servlet container learns them. */
    static class Ends implements HttpSessionListener {
        private final Set<String> ids = ConcurrentHashMap.newKeySet();

        @Override
        public void sessionDestroyed(HttpSessionEvent event) {
            ids.add(event.getSession().getId());
        }

        Set<String> ids() {
            return ids;
        }
    }

    @Bean
    SessionUnavailableFilter sessionUnavailableFilter() {
        return new SessionUnavailableFilter();
    }

    @Bean
    SecurityFilterChain security(HttpSecurity http) {
        return http.authorizeHttpRequests(requests -> requests.requestMatchers("/me").authenticated().anyRequest().permitAll())
                .formLogin(Customizer.withDefaults()).build();
    }

    @Bean
    InMemoryUserDetailsManager users() {
        return new InMemoryUserDetailsManager(User.withUsername("alice").password("{noop}secret").roles("USER").build());
    }

    /** The pages. */
    @RestController
    static class Pages {
        private final Map<String, CountDownLatch> rounds = new ConcurrentHashMap<>();

        @GetMapping("/set")
        String set(HttpSession session, @RequestParam String name, @RequestParam String value) {
            session.setAttribute(name, value);
            return "set";
        }

        /** Sets an attribute after both requests of a round have loaded the session. */
        @GetMapping("/set-together")
        String setTogether(HttpSession session, @RequestParam String name, @RequestParam String round) throws InterruptedException {
            pass(round(round));
            session.setAttribute(name, round);
            return "set";
        }

        /** Changes the id of a session, which has been loaded, when the test lets it go on. */
        @GetMapping("/change-id")
        String changeId(HttpServletRequest request, @RequestParam String round) throws InterruptedException {
            request.getSession();
            pass(round(round));
            return request.changeSessionId();
        }

        /** Requests of the same round wait here for another one, or for the test. */
        CountDownLatch round(String name) {
            return rounds.computeIfAbsent(name, any -> new CountDownLatch(2));
        }

        private static void pass(CountDownLatch round) throws InterruptedException {
            round.countDown();
            if (!round.await(60, TimeUnit.SECONDS)) {
                throw new IllegalStateException("the other request did not come");
            }
        }

        @GetMapping("/attributes")
        Map<String, Object> attributes(HttpSession session) {
            Map<String, Object> attributes = new TreeMap<>();
            session.getAttributeNames().asIterator().forEachRemaining(name -> {
                if (session.getAttribute(name) instanceof String value) {
                    attributes.put(name, value);
                }
            });
            return attributes;
        }

        @GetMapping("/")
        String home(Principal principal) {
            return principal == null ? "not logged in" : "logged in as " + principal.getName();
        }

        @GetMapping("/me")
        String me(Principal principal) {
            return principal.getName();
        }
    }
}
