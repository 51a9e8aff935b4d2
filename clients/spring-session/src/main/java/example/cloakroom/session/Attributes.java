package example.cloakroom.session;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/**
 * The attributes of one session. A value that the service sent is decoded when it is read first, so that a value that
 * cannot be decoded disturbs only those who want it.
 */
final class Attributes {
    private static final ObjectMapper JSON = new ObjectMapper();

    private final AttributeSerializer serializer;
    private final Map<String, JsonNode> encoded = new HashMap<>();
    private final Map<String, Object> decoded = new HashMap<>();

    Attributes(AttributeSerializer serializer, JsonNode entries) {
        this.serializer = serializer;
        entries.properties().forEach(entry -> encoded.put(entry.getKey(), entry.getValue()));
    }

    Set<String> names() {
        Set<String> names = new TreeSet<>(encoded.keySet());
        names.addAll(decoded.keySet());
        return names;
    }

    Object get(String name) {
        Object value = decoded.get(name);
        if (value == null && encoded.containsKey(name)) {
            value = named(name, () -> decode(encoded.get(name)));
            decoded.put(name, value);
        }
        return value;
    }

    void put(String name, Object value) {
        encoded.remove(name);
        decoded.put(name, value);
    }

    void remove(String name) {
        encoded.remove(name);
        decoded.remove(name);
    }

    /** Returns the value as the service stores it, as it is now, or null if there is none. */
    JsonNode encode(String name) {
        Object value = decoded.get(name);
        return value == null ? encoded.get(name) : named(name, () -> encode(value));
    }

    private ObjectNode encode(Object value) {
        ObjectNode entry = JsonNodeFactory.instance.objectNode();
        if (value instanceof Boolean || (value instanceof String text && isUnicode(text))) {
            return entry.put("json", JSON.valueToTree(value).toString());
        }
        return entry.put("raw", Base64.getEncoder().encodeToString(serializer.serialize(value)));
    }

    /** JSON cannot hold half of a surrogate pair. */
    private static boolean isUnicode(String text) {
        return StandardCharsets.UTF_8.newEncoder().canEncode(text);
    }

    /** Decodes JSON of clients in other languages as well: maps, lists and numbers. */
    private Object decode(JsonNode entry) {
        if (entry.has("raw")) {
            return serializer.deserialize(Base64.getDecoder().decode(entry.get("raw").textValue()));
        }
        try {
            return JSON.readValue(entry.path("json").asText(), Object.class);
        } catch (JsonProcessingException failure) {
            throw new IllegalArgumentException("the value is not JSON", failure);
        }
    }

    private interface Step<T> {
        T run();
    }

    private static <T> T named(String name, Step<T> step) {
        try {
            return step.run();
        } catch (IllegalArgumentException failure) {
            throw new IllegalArgumentException("attribute '" + name + "': " + failure.getMessage(), failure);
        }
    }
}
