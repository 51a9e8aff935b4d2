package tests

import (
	"bytes"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"cloakroom.example/cloakroom"
	"cloakroom.example/cloakroom/admin"
	"cloakroom.example/cloakroom/scsstore"
	"cloakroom.example/cloakroom/tests/service"
	"github.com/alexedwards/scs/redisstore"
	"github.com/alexedwards/scs/v2"
)

var (
	_ scs.CtxStore         = (*scsstore.Store)(nil)
	_ scs.IterableStore    = (*scsstore.Store)(nil)
	_ scs.IterableCtxStore = (*scsstore.Store)(nil)
	_ scs.Codec            = scsstore.Codec{}
)

const storeApps = "[apps.shop]\nkind = \"external\"\n" +
	"[apps.login]\nkind = \"external\"\nsubject_key = \"userID\"\n" +
	"[apps.numbered]\nkind = \"external\"\nsubject_key = \"userID.int64\"\n" +
	"[apps.short]\nkind = \"external\"\nidle_timeout = \"1m\"\nabsolute_timeout = \"2m\"\n" +
	"[apps.tokens]\nkeys = [\"{key}\"]\n"

// scsPages is an application with scs.
type scsPages struct {
	held
	manager *scs.SessionManager
	handler http.Handler
}

// scsApplication has a page for each call of scs.
func scsApplication(manager *scs.SessionManager, around func(http.Handler) http.Handler) *scsPages {
	pages := &scsPages{held: newHeld(), manager: manager}
	mux := http.NewServeMux()
	page := func(path string, does func(ctx context.Context, query string) any) {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, does(r.Context(), r.URL.RawQuery)) })
	}
	put := func(ctx context.Context, name string) any { manager.Put(ctx, name, name+"!"); return name }
	page("/put", put)
	page("/slow", func(ctx context.Context, name string) any {
		pages.hold()
		return put(ctx, name)
	})
	page("/renew", func(ctx context.Context, user string) any {
		pages.hold()
		err := errors.Join(manager.RenewToken(ctx), manager.RenewToken(ctx))
		manager.Put(ctx, "userID", user)
		return err
	})
	page("/keys", func(ctx context.Context, _ string) any { return manager.Keys(ctx) })
	page("/remove", func(ctx context.Context, name string) any { manager.Remove(ctx, name); return name })
	page("/clear", func(ctx context.Context, _ string) any { return manager.Clear(ctx) })
	page("/destroy", func(ctx context.Context, _ string) any { return manager.Destroy(ctx) })
	page("/login", func(ctx context.Context, user string) any {
		err := manager.RenewToken(ctx)
		manager.Put(ctx, "userID", user)
		return err
	})
	page("/number", func(ctx context.Context, _ string) any { manager.Put(ctx, "userID", int64(42)); return "" })
	page("/merge", func(ctx context.Context, token string) any { return manager.MergeSession(ctx, token) })
	pages.handler = around(manager.LoadAndSave(mux))
	return pages
}

// onStore returns an application with our store, as docs/go-stores.md sets it up.
func onStore(store *scsstore.Store) *scsPages {
	manager := scs.New()
	manager.Store = store
	manager.Codec = scsstore.Codec{}
	manager.ErrorFunc = scsstore.ErrorFunc(manager.ErrorFunc)
	return scsApplication(manager, store.Middleware)
}

func TestTwoRequestsAtOnceKeepBothValuesWhereRedisstoreLosesOne(t *testing.T) {
	running := service.Start(t, service.Options{Apps: storeApps})
	ours := onStore(scsstore.New(running.Client("shop")))
	manager := scs.New()
	manager.Store = redisstore.New(startRedis(t))
	theirs := scsApplication(manager, func(next http.Handler) http.Handler { return next })

	for pages, want := range map[*scsPages]string{ours: "[begun one two]", theirs: ""} {
		browser := service.Browse(t, pages.handler)
		browser.Get("/put?begun")
		pages.two(browser)
		got := browser.Get("/keys").Body
		if pages == ours && got != want {
			t.Errorf("the store keeps %s", got)
		}
		if pages == theirs && got != "[begun one]" && got != "[begun two]" {
			t.Errorf("redisstore keeps %s", got)
		}
	}
}

