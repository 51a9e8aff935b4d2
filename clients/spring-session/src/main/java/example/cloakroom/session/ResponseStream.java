package example.cloakroom.session;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandler;
import java.net.http.HttpResponse.BodySubscriber;
import java.net.http.HttpResponse.BodySubscribers;
import java.net.http.HttpResponse.ResponseInfo;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Flow;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/**
 * The messages of one call that answers with a stream. One thread reads, and any other may close it. The next bytes are
 * only asked for after the last ones were read.
 */
final class ResponseStream implements AutoCloseable {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final int PREFIX_BYTES = 5;
    private static final int LAST_FLAG = 2;
    private static final int LONGEST_MESSAGE = 4 << 20;
    private static final Part CLOSED = new Part(new byte[0], null);

    private final String method;
    private final BlockingQueue<Part> parts = new LinkedBlockingQueue<>();
    private byte[] unread = new byte[0];
    private volatile Flow.Subscription subscription;
    private volatile CompletableFuture<?> call;
    private volatile boolean isClosed;

    ResponseStream(String method) {
        this.method = method;
    }

    /** Some bytes, or why there are no more. */
    private record Part(byte[] bytes, CloakroomException failure) {
    }

    /** Returns the body of the request, which stands in an envelope as all messages do. */
    static BodyPublisher body(JsonNode request) {
        byte[] message = request.toString().getBytes(StandardCharsets.UTF_8);
        return BodyPublishers.ofByteArray(ByteBuffer.allocate(PREFIX_BYTES + message.length).put((byte) 0)
                .putInt(message.length).put(message).array());
    }

    void begin(HttpClient http, HttpRequest request) {
        BodyHandler<Void> handler = this::receive;
        call = http.sendAsync(request, handler);
        call.whenComplete((response, failure) -> {
            String cutOff = "the stream was cut off";
            add(failure == null ? Transport.unavailable(method, cutOff, null) : Transport.unanswered(method, causeOf(failure)));
        });
    }

    private static Throwable causeOf(Throwable failure) {
        return failure.getCause() == null ? failure : failure.getCause();
    }

    private BodySubscriber<Void> receive(ResponseInfo response) {
        if (response.statusCode() == 200) {
            return BodySubscribers.fromSubscriber(new Receiver());
        }
        String reason = response.headers().firstValue("cloakroom-reason").orElse("");
        String message = method + ": HTTP " + response.statusCode() + " " + reason;
        boolean isUnavailable = Transport.isUnavailable(response.statusCode(), reason);
        add(isUnavailable ? new SessionUnavailableException(reason, message, null) : new CloakroomException(reason, message));
        return BodySubscribers.discarding();
    }

    /**
     * Returns the next message, or null if none came in time or the stream was closed. Fails at the end of the stream, which
     * has none without a failure.
     */
    JsonNode next(long timeoutMillis) throws InterruptedException {
        long end = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(timeoutMillis);
        while (!isClosed) {
            JsonNode message = take();
            if (message != null) {
                return message;
            }
            Part part = parts.poll(end - System.nanoTime(), TimeUnit.NANOSECONDS);
            if (part == null) {
                return null;
            }
            if (part.failure != null) {
                throw part.failure;
            }
            append(part.bytes);
        }
        return null;
    }

    private void append(byte[] bytes) {
        int length = unread.length;
        unread = Arrays.copyOf(unread, length + bytes.length);
        System.arraycopy(bytes, 0, unread, length, bytes.length);
        if (bytes.length > 0) {
            subscription.request(1);
        }
    }

    /** Returns the first message if all of it has arrived. */
    private JsonNode take() {
        if (unread.length < PREFIX_BYTES) {
            return null;
        }
        int flags = unread[0];
        int length = ByteBuffer.wrap(unread).getInt(1);
        if (length < 0 || length > LONGEST_MESSAGE) {
            throw new CloakroomException("", method + ": the answer is no stream. The address may be that of another service");
        }
        if (unread.length < PREFIX_BYTES + length) {
            return null;
        }
        JsonNode message = parse(Arrays.copyOfRange(unread, PREFIX_BYTES, PREFIX_BYTES + length));
        unread = Arrays.copyOfRange(unread, PREFIX_BYTES + length, unread.length);
        if ((flags & LAST_FLAG) != 0) {
            throw failureOf(message.path("error"));
        }
        return message;
    }

    private JsonNode parse(byte[] message) {
        try {
            return JSON.readTree(message);
        } catch (IOException failure) {
            throw new CloakroomException("", method + ": a message of the stream is not JSON", failure);
        }
    }

    private CloakroomException failureOf(JsonNode error) {
        String code = error.path("code").asText("unavailable");
        String reason = error.path("details").path(0).path("debug").path("reason").asText("");
        String message = method + ": " + code + " " + reason + ": " + error.path("message").asText("the stream has ended");
        boolean isUnavailable = List.of("unavailable", "deadline_exceeded", "resource_exhausted").contains(code);
        return isUnavailable ? new SessionUnavailableException(reason, message, null) : new CloakroomException(reason, message);
    }

    private void add(CloakroomException failure) {
        parts.add(new Part(new byte[0], failure));
    }

    /** Ends the call and its connection. A read that is waiting returns null. */
    @Override
    public void close() {
        isClosed = true;
        parts.add(CLOSED);
        call.cancel(true);
        if (subscription != null) {
            subscription.cancel();
        }
    }

    private final class Receiver implements Flow.Subscriber<List<ByteBuffer>> {
        @Override
        public void onSubscribe(Flow.Subscription started) {
            subscription = started;
            started.request(1);
        }

        @Override
        public void onNext(List<ByteBuffer> buffers) {
            ByteBuffer joined = ByteBuffer.allocate(buffers.stream().mapToInt(ByteBuffer::remaining).sum());
            buffers.forEach(joined::put);
            parts.add(new Part(joined.array(), null));
        }

        /** The end of the call reports the failure. */
        @Override
        public void onError(Throwable failure) {
        }

        @Override
        public void onComplete() {
        }
    }
}
