package tests

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"cloakroom.example/cloakroom"
	"cloakroom.example/cloakroom/admin"
	pb "cloakroom.example/cloakroom/cloakroomv1"
	"cloakroom.example/cloakroom/sessions"
	"cloakroom.example/cloakroom/tests/service"
	"google.golang.org/protobuf/proto"
)

// lossy is a transport that loses the answers of some saves.
type lossy struct {
	cloakroom.Transport
	losses     int
	requestIDs map[string]int
}

func (l *lossy) Call(ctx context.Context, path string, request, response proto.Message) error {
	err := l.Transport.Call(ctx, path, request, response)
	save, isSave := request.(*pb.SaveSessionRequest)
	if !isSave || l.losses == 0 || err != nil {
		return err
	}
	l.losses--
	l.requestIDs[save.RequestId]++
	return cloakroom.NewError("UNAVAILABLE", "", "the answer was lost", nil)
}

const subjectApps = `
[apps.shop]
keys = ["{key}"]
[apps.passport]
keys = ["{key}"]
subject_key = "passport.user"
`

func TestALoginWithoutACookieBeginsOneSessionHoweverManyAnswersAreLost(t *testing.T) {
	running := service.Start(t, service.Options{Apps: subjectApps})
	for app, login := range map[string]func(*sessions.Session){
		"shop":     func(s *sessions.Session) { s.SetSubject("vera") },
		"passport": func(s *sessions.Session) { s.Set("passport", map[string]string{"user": "vera"}) },
	} {
		transport, err := cloakroom.Dial(running.Address, cloakroom.Credentials{})
		if err != nil {
			t.Fatal(err)
		}
		losing := &lossy{Transport: transport, losses: 5, requestIDs: map[string]int{}}
		client, err := cloakroom.New("", cloakroom.Options{App: app, Transport: losing, Deadline: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		browser := service.Browse(t, handle(client, func(w http.ResponseWriter, r *http.Request, s *sessions.Session) { login(s) }))

		answer := browser.Get("/")

		if cookie := answer.Header.Get("Set-Cookie"); !strings.HasPrefix(cookie, "session=v1.") || len(losing.requestIDs) != 1 {
			t.Error(app, answer, losing.requestIDs)
		}
		if found := sessionsOf(t, running, app, "vera"); len(found) != 1 {
			t.Error(app, found)
		}
	}
}

func TestALoginByAPathAfterTheEndOfItsSessionBeginsANewOne(t *testing.T) {
	running := service.Start(t, service.Options{Apps: subjectApps})
	var gone string
	of := sessions.New(running.Client("passport"))
	of.OnGone = func(w http.ResponseWriter, r *http.Request, why *sessions.GoneError) { gone = why.Reason }
	value := any(1)
	browser := service.Browse(t, of.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := sessions.From(r.Context())
		if id, _ := s.ID(); id != "" {
			adminFor(t, running, "passport").Revoke(r.Context(), id)
		}
		s.Set("passport", value)
	})))

	for _, value = range []any{map[string]any{}, map[string]any{"user": ""}, "user"} {
		gone = ""
		browser.Get("/")
		if browser.Get("/"); gone != "REVOKED" {
			t.Error(value, gone)
		}
	}
	gone, value = "", map[string]any{"user": 7}
	if browser.Get("/"); gone != "" || len(sessionsOf(t, running, "passport", "7")) != 1 {
		t.Error(gone)
	}
}

func adminFor(t *testing.T, running *service.Service, app string) *admin.Admin {
	t.Helper()
	client, err := cloakroom.New(running.AdminAddress, cloakroom.Options{App: app, Deadline: service.WaitLimit})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return admin.New(client)
}

func sessionsOf(t *testing.T, running *service.Service, app, subject string) []admin.Session {
	t.Helper()
	found, err := adminFor(t, running, app).Sessions(context.Background(), subject)
	if err != nil {
		t.Fatal(err)
	}
	return found
}
