package sessions

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"cloakroom.example/cloakroom"
	pb "cloakroom.example/cloakroom/cloakroomv1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Session is the session of one request. It is opened when a value is needed, and a save sends only what changed. It may
// be used by several goroutines, until the handler returns.
//
// What reads may fail: while the service does not answer, with an error of the kind [cloakroom.ErrUnavailable], never with
// an empty session. A handler may just return then, as after any error of its session: the middleware answers 503 in an
// outage, and by [Sessions.OnError] otherwise. What writes cannot fail at once. The save at the end of the request reports
// what was wrong.
type Session struct {
	client *cloakroom.Client
	ctx    context.Context // Of the request, without its cancellation: what a handler has done is saved.
	of     request

	received     time.Time // When the request was received, or its last session was left.
	mutex        sync.Mutex
	entries      entries
	token        string
	cookieHeader string
	isTokenUsed  bool // Whether calls name the session by the token, and not by the Cookie header.
	opened       *pb.OpenSessionResponse
	info         *pb.Session // What the service returned last about the session.
	subjectKey   string      // Of the app, once the session is known to have a user.
	// The changes of the next save that are not entries.
	other          *pb.Changes
	rotates        bool
	needsSave      bool // Whether to save even if no entry has changed.
	accessed       bool
	cookieOutdated bool
	writeErr       error                  // Why the session cannot be written.
	unavailable    error                  // Why the last call failed, if the service did not answer it.
	unconfirmed    *pb.SaveSessionRequest // A save whose outcome is unknown, exactly as it was sent.
	beforeSave     unsaved                // What that save has taken.
	refused        *pb.SaveSessionRequest // The save that the service has refused, if nothing was written since.
	answered       []*pb.Header           // The headers of the saves or of the end.
	hasAnswered    bool
	gone           *GoneError
	isGoneReported bool  // Whether Save has told the handler.
	isHandled      bool  // Whether Open has told the handler that the service is unavailable.
	lastErr        error // What the last call of the handler returned, for a handler that returns without a response.
}

// unsaved is what a save takes from a session, to be given back if the service refuses it.
type unsaved struct {
	entries entries
	other   *pb.Changes
	rotates bool
	// What an open has found of the user before, whose entries the save hides. Nil: nothing.
	found *pb.Session
}

// request is what a session needs to know of its request.
type request struct {
	cookieHeader       string
	cookieName         string
	cookieAttributes   *pb.CookieAttributes
	userAgent          string
	remoteAddress      string
	maxAuthenticateAge time.Duration
	keepEmpty          bool
}

func newSession(ctx context.Context, client *cloakroom.Client, of request) *Session {
	s := &Session{client: client, ctx: context.WithoutCancel(ctx), of: of, cookieHeader: of.cookieHeader}
	s.received = time.Now()
	// Without a cookie, the session is empty.
	s.entries.isComplete = of.cookieHeader == ""
	return s
}

// Get reads an entry into what a pointer points to, as json.Unmarshal does, and reports whether there is one.
func (s *Session) Get(name string, into any) (bool, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	value, err := s.lookup(name)
	if value == nil || err != nil {
		return false, s.report(err)
	}
	return true, s.report(decode(name, value, into))
}

// Has reports whether there is an entry.
func (s *Session) Has(name string) (bool, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	value, err := s.lookup(name)
	return value != nil, s.report(err)
}

// Names returns the names of all entries, sorted.
func (s *Session) Names() ([]string, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if err := s.report(s.needOpen()); err != nil {
		return nil, err
	}
	return s.entries.names(), nil
}

// Get returns an entry of a session, or the zero value if there is none:
//
//	cart, err := sessions.Get[Cart](session, "cart")
func Get[T any](s *Session, name string) (T, error) {
	var value T
	_, err := s.Get(name, &value)
	return value, err
}

// Pop returns an entry of a session and removes it, such as a message that is shown once. It returns the zero value if
// there is none. Then there is nothing to save.
//
//	message, err := sessions.Pop[string](session, "message")
func Pop[T any](s *Session, name string) (T, error) {
	var value T
	err := s.pop(name, &value)
	return value, err
}

