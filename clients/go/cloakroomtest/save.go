package cloakroomtest

import (
	"fmt"

	"cloakroom.example/cloakroom"
	pb "cloakroom.example/cloakroom/cloakroomv1"
)

// preparedSave is a save as a write with one credential.
type preparedSave struct {
	presented      presented
	write          write
	mayRotate      bool // Whether the token is replaced, if the session exists already.
	onlyForSubject bool
}

func (p preparedSave) with(credential presented) preparedSave {
	p.presented, p.write.token = credential, credential.token
	return p
}

func (p preparedSave) rotating(c *call) write {
	if !p.mayRotate {
		return p.write
	}
	return p.write.rotating(p.onlyForSubject, c.now)
}

// save applies the changes of a request.
func (c *call) save(request *pb.SaveSessionRequest) (*pb.SaveSessionResponse, error) {
	if err := checkValues(request.Changes); err != nil {
		return nil, err
	}
	etag, err := etagOf(request.Etag)
	if err != nil {
		return nil, err
	}
	if err := checkRequestID(request.RequestId); err != nil {
		return nil, err
	}
	if err := checkRequestAge(request.RequestAge); err != nil {
		return nil, err
	}
	if err := c.accept(request); err != nil {
		return nil, err
	}
	_, isHeader := request.Credential.(*pb.SaveSessionRequest_CookieHeader)
	found, err := c.ofWrite(request, isHeader, request.RequestId)
	if failed, isOurs := err.(*cloakroom.Error); isOurs {
		if failed.Reason != "COOKIES_AMBIGUOUS" || !mayBeginAnew(request.Changes, c.app.SubjectKey) {
			return nil, err
		}
		prepared, err := c.prepare(request, etag, newTicket())
		if err != nil {
			return nil, err
		}
		// What would be refused ends nothing.
		if !prepared.write.mayCreate() {
			return nil, prepared.write.etagError()
		}
		if _, _, err := c.firstRecord(prepared); err != nil {
			return nil, err
		}
		if _, _, err := c.destroyAll(request.GetCookieHeader(), fingerprint{}); err != nil {
			return nil, err
		}
		return c.savePrepared(prepared, request)
	}
	shown := newTicket()
	if found != nil {
		shown = *found
	}
	if request.CookieOutdated && !shown.isTicket && !shown.isCookie && shown.note == noteNone {
		shown.note = noteSet
	}
	if request.Changes == nil && !request.Rotate {
		return c.saveUnmodified(shown, request), nil
	}
	prepared, err := c.prepare(request, etag, shown)
	if err != nil {
		return nil, err
	}
	return c.savePrepared(prepared, request)
}

func (c *call) prepare(request *pb.SaveSessionRequest, etag *int64, shown presented) (preparedSave, error) {
	work := &edit{app: c.app, keepEmpty: request.KeepEmpty, context: request.Context}
	rotates, isLogin := request.Rotate, false
	content := fmt.Sprint("s", request.Rotate, request.KeepEmpty)
	if request.Changes != nil {
		checked, err := checkChanges(request.Changes, c.app.SubjectKey)
		if err != nil {
			return preparedSave{}, err
		}
		if !checked.deadline.IsZero() && !checked.deadline.After(c.now) {
			// A repetition of the save that set this deadline gets its answer. Another save must write nothing.
			etag = &impossibleEtag
		}
		work.changes, work.lifetime = checked, newLifetime(c.app, checked)
		rotates = rotates || checked.clear || checked.authenticated
		isLogin = checked.changesSubject
		content += checked.canonical()
	}
	by := fingerprint{}
	if request.RequestId != "" {
		by = fingerprint{request.RequestId, content}
	}
	return preparedSave{
		presented: shown, write: write{token: shown.token, work: work, etag: etag, by: by},
		mayRotate: rotates || isLogin, onlyForSubject: !rotates,
	}, nil
}

func (c *call) savePrepared(prepared preparedSave, request *pb.SaveSessionRequest) (*pb.SaveSessionResponse, error) {
	varies := request.Accessed
	result, isStored, err := c.trySave(prepared)
	if err == nil && isStored && result.verdict != allowed && prepared.presented.isCookie {
		// A save by cookie_header is an open and a save in one step.
		if anew := c.beginAnew(prepared.presented.token, prepared.write.by.requestID, request); anew != nil {
			prepared = prepared.with(*anew)
			result, isStored, err = c.trySave(prepared)
		}
	}
	if err != nil {
		return nil, err
	}
	if isStored {
		c.evict(prepared, result)
		return c.saved(prepared, result, varies), nil
	}
	changes, shown := prepared.write.work.changes, prepared.presented
	if changes != nil && (!changes.changesPermanent || changes.permanent == nil) {
		return c.deleted(shown, pb.EndReason_END_REASON_EMPTIED, nil, varies), nil
	}
	session := c.newSession(shown.token, shown.note)
	return c.unchanged(session, false, varies), nil
}

// trySave writes a save with its credential. It reports false if there is no session and nothing to store.
func (c *call) trySave(prepared preparedSave) (done, bool, error) {
	if err := c.enforceLimit(prepared); err != nil {
		return done{}, false, err
	}
	if !prepared.presented.isTicket {
		result, err := c.write(prepared.rotating(c))
		return result, true, err
	}
	t := prepared.presented.token
	first, counters, refusal := c.firstRecord(prepared)
	if refusal == nil && first != nil && prepared.write.mayCreate() && c.store.create(c.app.Name, t.id(c.app.Name), first, c.now) {
		return done{outcome: pb.Outcome_OUTCOME_CREATED, record: first, token: &token{t.selector, first.verifier}, counters: counters}, true, nil
	}
	result, err := c.write(prepared.rotating(c))
	if err != nil || result.verdict != missing {
		return result, true, err
	}
	if !prepared.write.mayCreate() {
		return done{}, false, prepared.write.etagError()
	}
	return done{}, false, refusal
}

