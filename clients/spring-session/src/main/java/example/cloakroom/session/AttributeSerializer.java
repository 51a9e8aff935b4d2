package example.cloakroom.session;

/**
 * Writes the values of attributes as bytes and reads them. Strings and booleans do not come here: they are JSON in the
 * service, and other languages read them.
 */
public interface AttributeSerializer {
    /** Returns the bytes of a value, which is never null. */
    byte[] serialize(Object value);

    /** Returns the value of bytes that {@link #serialize} wrote. */
    Object deserialize(byte[] bytes);
}
