package example.cloakroom.session;

import java.io.ObjectInputFilter;
import java.util.List;

/** The classes that JDK serialization may write and read, and the greatest size of what it reads. */
final class AllowedClasses implements ObjectInputFilter {
    /** What Java, Spring Security and Spring MVC put into sessions. `java.lang.*` has no reflection. */
    private static final List<String> ALWAYS = List.of(
            "java.lang.*", "java.math.*", "java.net.URI", "java.time.*", "java.util.*", "java.util.concurrent.*",
            "java.util.concurrent.atomic.*", "org.springframework.security.**", "org.springframework.util.*",
            "org.springframework.web.servlet.FlashMap");
    private static final long MAX_DEPTH = 100;
    private static final long MAX_REFERENCES = 1_000_000;
    private static final long MAX_ARRAY_LENGTH = 10_000_000;

    private final List<String> patterns;

    /** Each pattern is the name of a class, `package.*`, or `package.**` for a package and those below it. */
    AllowedClasses(List<String> patterns) {
        patterns.forEach(AllowedClasses::check);
        this.patterns = patterns;
    }

    private static void check(String pattern) {
        String name = pattern.endsWith(".**") ? pattern.substring(0, pattern.length() - 3)
                : pattern.endsWith(".*") ? pattern.substring(0, pattern.length() - 2) : pattern;
        if (name.isEmpty() || name.contains("*")) {
            throw new IllegalArgumentException("'" + pattern + "' allows no classes. Name a class, such as com.example.Cart,"
                    + " or a package, such as com.example.* or com.example.**");
        }
    }

    @Override
    public Status checkInput(FilterInfo info) {
        boolean isTooLarge = info.depth() > MAX_DEPTH || info.references() > MAX_REFERENCES
                || info.arrayLength() > MAX_ARRAY_LENGTH;
        if (isTooLarge || (info.serialClass() != null && !allows(info.serialClass()))) {
            return Status.REJECTED;
        }
        return Status.ALLOWED;
    }

    boolean allows(Class<?> type) {
        Class<?> element = type;
        while (element.isArray()) {
            element = element.getComponentType();
        }
        String name = element.getName();
        return element.isPrimitive() || matchesAny(ALWAYS, name) || matchesAny(patterns, name);
    }

    private static boolean matchesAny(List<String> patterns, String name) {
        return patterns.stream().anyMatch(pattern -> matches(pattern, name));
    }

    private static boolean matches(String pattern, String name) {
        if (pattern.endsWith(".**")) {
            return name.startsWith(pattern.substring(0, pattern.length() - 2));
        }
        if (pattern.endsWith(".*")) {
            String prefix = pattern.substring(0, pattern.length() - 1);
            return name.startsWith(prefix) && name.indexOf('.', prefix.length()) < 0;
        }
        // A nested class belongs to its class.
        return name.equals(pattern) || name.startsWith(pattern + "$");
    }
}
