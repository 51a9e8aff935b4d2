package sessions

import (
	"context"
	"errors"
	"net/http"
	"time"

	"cloakroom.example/cloakroom"
	pb "cloakroom.example/cloakroom/cloakroomv1"
	"cloakroom.example/cloakroom/internal/endreason"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Open opens the session if it is not open yet. A handler that calls it decides itself what an outage means for the
// request and writes the response; after any other read that failed, the middleware answers 503.
func (s *Session) Open() error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.unavailable = nil
	err := s.needOpen()
	s.isHandled = isUnavailable(err)
	return s.report(err)
}

// Save saves the changes now, for example before the response says that they are saved. Without it, they are saved before
// the head of the response is sent.
//
// The error is a *[GoneError] if the session had ended, an *[EncodingError], or a *cloakroom.Error. If that is of the kind
// [cloakroom.ErrRefused], nothing is stored: the next save sends the changes again, with what has changed since.
func (s *Session) Save() error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.refused = nil
	hadEnded := s.gone != nil
	s.unavailable = nil
	if err := s.report(s.finish()); err != nil {
		return err
	}
	if s.gone != nil && !hadEnded {
		s.isGoneReported = true
		return s.report(s.gone)
	}
	return nil
}

// Destroy ends the session at once: a logout. The response deletes the cookie, and what is written later begins another
// session. If the request has the cookies of two live sessions, both end.
func (s *Session) Destroy() error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.unavailable = nil
	s.beginAnew()
	if s.writeErr != nil && s.opened.GetSession().GetNullSession() != nil {
		return s.report(s.writeErr)
	}
	if s.isTokenUsed || s.cookieHeader != "" {
		request := &pb.DestroySessionRequest{
			CookieName: s.of.cookieName, CookieAttributes: s.of.cookieAttributes, RequestId: newRequestID(),
		}
		// Until a save, the cookies also lead to a login whose answer the browser does not have yet.
		if s.isTokenUsed && (s.hasAnswered || s.cookieHeader == "") {
			request.Credential = &pb.DestroySessionRequest_Token{Token: s.token}
		} else {
			request.Credential = &pb.DestroySessionRequest_CookieHeader{CookieHeader: s.cookieHeader}
		}
		ended, err := s.client.DestroySession(s.ctx, request)
		if err != nil {
			return s.report(s.failed(err))
		}
		s.answered, s.hasAnswered = ended.Headers, true
	}
	s.entries = entries{isComplete: true}
	s.other, s.rotates, s.needsSave = nil, false, false
	s.opened, s.unconfirmed, s.writeErr = nil, nil, nil
	s.leave("")
	s.accessed = true
	return s.report(nil)
}

// Headers returns the headers that the response needs as the session is now: for a response that is not written through
// the middleware, such as that of a websocket's upgrade. Call Save before.
func (s *Session) Headers() http.Header {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return headersOf(s.headers())
}

// headers returns exactly one of the lists of headers that the service has answered.
func (s *Session) headers() []*pb.Header {
	switch {
	case s.hasAnswered:
		return s.answered
	case s.opened != nil && s.accessed:
		return s.opened.ReadHeaders
	case s.opened != nil:
		return s.opened.UntouchedHeaders
	case s.accessed:
		return varyHeaders
	}
	return nil
}

// answeredHeaders returns the headers of the saves or of the end; nil if there was none.
func (s *Session) answeredHeaders() []*pb.Header {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.answered
}

// needOpen opens the session if it is not open yet, for a read.
func (s *Session) needOpen() error {
	s.accessed = true
	if s.entries.isKnown() || s.opened != nil {
		return nil
	}
	if s.unavailable != nil {
		// A request waits once.
		return s.unavailable
	}
	if !s.isTokenUsed && s.cookieHeader == "" {
		return nil
	}
	request := &pb.OpenSessionRequest{
		CookieName: s.of.cookieName, CookieAttributes: s.of.cookieAttributes, Context: s.requestContext(),
	}
	if s.isTokenUsed {
		request.Credential = &pb.OpenSessionRequest_Token{Token: s.token}
	} else {
		request.Credential = &pb.OpenSessionRequest_CookieHeader{CookieHeader: s.cookieHeader}
	}
	// An open as soon as the request arrives needs none.
	if age := time.Since(s.received); !s.isTokenUsed && age >= time.Millisecond {
		request.RequestAge = durationpb.New(age)
	}
	if s.of.maxAuthenticateAge > 0 {
		request.MaxAuthenticateAge = durationpb.New(s.of.maxAuthenticateAge)
	}
	opened, err := s.client.OpenSession(s.ctx, request)
	if err != nil {
		return s.failed(err)
	}
	if opened.GetSession().GetSubject() != "" {
		// What is written later may name another user, and makes no call.
		policy, err := s.client.Policy(s.ctx)
		if err != nil {
			return s.failed(err)
		}
		s.subjectKey = policy.SubjectKey
	}
	s.applyOpen(opened)
	return nil
}

