package example.cloakroom.session;

import java.io.File;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.springframework.util.FileSystemUtils;

/** The service, as a process of its own, with the app `shop` of kind `external`. */
final class Service {
    private static final long WAIT_LIMIT_SECONDS = 60;
    private static final List<ServerSocket> CLAIMS = new CopyOnWriteArrayList<>();
    private static final Path ROOT = Path.of("../..").toAbsolutePath().normalize();

    private final Path folder;
    private final String settings;
    private int port;
    private int adminPort;
    private Process process;

    private Service(Path folder, String settings) {
        this.folder = folder;
        this.settings = settings;
    }

    static Service start() throws Exception {
        return start("");
    }

    /** Starts it with more settings, which may begin with those of `[apps.shop]`. */
    static Service start(String settings) throws Exception {
        Service service = new Service(Files.createTempDirectory("cloakroom-java-"), settings);
        service.port = freePort();
        service.adminPort = freePort();
        Files.writeString(service.folder.resolve("cloakroom.toml"), service.configuration());
        service.launch();
        return service;
    }

    private String configuration() {
        return """
                [server]
                listen = "127.0.0.1:%d"
                [admin]
                listen = "127.0.0.1:%d"
                [store]
                kind = "embedded"
                [store.embedded]
                path = "%s/data"
                [apps.shop]
                kind = "external"
                %s
                """.formatted(port, adminPort, folder, settings);
    }

    /** Starts it, also after {@link #stop}. It has its sessions again. */
    void launch() throws Exception {
        ProcessBuilder builder = new ProcessBuilder(program(), "serve", "--config", folder.resolve("cloakroom.toml").toString());
        builder.redirectErrorStream(true).redirectOutput(ProcessBuilder.Redirect.appendTo(log().toFile()));
        process = builder.start();
        // If the test's process ends first, this one ends too.
        Process started = process;
        Runtime.getRuntime().addShutdownHook(new Thread(started::destroyForcibly));
        waitUntil("the service listens", () -> {
            if (!process.isAlive()) {
                throw new IllegalStateException("the service ended: " + Files.readString(log()));
            }
            return isListening(port) && isListening(adminPort);
        });
    }

    void stop() throws Exception {
        process.destroy();
        if (!process.waitFor(WAIT_LIMIT_SECONDS, TimeUnit.SECONDS)) {
            process.destroyForcibly().waitFor();
        }
    }

    /** Stops it for good. */
    void close() throws Exception {
        process.destroyForcibly().waitFor();
        FileSystemUtils.deleteRecursively(folder);
    }

    String address() {
        return "127.0.0.1:" + port;
    }

    int port() {
        return port;
    }

    String adminAddress() {
        return "127.0.0.1:" + adminPort;
    }

    Path folder() {
        return folder;
    }

    Path log() {
        return folder.resolve("service.log");
    }

    CloakroomClient client() {
        return builder().build();
    }

    /** Has a deadline for a busy machine. */
    CloakroomClient.Builder builder() {
        return CloakroomClient.builder().service(address()).adminService(adminAddress()).app("shop")
                .deadline(Duration.ofSeconds(WAIT_LIMIT_SECONDS));
    }

    /** Runs `cloakroom sessions`. */
    void sessions(String command, String... arguments) throws Exception {
        List<String> line = new ArrayList<>(List.of(program(), "sessions", "--address", adminAddress(), command));
        line.addAll(List.of(arguments));
        Process run = new ProcessBuilder(line).redirectErrorStream(true).start();
        String printed = new String(run.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        if (run.waitFor() != 0) {
            throw new IllegalStateException(printed);
        }
    }

    static void waitUntil(String what, Callable<Boolean> condition) throws Exception {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(WAIT_LIMIT_SECONDS);
        while (!condition.call()) {
            if (System.nanoTime() > end) {
                throw new AssertionError("not within " + WAIT_LIMIT_SECONDS + " s: " + what);
            }
            Thread.sleep(20);
        }
    }

    /**
     * Returns a port of 127.0.0.1 that no other test gets until this process ends, whether it listens there or not yet: a
     * listener on an address that nothing else uses holds it. It has another number, so that programs can listen on the
     * port at all addresses. The port is below those that the system gives to outgoing connections, which could take it.
     */
    static int freePort() {
        while (true) {
            int port = ThreadLocalRandom.current().nextInt(10_000, 32_768);
            try {
                CLAIMS.add(new ServerSocket(port + 32_768, 1, InetAddress.getByName("127.255.255.254")));
                new ServerSocket(port, 1, InetAddress.getLoopbackAddress()).close();
                return port;
            } catch (IOException taken) {
                continue;
            }
        }
    }

    private static boolean isListening(int port) {
        try (Socket socket = new Socket()) {
            socket.connect(new InetSocketAddress(InetAddress.getLoopbackAddress(), port), 1000);
            return true;
        } catch (IOException refused) {
            return false;
        }
    }

    /** Returns the program that CLOAKROOM_BIN names, or else the one that was built last. */
    private static String program() {
        String named = System.getenv("CLOAKROOM_BIN");
        if (named != null) {
            return ROOT.resolve(named).toString();
        }
        return Stream.of("dist", "release", "debug").map(profile -> ROOT.resolve("target/" + profile + "/cloakroom").toFile())
                .filter(File::exists).max(Comparator.comparing(File::lastModified))
                .orElseThrow(() -> new IllegalStateException("build the service first (cargo build), or name it by CLOAKROOM_BIN"))
                .toString();
    }
}
