package tests

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"cloakroom.example/cloakroom"
	pb "cloakroom.example/cloakroom/cloakroomv1"
	"cloakroom.example/cloakroom/gorillastore"
	"cloakroom.example/cloakroom/tests/service"
	"github.com/gorilla/securecookie"
	"github.com/gorilla/sessions"
)

var _ sessions.Store = (*gorillastore.Store)(nil)

const signingKey = "a signing key of 32 bytes, 012345"

type flashed struct{ Text string }

// gorillaPages is an application with gorilla/sessions.
type gorillaPages struct {
	http.Handler
	held
}

func gorillaApplication(store sessions.Store) *gorillaPages {
	mux := http.NewServeMux()
	pages := &gorillaPages{mux, newHeld()}
	page := func(path string, does func(session *sessions.Session, query string) any) {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			session, err := store.Get(r, "session")
			if err != nil {
				http.Error(w, "get: "+err.Error(), http.StatusInternalServerError)
				return
			}
			answer := does(session, r.URL.RawQuery)
			if path != "/keys" {
				if err := session.Save(r, w); err != nil {
					http.Error(w, "save: "+err.Error(), http.StatusInternalServerError)
					return
				}
			}
			fmt.Fprint(w, answer)
		})
	}
	put := func(session *sessions.Session, name string) any {
		session.Values[name] = name + "!"
		return session.IsNew
	}
	page("/put", put)
	page("/slow", func(session *sessions.Session, name string) any {
		pages.hold()
		return put(session, name)
	})
	page("/keys", func(session *sessions.Session, _ string) any {
		keys := []string{}
		for key := range session.Values {
			keys = append(keys, fmt.Sprint(key))
		}
		slices.Sort(keys)
		return keys
	})
	page("/remove", func(session *sessions.Session, name string) any { delete(session.Values, name); return "" })
	page("/save", func(*sessions.Session, string) any { return "" })
	page("/logout", func(session *sessions.Session, _ string) any { session.Options.MaxAge = -1; return "" })
	page("/login", func(session *sessions.Session, user string) any {
		session.ID = ""
		session.Values["userID"] = user
		return ""
	})
	page("/renew", func(session *sessions.Session, user string) any {
		pages.hold()
		session.ID = ""
		session.Values["userID"] = user
		return ""
	})
	page("/age", func(session *sessions.Session, seconds string) any {
		fmt.Sscan(seconds, &session.Options.MaxAge)
		return ""
	})
	page("/become", func(session *sessions.Session, user string) any {
		session.Options.MaxAge = 30
		session.Values["userID"] = user
		return ""
	})
	page("/flash", func(session *sessions.Session, text string) any {
		session.AddFlash(text)
		session.AddFlash(flashed{text}, "typed")
		return ""
	})
	page("/flashes", func(session *sessions.Session, _ string) any {
		return fmt.Sprintf("%v %#v", session.Flashes(), session.Flashes("typed"))
	})
	return pages
}

func gorillaBrowser(t *testing.T, running *service.Service, app string) *service.Browser {
	return service.Browse(t, gorillaApplication(gorillastore.New(running.Client(app), []byte(signingKey))))
}

func TestGorillaKeepsTheValuesOfTwoRequestsAtOnceWhereItsOwnStoreLosesOne(t *testing.T) {
	running := service.Start(t, service.Options{Apps: storeApps})
	ours := gorillaApplication(gorillastore.New(running.Client("shop"), []byte(signingKey)))
	theirs := gorillaApplication(sessions.NewFilesystemStore(t.TempDir(), []byte(signingKey)))
	for _, pages := range []*gorillaPages{ours, theirs} {
		browser := service.Browse(t, pages)
		browser.Get("/put?begun")
		pages.two(browser)

		got := browser.Get("/keys").Body
		if keepsBoth := got == "[begun one two]"; keepsBoth != (pages == ours) {
			t.Errorf("ours: %v, has %s", pages == ours, got)
		}
	}
}

func TestHundredsOfGorillasRequestsAtOnceLoseNothing(t *testing.T) {
	running := service.Start(t, service.Options{Apps: storeApps})
	losesNothing(t, gorillaBrowser(t, running, "shop"))
}

