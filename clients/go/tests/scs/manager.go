// Package scs has the part of scs' SessionManager that its own tests of a session use, on top of package sessions.
//
// scs_suite_test.go compiles those tests, from scs' module, into this package.
package scs

import (
	"context"
	"errors"
	"net/http"
	"os"
	"time"

	"cloakroom.example/cloakroom"
	"cloakroom.example/cloakroom/sessions"
)

// SessionManager has the settings that the tests change.
type SessionManager struct {
	Lifetime    time.Duration
	IdleTimeout time.Duration
	Cookie      struct {
		Name    string
		Persist bool
	}
}

// New returns a manager with scs' defaults.
func New() *SessionManager {
	manager := &SessionManager{Lifetime: 24 * time.Hour}
	manager.Cookie.Name, manager.Cookie.Persist = "session", true
	return manager
}

// LoadAndSave is scs' name of the middleware.
func (m *SessionManager) LoadAndSave(next http.Handler) http.Handler {
	client, err := cloakroom.New(os.Getenv("SCS_SERVICE"), cloakroom.Options{App: "scs", Deadline: time.Minute})
	if err != nil {
		panic(err)
	}
	return sessions.New(client).Middleware(next)
}

// Put sets an entry, and gives a new session its lifetime.
func (m *SessionManager) Put(ctx context.Context, name string, value any) {
	session := sessions.From(ctx)
	if isNew, err := session.IsNew(); err == nil && isNew {
		// The Expires of a cookie has whole seconds: one of less than a second may be over at once.
		session.SetPermanent(m.Cookie.Persist && m.Lifetime >= time.Second)
		session.SetDeadline(time.Now().Add(m.Lifetime))
		if m.IdleTimeout != 0 {
			session.SetIdleTimeout(m.IdleTimeout)
		}
	}
	session.Set(name, value)
}

// Get returns an entry, or nil.
func (m *SessionManager) Get(ctx context.Context, name string) any {
	value, err := sessions.Get[any](sessions.From(ctx), name)
	if err != nil {
		panic(err)
	}
	return value
}

// GetString returns an entry that is text.
func (m *SessionManager) GetString(ctx context.Context, name string) string {
	text, _ := m.Get(ctx, name).(string)
	return text
}

// Destroy ends the session.
func (m *SessionManager) Destroy(ctx context.Context) error { return sessions.From(ctx).Destroy() }

// RenewToken replaces the token.
func (m *SessionManager) RenewToken(ctx context.Context) error {
	sessions.From(ctx).Rotate()
	return nil
}

// RememberMe sets whether the cookie outlives the browser.
func (m *SessionManager) RememberMe(ctx context.Context, remembers bool) {
	sessions.From(ctx).SetPermanent(remembers)
}

// Iterate is missing: an operator lists sessions by package admin, which shows no values.
func (m *SessionManager) Iterate(context.Context, func(context.Context) error) error {
	return errors.New("package admin lists sessions, without their values")
}