func TestHundredsOfRequestsAtOnceLoseNothing(t *testing.T) {
	running := service.Start(t, service.Options{Apps: storeApps})
	losesNothing(t, service.Browse(t, onStore(scsstore.New(running.Client("shop"))).handler))
}

func TestALogoutStaysAndASlowRequestSetsNoCookie(t *testing.T) {
	running := service.Start(t, service.Options{Apps: storeApps})
	pages := onStore(scsstore.New(running.Client("shop")))
	browser := service.Browse(t, pages.handler)
	for _, path := range []string{"/destroy", "/login?ada"} {
		browser.Get("/put?begun")
		old := browser.Another()
		copyCookies(browser, old)

		late := pages.late(old, func() { browser.Get(path) })
		if late.Status != http.StatusOK || late.Body != "late" || late.Header.Get("Set-Cookie") != "" {
			t.Errorf("%s: %+v", path, late)
		}
		if got := old.Get("/keys").Body; got != "[]" {
			t.Errorf("after %s the old token opens %s", path, got)
		}
	}
	if got := browser.Get("/keys").Body; got != "[begun userID]" {
		t.Errorf("the login has %s", got)
	}
}

func TestRenewTokenRevivesNoSessionThatHasEndedAndTheNextLoginWorks(t *testing.T) {
	running := service.Start(t, service.Options{Apps: storeApps})
	pages := onStore(scsstore.New(running.Client("shop")))
	for _, path := range []string{"/destroy", "/login?ada"} {
		browser := service.Browse(t, pages.handler)
		browser.Get("/put?begun")
		old := browser.Another()
		copyCookies(browser, old)

		renewed := pages.lateAt(old, "/renew?ada", func() { browser.Get(path) })
		if renewed.Header.Get("Set-Cookie") != "" {
			t.Errorf("%s: %+v", path, renewed)
		}
		if got := old.Get("/keys").Body; got != "[]" {
			t.Errorf("after %s the old token opens %s", path, got)
		}
		old.Get("/login?ada")
		if got := old.Get("/keys").Body; got != "[userID]" {
			t.Errorf("the next login has %s", got)
		}
	}
}

func TestAfterTheDestroyOfAnEndedSessionTheSameRequestCanBeginAnother(t *testing.T) {
	running := service.Start(t, service.Options{Apps: storeApps})
	store := scsstore.New(running.Client("shop"))
	manager := scs.New()
	manager.Store, manager.Codec = store, scsstore.Codec{}
	handler := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/again" {
			must(t, store.DeleteCtx(context.Background(), manager.Token(r.Context())))
			must(t, manager.Destroy(r.Context()))
		}
		manager.Put(r.Context(), "locale", "de")
		manager.Put(r.Context(), "visits", manager.GetInt(r.Context(), "visits")+1)
		manager.Put(r.Context(), r.URL.Path, true)
	}
	browser := service.Browse(t, store.Middleware(manager.LoadAndSave(http.HandlerFunc(handler))))
	browser.Get("/")
	browser.Get("/")

	if again := browser.Get("/again"); again.Status != http.StatusOK || again.Header.Get("Set-Cookie") == "" {
		t.Errorf("%+v", again)
	}
}

func TestABrowserThatHasGoneUndoesNoCommit(t *testing.T) {
	running := service.Start(t, service.Options{Apps: storeApps})
	store, token := scsstore.New(running.Client("shop")), strings.Repeat("t", 43)
	gone, leave := context.WithCancel(t.Context())
	leave()

	// The first commit of a process asks for the policy of the app.
	must(t, store.CommitCtx(gone, token, []byte("kept"), time.Now().Add(time.Hour)))

	if data, found, err := store.Find(token); string(data) != "kept" || !found || err != nil {
		t.Error(string(data), found, err)
	}
}