func TestALogoutOfGorillaStaysAndASlowRequestSetsNoCookie(t *testing.T) {
	running := service.Start(t, service.Options{Apps: storeApps})
	pages := gorillaApplication(gorillastore.New(running.Client("shop"), []byte(signingKey)))
	browser := service.Browse(t, pages)
	for _, path := range []string{"/logout", "/login?ada"} {
		browser.Get("/put?begun")
		old := browser.Another()
		copyCookies(browser, old)

		if late := pages.late(old, func() { browser.Get(path) }); !strings.Contains(late.Body, "DESTROYED") || late.Header.Get("Set-Cookie") != "" {
			t.Errorf("%s: %+v", path, late)
		}
		if got := old.Get("/keys").Body; got != "[]" {
			t.Errorf("after %s the old cookie opens %s", path, got)
		}
		cookie := old.Cookies()
		if got := old.Get("/put?anew"); got.Body != "true" || old.Cookies() == cookie {
			t.Errorf("a session that has ended begins again with its ID: %+v", got)
		}
	}
	if got := browser.Get("/keys").Body; got != "[begun userID]" {
		t.Errorf("the login has %s", got)
	}
}

func TestAnotherIDRevivesNoSessionOfGorillaThatHasEndedAndTheNextLoginWorks(t *testing.T) {
	running := service.Start(t, service.Options{Apps: storeApps})
	pages := gorillaApplication(gorillastore.New(running.Client("shop"), []byte(signingKey)))
	for _, path := range []string{"/logout", "/login?ada"} {
		browser := service.Browse(t, pages)
		browser.Get("/put?begun")
		old := browser.Another()
		copyCookies(browser, old)

		renewed := pages.lateAt(old, "/renew?ada", func() { browser.Get(path) })
		if !strings.Contains(renewed.Body, "DESTROYED") || renewed.Header.Get("Set-Cookie") != "" {
			t.Errorf("%s: %+v", path, renewed)
		}
		old.Get("/login?ada")
		if got := old.Get("/keys").Body; got != "[userID]" {
			t.Errorf("the next login has %s", got)
		}
	}
}

func TestGorillasSaveCanBeRepeatedAfterTheOneOfAnotherIDHasFailed(t *testing.T) {
	running := service.Start(t, service.Options{Apps: storeApps})
	store := gorillastore.New(running.Client("shop"), []byte(signingKey))
	browser := service.Browse(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		session, err := store.Get(r, "session")
		must(t, err)
		if r.URL.Path == "/login" {
			session.ID = ""
			session.Values["large"] = strings.Repeat("x", 100_000)
			if err := session.Save(r, w); !errors.Is(err, cloakroom.ErrRefused) {
				t.Error("not refused:", err)
			}
			delete(session.Values, "large")
		}
		session.Values[r.URL.Path] = true
		must(t, session.Save(r, w))
	}))
	browser.Get("/begin")

	if login := browser.Get("/login"); login.Header.Get("Set-Cookie") == "" {
		t.Errorf("%+v", login)
	}
}

func TestAnotherIDWithAValueThatGorillaCannotSaveEndsNoSession(t *testing.T) {
	running := service.Start(t, service.Options{Apps: storeApps})
	store := gorillastore.New(running.Client("shop"), []byte(signingKey))
	browser := service.Browse(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		session, err := store.Get(r, "session")
		must(t, err)
		cart := session.Values["cart"]
		session.Values["cart"] = "tea"
		if r.URL.Path == "/login" {
			session.ID = ""
			session.Values["user"] = struct{ name string }{"ada"}
			if err := session.Save(r, w); err == nil || !strings.Contains(err.Error(), `value "user"`) {
				t.Error(err)
			}
			return
		}
		must(t, session.Save(r, w))
		fmt.Fprint(w, cart)
	}))
	browser.Get("/")
	browser.Get("/login")

	if got := browser.Get("/").Body; got != "tea" {
		t.Errorf("the cart has %s", got)
	}
}

