package scsstore

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"

	"cloakroom.example/cloakroom"
	pb "cloakroom.example/cloakroom/cloakroomv1"
	"cloakroom.example/cloakroom/internal/external"
)

// retryAfter is the number of seconds after which a browser may try again in an outage.
const retryAfter = "5"

// Middleware remembers what each request has loaded, so that its commit sends only what differs. It goes around scs'
// LoadAndSave. It also gives the store the user agent and the address of the user.
func (s *Store) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		of := &loads{entries: map[string]map[string]*pb.Value{}}
		if !s.OmitContext {
			of.of = external.RequestContext(r, s.RemoteAddress)
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), contextKey{}, of)))
	})
}

// ErrorFunc returns an ErrorFunc of scs. In an outage it answers 503. If the session had ended before it was saved, it
// writes a warning into the log, and the response is sent as it is, without a cookie: the browser may already have that of
// a login, and keeps it. All other errors go to next.
func ErrorFunc(next func(http.ResponseWriter, *http.Request, error)) func(http.ResponseWriter, *http.Request, error) {
	return func(w http.ResponseWriter, r *http.Request, err error) {
		var ended *cloakroom.EndedError
		switch {
		case errors.As(err, &ended):
			slog.WarnContext(r.Context(), "a session had ended before it was saved", "reason", ended.Reason)
		case errors.Is(err, cloakroom.ErrUnavailable):
			slog.WarnContext(r.Context(), "a session is unavailable", "error", err)
			w.Header().Set("Retry-After", retryAfter)
			http.Error(w, "Try again in a moment.", http.StatusServiceUnavailable)
		default:
			next(w, r, err)
		}
	}
}

type contextKey struct{}

// loads are the sessions that a request has loaded, by token. A request may have several: scs' MergeSession loads another.
type loads struct {
	of *pb.RequestContext

	mutex   sync.Mutex
	entries map[string]map[string]*pb.Value
	// What the request had loaded of a session that had ended when it was deleted, and why it had.
	left  map[string]*pb.Value
	ended *cloakroom.EndedError
}

// loadsOf returns nil for a request that went through no Middleware. The methods of loads take it.
func loadsOf(ctx context.Context) *loads {
	of, _ := ctx.Value(contextKey{}).(*loads)
	return of
}

func (l *loads) requestContext() *pb.RequestContext {
	if l == nil {
		return nil
	}
	return l.of
}

// get returns the entries of a session as they are stored; nil if that is not known.
func (l *loads) get(token string) map[string]*pb.Value {
	if l == nil {
		return nil
	}
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.entries[token]
}

// set remembers the entries of a session. With nil they are not known any more.
func (l *loads) set(token string, entries map[string]*pb.Value) {
	if l == nil {
		return
	}
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.entries[token] = entries
}

// setEnded remembers that a session had ended before the request deleted it.
func (l *loads) setEnded(left map[string]*pb.Value, ended *cloakroom.EndedError) {
	if l == nil {
		return
	}
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.left, l.ended = left, ended
}

// revived tells whether a new session would get the values of one that had ended, as RenewToken takes them along: most of
// them are as they were. After Destroy the handler may set one or the other again.
func (l *loads) revived(token string, wanted map[string]*pb.Value) *cloakroom.EndedError {
	if l == nil {
		return nil
	}
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.entries[token] != nil {
		return nil
	}
	kept, left := 0, 0
	for name, before := range l.left {
		if name == deadlineEntry {
			continue
		}
		left++
		if value := wanted[name]; value != nil && external.IsSame(before, value) {
			kept++
		}
	}
	if left > 0 && 2*kept >= left {
		return l.ended
	}
	return nil
}
