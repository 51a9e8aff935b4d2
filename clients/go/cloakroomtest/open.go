package cloakroomtest

import (
	"strconv"
	"strings"
	"time"

	pb "cloakroom.example/cloakroom/cloakroomv1"
)

// open finds the session that a request's cookies name.
func (c *call) open(request *pb.OpenSessionRequest) (*pb.OpenSessionResponse, error) {
	age := request.MaxAuthenticateAge
	if age != nil && (age.CheckValid() != nil || age.AsDuration() < time.Millisecond) {
		return nil, invalid("AUTHENTICATE_AGE_INVALID", "max_authenticate_age: it has to be a valid and positive span")
	}
	if err := checkRequestAge(request.RequestAge); err != nil {
		return nil, err
	}
	if err := c.accept(request); err != nil {
		return nil, err
	}
	var live, replaced []presented
	var states []state
	_, isByHeader := request.Credential.(*pb.OpenSessionRequest_CookieHeader)
	isOvertaken := false
	for _, each := range c.shown(request) {
		isOvertaken = isOvertaken || isByHeader && c.hasEndedSince(c.endTime(each.token), request.RequestAge)
		s := c.state(each.token)
		switch {
		case s.record != nil && len(live) > 0 && live[0].token.selector != each.token.selector:
			null := &pb.Session{NullSession: &pb.NullSession{Reason: "COOKIES_AMBIGUOUS", Message: ambiguous}}
			return &pb.OpenSessionResponse{Session: null, ReadHeaders: []*pb.Header{vary()}}, nil
		case s.record != nil:
			live = append(live, each)
		case s.isReplaced:
			replaced, states = append(replaced, each), append(states, s)
		}
	}
	if len(live) > 0 {
		best := live[0]
		for _, each := range live {
			if each.note == noteNone {
				best = each
			}
		}
		return c.openLive(best.token, best.note, request), nil
	}
	fresh := recovery{token: randomToken()}
	if isOvertaken {
		fresh.note = noteKeep
	}
	for i, each := range replaced {
		found := c.findRecovery(each.token, states[i].rotated, "")
		if isOvertaken || isByHeader && c.hasEndedSince(found.ended, request.RequestAge) {
			found.note = noteKeep
		}
		if found.record != nil {
			return c.openLive(found.token, found.note, request), nil
		}
		if i == 0 {
			fresh = found
		}
	}
	return &pb.OpenSessionResponse{Session: c.newSession(fresh.token, fresh.note), ReadHeaders: []*pb.Header{vary()}}, nil
}

func (c *call) shown(request *pb.OpenSessionRequest) []presented {
	if header, isHeader := request.Credential.(*pb.OpenSessionRequest_CookieHeader); isHeader {
		return c.inHeader(header.CookieHeader)
	}
	text := request.GetToken()
	if text == "" || strings.HasPrefix(text, ticketKind) {
		return nil
	}
	found, err := c.verify(text)
	if err != nil {
		return nil
	}
	if found.note != noteNone {
		found.note = noteSet
	}
	return []presented{found}
}

func (c *call) openLive(t token, n note, request *pb.OpenSessionRequest) *pb.OpenSessionResponse {
	r := c.load(t)
	c.store.touch(r, request.Context, c.now)
	signed := noteNone
	if n == noteKeep {
		signed = noteKeep
	}
	session := c.storedSession(r, t.id(c.app.Name), c.signer.token(c.app.Name, t, signed))
	session.Entries = valuesOf(r)
	refreshes := session.GetPermanent() && !c.app.KeepsExpiry
	setsCookie := n == noteSet || (n == noteNone && refreshes)
	isRecent := request.MaxAuthenticateAge != nil && !r.authenticated.IsZero() &&
		c.now.Before(r.authenticated.Add(request.MaxAuthenticateAge.AsDuration()))
	return &pb.OpenSessionResponse{
		Session:               session,
		ReadHeaders:           c.headers(session, setsCookie, true),
		UntouchedHeaders:      c.headers(session, setsCookie, false),
		RecentlyAuthenticated: isRecent,
		CookieOutdated:        n == noteSet,
	}
}

func decimal(number int64) string { return strconv.FormatInt(number, 10) }