func TestGorillasUsersCanBeLoggedOutEverywhere(t *testing.T) {
	running := service.Start(t, service.Options{Apps: storeApps})
	one, two := gorillaBrowser(t, running, "login"), gorillaBrowser(t, running, "login")
	one.Get("/login?ada")
	two.Get("/login?ada")

	operator := adminOfApp(t, running, "login")
	devices, err := operator.Sessions(t.Context(), "ada")
	if err != nil || len(devices) != 2 || devices[0].RemoteAddress != "127.0.0.1" {
		t.Error(devices, err)
	}
	if ended, err := operator.RevokeSubject(t.Context(), "ada"); ended != 2 || err != nil {
		t.Error(ended, err)
	}
	if got := one.Get("/keys").Body + two.Get("/keys").Body; got != "[][]" {
		t.Error(got)
	}
}

func TestFlashesAndTheirTypesComeBackOnce(t *testing.T) {
	gob.Register(flashed{})
	running := service.Start(t, service.Options{Apps: storeApps})
	browser := gorillaBrowser(t, running, "shop")
	browser.Get("/flash?one")
	browser.Get("/flash?two")

	want := `[one two] []interface {}{tests.flashed{Text:"one"}, tests.flashed{Text:"two"}}`
	if got := browser.Get("/flashes").Body; got != want {
		t.Error(got)
	}
	if got := browser.Get("/flashes").Body; got != "[] []interface {}(nil)" {
		t.Error(got)
	}
}

func TestMaxAgeIsTheLifetimeForTheNextUserToo(t *testing.T) {
	running := service.Start(t, service.Options{Apps: storeApps})
	browser := gorillaBrowser(t, running, "login")

	browser.Get("/become?ann")
	browser.Get("/become?bob")

	for session, err := range adminOfApp(t, running, "login").All(t.Context()) {
		must(t, err)
		if lives := time.Until(session.Expires); session.Subject != "bob" || lives > 30*time.Second {
			t.Error(session.Subject, lives)
		}
	}
}

func TestMaxAgeIsTheLifetimeOfTheCookieAndOfTheSession(t *testing.T) {
	running := service.Start(t, service.Options{Apps: storeApps})
	browser := gorillaBrowser(t, running, "short")
	operator := adminOfApp(t, running, "short")
	for seconds, want := range map[string]struct {
		lifetime  time.Duration
		attribute string
	}{"30": {30 * time.Second, "; Max-Age=30;"}, "0": {time.Minute, ""}, "3600": {time.Minute, "; Max-Age=3600;"}} {
		begin := time.Now()
		cookie := browser.Get("/age?" + seconds).Header.Get("Set-Cookie")
		if strings.Contains(cookie, "Max-Age") != (want.attribute != "") || !strings.Contains(cookie, want.attribute) ||
			!strings.Contains(cookie, "HttpOnly; SameSite=Lax") || !strings.Contains(cookie, "Path=/") {
			t.Error(cookie)
		}
		for session, err := range operator.All(t.Context()) {
			must(t, err)
			if lives := session.Expires.Sub(begin); lives < want.lifetime-time.Second || lives > want.lifetime+time.Since(begin)+time.Second {
				t.Errorf("MaxAge %s: it lives for %v", seconds, lives)
			}
		}
	}
	if got := browser.Get("/logout").Header.Get("Set-Cookie"); !strings.HasPrefix(got, "session=; ") || !strings.Contains(got, "Max-Age=0") {
		t.Error(got)
	}
	if browser.Cookies() != "" {
		t.Error("the browser keeps the cookie")
	}
}

func TestABrowserThatHasGoneUndoesNoSaveOfGorilla(t *testing.T) {
	running := service.Start(t, service.Options{Apps: storeApps})
	store := gorillastore.New(running.Client("shop"), []byte("a key for the signature"))
	gone, leave := context.WithCancel(t.Context())
	leave()
	request := httptest.NewRequest("GET", "/", nil)
	session, err := store.Get(request, "session")
	must(t, err)
	session.Values["a"] = 1
	recorder := httptest.NewRecorder()

	// The first save of a process asks for the policy of the app.
	must(t, store.Save(request.WithContext(gone), recorder, session))

	again := httptest.NewRequest("GET", "/", nil)
	again.AddCookie(recorder.Result().Cookies()[0])
	if kept, err := store.Get(again, "session"); err != nil || kept.Values["a"] != 1 {
		t.Error(kept, err)
	}
}

