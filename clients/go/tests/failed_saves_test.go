package tests

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cloakroom.example/cloakroom"
	pb "cloakroom.example/cloakroom/cloakroomv1"
	"cloakroom.example/cloakroom/sessions"
	"cloakroom.example/cloakroom/tests/service"
	"google.golang.org/protobuf/proto"
)

// failing is a transport that fails saves for as long as it is told to.
type failing struct {
	cloakroom.Transport
	fails atomic.Bool
}

func (f *failing) Call(ctx context.Context, path string, request, response proto.Message) error {
	if _, isSave := request.(*pb.SaveSessionRequest); isSave && f.fails.Load() {
		return cloakroom.NewError("UNAVAILABLE", "", "no answer", nil)
	}
	return f.Transport.Call(ctx, path, request, response)
}

func failingClient(t *testing.T, running *service.Service, app string) (*failing, *cloakroom.Client) {
	t.Helper()
	transport, err := cloakroom.Dial(running.Address, cloakroom.Credentials{})
	if err != nil {
		t.Fatal(err)
	}
	fails := &failing{Transport: transport}
	client, err := cloakroom.New("", cloakroom.Options{App: app, Transport: fails, Deadline: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return fails, client
}

func TestWhatOneUserLeftIsNotSeenAfterTheLoginOfAnother(t *testing.T) {
	running := service.Start(t, service.Options{Apps: subjectApps})
	for app, login := range map[string]func(s *sessions.Session, user string){
		"shop":     func(s *sessions.Session, user string) { s.SetSubject(user) },
		"passport": func(s *sessions.Session, user string) { s.Set("passport", map[string]string{"user": user}) },
	} {
		browser := service.Browse(t, handle(running.Client(app), func(w http.ResponseWriter, r *http.Request, s *sessions.Session) {
			if r.URL.Path == "/alice" {
				login(s, "alice")
				s.Set("cart", 1)
				return
			}
			s.Has("cart")
			login(s, "bob")
			s.Set("own", true)
			if err := s.Save(); err != nil {
				t.Error(app, err)
			}
			hasCart, _ := s.Has("cart")
			hasOwn, err := s.Has("own")
			fmt.Fprint(w, hasCart, hasOwn, err)
		}))
		browser.Get("/alice")

		if got := browser.Get("/bob").Body; got != "false true <nil>" {
			t.Error(app, got)
		}
	}
}

func TestARemovalIsSavedAfterTheLoginOfAnotherWasTakenBack(t *testing.T) {
	running := service.Start(t, service.Options{Apps: subjectApps})
	login := func(s *sessions.Session, user string) { s.Set("passport", map[string]string{"user": user}) }
	for name, takeBack := range map[string]func(s *sessions.Session){
		"delete": func(s *sessions.Session) { s.Delete("passport", "cart") },
		"pop": func(s *sessions.Session) {
			if _, err := sessions.Pop[map[string]string](s, "passport"); err != nil {
				t.Error(err)
			}
			s.Delete("cart")
		},
	} {
		browser := service.Browse(t, handle(running.Client("passport"), func(w http.ResponseWriter, r *http.Request, s *sessions.Session) {
			switch r.URL.Path {
			case "/alice":
				login(s, "alice")
				s.Set("cart", 1)
			case "/back":
				s.Has("cart")
				login(s, "bob")
				takeBack(s)
			default:
				has, err := s.Has("cart")
				fmt.Fprint(w, has, err)
			}
		}))
		browser.Get("/alice")
		browser.Get("/back")

		if got := browser.Get("/").Body; got != "false <nil>" {
			t.Error(name, got)
		}
	}
}

func TestWhatOneUserLeftIsNeitherSeenNorSentOnceAnEntryNamesAnother(t *testing.T) {
	running := service.Start(t, service.Options{Apps: subjectApps})
	login := func(s *sessions.Session, user any) { s.Set("passport", map[string]any{"user": user}) }
	browser := service.Browse(t, handle(running.Client("passport"), func(w http.ResponseWriter, r *http.Request, s *sessions.Session) {
		user := strings.Trim(r.URL.Path, "/")
		switch user {
		case "alice":
			login(s, "alice")
			s.Set("cart", []string{"pills"})
			return
		case "looks":
			s.Has("cart")
			login(s, 7)
		case "back":
			s.Has("cart")
			login(s, "bob")
			login(s, "alice")
		case "out":
			s.Has("cart")
			s.Delete("passport")
		default:
			login(s, user)
		}
		cart, err := sessions.Get[[]string](s, "cart")
		s.Set("cart", append(cart, "tea"))
		subject, subjectErr := s.Subject()
		time, timeErr := s.AuthenticateTime()
		fmt.Fprintf(w, "%v %q %v %v %v %v", cart, subject, time.IsZero(), err, subjectErr, timeErr)
	}))
	for path, want := range map[string]string{
		"/bob":   `[] "bob" true <nil> <nil> <nil>`,
		"/looks": `[] "7" true <nil> <nil> <nil>`,
		"/back":  `[pills] "alice" false <nil> <nil> <nil>`,
		"/out":   `[pills] "" true <nil> <nil> <nil>`,
	} {
		browser.Get("/alice")
		if got := browser.Get(path).Body; got != want {
			t.Error(path, got)
		}
		browser.Get("/carol")
	}
}

func TestWhatOneUserLeftIsNotSeenOnceAnotherIsNamedUntilThatIsDiscarded(t *testing.T) {
	running := service.Start(t, service.Options{})
	browser := service.Browse(t, handle(running.Client("shop"), func(w http.ResponseWriter, r *http.Request, s *sessions.Session) {
		if r.URL.Path == "/alice" {
			s.SetSubject("alice")
			s.Set("cart", 1)
			return
		}
		s.Has("cart")
		s.Set("before", 1)
		s.SetSubject("bob")
		names, err := s.Names()
		s.Discard()
		kept, keptErr := s.Names()
		fmt.Fprint(w, names, err, kept, keptErr)
	}))
	browser.Get("/alice")

	if got := browser.Get("/bob").Body; got != "[before] <nil> [cart] <nil>" {
		t.Error(got)
	}
}

func TestWhatOneUserLeftIsNotSeenByTheLoginOfAnotherWhoHasNotLookedAtIt(t *testing.T) {
	running := service.Start(t, service.Options{})
	fails, client := failingClient(t, running, "shop")
	browser := service.Browse(t, handle(client, func(w http.ResponseWriter, r *http.Request, s *sessions.Session) {
		if r.URL.Path == "/alice" {
			s.SetSubject("alice")
			s.SetPermanent(true)
			s.Set("cart", 1)
			return
		}
		s.SetSubject("bob")
		s.Set("own", 1)
		if r.URL.Path == "/lost" {
			fails.fails.Store(true)
			if s.Save() == nil {
				t.Error("the save was answered")
			}
			fails.fails.Store(false)
			if err := s.Open(); err != nil {
				t.Error(err)
			}
		}
		names, err := s.Names()
		isPermanent, permanentErr := s.Permanent()
		fmt.Fprint(w, names, err, isPermanent, permanentErr)
	}))

	for _, path := range []string{"/bob", "/lost"} {
		browser.Get("/alice")
		if got := browser.Get(path).Body; got != "[own] <nil> false <nil>" {
			t.Error(path, got)
		}
	}
}

func TestWhatAnEndedSessionHadIsNotSeenAfterTheLoginThatBeginsAnotherOne(t *testing.T) {
	running := service.Start(t, service.Options{})
	browser := service.Browse(t, handle(running.Client("shop"), func(w http.ResponseWriter, r *http.Request, s *sessions.Session) {
		if r.URL.Path == "/begin" {
			s.Set("cart", 1)
			return
		}
		id, _ := s.ID()
		if _, err := adminFor(t, running, "shop").Revoke(r.Context(), id); err != nil {
			t.Error(err)
		}
		s.SetSubject("ada")
		s.Set("own", true)
		s.Increment("visits", 2)
		if err := s.Save(); err != nil {
			t.Error(err)
		}
		names, err := s.Names()
		visits, _ := sessions.Get[int](s, "visits")
		fmt.Fprint(w, names, visits, err)
	}))
	browser.Get("/begin")

	if got := browser.Get("/login").Body; got != "[own visits] 2 <nil>" {
		t.Error(got)
	}
}

func TestASaveWithoutAnAnswerIsSeenByTheReadsAfterIt(t *testing.T) {
	running := service.Start(t, service.Options{})
	fails, client := failingClient(t, running, "shop")
	browser := service.Browse(t, handle(client, func(w http.ResponseWriter, r *http.Request, s *sessions.Session) {
		if r.URL.Path == "/begin" {
			s.SetSubject("ada")
			return
		}
		s.Increment("visits", 2)
		s.Set("cart", 1)
		fails.fails.Store(true)
		err := s.Save()
		fails.fails.Store(false)
		if openErr := s.Open(); err == nil || openErr != nil {
			t.Error(err, openErr)
		}
		cart, _ := sessions.Get[int](s, "cart")
		visits, _ := sessions.Get[int](s, "visits")
		fmt.Fprint(w, cart, visits)
	}))
	browser.Get("/begin")

	if got := browser.Get("/write"); got.Status != http.StatusOK || got.Body != "1 2" {
		t.Error(got)
	}
}

func TestTheCookieOfARotationIsSentAlthoughALaterSaveHasFailed(t *testing.T) {
	running := service.Start(t, service.Options{})
	fails, client := failingClient(t, running, "shop")
	browser := service.Browse(t, handle(client, func(w http.ResponseWriter, r *http.Request, s *sessions.Session) {
		switch r.URL.Path {
		case "/begin":
			s.Set("cart", 1)
		case "/rotate":
			s.Rotate()
			if err := s.Save(); err != nil {
				t.Error(err)
			}
			s.Set("late", true)
			fails.fails.Store(true)
		case "/read":
			names, err := s.Names()
			fmt.Fprint(w, names, err)
		}
	}))
	browser.Get("/begin")

	failed := browser.Get("/rotate")
	fails.fails.Store(false)

	if cookies := failed.Header["Set-Cookie"]; failed.Status != http.StatusServiceUnavailable || len(cookies) != 1 || !strings.HasPrefix(cookies[0], "session=v1") {
		t.Error(failed)
	}
	if got := browser.Get("/read").Body; got != "[cart] <nil>" {
		t.Error(got)
	}
}

// counting is a transport that counts saves.
type counting struct {
	cloakroom.Transport
	saves atomic.Int32
}

func (c *counting) Call(ctx context.Context, path string, request, response proto.Message) error {
	if _, isSave := request.(*pb.SaveSessionRequest); isSave {
		c.saves.Add(1)
	}
	return c.Transport.Call(ctx, path, request, response)
}

// refusingApp begins a session at /begin, answers its entries at /read, and elsewhere calls a function after a save that
// the service has refused, because one entry is too large.
func refusingApp(t *testing.T, after func(s *sessions.Session)) (*service.Browser, *counting) {
	t.Helper()
	running := service.Start(t, service.Options{})
	transport, err := cloakroom.Dial(running.Address, cloakroom.Credentials{})
	if err != nil {
		t.Fatal(err)
	}
	counts := &counting{Transport: transport}
	client, err := cloakroom.New("", cloakroom.Options{App: "shop", Transport: counts})
	if err != nil {
		t.Fatal(err)
	}
	browser := service.Browse(t, handle(client, func(w http.ResponseWriter, r *http.Request, s *sessions.Session) {
		switch r.URL.Path {
		case "/begin":
			s.SetSubject("alice")
			s.Set("old", true)
			s.Set("visits", 1)
		case "/read":
			writeEntries(w, s)
		default:
			if r.URL.Path == "/opened" {
				s.Has("old")
			}
			s.Set("own", "kept")
			s.Delete("old")
			s.Increment("visits", 2)
			s.Set("large", strings.Repeat("x", 100_000))
			if err := s.Save(); !errors.Is(err, cloakroom.ErrRefused) {
				t.Error("not refused:", err)
			}
			after(s)
			writeEntries(w, s)
		}
	}))
	browser.Get("/begin")
	counts.saves.Store(0)
	return browser, counts
}

func writeEntries(w http.ResponseWriter, s *sessions.Session) {
	names, err := s.Names()
	own, ownErr := sessions.Get[string](s, "own")
	visits, visitsErr := sessions.Get[int](s, "visits")
	subject, subjectErr := s.Subject()
	fmt.Fprintf(w, "%v %q %v %q %v", names, own, visits, subject, errors.Join(err, ownErr, visitsErr, subjectErr))
}

func TestAfterARefusedSaveTheNextOneSavesTheRestOfItsChangesEachOnce(t *testing.T) {
	for _, path := range []string{"/opened", "/unopened"} {
		browser, _ := refusingApp(t, func(s *sessions.Session) {
			s.Delete("large")
			s.Increment("visits", 4)
		})

		written := browser.Get(path).Body

		if read := browser.Get("/read").Body; written != `[own visits] "kept" 7 "alice" <nil>` || read != written {
			t.Error(path, written, read)
		}
	}
}

func TestASaveThatWasRefusedIsNotSentAgainAtTheEndOfTheRequestAndByTheHandlerItIs(t *testing.T) {
	browser, counts := refusingApp(t, func(s *sessions.Session) {
		if err := s.Save(); !errors.Is(err, cloakroom.ErrRefused) {
			t.Error("not refused:", err)
		}
	})

	if answer := browser.Get("/opened"); answer.Status != http.StatusOK || counts.saves.Load() != 2 {
		t.Error(answer.Status, counts.saves.Load())
	}
	if read := browser.Get("/read").Body; read != `[old visits] "" 1 "alice" <nil>` {
		t.Error(read)
	}
}

func TestWhatARefusedSaveWasToChangeIsForgottenByADiscardAndByAClear(t *testing.T) {
	for want, forget := range map[string]func(s *sessions.Session){
		`[old visits] "" 1 "alice" <nil>`: (*sessions.Session).Discard,
		`[later] "" 0 "" <nil>`:           func(s *sessions.Session) { s.Clear(); s.Set("later", 1) },
	} {
		browser, _ := refusingApp(t, forget)
		browser.Get("/opened")

		if read := browser.Get("/read").Body; read != want {
			t.Error(read, "instead of", want)
		}
	}
}

func TestALoginOfAnotherUserThatIsRefusedCanBeTakenBack(t *testing.T) {
	browser, _ := refusingApp(t, func(s *sessions.Session) {
		s.SetSubject("bob")
		if err := s.Save(); !errors.Is(err, cloakroom.ErrRefused) {
			t.Error("not refused:", err)
		}
		s.SetSubject("alice")
		s.Delete("large")
	})

	if written := browser.Get("/opened").Body; written != `[own visits] "kept" 3 "alice" <nil>` {
		t.Error(written)
	}
}

func TestWhatOneUserLeftIsNotSeenAfterALostAndThenRefusedLoginOfAnother(t *testing.T) {
	running := service.Start(t, service.Options{})
	fails, client := failingClient(t, running, "shop")
	browser := service.Browse(t, handle(client, func(w http.ResponseWriter, r *http.Request, s *sessions.Session) {
		if r.URL.Path == "/alice" {
			s.SetSubject("alice")
			s.Set("cart", 1)
			return
		}
		s.SetSubject("bob")
		s.Set("own", strings.Repeat("x", 100_000))
		fails.fails.Store(true)
		lost := s.Save()
		fails.fails.Store(false)
		opened := s.Open()
		refused := s.Save()
		if !errors.Is(lost, cloakroom.ErrUnavailable) || opened != nil || !errors.Is(refused, cloakroom.ErrRefused) {
			t.Error(lost, opened, refused)
		}
		asBob, err := s.Names()
		s.SetSubject("alice")
		asAlice, aliceErr := s.Names()
		s.Discard()
		fmt.Fprint(w, asBob, err, asAlice, aliceErr)
	}))
	browser.Get("/alice")

	if got := browser.Get("/bob").Body; got != "[own] <nil> [cart own] <nil>" {
		t.Error(got)
	}
}
