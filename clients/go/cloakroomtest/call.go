package cloakroomtest

import (
	"slices"
	"strings"
	"time"

	pb "cloakroom.example/cloakroom/cloakroomv1"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

const (
	maxHeader     = 1 << 20
	maxCandidates = 8
	maxRecoveries = 8
	// After a rotation, its cookie may be on its way to the browser for this long.
	cookieDelay = 30 * time.Second
)

// call is one call for one app, at one time.
type call struct {
	app    App
	store  *store
	signer signer
	now    time.Time
}

// presented is a token that a request shows.
type presented struct {
	token    token
	note     note
	isTicket bool // Whether the session may not be stored yet.
	isCookie bool // Whether it came in a cookie: if its session has ended, a save begins anew.
}

// setsCookieFor tells whether a response sets the cookie if the session's token is this one, and no write of the call set
// it.
func (p presented) setsCookieFor(t token) bool {
	if p.note == noteNone {
		return p.isTicket || p.token != t
	}
	return p.note == noteSet
}

func newTicket() presented { return presented{token: randomToken(), isTicket: true} }

func (c *call) load(t token) *record { return c.store.load(c.app.Name, t.id(c.app.Name), c.now) }

// inHeader returns the tokens in a Cookie header, each once.
func (c *call) inHeader(header string) []presented {
	var found []presented
	candidates := 0
	for pair := range strings.SplitSeq(header, ";") {
		name, value, isPair := strings.Cut(pair, "=")
		if !isPair || strings.Trim(name, " \t") != c.app.CookieName {
			continue
		}
		if candidates++; candidates > maxCandidates {
			break
		}
		t, n, isValid := c.signer.verify(tokenKind, c.app.Name, strings.Trim(value, " \t"), c.now)
		if !isValid {
			continue
		}
		if n != noteNone {
			n = noteSet
		}
		at := slices.IndexFunc(found, func(each presented) bool { return each.token == t })
		if at < 0 {
			found = append(found, presented{token: t, note: n, isCookie: true})
		} else if n == noteNone {
			// Of two texts of one token, the one that the browser can keep.
			found[at].note = noteNone
		}
	}
	return found
}

// verify verifies a token or a ticket by itself.
func (c *call) verify(text string) (presented, error) {
	isTicket := strings.HasPrefix(text, ticketKind)
	kind := tokenKind
	if isTicket {
		kind = ticketKind
	}
	t, n, isValid := c.signer.verify(kind, c.app.Name, text, c.now)
	if !isValid {
		return presented{}, invalid("TOKEN_INVALID", "token does not verify; open the session again")
	}
	return presented{token: t, note: n, isTicket: isTicket}, nil
}

// state is what a token is to its session.
type state struct {
	record     *record // If the token opens it.
	reason     pb.EndReason
	isReplaced bool      // Whether another token has replaced this one, or its session has ended since.
	rotated    time.Time // The time of the last rotation, with isReplaced.
	isKnown    bool      // Whether the store has the session or its tombstone.
}

func (c *call) state(t token) state {
	r := c.load(t)
	if r == nil {
		return state{}
	}
	judged := r.judge(c.store.generations[c.app.Name], precondition{verifier: &t.verifier, now: c.now})
	if judged.verdict == allowed {
		return state{record: r, isKnown: true}
	}
	s := state{reason: judged.reason, isKnown: true, isReplaced: r.verifier != t.verifier}
	if s.rotated = r.created; r.rotation != nil {
		s.rotated = r.rotation.time
	}
	return s
}

// credential has what every request with a credential has.
type credential interface {
	GetToken() string
	GetCookieHeader() string
}

// accept checks the Cookie header of a request, and takes the name and the attributes of the cookie that it asks for.
func (c *call) accept(request interface {
	credential
	GetCookieName() string
}) (err error) {
	if len(request.GetCookieHeader()) > maxHeader {
		return invalid("COOKIE_HEADER_TOO_LARGE", "cookie_header: the limit is 1 MiB")
	}
	if of, hasAttributes := request.(interface{ GetCookieAttributes() *pb.CookieAttributes }); hasAttributes {
		if c.app, err = c.app.withAttributes(of.GetCookieAttributes()); err != nil {
			return err
		}
	}
	c.app, err = c.app.named(request.GetCookieName())
	return err
}

// ofWrite returns the token that a write is made with: to a repeated one, that of the session that it was done in; nil: the
// request has no session.
func (c *call) ofWrite(request credential, isHeader bool, requestID string) (*presented, error) {
	if !isHeader {
		if request.GetToken() == "" {
			return nil, invalid("TOKEN_MISSING", "set token to what OpenSession gave, or cookie_header to the Cookie header")
		}
		found, err := c.verify(request.GetToken())
		return &found, err
	}
	var best *presented
	bestRelevance := -1
	all := c.inHeader(request.GetCookieHeader())
	states := make([]state, len(all))
	for i := range all {
		if r := c.load(all[i].token); r != nil && r.findCall(requestID, c.now) != nil {
			return &all[i], nil
		}
		states[i] = c.state(all[i].token)
		relevance := states[i].relevance()
		if best != nil && relevance == relevanceOfLive && bestRelevance == relevance && best.token.selector != all[i].token.selector {
			return nil, invalid("COOKIES_AMBIGUOUS", ambiguous)
		}
		if relevance > bestRelevance {
			best, bestRelevance = &all[i], relevance
		}
	}
	for i := range all {
		// As an open does.
		isSuperseded := bestRelevance == relevanceOfSuperseded && states[i].relevance() == bestRelevance
		if isSuperseded && c.findRecovery(all[i].token, states[i].rotated, requestID).record != nil {
			return &all[i], nil
		}
	}
	return best, nil
}

const (
	relevanceOfLive       = 3
	relevanceOfSuperseded = 2
)

// relevance says how much a write can learn from a token.
func (s state) relevance() int {
	switch {
	case s.record != nil:
		return relevanceOfLive
	case s.isReplaced:
		return relevanceOfSuperseded
	case s.isKnown:
		return 1
	}
	return 0
}

// recovery is the session that a superseded token leads to. Without a record it is not stored yet.
type recovery struct {
	token  token
	record *record
	note   note
	ended  time.Time // When the one before it was over by a call; zero: none was.
}

// findRecovery finds the recovery session of a superseded token. For a call that is repeated it is the one that has done it.
func (c *call) findRecovery(of token, rotated time.Time, requestID string) recovery {
	t := of
	var ended time.Time
	for range maxRecoveries {
		t = t.recovery(c.app.Name)
		if r := c.load(t); r == nil || r.findCall(requestID, c.now) != nil {
			return recovery{t, r, c.recoveryNote(rotated), ended}
		}
		s := c.state(t)
		if s.record != nil {
			return recovery{t, s.record, c.recoveryNote(rotated), ended}
		}
		if s.isReplaced {
			rotated = later(rotated, s.rotated)
		}
		ended = later(ended, c.endTime(t))
	}
	return recovery{randomToken(), nil, c.recoveryNote(rotated), ended}
}

func (c *call) recoveryNote(rotated time.Time) note {
	if c.now.Before(rotated.Add(cookieDelay)) {
		return noteKeep
	}
	return noteSet
}

// recoveryOf returns the credential of a token's recovery session; nil: the token is not superseded.
func (c *call) recoveryOf(t token) *presented {
	s := c.state(t)
	if s.record != nil || !s.isReplaced {
		return nil
	}
	found := c.findRecovery(t, s.rotated, "")
	return &presented{token: found.token, note: found.note, isTicket: true}
}

// beginAnew returns the credential of the session that a dead cookie gets; nil: a call has ended its session since the
// request was received.
func (c *call) beginAnew(t token, requestID string, request *pb.SaveSessionRequest) *presented {
	if c.hasEndedSince(c.endTime(t), request.RequestAge) {
		return nil
	}
	s := c.state(t)
	if s.record != nil || !s.isReplaced {
		fresh := newTicket()
		return &fresh
	}
	found := c.findRecovery(t, s.rotated, requestID)
	if c.hasEndedSince(found.ended, request.RequestAge) {
		return nil
	}
	return &presented{token: found.token, note: found.note, isTicket: true}
}

// hasEndedSince tells whether a session that ended then ended after a request of this age was received; nil: it has none.
func (c *call) hasEndedSince(end time.Time, age *durationpb.Duration) bool {
	return age != nil && end.After(c.now.Add(-age.AsDuration()))
}

func (c *call) endTime(t token) time.Time {
	if r := c.load(t); r != nil {
		return r.endTime(t.verifier)
	}
	return time.Time{}
}

func (c *call) newSession(t token, n note) *pb.Session {
	anonymous := c.app.anonymous()
	return &pb.Session{
		Id: t.id(c.app.Name), Token: c.signer.ticket(c.app.Name, t, n, c.now), New: true, Etag: "0",
		AccessTime:  timestamppb.New(c.now),
		ExpireTime:  timestamppb.New(c.now.Add(min(anonymous.idle, anonymous.absolute))),
		IdleTimeout: durationpb.New(anonymous.idle),
	}
}

// storedSession returns a session as used now. The text of the token is empty if this caller may not get it.
func (c *call) storedSession(r *record, id, text string) *pb.Session {
	return &pb.Session{
		Id: id, Token: text, Permanent: r.permanent, Etag: decimal(r.version), Subject: r.subject,
		CreateTime: timestamppb.New(r.created), AccessTime: timestamppb.New(later(r.used, c.now)),
		AuthenticateTime: stamp(r.authenticated), ExpireTime: timestamppb.New(r.expires(c.now)),
		IdleTimeout: durationpb.New(r.idleTimeout),
	}
}

func valuesOf(r *record) map[string]*pb.Value {
	values := map[string]*pb.Value{}
	for name, text := range r.entries {
		if raw, isRaw := strings.CutPrefix(text, "\x00"); isRaw {
			values[name] = &pb.Value{Kind: &pb.Value_Raw{Raw: []byte(raw)}}
		} else {
			values[name] = &pb.Value{Kind: &pb.Value_Json{Json: text}}
		}
	}
	return values
}

// headers returns the headers of a response with a session, in order.
func (c *call) headers(session *pb.Session, setsCookie, varies bool) []*pb.Header {
	var found []*pb.Header
	if setsCookie && session.Token != "" {
		var expires time.Time
		if session.GetPermanent() {
			expires = session.ExpireTime.AsTime()
		}
		found = append(found, c.app.setCookie(session.Token, expires, c.now))
	}
	if varies || found != nil {
		found = append(found, vary())
	}
	return found
}

func stamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

const ambiguous = "The request's cookies name two live sessions, so one of them may have been planted. If the cookie's path " +
	"or domain was changed, rename the cookie as well."
