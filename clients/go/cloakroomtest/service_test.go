package cloakroomtest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"cloakroom.example/cloakroom"
	"cloakroom.example/cloakroom/admin"
	"cloakroom.example/cloakroom/cloakroomtest"
	"cloakroom.example/cloakroom/sessions"
)

// application counts the requests of a session, and begins a watch on demand.
func application(client *cloakroom.Client, watched *context.Context) http.Handler {
	return sessions.New(client).Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		session := sessions.From(r.Context())
		if r.URL.Path == "/watch" {
			*watched, _ = session.Watch(context.Background())
			return
		}
		session.SetSubject("ada")
		session.Increment("n", 1)
		n, err := sessions.Get[int](session, "n")
		fmt.Fprint(w, n, err)
	}))
}

// send sends a request with a cookie and returns the response, and the cookie after it.
func send(handler http.Handler, path, cookie string) (*httptest.ResponseRecorder, string) {
	request := httptest.NewRequest("GET", path, nil)
	request.Header.Set("Cookie", cookie)
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, request)
	if set := recorder.Header().Get("Set-Cookie"); set != "" {
		cookie, _, _ = strings.Cut(set, ";")
	}
	return recorder, cookie
}

func TestSessionsExpireWhenTheClockMoves(t *testing.T) {
	service := cloakroomtest.New(cloakroomtest.App{Name: "shop", IdleTimeout: time.Hour})
	handler := application(service.Client("shop"), nil)
	_, cookie := send(handler, "/", "")

	service.Advance(59 * time.Minute)
	if second, _ := send(handler, "/", cookie); second.Body.String() != "2 <nil>" {
		t.Error(second.Body)
	}
	service.Advance(61 * time.Minute)
	if late, _ := send(handler, "/", cookie); late.Body.String() != "1 <nil>" {
		t.Error(late.Body)
	}
}

func TestAnOutageIsA503(t *testing.T) {
	service := cloakroomtest.New()
	handler := application(service.Client(""), nil)
	_, cookie := send(handler, "/", "")

	service.SetAvailable(false)
	if outage, _ := send(handler, "/", cookie); outage.Code != http.StatusServiceUnavailable {
		t.Error(outage)
	}
	service.SetAvailable(true)
	if after, _ := send(handler, "/", cookie); after.Body.String() != "2 <nil>" {
		t.Error(after.Body)
	}
}

func TestAWatchEndsWithARevocationAndWithTime(t *testing.T) {
	service := cloakroomtest.New(cloakroomtest.App{Name: "shop", IdleTimeout: time.Hour})
	var watched context.Context
	handler := application(service.Client("shop"), &watched)
	end := map[string]func(){
		"REVOKED": func() { admin.New(service.Client("shop")).RevokeSubject(t.Context(), "ada") },
		"IDLE":    func() { service.Advance(61 * time.Minute) },
	}
	for reason, ends := range end {
		_, cookie := send(handler, "/", "")
		send(handler, "/watch", cookie)
		if watched.Err() != nil {
			t.Fatal("the watch has ended at once")
		}
		ends()
		<-watched.Done()
		var ended *cloakroom.EndedError
		if !errors.As(context.Cause(watched), &ended) || ended.Reason != reason {
			t.Error(reason, context.Cause(watched))
		}
	}
}

func TestAnAppThatIsNotConfiguredIsUnknown(t *testing.T) {
	service := cloakroomtest.New(cloakroomtest.App{Name: "shop"})
	_, err := service.Client("other").Policy(t.Context())

	var failed *cloakroom.Error
	if !errors.As(err, &failed) || failed.Reason != "APP_UNKNOWN" || !errors.Is(err, cloakroom.ErrRefused) {
		t.Error(err)
	}
}