func TestACommitOfAnEndedSessionIsAnErrorWithItsReason(t *testing.T) {
	running := service.Start(t, service.Options{Apps: storeApps})
	store, token := scsstore.New(running.Client("shop")), strings.Repeat("t", 43)
	must(t, store.Commit(token, []byte("opaque"), time.Now().Add(time.Hour)))
	must(t, store.Delete(token))

	var ended *cloakroom.EndedError
	if err := store.Commit(token, []byte("late"), time.Now().Add(time.Hour)); !errors.As(err, &ended) || ended.Reason != "DESTROYED" {
		t.Error(err)
	}
	if _, found, err := store.Find(token); found || err != nil {
		t.Error(found, err)
	}
	must(t, store.Delete(token))
}

func TestLogoutEverywhereEndsTheSessionsOfAUser(t *testing.T) {
	running := service.Start(t, service.Options{Apps: storeApps})
	for app, login := range map[string]string{"login": "/login?42", "numbered": "/number"} {
		one := service.Browse(t, onStore(scsstore.New(running.Client(app))).handler)
		two := one.Another()
		one.Get(login)
		two.Get(login)
		operator := adminOfApp(t, running, app)
		devices, err := operator.Sessions(t.Context(), "42")
		if err != nil || len(devices) != 2 || devices[0].UserAgent != "Go-http-client/1.1" || devices[0].RemoteAddress != "127.0.0.1" {
			t.Errorf("%s: %+v %v", app, devices, err)
		}

		if ended, err := operator.RevokeSubject(t.Context(), "42"); ended != 2 || err != nil {
			t.Error(app, ended, err)
		}
		if got := one.Get("/keys").Body + two.Get("/keys").Body; got != "[][]" {
			t.Error(app, got)
		}
	}
}

func TestIterateReadsAndDestroysByPublicIDs(t *testing.T) {
	running := service.Start(t, service.Options{Apps: storeApps})
	store := scsstore.New(running.Client("login"))
	pages := onStore(store)
	if err := pages.manager.Iterate(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "Admin") {
		t.Error(err)
	}
	store.Admin = adminClient(t, running, "login")
	ada, eve := service.Browse(t, pages.handler), service.Browse(t, pages.handler)
	ada.Get("/login?ada")
	eve.Get("/login?eve")

	must(t, pages.manager.Iterate(t.Context(), func(ctx context.Context) error {
		if pages.manager.GetString(ctx, "userID") == "eve" {
			return pages.manager.Destroy(ctx)
		}
		if _, _, err := pages.manager.Commit(ctx); err == nil {
			t.Error("a session without its token was saved")
		}
		return nil
	}))
	if got := ada.Get("/keys").Body + eve.Get("/keys").Body; got != "[userID][]" {
		t.Error(got)
	}
}

func TestASessionWhoseDeadlineIsOverIsNotListed(t *testing.T) {
	running := service.Start(t, service.Options{Apps: storeApps})
	store := scsstore.New(running.Client("shop"))
	store.Admin = adminClient(t, running, "shop")
	live, err := scsstore.Codec{}.Encode(time.Now().Add(time.Hour), nil)
	must(t, err)
	over, err := scsstore.Codec{}.Encode(time.Now().Add(-time.Second), nil)
	must(t, err)
	must(t, store.Commit(strings.Repeat("l", 43), live, time.Now().Add(time.Hour)))
	must(t, store.Commit(strings.Repeat("o", 43), over, time.Now().Add(time.Hour)))

	all, err := store.All()
	if len(all) != 1 || err != nil {
		t.Error(all, err)
	}
	for _, data := range all {
		if !bytes.Equal(data, live) {
			t.Errorf("%q is listed", data)
		}
	}
}