func (s *Session) applyOpen(opened *pb.OpenSessionResponse) {
	session := opened.GetSession()
	s.opened, s.info = opened, session
	if session.NullSession != nil {
		if s.writeErr == nil && !s.leavesNothing() {
			s.writeErr = nullSessionError(session.NullSession)
		}
	} else if session.Token != "" {
		s.token, s.isTokenUsed, s.cookieOutdated = session.Token, true, opened.CookieOutdated
	}
	if !s.entries.isComplete {
		// A save whose answer was lost is repeated, so what it sets is there at the latest then.
		s.entries.load(session.Entries, s.unconfirmed.GetChanges())
	}
	// The login of another user, without a look at the session before it.
	changes := s.unconfirmed.GetChanges()
	if subject, isChanged := subjectOf(changes, s.subjectKey); isChanged && isOther(session.Subject, subject) {
		s.entries.load(nil, changes)
		s.beforeSave.found = &pb.Session{Subject: session.Subject, Permanent: session.Permanent}
		session.Subject, session.Permanent = subject, changes.Permanent
	}
	s.entries.areOthers = s.becomesOthers()
}

// leavesNothing tells whether the changes leave nothing of an earlier session: a login or a clear.
func (s *Session) leavesNothing() bool {
	return s.entries.isCleared || (s.other != nil && s.other.Subject != nil)
}

// finish saves the changes. It may be called again.
func (s *Session) finish() error {
	if s.writeErr != nil && s.hasUnsaved() {
		return s.writeErr
	}
	for {
		if s.unconfirmed == nil {
			s.unconfirmed = s.buildSave()
		}
		if s.unconfirmed == nil {
			return nil
		}
		if s.unavailable != nil {
			return s.unavailable
		}
		if err := s.sendSave(); err != nil {
			if errors.Is(err, cloakroom.ErrRefused) {
				s.takeBack()
			}
			if !isUnavailable(err) {
				s.unconfirmed = nil
			}
			return s.failed(err)
		}
	}
}

// takeBack makes the changes of the refused save changes of the next one, unless the session was cleared since.
func (s *Session) takeBack() {
	s.refused = s.unconfirmed
	if s.entries.isCleared {
		return
	}
	before := s.beforeSave
	if !before.entries.isComplete && s.opened != nil {
		before.entries.stored, before.entries.isComplete = s.opened.GetSession().GetEntries(), true
	}
	if before.found != nil {
		s.info.Subject, s.info.Permanent = before.found.Subject, before.found.Permanent
	}
	s.entries = before.entries.with(&s.entries)
	if before.other != nil {
		other := proto.CloneOf(before.other)
		proto.Merge(other, s.other)
		s.other = other
	}
	s.rotates, s.needsSave = s.rotates || before.rotates, true
	s.entries.areOthers = s.becomesOthers()
}

func (s *Session) sendSave() error {
	if err := s.addToken(s.unconfirmed); err != nil {
		return err
	}
	if s.unconfirmed.GetCookieHeader() != "" {
		s.unconfirmed.RequestAge = durationpb.New(time.Since(s.received))
	}
	saved, err := s.client.SaveSession(s.ctx, s.unconfirmed)
	if err != nil {
		return err
	}
	return s.applySave(saved)
}

