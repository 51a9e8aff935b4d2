// Package scs becomes scs itself: scsstore_suite_test.go adds the files of its module, whose managers then have this store.
package scs

import (
	"context"
	"crypto/rand"
	"os"
	"time"

	"cloakroom.example/cloakroom"
	"cloakroom.example/cloakroom/scsstore"
)

// EntryCodec is the codec that makes entries.
type EntryCodec = scsstore.Codec

// OwnStore is the store of one manager. Its tokens have a prefix, because the tests use the same short tokens again with
// another manager, and a key has at least 16 bytes and is good for one session.
type OwnStore struct {
	*scsstore.Store

	prefix string
}

// NewStore returns a store with the service and the app that the test names.
func NewStore() OwnStore {
	store := scsstore.New(connect(os.Getenv("SCS_SERVICE")))
	store.Admin = connect(os.Getenv("SCS_ADMIN"))
	return OwnStore{store, rand.Text()}
}

// Find loads a session.
func (s OwnStore) Find(token string) ([]byte, bool, error) { return s.Store.Find(s.prefix + token) }

// Commit saves a session.
func (s OwnStore) Commit(token string, data []byte, expiry time.Time) error {
	return s.Store.Commit(s.prefix+token, data, expiry)
}

// FindCtx loads a session.
func (s OwnStore) FindCtx(ctx context.Context, token string) ([]byte, bool, error) {
	return s.Store.FindCtx(ctx, s.prefix+token)
}

// CommitCtx saves a session.
func (s OwnStore) CommitCtx(ctx context.Context, token string, data []byte, expiry time.Time) error {
	return s.Store.CommitCtx(ctx, s.prefix+token, data, expiry)
}

// DeleteCtx ends a session.
func (s OwnStore) DeleteCtx(ctx context.Context, token string) error {
	return s.Store.DeleteCtx(ctx, s.prefix+token)
}

func connect(address string) *cloakroom.Client {
	client, err := cloakroom.New(address, cloakroom.Options{App: os.Getenv("SCS_APP"), Deadline: time.Minute})
	if err != nil {
		panic(err)
	}
	return client
}