func TestExpiryCountsIfItIsShorterThanTheTimeoutsOfTheApp(t *testing.T) {
	running := service.Start(t, service.Options{Apps: storeApps})
	operator, begin := adminOfApp(t, running, "short"), time.Now()
	for lifetime, want := range map[time.Duration]time.Duration{10 * time.Second: 10 * time.Second, time.Hour: time.Minute} {
		pages := onStore(scsstore.New(running.Client("short")))
		pages.manager.Lifetime = lifetime
		service.Browse(t, pages.handler).Get("/put?begun")
		for session, err := range operator.All(t.Context()) {
			must(t, err)
			if expires := session.Expires.Sub(begin); expires < want-time.Second || expires > want+time.Since(begin)+time.Second {
				t.Errorf("Lifetime %v: it ends after %v", lifetime, expires)
			}
		}
		must(t, operator.RevokeApp(t.Context()))
	}

	// A deadline after the idle timeout counts as well, and is looked at with each use.
	store, token := scsstore.New(running.Client("short")), strings.Repeat("d", 43)
	data, err := scsstore.Codec{}.Encode(time.Now().Add(time.Second), nil)
	must(t, err)
	must(t, store.Commit(token, data, time.Now().Add(time.Hour)))
	service.Wait(t, "the deadline is over", func() bool {
		_, found, err := store.Find(token)
		return !found && err == nil
	})

	token = strings.Repeat("p", 43)
	must(t, store.Commit(token, []byte("opaque"), time.Now().Add(time.Minute)))
	must(t, store.Commit(token, []byte("opaque"), time.Now().Add(-time.Second)))
	if _, found, err := store.Find(token); found || err != nil {
		t.Error("an expiry in the past leaves the session", err)
	}
}

func TestASessionOfScsOwnCodecGoesOnWithTheCodec(t *testing.T) {
	running := service.Start(t, service.Options{Apps: storeApps})
	before, after := onStore(scsstore.New(running.Client("login"))), onStore(scsstore.New(running.Client("login")))
	before.manager.Codec = scs.GobCodec{}
	browser := service.Browse(t, before.handler)
	browser.Get("/put?old")
	moved := service.Browse(t, after.handler)
	copyCookies(browser, moved)

	moved.Get("/put?userID")
	if got := moved.Get("/keys").Body; got != "[old userID]" {
		t.Error(got)
	}
	if found, err := adminOfApp(t, running, "login").Sessions(t.Context(), "userID!"); err != nil || len(found) != 1 || found[0].Entries != 3 {
		t.Error(found, err)
	}
}

func TestClearAndMergeSessionSaveWhatTheySay(t *testing.T) {
	running := service.Start(t, service.Options{Apps: storeApps})
	handler := onStore(scsstore.New(running.Client("shop"))).handler
	guest, user := service.Browse(t, handler), service.Browse(t, handler)
	guest.Get("/put?cart")
	user.Get("/put?name")

	if got := user.Get("/merge?" + strings.TrimPrefix(guest.Cookies(), "session=")).Body; got != "<nil>" {
		t.Error(got)
	}
	if got := user.Get("/keys").Body + guest.Get("/keys").Body; got != "[cart name][]" {
		t.Error(got)
	}
	user.Get("/clear")
	if got := user.Get("/keys").Body; got != "[]" {
		t.Error(got)
	}
}

func TestACookieThatIsNoKeyIsNotFound(t *testing.T) {
	running := service.Start(t, service.Options{Apps: storeApps})
	store := scsstore.New(running.Client("shop"))
	for _, token := range []string{"", "short", strings.Repeat("x", 257), strings.Repeat("\xff\x00", 16), "v1.AAAAAAAA.AAAA.BBBB"} {
		if _, found, err := store.Find(token); found || err != nil {
			t.Errorf("%q: %v %v", token, found, err)
		}
		if err := store.Delete(token); err != nil {
			t.Errorf("%q: %v", token, err)
		}
	}
	var refused *cloakroom.Error
	if err := store.Commit("short", nil, time.Now().Add(time.Hour)); !errors.As(err, &refused) || refused.Reason != "KEY_INVALID" {
		t.Error(err)
	}
	_, _, err := scsstore.New(running.Client("tokens")).Find(strings.Repeat("k", 43))
	if !errors.As(err, &refused) || refused.Reason != "CREDENTIAL_NOT_OF_KIND" {
		t.Error(err)
	}
}

func TestAnOutageIs503AndNeverAnEmptySession(t *testing.T) {
	client, err := cloakroom.New(service.FreeAddress(t), cloakroom.Options{App: "shop", Deadline: 100 * time.Millisecond})
	must(t, err)
	request := httptest.NewRequest("GET", "/put?a", nil)
	request.AddCookie(&http.Cookie{Name: "session", Value: strings.Repeat("s", 43)})
	recorder := httptest.NewRecorder()

	onStore(scsstore.New(client)).handler.ServeHTTP(recorder, request)
	if recorder.Code != http.StatusServiceUnavailable || recorder.Header().Get("Retry-After") == "" || recorder.Header().Get("Set-Cookie") != "" {
		t.Errorf("%d %v", recorder.Code, recorder.Header())
	}
}

