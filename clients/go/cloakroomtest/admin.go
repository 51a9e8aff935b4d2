package cloakroomtest

import (
	"regexp"
	"slices"
	"time"

	"cloakroom.example/cloakroom"
	pb "cloakroom.example/cloakroom/cloakroomv1"
	"google.golang.org/protobuf/types/known/timestamppb"
)

var sessionID = regexp.MustCompile("^[0-9a-f]{32}$")

func (c *call) list(request *pb.ListSessionsRequest) (*pb.ListSessionsResponse, error) {
	switch {
	case request.PageSize < 0:
		return nil, invalid("PAGE_SIZE_INVALID", "page_size: it is 1 to 1000, or 0 for 100")
	case request.PageToken != "" && (request.Subject != "" || !sessionID.MatchString(request.PageToken)):
		return nil, invalid("PAGE_TOKEN_INVALID", "page_token: it has to be the next_page_token of the same listing")
	case len(request.Subject) > 256:
		return nil, subjectInvalid()
	}
	found := c.store.live(c.app.Name, request.Subject, c.now)
	response := &pb.ListSessionsResponse{}
	if request.Subject != "" {
		slices.Reverse(found)
		slices.SortStableFunc(found, func(a, b listed) int { return b.record.used.Compare(a.record.used) })
	} else {
		found = slices.DeleteFunc(found, func(each listed) bool { return each.id <= request.PageToken })
		size := min(int(request.PageSize), 1000)
		if size == 0 {
			size = 100
		}
		if len(found) >= size {
			found = found[:size]
			response.NextPageToken = found[size-1].id
		}
	}
	for _, each := range found {
		response.Sessions = append(response.Sessions, infoOf(each, 0, request.WithEntries))
	}
	return response, nil
}

func (c *call) get(request *pb.GetSessionRequest) (*pb.GetSessionResponse, error) {
	if err := checkID("id", request.Id); err != nil {
		return nil, err
	}
	r := c.store.load(c.app.Name, request.Id, c.now)
	if r == nil {
		return nil, cloakroom.NewError("NOT_FOUND", "SESSION_UNKNOWN", "the store has no session of this id", nil)
	}
	reason := r.whyEnded(c.store.generations[c.app.Name], c.now)
	return &pb.GetSessionResponse{Session: infoOf(listed{request.Id, r}, reason, request.WithEntries)}, nil
}

func (c *call) revoke(request *pb.RevokeSessionRequest) (*pb.RevokeSessionResponse, error) {
	if err := checkID("id", request.Id); err != nil {
		return nil, err
	}
	reason := pb.EndReason_END_REASON_REVOKED
	_, judged, err := c.store.apply(c.app.Name, request.Id, precondition{now: c.now}, nil, reason)
	if err != nil || judged.verdict != allowed {
		return &pb.RevokeSessionResponse{Outcome: pb.Outcome_OUTCOME_GONE, EndReason: judged.reason}, err
	}
	return &pb.RevokeSessionResponse{Outcome: pb.Outcome_OUTCOME_DELETED, EndReason: reason}, nil
}

func (c *call) revokeSubject(request *pb.RevokeSubjectRequest) (*pb.RevokeSubjectResponse, error) {
	if request.Subject == "" || len(request.Subject) > 256 {
		return nil, subjectInvalid()
	}
	if request.ExceptId != "" {
		if err := checkID("except_id", request.ExceptId); err != nil {
			return nil, err
		}
	}
	response := &pb.RevokeSubjectResponse{}
	for _, each := range c.store.live(c.app.Name, request.Subject, c.now) {
		if each.id != request.ExceptId {
			c.store.apply(c.app.Name, each.id, precondition{now: c.now}, nil, pb.EndReason_END_REASON_REVOKED)
			response.Revoked++
		}
	}
	return response, nil
}

func checkID(field, id string) error {
	if !sessionID.MatchString(id) {
		return invalid("SESSION_ID_INVALID", field+": a session's id is 32 lower-case hexadecimal digits")
	}
	return nil
}

func infoOf(of listed, reason pb.EndReason, withEntries bool) *pb.SessionInfo {
	r := of.record
	info := &pb.SessionInfo{
		Id: of.id, Subject: r.subject, Permanent: r.permanent, Etag: decimal(r.version), CreateTime: timestamppb.New(r.created),
		AccessTime: timestamppb.New(r.used), AuthenticateTime: stamp(r.authenticated), ExpireTime: timestamppb.New(r.expires(time.Time{})),
		Context:    &pb.RequestContext{UserAgent: r.userAgent, RemoteAddress: r.remoteAddress},
		EntryCount: uint32(len(r.entries)), EntryBytes: uint32(r.entryBytes()), EndReason: reason, EndTime: stamp(r.ended),
	}
	if withEntries && reason == 0 {
		info.Entries = valuesOf(r)
	}
	return info
}
