package example.cloakroom.session;

/** The service did not answer in time. The user is still logged in: answer 503, as {@link SessionUnavailableFilter} does. */
public final class SessionUnavailableException extends CloakroomException {
    SessionUnavailableException(String reason, String message, Throwable cause) {
        super(reason, message, cause);
    }
}