// TestTheTestsOfRedisstore restates redisstore_test.go, which looks into Redis.
func TestTheTestsOfRedisstore(t *testing.T) {
	running := service.Start(t, service.Options{Apps: storeApps})
	store := scsstore.New(running.Client("shop"))
	store.Admin = adminClient(t, running, "shop")
	token := func(name string) string { return name + strings.Repeat("-", 16) }
	finds := func(name, want string) {
		t.Helper()
		data, found, err := store.Find(token(name))
		if err != nil || found != (want != "") || !bytes.Equal(data, []byte(want)) {
			t.Errorf("%s is %q %v %v", name, data, found, err)
		}
	}

	if all, err := store.All(); all == nil || len(all) != 0 || err != nil {
		t.Error(all, err)
	}
	finds("missing", "")
	must(t, store.Commit(token("new"), []byte("encoded_data"), time.Now().Add(time.Minute)))
	finds("new", "encoded_data")
	must(t, store.Commit(token("new"), []byte("new_encoded_data"), time.Now().Add(time.Minute)))
	finds("new", "new_encoded_data")
	all, err := store.All()
	for _, data := range all {
		if len(all) != 1 || err != nil || string(data) != "new_encoded_data" {
			t.Error(all, err)
		}
	}
	must(t, store.Delete(token("new")))
	finds("new", "")
	must(t, store.Delete(token("missing")))
	must(t, store.Commit(token("expires"), []byte("encoded_data"), time.Now().Add(time.Second)))
	service.Wait(t, "the session has expired", func() bool {
		_, found, err := store.Find(token("expires"))
		return !found && err == nil
	})
}

func TestValuesKeepTheirTypes(t *testing.T) {
	type item struct{ Name string }
	gob.Register(item{})
	running := service.Start(t, service.Options{Apps: storeApps})
	store, token := scsstore.New(running.Client("shop")), strings.Repeat("v", 43)
	deadline := time.Now().Add(time.Hour).UTC().Round(0)
	values := map[string]any{"int": 1, "int64": int64(1), "float": 1.0, "bytes": []byte{0xff}, "item": item{"tea"}, "text": "é"}
	data, err := scsstore.Codec{}.Encode(deadline, values)
	must(t, err)
	must(t, store.Commit(token, data, deadline))

	data, _, err = store.Find(token)
	must(t, err)
	gotDeadline, got, err := scsstore.Codec{}.Decode(data)
	if err != nil || !gotDeadline.Equal(deadline) || fmt.Sprintf("%#v", got) != fmt.Sprintf("%#v", values) {
		t.Errorf("%v %#v %v", gotDeadline, got, err)
	}
	if _, err := (scsstore.Codec{}).Encode(deadline, map[string]any{"a": struct{}{}}); err == nil || !strings.Contains(err.Error(), `"a"`) {
		t.Error(err)
	}
	if _, _, err := (scsstore.Codec{}).Decode([]byte("no session")); err == nil {
		t.Error("bytes that are no session were decoded")
	}
}

func copyCookies(from, to *service.Browser) {
	address := func(of *service.Browser) *url.URL {
		return &url.URL{Scheme: "http", Host: of.Server.Listener.Addr().String()}
	}
	to.Jar.SetCookies(address(to), from.Jar.Cookies(address(from)))
}

func adminClient(t *testing.T, running *service.Service, app string) *cloakroom.Client {
	t.Helper()
	client, err := cloakroom.New(running.AdminAddress, cloakroom.Options{App: app, Deadline: service.WaitLimit})
	must(t, err)
	t.Cleanup(func() { client.Close() })
	return client
}

func adminOfApp(t *testing.T, running *service.Service, app string) *admin.Admin {
	t.Helper()
	return admin.New(adminClient(t, running, app))
}
