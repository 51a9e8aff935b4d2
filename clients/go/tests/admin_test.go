package tests

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"cloakroom.example/cloakroom"
	"cloakroom.example/cloakroom/admin"
	"cloakroom.example/cloakroom/sessions"
	"cloakroom.example/cloakroom/tests/service"
)

// devices is the page of a user's devices. It stands in docs/go.md.
func devices(of *admin.Admin) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		session := sessions.From(r.Context())
		user, err := session.Subject()
		own, idErr := session.ID()
		if err != nil || idErr != nil {
			return
		}
		switch r.URL.Path {
		case "/end":
			// Only the user's own sessions.
			found, err := of.Session(r.Context(), r.URL.RawQuery)
			if err == nil && found.Subject == user {
				_, err = of.Revoke(r.Context(), found.ID)
			}
			fmt.Fprint(w, err)
		case "/end-others":
			ended, err := of.RevokeOthers(r.Context(), user, own)
			fmt.Fprint(w, ended, err)
		default:
			found, err := of.Sessions(r.Context(), user)
			if err != nil {
				http.Error(w, err.Error(), http.StatusServiceUnavailable)
				return
			}
			for _, device := range found {
				fmt.Fprintln(w, device.UserAgent, device.ID == own, device.RemoteAddress, device.Subject, device.Entries,
					!device.Created.IsZero() && !device.LastUsed.IsZero() && !device.Expires.IsZero() && !device.Authenticated.IsZero())
			}
		}
	}
}

func TestAUserSeesAndEndsTheOwnDevices(t *testing.T) {
	running := service.Start(t, service.Options{})
	of, ctx := adminOf(t, running), context.Background()
	mux := http.NewServeMux()
	mux.HandleFunc("/", devices(of))
	mux.HandleFunc("/login", func(w http.ResponseWriter, r *http.Request) {
		session := sessions.From(r.Context())
		session.SetSubject(r.URL.RawQuery)
		session.Set("a", 1)
		session.Save()
		id, _ := session.ID()
		fmt.Fprint(w, id)
	})
	one := service.Browse(t, sessions.New(running.Client("shop")).Middleware(mux))
	two, three, other := one.Another(), one.Another(), one.Another()
	one.Get("/login?ada")
	second := two.Get("/login?ada").Body
	three.Get("/login?ada")
	others := other.Get("/login?eve").Body

	listed := strings.Split(strings.TrimSpace(one.Get("/devices").Body), "\n")
	if len(listed) != 3 || !strings.Contains(strings.Join(listed, "\n"), "Go-http-client/1.1 true 127.0.0.1 ada 1 true") {
		t.Error(listed)
	}
	if got := one.Get("/end?" + second).Body; got != "<nil>" || strings.Contains(two.Get("/devices").Body, "ada") {
		t.Error(got)
	}
	one.Get("/end?" + others)
	if got := one.Get("/end-others").Body; got != "1 <nil>" {
		t.Error(got)
	}
	count := 0
	for session, err := range of.All(ctx) {
		if count++; err != nil || session.EndReason != "" {
			t.Error(session, err)
		}
	}
	if count != 2 {
		t.Error("live sessions:", count)
	}
	ended, err := of.Session(ctx, second)
	if err != nil || ended.EndReason != "REVOKED" || ended.Ended.IsZero() {
		t.Error(ended, err)
	}
	if again, err := of.Revoke(ctx, second); again || err != nil {
		t.Error(again, err)
	}
	if number, err := of.RevokeSubject(ctx, "eve"); number != 1 || err != nil {
		t.Error(number, err)
	}
	if err := of.RevokeApp(ctx); err != nil {
		t.Error(err)
	}
	if found, err := of.Sessions(ctx, "ada"); len(found) != 0 || err != nil {
		t.Error(found, err)
	}
	var failed *cloakroom.Error
	if _, err := of.Session(ctx, strings.Repeat("0", 32)); !errors.As(err, &failed) || failed.Reason != "SESSION_UNKNOWN" {
		t.Error(err)
	}
	if _, err := of.Sessions(ctx, ""); !errors.Is(err, cloakroom.ErrRefused) {
		t.Error(err)
	}
}