// Set sets an entry to anything that encoding/json can write. A later change of the value changes nothing.
func (s *Session) Set(name string, value any) {
	text, err := json.Marshal(value)
	if name == "" {
		err = errEmpty
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if err != nil {
		s.failWrite(&EncodingError{name, err})
		return
	}
	s.markModified()
	s.entries.write(name, jsonValue(text))
	s.entries.areOthers = s.becomesOthers()
}

// Delete removes entries. A name that the session does not have is no error.
func (s *Session) Delete(names ...string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.accessed, s.lastErr = true, nil
	for _, name := range names {
		// Without this, each page that removes what it has shown would save the session of a visitor who has none.
		if value, isKnown, err := s.entries.lookup(name); isKnown && value == nil && err == nil {
			continue
		}
		s.markModified()
		s.entries.remove(name)
		s.entries.areOthers = s.becomesOthers()
	}
}

// pop reads an entry as Get does, and removes it. One that cannot be read stays.
func (s *Session) pop(name string, into any) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	value, err := s.lookup(name)
	if value == nil || err != nil {
		return s.report(err)
	}
	if err := decode(name, value, into); err != nil {
		return s.report(err)
	}
	s.markModified()
	s.entries.remove(name)
	s.entries.areOthers = s.becomesOthers()
	return nil
}

// Increment adds to a counter. Requests at the same time lose no counts. A missing counter begins at 0.
func (s *Session) Increment(name string, by int64) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.markModified()
	if err := s.entries.add(name, by); err != nil {
		s.failWrite(&EncodingError{name, err})
	}
}

// Clear removes all entries and the subject, and replaces the token. If the request has the cookies of two live sessions,
// it ends both.
func (s *Session) Clear() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.beginAnew()
	s.markModified()
	s.entries.clear()
	s.other = nil
}

// ID returns the public name of the session, which is safe to log and opens nothing. It stays the same when the token is
// replaced. Empty for a session that is not stored yet.
func (s *Session) ID() (string, error) {
	info, err := s.read()
	if err != nil || info.New {
		return "", err
	}
	return info.Id, nil
}

// IsNew reports whether the session is not stored yet.
func (s *Session) IsNew() (bool, error) {
	info, err := s.read()
	return info.New, err
}

// Subject returns the user to whom the session belongs. Empty in an anonymous session.
func (s *Session) Subject() (string, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.accessed = true
	if subject, isChanged := s.nextSubject(); isChanged || s.entries.isCleared {
		return subject, nil
	}
	if err := s.report(s.needOpen()); err != nil {
		return "", err
	}
	if subject, isChanged := s.nextSubject(); isChanged {
		return subject, nil
	}
	return s.info.GetSubject(), nil
}

// SetSubject sets the user to whom the session belongs. That is a login: the same save replaces the token. Empty removes
// the user.
func (s *Session) SetSubject(subject string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.beginAnew()
	s.changeOther().Subject = proto.String(subject)
	s.entries.areOthers = s.becomesOthers()
}

// nextSubject returns the subject that the next save gives, and reports whether it changes the subject.
func (s *Session) nextSubject() (string, bool) {
	if s.other != nil && s.other.Subject != nil {
		return *s.other.Subject, true
	}
	return subjectChange(s.subjectKey, func(name string) (*pb.Value, bool) {
		if value, isSet := s.entries.set[name]; isSet {
			return value, true
		}
		_, isRemoved := s.entries.unset[name]
		return nil, isRemoved
	})
}

// becomesOthers tells whether the next save passes the session to another user.
func (s *Session) becomesOthers() bool {
	subject, isChanged := s.nextSubject()
	return isChanged && isOther(s.info.GetSubject(), subject)
}

// isOfSameUser tells whether the next save leaves the session to its user.
func (s *Session) isOfSameUser() bool {
	subject, isChanged := s.nextSubject()
	return !s.entries.isCleared && (!isChanged || subject == s.info.GetSubject())
}

// Permanent reports whether the cookie outlives the browser.
func (s *Session) Permanent() (bool, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.accessed = true
	if s.other != nil && s.other.Permanent != nil {
		return *s.other.Permanent, nil
	}
	if s.entries.isCleared {
		return false, nil
	}
	if err := s.report(s.needOpen()); err != nil {
		return false, err
	}
	return s.info.GetPermanent() && !s.entries.areOthers, nil
}

// SetPermanent sets whether the cookie outlives the browser.
func (s *Session) SetPermanent(permanent bool) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.changeOther().Permanent = proto.Bool(permanent)
}

