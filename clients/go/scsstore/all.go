package scsstore

import (
	"context"
	"errors"

	pb "cloakroom.example/cloakroom/cloakroomv1"
)

const (
	adminService = "/cloakroom.v1.AdminService/"
	// listedPrefix begins what All returns in place of a token. No token of scs has a colon.
	listedPrefix = "id:"
)

var (
	errListed  = errors.New("scsstore: a session that All has listed cannot be saved, because the service does not know its token")
	errNoAdmin = errors.New("scsstore: to list all sessions, set Admin of the store to a client of AdminService")
)

// All is AllCtx for calls without a context.
func (s *Store) All() (map[string][]byte, error) { return s.AllCtx(context.Background()) }

// AllCtx returns all live sessions, for scs' Iterate. The service does not know their tokens, so their public ids stand in
// for them: such a session can be read and destroyed, and not saved. It needs Admin.
func (s *Store) AllCtx(ctx context.Context) (map[string][]byte, error) {
	if s.Admin == nil {
		return nil, errNoAdmin
	}
	all := map[string][]byte{}
	request := &pb.ListSessionsRequest{App: s.Admin.App(), WithEntries: true}
	for {
		response := &pb.ListSessionsResponse{}
		if err := s.Admin.Call(ctx, adminService+"ListSessions", request, response); err != nil {
			return nil, err
		}
		for _, session := range response.Sessions {
			if isOver(session.Entries) {
				continue
			}
			data, err := dataOf(session.Entries, session.ExpireTime)
			if err != nil {
				return nil, err
			}
			all[listedPrefix+session.Id] = data
		}
		if request.PageToken = response.NextPageToken; request.PageToken == "" {
			return all, nil
		}
	}
}

// revoke ends a session that All has listed.
func (s *Store) revoke(ctx context.Context, id string) error {
	if s.Admin == nil {
		return errNoAdmin
	}
	request := &pb.RevokeSessionRequest{App: s.Admin.App(), Id: id}
	return s.Admin.Call(ctx, adminService+"RevokeSession", request, &pb.RevokeSessionResponse{})
}
