package example.cloakroom.session;

/** A call that the service refused. The message says what to change, and never has a key. */
public class CloakroomException extends RuntimeException {
    private final String reason;

    CloakroomException(String reason, String message) {
        this(reason, message, null);
    }

    CloakroomException(String reason, String message, Throwable cause) {
        super(message, cause);
        this.reason = reason;
    }

    /** Returns the reason that docs/errors.md lists, or an empty text if the service gave none. */
    public String reason() {
        return reason;
    }
}
