package example.cloakroom.session;

import jakarta.servlet.FilterChain;
import jakarta.servlet.ServletException;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import org.springframework.core.annotation.Order;
import org.springframework.session.web.http.SessionRepositoryFilter;
import org.springframework.web.filter.OncePerRequestFilter;

/** Answers 503 to a request whose session is not known because the service did not answer. It waits for that once. */
@Order(SessionRepositoryFilter.DEFAULT_ORDER - 1)
public final class SessionUnavailableFilter extends OncePerRequestFilter {
    @Override
    protected void doFilterInternal(HttpServletRequest request, HttpServletResponse response, FilterChain chain)
            throws ServletException, IOException {
        FailedLoad.beginRequest();
        try {
            chain.doFilter(request, response);
        } catch (RuntimeException | ServletException | IOException failure) {
            if (!isUnavailable(failure) || response.isCommitted()) {
                throw failure;
            }
            logger.warn("A request was answered with 503: " + failure.getMessage());
            answer(response);
        } finally {
            FailedLoad.endRequest();
        }
    }

    private static boolean isUnavailable(Throwable failure) {
        for (Throwable cause = failure; cause != null; cause = cause.getCause()) {
            if (cause instanceof SessionUnavailableException) {
                return true;
            }
        }
        return false;
    }

    /** Writes the response itself: the page for errors of the application may need the session. */
    private static void answer(HttpServletResponse response) throws IOException {
        response.reset();
        response.setStatus(HttpServletResponse.SC_SERVICE_UNAVAILABLE);
        response.setHeader("Retry-After", "1");
        response.setContentType("text/plain;charset=utf-8");
        response.getOutputStream().write("Service unavailable, please try again.\n".getBytes(StandardCharsets.UTF_8));
    }
}
