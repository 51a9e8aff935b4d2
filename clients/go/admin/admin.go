// Package admin lists and ends sessions: for pages such as "my devices", for support, and for operators.
//
//	client, err := cloakroom.New("localhost:50052", cloakroom.Options{App: "shop"})
//	...
//	devices, err := admin.New(client).Sessions(ctx, user.ID)
//
// AdminService has an address of its own. If callers are configured, the caller needs the role `admin`.
package admin

import (
	"context"
	"iter"
	"time"

	"cloakroom.example/cloakroom"
	pb "cloakroom.example/cloakroom/cloakroomv1"
	"cloakroom.example/cloakroom/internal/endreason"
	"google.golang.org/protobuf/types/known/timestamppb"
)

const service = "/cloakroom.v1.AdminService/"

// Admin calls AdminService for the sessions of one app. Every error of a call is a *cloakroom.Error.
type Admin struct{ client *cloakroom.Client }

// New returns an Admin whose calls a client makes. The client's address is that of AdminService.
func New(client *cloakroom.Client) *Admin { return &Admin{client} }

// Session is a session as an operator sees it. It has no token.
type Session struct {
	ID            string // The public name, which Session.ID of package sessions returns too.
	Subject       string // The user. Empty for an anonymous session.
	Permanent     bool   // Whether its cookie outlives the browser.
	Created       time.Time
	LastUsed      time.Time
	Authenticated time.Time // Zero if the user never has.
	Expires       time.Time // When it ends if it is not used again.
	UserAgent     string    // Of the last use.
	RemoteAddress string    // Of the last use.
	Entries       int       // The number of entries.
	EntryBytes    int       // The bytes in their names and values.
	EndReason     string    // Why it has ended, such as REVOKED. Empty for a live session.
	Ended         time.Time // When a call ended it.
}

// Sessions returns the live sessions of a user; the one that was used last is first.
func (a *Admin) Sessions(ctx context.Context, subject string) ([]Session, error) {
	if subject == "" {
		return nil, cloakroom.NewError("INVALID_ARGUMENT", "SUBJECT_INVALID", "the subject is empty; All lists every session", nil)
	}
	response := &pb.ListSessionsResponse{}
	request := &pb.ListSessionsRequest{App: a.client.App(), Subject: subject}
	if err := a.client.Call(ctx, service+"ListSessions", request, response); err != nil {
		return nil, err
	}
	found := make([]Session, 0, len(response.Sessions))
	for _, info := range response.Sessions {
		found = append(found, sessionOf(info))
	}
	return found, nil
}

// All returns all live sessions of the app, in no order. It ends after an error.
func (a *Admin) All(ctx context.Context) iter.Seq2[Session, error] {
	return func(yield func(Session, error) bool) {
		request := &pb.ListSessionsRequest{App: a.client.App(), PageSize: 1000}
		for {
			response := &pb.ListSessionsResponse{}
			if err := a.client.Call(ctx, service+"ListSessions", request, response); err != nil {
				yield(Session{}, err)
				return
			}
			for _, info := range response.Sessions {
				if !yield(sessionOf(info), nil) {
					return
				}
			}
			if request.PageToken = response.NextPageToken; request.PageToken == "" {
				return
			}
		}
	}
}

// Session returns one session by its ID, whether it is live or has ended in the last 16 minutes. If the service does not
// know it, the error has the reason SESSION_UNKNOWN.
func (a *Admin) Session(ctx context.Context, id string) (Session, error) {
	response := &pb.GetSessionResponse{}
	err := a.client.Call(ctx, service+"GetSession", &pb.GetSessionRequest{App: a.client.App(), Id: id}, response)
	if err != nil {
		return Session{}, err
	}
	return sessionOf(response.Session), nil
}

// Revoke ends one session by its ID, and reports whether it was live.
func (a *Admin) Revoke(ctx context.Context, id string) (bool, error) {
	response := &pb.RevokeSessionResponse{}
	err := a.client.Call(ctx, service+"RevokeSession", &pb.RevokeSessionRequest{App: a.client.App(), Id: id}, response)
	return response.Outcome == pb.Outcome_OUTCOME_DELETED, err
}

// RevokeSubject ends all sessions of a user, and returns their number: a logout everywhere.
func (a *Admin) RevokeSubject(ctx context.Context, subject string) (int, error) {
	return a.RevokeOthers(ctx, subject, "")
}

// RevokeOthers ends all sessions of a user but the one with an ID, such as the one that the user is using.
func (a *Admin) RevokeOthers(ctx context.Context, subject, exceptID string) (int, error) {
	response := &pb.RevokeSubjectResponse{}
	request := &pb.RevokeSubjectRequest{App: a.client.App(), Subject: subject, ExceptId: exceptID}
	err := a.client.Call(ctx, service+"RevokeSubject", request, response)
	return int(response.Revoked), err
}

// RevokeApp ends all sessions of the app that were created before.
func (a *Admin) RevokeApp(ctx context.Context) error {
	return a.client.Call(ctx, service+"RevokeApp", &pb.RevokeAppRequest{App: a.client.App()}, &pb.RevokeAppResponse{})
}

func sessionOf(info *pb.SessionInfo) Session {
	session := Session{
		ID:            info.GetId(),
		Subject:       info.GetSubject(),
		Permanent:     info.GetPermanent(),
		Created:       timeOf(info.GetCreateTime()),
		LastUsed:      timeOf(info.GetAccessTime()),
		Authenticated: timeOf(info.GetAuthenticateTime()),
		Expires:       timeOf(info.GetExpireTime()),
		UserAgent:     info.GetContext().GetUserAgent(),
		RemoteAddress: info.GetContext().GetRemoteAddress(),
		Entries:       int(info.GetEntryCount()),
		EntryBytes:    int(info.GetEntryBytes()),
		Ended:         timeOf(info.GetEndTime()),
	}
	if info.GetEndReason() != pb.EndReason_END_REASON_UNSPECIFIED {
		session.EndReason = endreason.Text(info.GetEndReason())
	}
	return session
}

func timeOf(stamp *timestamppb.Timestamp) time.Time {
	if stamp == nil {
		return time.Time{}
	}
	return stamp.AsTime()
}
