import example.cloakroom.session.CloakroomClient;
import example.cloakroom.session.CloakroomSession;
import example.cloakroom.session.CloakroomSessionRepository;
import java.time.Duration;

/** Counts the visits of one session in two requests, with the package that Maven has installed. */
public final class Count {
    private final CloakroomSessionRepository repository;

    private Count(String service) {
        repository = new CloakroomSessionRepository(CloakroomClient.builder().service(service).app("external")
                .deadline(Duration.ofMinutes(1)).build());
    }

    public static void main(String... arguments) {
        Count count = new Count(arguments[0]);
        CloakroomSession session = count.repository.createSession();
        String first = count.visit(session);
        System.out.println(first + " " + count.visit(count.repository.findById(session.getId())));
    }

    private String visit(CloakroomSession session) {
        String visits = session.getAttribute("visits");
        session.setAttribute("visits", visits == null ? "1" : String.valueOf(Integer.parseInt(visits) + 1));
        repository.save(session);
        return session.getAttribute("visits");
    }
}