// addToken opens the session of a save by the Cookie header if the save is a login. Repeated by the header, each save
// could begin another session, which would be in the user's list and count for the limit of their number. By a token, all
// are one.
func (s *Session) addToken(save *pb.SaveSessionRequest) error {
	if _, hasToken := save.Credential.(*pb.SaveSessionRequest_Token); hasToken {
		return nil
	}
	isLogin, err := s.isLogin(save)
	if err != nil || !isLogin {
		return err
	}
	opened, err := s.client.OpenSession(s.ctx, &pb.OpenSessionRequest{
		Credential: &pb.OpenSessionRequest_CookieHeader{CookieHeader: save.GetCookieHeader()},
		CookieName: save.CookieName, CookieAttributes: save.CookieAttributes, Context: save.Context,
	})
	if err != nil {
		return err
	}
	// A null session has none. The service refuses the save then, unless it ends the sessions of two cookies.
	if token := opened.GetSession().GetToken(); token != "" {
		save.Credential = &pb.SaveSessionRequest_Token{Token: token}
		save.CookieOutdated = opened.CookieOutdated
	}
	return nil
}

func (s *Session) hasUnsaved() bool {
	return s.unconfirmed != nil || s.needsSave || s.entries.hasChanges()
}

// buildSave returns the save to send next; nil if there is nothing to save, or only what was refused.
func (s *Session) buildSave() *pb.SaveSessionRequest {
	if !s.hasUnsaved() {
		return nil
	}
	before := unsaved{entries: s.entries, other: s.other, rotates: s.rotates}
	changes := s.entries.changes()
	if s.other != nil {
		proto.Merge(changes, s.other)
	}
	if s.refused != nil && s.rotates == s.refused.Rotate && proto.Equal(changes, s.refused.Changes) {
		s.entries = before.entries
		return nil
	}
	s.beforeSave = before
	save := &pb.SaveSessionRequest{
		Changes:          changes,
		Accessed:         true,
		RequestId:        newRequestID(),
		Rotate:           s.rotates,
		KeepEmpty:        s.of.keepEmpty,
		CookieName:       s.of.cookieName,
		CookieAttributes: s.of.cookieAttributes,
		Context:          s.requestContext(),
		CookieOutdated:   s.cookieOutdated,
	}
	if s.isTokenUsed {
		save.Credential = &pb.SaveSessionRequest_Token{Token: s.token}
	} else {
		save.Credential = &pb.SaveSessionRequest_CookieHeader{CookieHeader: s.cookieHeader}
	}
	s.other, s.rotates, s.needsSave = nil, false, false
	return save
}

func (s *Session) applySave(saved *pb.SaveSessionResponse) error {
	if saved.Outcome == pb.Outcome_OUTCOME_GONE {
		replaces, err := s.replacesSession(s.unconfirmed)
		if err != nil {
			return err
		}
		if replaces {
			s.unconfirmed = forNewSession(s.unconfirmed)
			s.entries.load(nil, s.unconfirmed.Changes)
			s.beforeSave.entries, s.beforeSave.rotates = s.beforeSave.entries.forNewSession(), false
			s.leave("")
			return nil
		}
		s.gone = &GoneError{endreason.Text(saved.EndReason)}
	}
	if isOther(s.info.GetSubject(), saved.Session.GetSubject()) {
		s.entries.load(nil, s.unconfirmed.Changes)
	}
	s.unconfirmed = nil
	s.mergeHeaders(saved)
	s.entries.updateCounters(saved.Counters)
	switch {
	case saved.Outcome == pb.Outcome_OUTCOME_DELETED:
		// If the cookie stays, it leads to another session from now on.
		cookieHeader := s.of.cookieHeader
		if setsCookie(saved.Headers) {
			cookieHeader = ""
		}
		s.leave(cookieHeader)
	case saved.Session != nil:
		s.info = saved.Session
		if token := saved.Session.Token; token != "" {
			s.token, s.isTokenUsed, s.cookieOutdated = token, true, false
		}
	}
	return nil
}

// isOther tells whether a session passes from one user to another: then the service removes what the first one left.
func isOther(before, after string) bool { return before != "" && after != "" && before != after }

// leave forgets a session that has ended. What is written later goes to the session of a Cookie header.
func (s *Session) leave(cookieHeader string) {
	s.token, s.isTokenUsed, s.cookieOutdated = "", false, false
	s.cookieHeader, s.info = cookieHeader, emptyInfo
	// This request itself has ended the session, which does not hinder its next save.
	s.received = time.Now()
}

