// Package sessions gives each request of a web application its session.
//
// The middleware puts a [Session] into the context of the request. The session is opened when the handler needs it, and
// what the handler changed is saved before the head of the response is sent. A request that does not use its session makes
// no call.
//
//	client, err := cloakroom.New("localhost:50051", cloakroom.Options{App: "shop"})
//	...
//	handler := sessions.New(client).Middleware(mux)
//
//	func addToCart(w http.ResponseWriter, r *http.Request) {
//		session := sessions.From(r.Context())
//		cart, err := sessions.Get[Cart](session, "cart")
//		if err != nil {
//			return // The middleware answers.
//		}
//		session.Set("cart", cart.With(r.FormValue("item")))
//	}
package sessions

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"cloakroom.example/cloakroom"
	pb "cloakroom.example/cloakroom/cloakroomv1"
	"google.golang.org/protobuf/proto"
)

// retryAfter is the number of seconds after which a browser may try again in an outage.
const retryAfter = "5"

// Sessions makes the sessions of requests. Set its fields before the first request.
type Sessions struct {
	// CookieName is the name of the cookie, if it differs from the app's own.
	CookieName string
	// CookieAttributes returns the attributes of the cookie that a request chooses, for an application behind several hosts
	// and proxies: SecureAuto, or a function that trusts what its proxy says, and never what a browser sends. What it does
	// not set, and nil, are the app's own.
	CookieAttributes func(r *http.Request) *pb.CookieAttributes
	// KeepEmpty stores sessions without content too.
	KeepEmpty bool
	// MaxAuthenticateAge is the time for which an authentication counts as recent. 0: RecentlyAuthenticated is false.
	MaxAuthenticateAge time.Duration
	// OmitContext leaves out the user agent and the address of the user, which are for the list of a user's devices.
	OmitContext bool
	// RemoteAddress returns the address of the user. Nil: that of the connection. Set it behind a proxy.
	RemoteAddress func(r *http.Request) string
	// OnUnavailable answers a request whose session could not be opened or saved in time. Nil: 503 with Retry-After.
	OnUnavailable func(w http.ResponseWriter, r *http.Request, err error)
	// OnGone is told that a session had ended before its changes were saved, if Save has not told the handler, or the handler
	// returns without a response then. If it writes a response, that takes the place of the handler's. Nil: a warning in the
	// log.
	OnGone func(w http.ResponseWriter, r *http.Request, gone *GoneError)
	// OnError answers a request whose session could not be saved for another reason: the service refused the save, or a
	// value cannot be written. It also answers for a handler that returns without a response after a call of its session
	// has returned an error. Nil: 500; 400 if the browser has the cookies of two sessions; 409 after a *GoneError.
	OnError func(w http.ResponseWriter, r *http.Request, err error)
	// Log has the warnings. Nil: slog.Default().
	Log *slog.Logger

	client *cloakroom.Client
}

// New returns sessions whose calls a client makes.
func New(client *cloakroom.Client) *Sessions { return &Sessions{client: client} }

// SecureAuto is for Sessions.CookieAttributes: the cookie of a request that came by TLS is secure, and others are as the
// app's. Behind a proxy that ends TLS, the connection is not the browser's: use a function that reads the proxy's header.
func SecureAuto(r *http.Request) *pb.CookieAttributes {
	if r.TLS == nil {
		return nil
	}
	return &pb.CookieAttributes{Secure: proto.Bool(true)}
}

type contextKey struct{}

// From returns the session of a request. It panics if the request went through no middleware.
func From(ctx context.Context) *Session {
	session, isThere := ctx.Value(contextKey{}).(*Session)
	if !isThere {
		panic(errNoSession)
	}
	return session
}

// Middleware returns a handler that gives each request its session and calls next.
//
// If next panics, nothing is saved that was not saved before. A handler inside of it that recovers from panics calls
// Session.Discard.
func (s *Sessions) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		session := newSession(r.Context(), s.client, s.requestOf(r))
		r = r.WithContext(context.WithValue(r.Context(), contextKey{}, session))
		held := &hold{sessions: s, session: session, w: w, r: r}
		isPanic := true
		defer func() {
			if isPanic {
				held.abandon()
			}
		}()
		next.ServeHTTP(wrap(&responseWriter{w, held}), r)
		isPanic = false
		held.finish()
	})
}

func (s *Sessions) requestOf(r *http.Request) request {
	of := request{
		cookieHeader:       cookieHeader(r.Header["Cookie"]),
		cookieName:         s.CookieName,
		maxAuthenticateAge: s.MaxAuthenticateAge,
		keepEmpty:          s.KeepEmpty,
	}
	if s.CookieAttributes != nil {
		of.cookieAttributes = s.CookieAttributes(r)
	}
	if s.OmitContext {
		return of
	}
	of.userAgent = strings.ToValidUTF8(r.UserAgent(), "\uFFFD")
	if s.RemoteAddress != nil {
		of.remoteAddress = strings.ToValidUTF8(s.RemoteAddress(r), "\uFFFD")
	} else if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		of.remoteAddress = host
	}
	return of
}

func (s *Sessions) unavailable(w http.ResponseWriter, r *http.Request, err error) {
	s.log().Warn("a session is unavailable", "error", err)
	if s.OnUnavailable != nil {
		s.OnUnavailable(w, r, err)
		return
	}
	w.Header().Set("Retry-After", retryAfter)
	http.Error(w, "Try again in a moment.", http.StatusServiceUnavailable)
}

func (s *Sessions) gone(w http.ResponseWriter, r *http.Request, gone *GoneError) {
	if s.OnGone != nil {
		s.OnGone(w, r, gone)
		return
	}
	s.log().Warn("a session had ended before it was saved", "reason", gone.Reason)
}

func (s *Sessions) failed(w http.ResponseWriter, r *http.Request, what string, err error) {
	if s.OnError != nil {
		s.OnError(w, r, err)
		return
	}
	status := http.StatusInternalServerError
	// Neither the cookies of a browser nor a logout in the meantime is a fault of the application.
	if isAmbiguous(err) {
		status = http.StatusBadRequest
	} else if _, isGone := err.(*GoneError); isGone {
		status = http.StatusConflict
	} else {
		s.log().Error(what, "error", err)
	}
	http.Error(w, http.StatusText(status), status)
}

func (s *Sessions) log() *slog.Logger {
	if s.Log != nil {
		return s.Log
	}
	return slog.Default()
}

// cookieHeader returns all Cookie lines, their bytes read as Latin-1, which is what the service expects.
func cookieHeader(lines []string) string {
	line := strings.Join(lines, "; ")
	isASCII := true
	for i := range len(line) {
		isASCII = isASCII && line[i] < 0x80
	}
	if isASCII {
		return line
	}
	text := make([]rune, len(line))
	for i := range len(line) {
		text[i] = rune(line[i])
	}
	return string(text)
}

func appendHeaders(to http.Header, headers []*pb.Header) {
	for _, header := range headers {
		if http.CanonicalHeaderKey(header.Name) != "Vary" || !variesBy(to, header.Value) {
			to.Add(header.Name, header.Value)
		}
	}
}
