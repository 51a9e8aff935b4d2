package tests

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"cloakroom.example/cloakroom/sessions"
	"cloakroom.example/cloakroom/tests/service"
	"github.com/alexedwards/scs/redisstore"
	"github.com/alexedwards/scs/v2"
)

// keeper is what an application of scs asks of its sessions.
type keeper interface {
	user(r *http.Request) string
	logIn(r *http.Request, name string)
	cart(r *http.Request) []string
	setCart(r *http.Request, items []string)
	end(r *http.Request) error
}

// applicationOn is the application, which is the same before and after the move.
func applicationOn(sessions keeper) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/login", func(w http.ResponseWriter, r *http.Request) { sessions.logIn(r, r.URL.RawQuery) })
	mux.HandleFunc("/add", func(w http.ResponseWriter, r *http.Request) {
		sessions.setCart(r, append(sessions.cart(r), r.URL.RawQuery))
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, sessions.user(r), sessions.cart(r)) })
	mux.HandleFunc("/logout", func(w http.ResponseWriter, r *http.Request) {
		if err := sessions.end(r); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	return mux
}

type byScs struct{ manager *scs.SessionManager }

func (s byScs) user(r *http.Request) string { return s.manager.GetString(r.Context(), "userID") }

func (s byScs) logIn(r *http.Request, name string) {
	if err := s.manager.RenewToken(r.Context()); err != nil {
		panic(err)
	}
	s.manager.Put(r.Context(), "userID", name)
}

func (s byScs) cart(r *http.Request) []string {
	items, _ := s.manager.Get(r.Context(), "cart").([]string)
	return items
}

func (s byScs) setCart(r *http.Request, items []string) { s.manager.Put(r.Context(), "cart", items) }
func (s byScs) end(r *http.Request) error               { return s.manager.Destroy(r.Context()) }

type byClient struct{}

func (byClient) user(r *http.Request) string {
	name, err := sessions.From(r.Context()).Subject()
	if err != nil {
		panic(err)
	}
	return name
}

func (byClient) logIn(r *http.Request, name string) {
	sessions.From(r.Context()).Set("userID", name)
	sessions.From(r.Context()).Rotate()
}

func (byClient) cart(r *http.Request) []string {
	items, err := sessions.Get[[]string](sessions.From(r.Context()), "cart")
	if err != nil {
		panic(err)
	}
	return items
}

func (byClient) setCart(r *http.Request, items []string) {
	sessions.From(r.Context()).Set("cart", items)
}
func (byClient) end(r *http.Request) error { return sessions.From(r.Context()).Destroy() }

func TestUsersOfScsStayLoggedInWhenTheirApplicationMoves(t *testing.T) {
	address := service.FreeAddress(t)
	manager := scs.New()
	manager.Store = redisstore.New(startRedisAt(t, address))
	old := manager.LoadAndSave(applicationOn(byScs{manager}))
	running := service.Start(t, service.Options{Apps: fmt.Sprintf(`[apps.moving]
keys = ["{key}"]
subject_key = "userID"
idle_timeout = "1d"
absolute_timeout = "1d"
[apps.moving.cookie]
name = "id"
[apps.moving.migrate]
until = %q
[apps.moving.migrate.scs]
url = "redis://%s"
cookie_name = "session"
`, time.Now().AddDate(0, 0, 7).Format(time.DateOnly), address)})
	moved := sessions.New(running.Client("moving")).Middleware(applicationOn(byClient{}))

	var current atomic.Value
	current.Store(old)
	browser := service.Browse(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		current.Load().(http.Handler).ServeHTTP(w, r)
	}))
	browser.Get("/add?hat")
	browser.Get("/login?ada")
	legacy := browser.Cookies()
	tab, thief, anonymous := browser.Another(), browser.Another(), browser.Another()
	copyCookies(browser, tab)
	copyCookies(browser, thief)
	current.Store(moved)

	same(t, browser.Get("/").Body, "ada[hat]")
	browser.Get("/add?coat")
	same(t, browser.Get("/").Body, "ada[hat coat]")
	same(t, anonymous.Get("/").Body, "[]")
	if browser.Cookies() == legacy {
		t.Fatal("the browser has no cookie of the service")
	}
	// A response that was lost has brought no new cookie.
	same(t, tab.Get("/").Body, "ada[hat coat]")

	browser.Get("/logout")

	same(t, browser.Get("/").Body, "[]")
	same(t, thief.Get("/").Body, "[]")
}

func same(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Fatalf("%q in place of %q", got, want)
	}
}