func TestASaveWithoutChangesWritesNothing(t *testing.T) {
	running := service.Start(t, service.Options{Apps: storeApps})
	browser := gorillaBrowser(t, running, "login")
	browser.Get("/login?ada")
	etag := func() string { return etagOf(t, running, "login", "ada") }
	before := etag()

	browser.Get("/save")
	if after := etag(); before == "" || after != before {
		t.Error(before, after)
	}
	browser.Get("/put?more")
	if etag() == before {
		t.Error("a change has the same etag")
	}
}

func TestValuesWithKeysOfOtherTypesAreKept(t *testing.T) {
	type key int
	gob.Register(key(0))
	running := service.Start(t, service.Options{Apps: storeApps})
	store := gorillastore.New(running.Client("shop"), []byte(signingKey))
	values := map[any]any{"text": "a", 1: "b", key(1): 2, "": true, "_gorilla": 1.5, "_permanent": "no", strings.Repeat("x", 257): nil}

	recorder, request := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
	first, err := store.New(request, "one")
	must(t, err)
	first.Values = values
	must(t, store.Save(request, recorder, first))
	request.Header.Set("Cookie", strings.SplitN(recorder.Header().Get("Set-Cookie"), ";", 2)[0])
	again, err := store.New(request, "one")
	if err != nil || again.IsNew || fmt.Sprintf("%#v", again.Values) != fmt.Sprintf("%#v", values) {
		t.Errorf("%#v %v", again.Values, err)
	}
	// A session of another name has another cookie.
	if other, err := store.New(request, "two"); err != nil || !other.IsNew {
		t.Error(other, err)
	}
	first.Values["bad"] = struct{}{}
	if err := store.Save(request, recorder, first); err == nil || !strings.Contains(err.Error(), `"bad"`) {
		t.Error(err)
	}
}

func TestAForgedCookieIsAnErrorOfSecurecookieAndASignedOneOfNobodyIsNew(t *testing.T) {
	running := service.Start(t, service.Options{Apps: storeApps})
	store := gorillastore.New(running.Client("shop"), []byte(signingKey))
	request := httptest.NewRequest("GET", "/", nil)
	request.AddCookie(&http.Cookie{Name: "session", Value: "forged"})
	session, err := store.New(request, "session")
	if decoding, isDecoding := err.(securecookie.Error); !isDecoding || !decoding.IsDecode() || !session.IsNew || session.ID != "" {
		t.Error(session, err)
	}
	for _, id := range []string{"short", strings.Repeat("unknown", 5)} {
		signed, err := securecookie.EncodeMulti("session", id, store.Codecs...)
		must(t, err)
		request := httptest.NewRequest("GET", "/", nil)
		request.AddCookie(&http.Cookie{Name: "session", Value: signed})
		if session, err := store.New(request, "session"); err != nil || !session.IsNew || session.ID != "" {
			t.Error(session, err)
		}
	}
}

func TestAnOutageOfGorillasStoreReplacesNoSession(t *testing.T) {
	running := service.Start(t, service.Options{Apps: storeApps})
	client, err := cloakroom.New(running.Address, cloakroom.Options{App: "shop", Deadline: time.Second})
	must(t, err)
	store := gorillastore.New(client, []byte(signingKey))
	signed, err := securecookie.EncodeMulti("session", strings.Repeat("k", 32), store.Codecs...)
	must(t, err)
	request := httptest.NewRequest("GET", "/", nil)
	request.AddCookie(&http.Cookie{Name: "session", Value: signed})
	recorder := httptest.NewRecorder()

	running.Stop()
	session, err := store.Get(request, "session")
	if session == nil || !errors.Is(err, cloakroom.ErrUnavailable) {
		t.Error(session, err)
	}
	// The session is still there when the outage is over.
	running.Launch()
	if err := session.Save(request, recorder); !errors.Is(err, cloakroom.ErrUnavailable) || recorder.Header().Get("Set-Cookie") != "" {
		t.Error(err, recorder.Header())
	}
}

func etagOf(t *testing.T, running *service.Service, app, subject string) string {
	t.Helper()
	response := &pb.ListSessionsResponse{}
	request := &pb.ListSessionsRequest{App: app, Subject: subject}
	must(t, adminClient(t, running, app).Call(t.Context(), "/cloakroom.v1.AdminService/ListSessions", request, response))
	if len(response.Sessions) != 1 {
		t.Fatal(response)
	}
	return response.Sessions[0].Etag
}
