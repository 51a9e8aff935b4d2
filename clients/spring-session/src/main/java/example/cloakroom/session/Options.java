package example.cloakroom.session;

import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.function.Supplier;
import javax.net.ssl.SSLContext;

/** Where the service is, and how to call it. */
final class Options {
    List<String> addresses = List.of("localhost:50051");
    List<String> adminAddresses = List.of();
    String app = "default";
    Supplier<String> token = () -> null;
    Duration deadline = Duration.ofSeconds(2);
    boolean tls;
    SSLContext sslContext;
    Path caFile;

    /** Returns the context for TLS, or null for plain HTTP. */
    SSLContext context() {
        if (sslContext != null || caFile == null) {
            return sslContext;
        }
        return CertificateAuthority.trusting(caFile);
    }

    String scheme() {
        return tls || sslContext != null || caFile != null ? "https" : "http";
    }
}