// firstRecord returns the record of a session that does not exist yet; nil if that leaves nothing to store.
func (c *call) firstRecord(prepared preparedSave) (*record, map[string]int64, error) {
	w := prepared.write
	if prepared.presented.note != noteNone {
		// An older credential leads to a recovery session. Its holder must not share it after a login.
		w = prepared.rotating(c)
	}
	if w.work.changes == nil {
		return nil, nil, nil
	}
	anonymous := c.app.anonymous()
	empty := &record{
		verifier: w.token.verifier, created: c.now, used: c.now, idleTimeout: anonymous.idle,
		deadline: c.now.Add(anonymous.absolute),
	}
	first, effect, counters, err := w.work.apply(empty, c.now)
	if err != nil {
		return nil, nil, err
	}
	isEmpty := len(first.entries) == 0 && first.subject == "" && !w.work.keepEmpty
	if effect == pb.Outcome_OUTCOME_DELETED || isEmpty {
		return nil, nil, nil
	}
	first.version = 1
	first.remember(w.by, c.now, pb.Outcome_OUTCOME_CREATED)
	return first, counters, nil
}

func (c *call) saveUnmodified(shown presented, request *pb.SaveSessionRequest) *pb.SaveSessionResponse {
	s := c.state(shown.token)
	if shown.isCookie && s.record == nil {
		anew := c.beginAnew(shown.token, "", request)
		if anew == nil {
			return goneResponse(s.reason, request.Accessed)
		}
		shown = *anew
		s = c.state(shown.token)
	}
	if s.record != nil {
		c.store.touch(s.record, request.Context, c.now)
		text := c.signer.token(c.app.Name, shown.token, noteNone)
		if shown.note == noteKeep {
			text = ""
		}
		session := c.storedSession(s.record, shown.token.id(c.app.Name), text)
		refreshes := !c.app.KeepsExpiry && session.GetPermanent() && shown.note != noteKeep
		return c.unchanged(session, refreshes || shown.setsCookieFor(shown.token), request.Accessed)
	}
	if !s.isKnown && shown.isTicket {
		return c.unchanged(c.newSession(shown.token, shown.note), false, request.Accessed)
	}
	return goneResponse(s.reason, request.Accessed)
}

func (c *call) saved(prepared preparedSave, result done, varies bool) *pb.SaveSessionResponse {
	switch {
	case result.verdict != allowed:
		return goneResponse(result.reason, varies)
	case result.outcome == pb.Outcome_OUTCOME_DELETED:
		return c.deleted(prepared.presented, result.reason, result.counters, varies)
	case result.record == nil:
		// A repeated save whose session has ended since.
		response := goneResponse(0, varies)
		response.Outcome, response.Counters = result.outcome, result.counters
		return response
	}
	setsCookie := c.setsCookie(prepared, result)
	text := ""
	if result.token != nil && (prepared.presented.note != noteKeep || setsCookie) {
		text = c.signer.token(c.app.Name, *result.token, noteNone)
	}
	session := c.storedSession(result.record, prepared.write.token.id(c.app.Name), text)
	return &pb.SaveSessionResponse{
		Outcome: result.outcome, Session: session, Headers: c.headers(session, setsCookie, varies), Counters: result.counters,
	}
}

func (c *call) setsCookie(prepared preparedSave, result done) bool {
	isOther := result.token == nil || *result.token != prepared.write.token
	if prepared.presented.note == noteKeep {
		return prepared.mayRotate && isOther
	}
	isPermanent := result.record.permanent != nil && *result.record.permanent
	if result.outcome == pb.Outcome_OUTCOME_CREATED || isOther || isPermanent || prepared.write.work.changes.touchesPermanent() {
		return true
	}
	// The browser has this very cookie. A late response must not set it again over a newer one.
	return prepared.presented.setsCookieFor(prepared.write.token)
}

func (c *call) unchanged(session *pb.Session, setsCookie, varies bool) *pb.SaveSessionResponse {
	return &pb.SaveSessionResponse{
		Outcome: pb.Outcome_OUTCOME_UNCHANGED, Session: session, Headers: c.headers(session, setsCookie, varies),
	}
}

func goneResponse(reason pb.EndReason, varies bool) *pb.SaveSessionResponse {
	response := &pb.SaveSessionResponse{Outcome: pb.Outcome_OUTCOME_GONE, EndReason: reason}
	if varies {
		response.Headers = []*pb.Header{vary()}
	}
	return response
}

func (c *call) deleted(shown presented, reason pb.EndReason, counters map[string]int64, varies bool) *pb.SaveSessionResponse {
	response := &pb.SaveSessionResponse{Outcome: pb.Outcome_OUTCOME_DELETED, EndReason: reason, Counters: counters}
	switch {
	case shown.note != noteKeep:
		response.Headers = []*pb.Header{c.app.deleteCookie(), vary()}
	case varies:
		// The browser may be about to get the cookie of a login.
		response.Headers = []*pb.Header{vary()}
	}
	return response
}
