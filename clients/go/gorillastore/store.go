// Package gorillastore keeps the sessions of gorilla (github.com/gorilla/sessions) in Cloakroom. The application keeps
// gorilla/sessions and its cookies.
//
//	client, err := cloakroom.New("localhost:50051", cloakroom.Options{App: "shop"})
//	...
//	var store = gorillastore.New(client, []byte(os.Getenv("SESSION_KEY")))
//
// The app is of kind `external`, and the ID of a session is its key. The cookie has the ID, signed by securecookie. Each value
// whose key is text is an entry, and a save sends the entries that differ from what was loaded, so that requests at the
// same time keep each other's.
package gorillastore

import (
	"crypto/rand"
	"net/http"
	"slices"
	"sync"
	"time"

	"cloakroom.example/cloakroom"
	pb "cloakroom.example/cloakroom/cloakroomv1"
	"cloakroom.example/cloakroom/internal/external"
	"github.com/gorilla/securecookie"
	"github.com/gorilla/sessions"
	"google.golang.org/protobuf/types/known/durationpb"
)

const defaultMaxAge = 30 * 24 * time.Hour

// Store is a sessions.Store. Set its fields before the first request.
type Store struct {
	// Codecs sign the cookie, and encrypt it if they have a key for that.
	Codecs []securecookie.Codec
	// Options are those of each new session.
	Options *sessions.Options
	// OmitContext leaves out the user agent and the address of the user, which are for the list of a user's devices.
	OmitContext bool
	// RemoteAddress returns the address of the user. Nil: that of the connection. Set it behind a proxy.
	RemoteAddress func(r *http.Request) string

	client *cloakroom.Client
	loaded sync.Map // Of weak.Pointer[sessions.Session] and *stored.
}

// New returns a store whose calls a client makes. The key pairs sign and encrypt the cookie, as those of
// sessions.NewCookieStore do.
func New(client *cloakroom.Client, keyPairs ...[]byte) *Store {
	store := &Store{
		Codecs:  securecookie.CodecsFromPairs(keyPairs...),
		Options: &sessions.Options{Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode},
		client:  client,
	}
	store.MaxAge(int(defaultMaxAge / time.Second))
	return store
}

// MaxAge sets the MaxAge of Options and the age at which the signature of a cookie is too old, in seconds.
func (s *Store) MaxAge(age int) {
	s.Options.MaxAge = age
	for _, codec := range s.Codecs {
		if signed, isSigned := codec.(*securecookie.SecureCookie); isSigned {
			signed.MaxAge(age)
		}
	}
}

// Get returns the session of a request. It is loaded once a request.
func (s *Store) Get(r *http.Request, name string) (*sessions.Session, error) {
	return sessions.GetRegistry(r).Get(s, name)
}

// New loads the session of a request, or begins one if there is none. A session that has ended is none.
//
// With an error the session is new as well. In an outage it cannot be saved, so that an application which ignores the error
// logs nobody out.
func (s *Store) New(r *http.Request, name string) (*sessions.Session, error) {
	session := sessions.NewSession(s, name)
	options := *s.Options
	session.Options = &options
	session.IsNew = true
	cookie, err := r.Cookie(name)
	if err != nil {
		return session, nil
	}
	var id string
	if err := securecookie.DecodeMulti(name, cookie.Value, &id, s.Codecs...); err != nil {
		return session, err
	}
	return session, s.load(r, session, id)
}

func (s *Store) load(r *http.Request, session *sessions.Session, id string) error {
	found, err := external.Open(r.Context(), s.client, id, s.requestContext(r))
	if err == nil && found == nil {
		// Its ID is good for nothing, and somebody else may know it.
		return nil
	}
	session.ID = id
	if err == nil {
		session.Values, err = valuesOf(found.Entries)
	}
	if err != nil {
		s.remember(session, &stored{err: err})
		return err
	}
	session.IsNew = false
	s.remember(session, &stored{id: id, entries: found.Entries, idleTimeout: found.IdleTimeout.AsDuration()})
	return nil
}

// Save saves what differs from what was loaded, and sets the cookie. With a negative MaxAge it ends the session and deletes
// the cookie. If the application has removed the ID of a session, as at a login, the session gets another one, and the old
// one ends first.
//
// The error is a *cloakroom.EndedError if the session had ended, such as by a logout in another request. Nothing is written
// then and no cookie is set: the browser may have a newer one.
func (s *Store) Save(r *http.Request, w http.ResponseWriter, session *sessions.Session) error {
	of := s.storedOf(session)
	if session.Options.MaxAge < 0 {
		return s.end(r, w, session, of)
	}
	if of.err != nil {
		return of.err
	}
	// A value that cannot be saved has to fail before the old session ends.
	wanted, err := entriesOf(session.Values)
	if err != nil {
		return err
	}
	if of.id != "" && of.id != session.ID {
		ended, err := external.Destroy(r.Context(), s.client, of.id)
		if err != nil {
			return err
		}
		if ended != nil {
			return ended
		}
		of = &stored{}
		s.remember(session, of)
	}
	if session.ID == "" {
		// As base32, without padding.
		session.ID = rand.Text() + rand.Text()
	}
	if err := s.save(r, session, of, wanted); err != nil {
		return err
	}
	signed, err := securecookie.EncodeMulti(session.Name(), session.ID, s.Codecs...)
	if err != nil {
		return err
	}
	http.SetCookie(w, sessions.NewCookie(session.Name(), signed, session.Options))
	return nil
}

func (s *Store) save(r *http.Request, session *sessions.Session, of *stored, wanted map[string]*pb.Value) error {
	longest, err := external.IdleTimeout(r.Context(), s.client)
	if err != nil {
		return err
	}
	changes := external.Changes(of.entries, wanted)
	idleTimeout := longest
	if age := time.Duration(session.Options.MaxAge) * time.Second; age > 0 {
		idleTimeout = min(idleTimeout, age)
	}
	isModified := changes.Clear || len(changes.Set) > 0 || len(changes.Unset) > 0
	switch {
	// A save that brings another user gives the session the app's own timeouts, unless it says which.
	case idleTimeout != of.idleTimeout, isModified && idleTimeout != longest:
		changes.Lifetime = &pb.Changes_IdleTimeout{IdleTimeout: durationpb.New(idleTimeout)}
	case !isModified:
		changes = nil
	}
	if err := external.Save(r.Context(), s.client, session.ID, changes, s.requestContext(r)); err != nil {
		return err
	}
	s.remember(session, &stored{id: session.ID, entries: wanted, idleTimeout: idleTimeout})
	return nil
}

// end ends a session, and deletes its cookie. What is saved later begins another one.
func (s *Store) end(r *http.Request, w http.ResponseWriter, session *sessions.Session, of *stored) error {
	for _, id := range slices.Compact([]string{of.id, session.ID}) {
		if _, err := external.Destroy(r.Context(), s.client, id); err != nil {
			return err
		}
	}
	session.ID = ""
	s.remember(session, &stored{})
	http.SetCookie(w, sessions.NewCookie(session.Name(), "", session.Options))
	return nil
}

func (s *Store) requestContext(r *http.Request) *pb.RequestContext {
	if s.OmitContext {
		return nil
	}
	return external.RequestContext(r, s.RemoteAddress)
}
