package example.cloakroom.session;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.NotSerializableException;
import java.io.ObjectInputStream;
import java.io.ObjectOutputStream;
import java.io.OutputStream;
import java.util.List;
import org.springframework.core.ConfigurableObjectInputStream;

/**
 * JDK serialization of classes that are allowed: those that Java, Spring Security and Spring MVC put into sessions, and
 * those that the application names. It refuses any other class when it is written, and again when it is read, because
 * bytes of an unexpected class may run code while they are read.
 */
public final class JdkAttributeSerializer implements AttributeSerializer {
    private final AllowedClasses allowed;

    /**
     * @param allowedClasses what the application puts into sessions: names of classes, `com.example.*` for a package, or
     *     `com.example.**` for a package and those below it
     */
    public JdkAttributeSerializer(String... allowedClasses) {
        allowed = new AllowedClasses(List.of(allowedClasses));
    }

    @Override
    public byte[] serialize(Object value) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (ObjectOutputStream output = new CheckedOutput(bytes)) {
            output.writeObject(value);
        } catch (NotSerializableException failure) {
            throw new IllegalArgumentException(failure.getMessage() + " is not Serializable, so a session cannot hold it",
                    failure);
        } catch (IOException failure) {
            throw new IllegalArgumentException("the value cannot be serialized", failure);
        }
        return bytes.toByteArray();
    }

    @Override
    public Object deserialize(byte[] bytes) {
        ClassLoader loader = Thread.currentThread().getContextClassLoader();
        try (ObjectInputStream input = new ConfigurableObjectInputStream(new ByteArrayInputStream(bytes), loader)) {
            input.setObjectInputFilter(allowed);
            return input.readObject();
        } catch (IOException | ClassNotFoundException failure) {
            throw new IllegalArgumentException("the value cannot be deserialized: either its class has changed, or it is not"
                    + " among the classes of JdkAttributeSerializer", failure);
        }
    }

    /** Sees each class that is written, once, those of members and superclasses included. */
    private final class CheckedOutput extends ObjectOutputStream {
        CheckedOutput(OutputStream output) throws IOException {
            super(output);
        }

        @Override
        protected void annotateClass(Class<?> type) {
            check(type);
        }

        @Override
        protected void annotateProxyClass(Class<?> type) {
            check(type);
        }

        private void check(Class<?> type) {
            if (!allowed.allows(type)) {
                throw new IllegalArgumentException("sessions may not hold a " + type.getName() + ". If it is a class of the"
                        + " application, allow it: new JdkAttributeSerializer(\"" + type.getName() + "\"), or its package");
            }
        }
    }
}