// SetIdleTimeout sets how long the session lives without use: at least a second, and up to the app's own limit.
func (s *Session) SetIdleTimeout(timeout time.Duration) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.changeOther().Lifetime = &pb.Changes_IdleTimeout{IdleTimeout: durationpb.New(timeout)}
}

// SetDeadline sets when the session ends, whether it is used or not.
func (s *Session) SetDeadline(end time.Time) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.changeOther().Lifetime = &pb.Changes_DeadlineTime{DeadlineTime: timestamppb.New(end)}
}

// ExpireTime returns when the session ends if it is not used again. It is zero for a session that is not stored yet.
func (s *Session) ExpireTime() (time.Time, error) {
	info, err := s.read()
	return timeOf(info.ExpireTime), err
}

// AuthenticateTime returns when the user last authenticated. It is zero if the user never has.
func (s *Session) AuthenticateTime() (time.Time, error) {
	info, err := s.read()
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if !s.isOfSameUser() {
		return time.Time{}, err
	}
	return timeOf(info.AuthenticateTime), err
}

// RecentlyAuthenticated reports whether the user has authenticated within MaxAuthenticateAge, on the service's clock. It is
// as of the begin of the request, so a handler that goes on for long, as for a websocket, has to compare AuthenticateTime.
func (s *Session) RecentlyAuthenticated() (bool, error) {
	_, err := s.read()
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.isOfSameUser() && s.opened.GetRecentlyAuthenticated(), err
}

// MarkAuthenticated records that the user has just authenticated again. The same save replaces the token.
func (s *Session) MarkAuthenticated() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.changeOther().Authenticated = true
}

// Rotate replaces the token with the next save, so that older tokens open nothing. A change of the subject does so by
// itself.
func (s *Session) Rotate() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.markModified()
	s.rotates = true
}

// Discard forgets all changes that are not saved yet. For a handler that recovers from a panic, and for one that fails.
func (s *Session) Discard() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.entries.discard()
	s.other, s.rotates, s.needsSave = nil, false, false
	s.unconfirmed, s.lastErr = nil, nil
	if _, isNull := s.writeErr.(*cloakroom.Error); !isNull {
		s.writeErr = nil
	}
}

func (s *Session) lookup(name string) (*pb.Value, error) {
	s.accessed = true
	value, isKnown, err := s.entries.lookup(name)
	if !isKnown {
		if err := s.needOpen(); err != nil {
			return nil, err
		}
		value, _, err = s.entries.lookup(name)
	}
	if err != nil {
		return nil, &EncodingError{name, err}
	}
	return value, nil
}

// read opens the session if need be, and returns its properties.
func (s *Session) read() (*pb.Session, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	err := s.report(s.needOpen())
	if s.info == nil {
		return emptyInfo, err
	}
	return s.info, err
}

func (s *Session) changeOther() *pb.Changes {
	s.markModified()
	if s.other == nil {
		s.other = &pb.Changes{}
	}
	return s.other
}

func (s *Session) markModified() {
	s.accessed, s.needsSave, s.refused, s.lastErr = true, true, nil, nil
}

// report remembers what a call returns to the handler.
func (s *Session) report(err error) error {
	s.lastErr = err
	return err
}

// failWrite remembers the first write that cannot be saved. The save reports it.
func (s *Session) failWrite(err error) {
	s.accessed, s.needsSave = true, true
	if s.writeErr == nil {
		s.writeErr = err
	}
}

// beginAnew allows writes again if the cookies name two live sessions: what follows leaves nothing of either.
func (s *Session) beginAnew() {
	if isAmbiguous(s.writeErr) {
		s.writeErr = nil
	}
}

func timeOf(stamp *timestamppb.Timestamp) time.Time {
	if stamp == nil {
		return time.Time{}
	}
	return stamp.AsTime()
}

func newRequestID() string {
	var id [16]byte
	rand.Read(id[:]) // Never fails, by its documentation.
	return hex.EncodeToString(id[:])
}

func headersOf(list []*pb.Header) http.Header {
	headers := make(http.Header, len(list))
	for _, header := range list {
		headers.Add(header.Name, header.Value)
	}
	return headers
}

// emptyInfo has the properties of a session that does not exist.
var emptyInfo = &pb.Session{New: true}
