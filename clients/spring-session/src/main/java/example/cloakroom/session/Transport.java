package example.cloakroom.session;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.net.http.HttpTimeoutException;
import java.security.cert.CertificateException;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Semaphore;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicInteger;
import javax.net.ssl.SSLContext;

/**
 * Calls by the Connect protocol with JSON, over kept-alive HTTP/1.1 connections. docs/wire.md has the rules. A unary call
 * is repeated until its deadline while nothing answers, so each call has to be harmless when it is repeated.
 */
final class Transport {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final Duration CONNECT_TIMEOUT = Duration.ofSeconds(1);
    private static final String IDLE_TIME = "jdk.httpclient.keepalive.timeout";
    private static final String IDLE_SECONDS = "60";
    /** Since this version an idle connection stays for 30 seconds. Before it, for 20 minutes. */
    private static final int FIRST_JAVA_WITH_SHORT_IDLE_TIME = 20;
    /** The service takes 1024 connections of one address by default. */
    private static final int MAX_CALLS = 512;
    private static final long FIRST_PAUSE_MILLIS = 100;
    private static final long LONGEST_PAUSE_MILLIS = 1000;
    /** An attempt leaves half of the time to the next one, unless this little is left. */
    private static final long SHORTEST_ATTEMPT_MILLIS = 200;

    private final Options options;
    private final List<URI> services;
    private final HttpClient http;
    private final Semaphore calls = new Semaphore(MAX_CALLS);
    private final AtomicInteger next = new AtomicInteger();

