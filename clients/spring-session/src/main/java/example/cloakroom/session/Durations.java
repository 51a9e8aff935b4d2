package example.cloakroom.session;

import java.math.BigDecimal;
import java.time.Duration;

/** Durations as JSON writes them: `1.5s`. */
final class Durations {
    private static final int NANO_DIGITS = 9;

    private Durations() {
    }

    static Duration parse(String text) {
        BigDecimal seconds = new BigDecimal(text.substring(0, text.length() - 1));
        BigDecimal nanos = seconds.remainder(BigDecimal.ONE).movePointRight(NANO_DIGITS);
        return Duration.ofSeconds(seconds.longValue(), nanos.longValue());
    }

    static String format(Duration duration) {
        BigDecimal nanos = BigDecimal.valueOf(duration.getNano(), NANO_DIGITS);
        return nanos.add(BigDecimal.valueOf(duration.getSeconds())).toPlainString() + "s";
    }
}
