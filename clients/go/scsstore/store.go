// Package scsstore keeps the sessions of scs (github.com/alexedwards/scs/v2) in Cloakroom. The application keeps scs, its
// tokens and its cookies.
//
//	client, err := cloakroom.New("localhost:50051", cloakroom.Options{App: "shop"})
//	...
//	store := scsstore.New(client)
//	manager := scs.New()
//	manager.Store = store
//	manager.Codec = scsstore.Codec{}
//	manager.ErrorFunc = scsstore.ErrorFunc(manager.ErrorFunc)
//	http.ListenAndServe(":8000", store.Middleware(manager.LoadAndSave(mux)))
//
// The app is of kind `external`, and scs' token is the key of a session. With the codec each value of scs is an entry, and
// with the middleware a commit sends the entries that differ from what the same request has loaded, so that requests at
// the same time keep each other's. Without either, a commit replaces the whole session, as with every other store.
package scsstore

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"cloakroom.example/cloakroom"
	pb "cloakroom.example/cloakroom/cloakroomv1"
	"cloakroom.example/cloakroom/internal/external"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Store is an scs.Store, with the variants that take a context and that list all sessions. Set its fields before the first
// request.
type Store struct {
	// Admin makes the calls of All: a client of the same app with the address of AdminService. Nil: All is an error.
	Admin *cloakroom.Client
	// OmitContext leaves out the user agent and the address of the user, which are for the list of a user's devices.
	OmitContext bool
	// RemoteAddress returns the address of the user. Nil: that of the connection. Set it behind a proxy.
	RemoteAddress func(r *http.Request) string

	client *cloakroom.Client
}

// New returns a store whose calls a client makes.
func New(client *cloakroom.Client) *Store { return &Store{client: client} }

// Find is FindCtx for requests without a context.
func (s *Store) Find(token string) ([]byte, bool, error) {
	return s.FindCtx(context.Background(), token)
}

// Commit is CommitCtx for requests without a context.
func (s *Store) Commit(token string, data []byte, expiry time.Time) error {
	return s.CommitCtx(context.Background(), token, data, expiry)
}

// Delete is DeleteCtx for requests without a context.
func (s *Store) Delete(token string) error { return s.DeleteCtx(context.Background(), token) }

// FindCtx loads a session. One that is unknown or has ended is not found, and scs makes another token. This is a use of the
// session.
func (s *Store) FindCtx(ctx context.Context, token string) (data []byte, found bool, err error) {
	loads := loadsOf(ctx)
	session, err := external.Open(ctx, s.client, token, loads.requestContext())
	if err != nil || session == nil {
		return nil, false, err
	}
	if session.Entries == nil {
		session.Entries = map[string]*pb.Value{}
	}
	if isOver(session.Entries) {
		return nil, false, s.DeleteCtx(ctx, token)
	}
	loads.set(token, session.Entries)
	data, err = dataOf(session.Entries, session.ExpireTime)
	return data, err == nil, err
}

// CommitCtx saves what differs from what the same request has loaded. The session ends at expiry at the latest, and earlier
// by the timeouts of the app.
//
// The error is a *cloakroom.EndedError if the session had ended, such as by a logout in another request. Nothing is written
// then, and scs sends no cookie: the browser may have a newer one. See [ErrorFunc]. With the middleware that is also so if
// RenewToken would take the values of a session along that had ended.
func (s *Store) CommitCtx(ctx context.Context, token string, data []byte, expiry time.Time) error {
	if strings.HasPrefix(token, listedPrefix) {
		return errListed
	}
	if !expiry.After(time.Now()) {
		return s.DeleteCtx(ctx, token)
	}
	wanted, err := entriesOf(data)
	if err != nil {
		return err
	}
	if wanted[deadlineEntry] == nil {
		wanted[deadlineEntry] = external.Text(expiry.UTC().Format(time.RFC3339Nano))
	}
	idleTimeout, err := external.IdleTimeout(ctx, s.client)
	if err != nil {
		return err
	}
	loads := loadsOf(ctx)
	if ended := loads.revived(token, wanted); ended != nil {
		return ended
	}
	changes := external.Changes(loads.get(token), wanted)
	setLifetime(changes, expiry, idleTimeout)
	err = external.Save(ctx, s.client, token, changes, loads.requestContext())
	if isPassed(err) {
		return s.DeleteCtx(ctx, token)
	}
	if err == nil {
		loads.set(token, wanted)
	}
	return err
}

// DeleteCtx ends a session. Nothing revives it, not even a commit of a request that had loaded it before.
func (s *Store) DeleteCtx(ctx context.Context, token string) error {
	loads := loadsOf(ctx)
	before := loads.get(token)
	loads.set(token, nil)
	if id, isListed := strings.CutPrefix(token, listedPrefix); isListed {
		return s.revoke(ctx, id)
	}
	ended, err := external.Destroy(ctx, s.client, token)
	if ended != nil && before != nil {
		loads.setEnded(before, ended)
	}
	return err
}

// setLifetime makes a session end at expiry if that is before the idle timeout of the app. Otherwise the timeouts of the app
// count, for a session has either them or a deadline, and FindCtx looks at the deadline of scs.
func setLifetime(changes *pb.Changes, expiry time.Time, idleTimeout time.Duration) {
	if time.Until(expiry) < idleTimeout {
		changes.Lifetime = &pb.Changes_DeadlineTime{DeadlineTime: timestamppb.New(expiry)}
	} else {
		changes.Lifetime = &pb.Changes_DefaultLifetime{DefaultLifetime: true}
	}
}

// isPassed tells whether a deadline was over when the service saw it.
func isPassed(err error) bool {
	var refused *cloakroom.Error
	return errors.As(err, &refused) && refused.Reason == "LIFETIME_INVALID"
}