    Transport(Options options, List<String> addresses) {
        this.options = options;
        services = addresses.stream().map(address -> URI.create(options.scheme() + "://" + address + "/")).toList();
        limitIdleTime();
        HttpClient.Builder builder = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1)
                .connectTimeout(CONNECT_TIMEOUT).proxy(HttpClient.Builder.NO_PROXY);
        SSLContext context = options.context();
        http = (context == null ? builder : builder.sslContext(context)).build();
    }

    /**
     * Lets no connection be idle for so long that a network on the way may have forgotten it. The JDK has no setting for one
     * client, and reads this one when the process makes its first client.
     */
    private static void limitIdleTime() {
        if (Runtime.version().feature() < FIRST_JAVA_WITH_SHORT_IDLE_TIME && System.getProperty(IDLE_TIME) == null) {
            System.setProperty(IDLE_TIME, IDLE_SECONDS);
        }
    }

    /** Returns the response of a method such as `cloakroom.v1.SessionService/OpenSession`. */
    JsonNode call(String method, ObjectNode request) {
        Deadline deadline = Deadline.in(options.deadline);
        try {
            if (!calls.tryAcquire(deadline.leftMillis(), TimeUnit.MILLISECONDS)) {
                throw unavailable(method, "more than " + MAX_CALLS + " calls were running", null);
            }
            try {
                return repeat(method, JSON.writeValueAsBytes(request), deadline);
            } finally {
                calls.release();
            }
        } catch (InterruptedException interrupt) {
            Thread.currentThread().interrupt();
            throw unavailable(method, "the thread was interrupted", interrupt);
        } catch (IOException failure) {
            throw new CloakroomException("", "the request of " + method + " cannot be written as JSON", failure);
        }
    }

    /** Begins a call that answers with a stream. Nothing repeats it. */
    ResponseStream stream(String method, ObjectNode request) {
        ResponseStream stream = new ResponseStream(method);
        stream.begin(http, request(method, "application/connect+json", nextTurn()).POST(ResponseStream.body(request)).build());
        return stream;
    }

    private JsonNode repeat(String method, byte[] body, Deadline deadline) throws InterruptedException {
        long pause = FIRST_PAUSE_MILLIS;
        SessionUnavailableException before = null;
        // A turn of its own: with that of all calls, a repeat could go to the same replica again.
        int first = nextTurn();
        for (int attempt = 0;; attempt++) {
            try {
                return attempt(method, body, first + attempt, deadline);
            } catch (SessionUnavailableException failure) {
                boolean isOneLeft = attempt + 1 < services.size();
                long shortened = isOneLeft ? 0 : ThreadLocalRandom.current().nextLong(pause / 2, pause + 1);
                if (isLasting(failure) || deadline.leftMillis() <= shortened) {
                    throw isLate(failure) && before != null ? withReason(failure, before) : failure;
                }
                before = isLate(failure) ? before : failure;
                Thread.sleep(shortened);
                pause = isOneLeft ? pause : Math.min(2 * pause, LONGEST_PAUSE_MILLIS);
            }
        }
    }

    /** Returns the turn of a call, so that all replicas get calls. */
    private int nextTurn() {
        return next.getAndIncrement();
    }

    /** Returns whether another attempt would fail too. Another replica may have a certificate that is trusted. */
    boolean isLasting(CloakroomException failure) {
        boolean isUnavailable = failure instanceof SessionUnavailableException;
        return !isUnavailable || (isUntrusted(failure.getCause()) && services.size() == 1);
    }

    /** Returns whether an attempt failed only because its time was over. */
    private static boolean isLate(SessionUnavailableException failure) {
        return failure.getCause() instanceof TimeoutException || failure.getCause() instanceof HttpTimeoutException;
    }

    /** That there was no time left for the last attempt does not say why the call was repeated. */
    private static SessionUnavailableException withReason(SessionUnavailableException failure, SessionUnavailableException before) {
        return new SessionUnavailableException(failure.reason(), failure.getMessage() + "; the attempt before: "
                + before.getMessage(), before);
    }

    private JsonNode attempt(String method, byte[] body, int turn, Deadline deadline) throws InterruptedException {
        long left = Math.max(1, deadline.leftMillis());
        long limit = left <= 2 * SHORTEST_ATTEMPT_MILLIS ? left : left / 2;
        CompletableFuture<HttpResponse<byte[]>> call = http.sendAsync(request(method, body, turn, limit),
                BodyHandlers.ofByteArray());
        try {
            return read(method, call.get(limit, TimeUnit.MILLISECONDS));
        } catch (TimeoutException failure) {
            throw unavailable(method, "no answer within " + limit + " ms", failure);
        } catch (ExecutionException failure) {
            throw unanswered(method, failure.getCause());
        } finally {
            // Closes the connection of a call that has not ended.
            call.cancel(true);
        }
    }

    private HttpRequest request(String method, byte[] body, int turn, long limitMillis) {
        return request(method, "application/json", turn).header("connect-timeout-ms", Long.toString(limitMillis))
                .POST(HttpRequest.BodyPublishers.ofByteArray(body)).build();
    }

    private HttpRequest.Builder request(String method, String contentType, int turn) {
        URI service = services.get(Math.floorMod(turn, services.size()));
        HttpRequest.Builder request = HttpRequest.newBuilder(service.resolve(method)).header("content-type", contentType);
        String token = options.token.get();
        return token == null ? request : request.header("authorization", "Bearer " + token);
    }

    private JsonNode read(String method, HttpResponse<byte[]> response) {
        String reason = response.headers().firstValue("cloakroom-reason").orElse("");
        boolean isUnavailable = isUnavailable(response.statusCode(), reason);
        if (isUnavailable && reason.isEmpty()) {
            throw unavailable(method, "HTTP " + response.statusCode() + ", as a proxy answers", null);
        }
        JsonNode body = parse(method, response);
        if (response.statusCode() == 200) {
            return body;
        }
        String message = "HTTP " + response.statusCode() + " " + reason + ": " + body.path("message").asText("no message");
        if (isUnavailable) {
            throw new SessionUnavailableException(reason, method + ": " + message, null);
        }
        throw new CloakroomException(reason, method + ": " + message);
    }

    /** Whether a later call may be answered: an outage of the service or behind it, too many calls, or a proxy without it. */
    static boolean isUnavailable(int status, String reason) {
        return switch (status) {
            case 429 -> !reason.equals("REQUEST_TOO_LARGE");
            case 502, 503, 504 -> true;
            default -> false;
        };
    }

    private static JsonNode parse(String method, HttpResponse<byte[]> response) {
        try {
            return JSON.readTree(response.body());
        } catch (IOException failure) {
            throw new CloakroomException("", method + ": the answer, of status " + response.statusCode()
                    + ", is not JSON. The address may be that of another service", failure);
        }
    }

    /** Returns the error of a call whose connection failed. */
    static SessionUnavailableException unanswered(String method, Throwable cause) {
        return isUntrusted(cause) ? untrusted(method, cause) : unavailable(method, String.valueOf(cause), cause);
    }

    static SessionUnavailableException unavailable(String method, String what, Throwable cause) {
        return new SessionUnavailableException("", method + ": the service did not answer (" + what
                + "). Check its address, and that it runs", cause);
    }

    private static SessionUnavailableException untrusted(String method, Throwable cause) {
        return new SessionUnavailableException("", method + ": the certificate of the service is not trusted (" + cause
                + "). Set caFile to its authority, and service to a name or an IP address that is in it", cause);
    }

    /** Returns whether the certificate of the service is of another authority, or for another name. */
    private static boolean isUntrusted(Throwable failure) {
        for (Throwable each = failure; each != null; each = each.getCause()) {
            if (each instanceof CertificateException) {
                return true;
            }
        }
        return false;
    }

    private record Deadline(long nanos) {
        static Deadline in(Duration duration) {
            return new Deadline(System.nanoTime() + duration.toNanos());
        }

        long leftMillis() {
            return (nanos - System.nanoTime()) / 1_000_000;
        }
    }
}
