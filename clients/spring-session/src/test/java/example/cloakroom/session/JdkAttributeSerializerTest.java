package example.cloakroom.session;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.ObjectOutputStream;
import java.io.Serializable;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.springframework.web.servlet.FlashMap;

class JdkAttributeSerializerTest {
    private final JdkAttributeSerializer serializer = new JdkAttributeSerializer();

    record Cart(List<String> goods) implements Serializable {
    }

    @Test
    void what_java_and_spring_put_into_sessions_comes_back() {
        FlashMap flash = new FlashMap();
        flash.put("message", "saved");
        for (Object value : List.of(1.5, Map.of("a", List.of(1)), new int[][] {{1}}, Thread.State.NEW, flash)) {
            assertThat(serializer.deserialize(serializer.serialize(value))).isEqualTo(value);
        }
    }

    @Test
    void a_class_of_the_application_has_to_be_allowed_by_its_name_or_its_package() {
        Cart cart = new Cart(new ArrayList<>(List.of("apples")));
        assertThatThrownBy(() -> serializer.serialize(new ArrayList<>(List.of(cart))))
                .hasMessageContaining("new JdkAttributeSerializer(\"" + Cart.class.getName() + "\")");
        for (String allowed : List.of(JdkAttributeSerializerTest.class.getName(), "example.cloakroom.session.*", "example.**")) {
            JdkAttributeSerializer allowing = new JdkAttributeSerializer(allowed);
            assertThat(allowing.deserialize(allowing.serialize(cart))).isEqualTo(cart);
        }
        for (String other : List.of("example.*", "example.cloakroom.session", "example.cloakroom.session.Cart")) {
            assertThatThrownBy(() -> new JdkAttributeSerializer(other).serialize(cart)).hasMessageContaining("allow it");
        }
    }

    @Test
    void bytes_of_another_class_run_nothing_of_it() throws IOException {
        Trap.READ.set(0);
        byte[] bytes = plain(new ArrayList<>(List.of(new Trap())));
        assertThatThrownBy(() -> serializer.deserialize(bytes)).hasMessageContaining("JdkAttributeSerializer");
        assertThat(Trap.READ).hasValue(0);

        new JdkAttributeSerializer(Trap.class.getName()).deserialize(bytes);
        assertThat(Trap.READ).hasValue(1);
    }

    @Test
    void proxies_and_deep_bytes_are_refused() throws IOException {
        Object proxy = Proxy.newProxyInstance(getClass().getClassLoader(), new Class<?>[] {Comparable.class}, new Trap());
        byte[] ofProxy = plain(proxy);
        JdkAttributeSerializer trapping = new JdkAttributeSerializer(Trap.class.getName());
        assertThatThrownBy(() -> trapping.deserialize(ofProxy)).hasMessageContaining("cannot be deserialized");
        assertThatThrownBy(() -> trapping.serialize(proxy)).hasMessageContaining("sessions may not hold");
        List<Object> deep = new ArrayList<>();
        for (int depth = 0; depth < 200; depth++) {
            deep = new ArrayList<>(List.of(deep));
        }
        byte[] ofDeep = plain(deep);
        assertThatThrownBy(() -> serializer.deserialize(ofDeep)).hasMessageContaining("cannot be deserialized");
        assertThatThrownBy(() -> serializer.deserialize("no bytes of Java".getBytes())).hasMessageContaining("cannot be deserialized");
    }

    @Test
    void a_pattern_that_allows_everything_is_refused() {
        for (String pattern : List.of("", "*", "**", ".**", "com.*.example")) {
            assertThatThrownBy(() -> new JdkAttributeSerializer(pattern)).hasMessageContaining("allows no classes");
        }
    }

    private static byte[] plain(Object value) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (ObjectOutputStream output = new ObjectOutputStream(bytes)) {
            output.writeObject(value);
        }
        return bytes.toByteArray();
    }

    /** Counts how often it was read. */
    static final class Trap implements Serializable, java.lang.reflect.InvocationHandler {
        static final AtomicInteger READ = new AtomicInteger();

        private void readObject(java.io.ObjectInputStream input) {
            READ.incrementAndGet();
        }

        @Override
        public Object invoke(Object proxy, java.lang.reflect.Method method, Object[] arguments) {
            return null;
        }
    }
}