// mergeHeaders keeps the headers of the last save with a Set-Cookie, or else of the last one.
func (s *Session) mergeHeaders(saved *pb.SaveSessionResponse) {
	keepsEarlier := saved.Outcome != pb.Outcome_OUTCOME_GONE && setsCookie(s.answered)
	if !keepsEarlier || setsCookie(saved.Headers) {
		s.answered, s.hasAnswered = saved.Headers, true
	}
}

// replacesSession tells whether a save may begin a new session after the old one has ended, as a login does.
func (s *Session) replacesSession(save *pb.SaveSessionRequest) (bool, error) {
	if changes := save.Changes; len(changes.Set) > 0 && (save.Rotate || changes.Clear) {
		return true, nil
	}
	return s.isLogin(save)
}

func (s *Session) isLogin(save *pb.SaveSessionRequest) (bool, error) {
	changes := save.Changes
	if changes.GetSubject() != "" || len(changes.Set) == 0 {
		return changes.GetSubject() != "", nil
	}
	policy, err := s.client.Policy(s.ctx)
	if err != nil {
		return false, err
	}
	subject, _ := subjectOf(changes, policy.SubjectKey)
	return subject != "", nil
}

// forNewSession returns the same save for a session that does not exist yet.
func forNewSession(save *pb.SaveSessionRequest) *pb.SaveSessionRequest {
	fresh := proto.CloneOf(save)
	fresh.Credential = &pb.SaveSessionRequest_CookieHeader{}
	fresh.RequestId, fresh.Rotate, fresh.CookieOutdated = newRequestID(), false, false
	fresh.Changes.Clear, fresh.Changes.Unset = false, nil
	return fresh
}

func (s *Session) failed(err error) error {
	if isUnavailable(err) {
		s.unavailable = err
	}
	return err
}

func (s *Session) requestContext() *pb.RequestContext {
	if s.of.userAgent == "" && s.of.remoteAddress == "" {
		return nil
	}
	return &pb.RequestContext{UserAgent: s.of.userAgent, RemoteAddress: s.of.remoteAddress}
}

// finished is what the middleware has to tell the user at the end of a request. At most one of unavailable, gone and
// failed is set.
type finished struct {
	err         error // Of the last save.
	reported    error // What the last call of the handler returned.
	unavailable error
	gone        *GoneError
	failed      error
	headers     []*pb.Header
	hasAnswered bool // Whether the headers are those of a save or an end.
}

// finishRequest saves what has changed.
func (s *Session) finishRequest() finished {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	err := s.finish()
	of := finished{err: err, reported: s.lastErr, headers: s.headers(), hasAnswered: s.hasAnswered}
	switch {
	case isUnavailable(err):
		of.unavailable = err
	case err != nil:
		of.failed = err
	case s.unavailable != nil && !s.isHandled:
		of.unavailable = s.unavailable
	case s.gone != nil && !s.isGoneReported:
		s.isGoneReported = true
		of.gone = s.gone
	}
	return of
}

func setsCookie(headers []*pb.Header) bool {
	for _, header := range headers {
		if http.CanonicalHeaderKey(header.Name) == "Set-Cookie" {
			return true
		}
	}
	return false
}

// Watch returns a context that ends within half a second after the session has ended, or after another token has replaced
// the one of this request. Its cause is a *cloakroom.EndedError then. For what goes on longer than a request, such as a
// websocket. It is no use of the session, and sees nothing that is not saved yet. Cancel ctx to end the watch.
func (s *Session) Watch(ctx context.Context) (context.Context, error) {
	s.mutex.Lock()
	request := &pb.WatchSessionRequest{CookieName: s.of.cookieName}
	if s.isTokenUsed {
		request.Credential = &pb.WatchSessionRequest_Token{Token: s.token}
	} else {
		request.Credential = &pb.WatchSessionRequest_CookieHeader{CookieHeader: s.cookieHeader}
	}
	s.accessed = true
	s.mutex.Unlock()
	watched, err := s.client.WatchSession(ctx, request)
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return watched, s.report(err)
}

var varyHeaders = []*pb.Header{{Name: "Vary", Value: "Cookie"}}

var errNoSession = errors.New("sessions: the request went through no middleware of this package")
