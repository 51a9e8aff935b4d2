package tests

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"cloakroom.example/cloakroom"
	"cloakroom.example/cloakroom/cloakroomtest"
	"cloakroom.example/cloakroom/sessions"
	"cloakroom.example/cloakroom/tests/service"
)

var quiet = slog.New(slog.DiscardHandler)

// handle returns a middleware around a handler that gets the session of its request.
func handle(client *cloakroom.Client, handler func(w http.ResponseWriter, r *http.Request, s *sessions.Session)) http.Handler {
	of := sessions.New(client)
	of.Log = quiet
	return of.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler(w, r, sessions.From(r.Context()))
	}))
}

type cart struct {
	Items []string `json:"items"`
	Total float64  `json:"total"`
}

func TestEntriesAreStructsAndMapsAndTravelAsJSON(t *testing.T) {
	running := service.Start(t, service.Options{})
	browser := service.Browse(t, handle(running.Client("shop"), func(w http.ResponseWriter, r *http.Request, s *sessions.Session) {
		switch r.URL.Path {
		case "/set":
			s.Set("cart", cart{[]string{"hat"}, 9.5})
			s.Set("seen", map[string]int{"a": 1})
		case "/get":
			stored, err := sessions.Get[cart](s, "cart")
			seen, seenErr := sessions.Get[map[string]int](s, "seen")
			names, namesErr := s.Names()
			missing, missingErr := sessions.Get[string](s, "missing")
			fmt.Fprint(w, stored, seen, names, missing == "", errors.Join(err, seenErr, namesErr, missingErr))
		case "/wrong":
			_, err := sessions.Get[int](s, "cart")
			fmt.Fprint(w, err)
		}
	}))
	browser.Get("/set")

	if got := browser.Get("/get").Body; got != "{[hat] 9.5} map[a:1] [cart seen] true <nil>" {
		t.Error(got)
	}
	if got := browser.Get("/wrong").Body; !strings.Contains(got, "entry cart: json: cannot unmarshal object") {
		t.Error(got)
	}
}

func TestARequestThatDoesNotUseItsSessionMakesNoCall(t *testing.T) {
	running := service.Start(t, service.Options{})
	browser := service.Browse(t, handle(running.Client("shop"), func(w http.ResponseWriter, r *http.Request, s *sessions.Session) {
		switch r.URL.Path {
		case "/set":
			s.Set("a", 1)
		case "/read":
			s.Has("a")
			s.Has("b")
		}
	}))
	browser.Get("/set")
	opens, saves := running.Calls("OpenSession"), running.Calls("SaveSession")

	answer := browser.Get("/")
	browser.Another().Get("/read")

	if running.Calls("OpenSession") != opens || running.Calls("SaveSession") != saves || len(answer.Header["Vary"]) > 0 {
		t.Error("an untouched request made a call, or varies", answer.Header)
	}
	if answer := browser.Get("/read"); answer.Header.Get("Vary") != "Cookie" || running.Calls("OpenSession") != opens+1 {
		t.Error("a read makes one call and varies", answer.Header)
	}
	if opens != 0 || saves != 1 {
		t.Error("a write without a read makes one call", opens, saves)
	}
}

func TestRemovingAnEntryThatIsNotThereSavesNothing(t *testing.T) {
	running := service.Start(t, service.Options{})
	browser := service.Browse(t, handle(running.Client("shop"), func(w http.ResponseWriter, r *http.Request, s *sessions.Session) {
		switch r.URL.Path {
		case "/set":
			s.Set("a", 1)
		case "/delete":
			s.Delete("error", "hint")
		case "/read":
			s.Has("error")
			s.Delete("error")
		}
	}))

	visitor := browser.Get("/delete")
	if calls := running.Calls("SaveSession"); calls != 0 || len(visitor.Header["Set-Cookie"]) > 0 {
		t.Error("a visitor without a cookie", calls, visitor.Header)
	}
	browser.Get("/set")
	opened := browser.Get("/read")
	if calls := running.Calls("SaveSession"); calls != 1 || len(opened.Header["Set-Cookie"]) > 0 {
		t.Error("a session that was opened", calls, opened.Header)
	}
	browser.Get("/delete")
	if saves, opens := running.Calls("SaveSession"), running.Calls("OpenSession"); saves != 2 || opens != 1 {
		t.Error("a session that was not opened", saves, opens)
	}
}

func TestPopReturnsAnEntryOnce(t *testing.T) {
	running := service.Start(t, service.Options{})
	browser := service.Browse(t, handle(running.Client("shop"), func(w http.ResponseWriter, r *http.Request, s *sessions.Session) {
		switch r.URL.Path {
		case "/set":
			s.Set("message", "saved")
			s.Set("cart", cart{Items: []string{"hat"}})
		case "/pop":
			message, err := sessions.Pop[string](s, "message")
			again, againErr := sessions.Pop[string](s, "message")
			fmt.Fprintf(w, "%q %q %v", message, again, errors.Join(err, againErr))
		case "/wrong":
			_, err := sessions.Pop[int](s, "cart")
			stays, _ := s.Has("cart")
			fmt.Fprint(w, err != nil, stays)
		}
	}))
	if visitor := browser.Get("/pop"); visitor.Body != `"" "" <nil>` || len(visitor.Header["Set-Cookie"]) > 0 {
		t.Error(visitor.Body, visitor.Header)
	}
	browser.Get("/set")
	saves := running.Calls("SaveSession")

	for _, want := range [][2]string{{"/pop", `"saved" "" <nil>`}, {"/pop", `"" "" <nil>`}, {"/wrong", "true true"}} {
		if got := browser.Get(want[0]).Body; got != want[1] {
			t.Error(want[0], got)
		}
	}
	if count := running.Calls("SaveSession"); count != saves+1 {
		t.Error("only an entry that is there is removed", count-saves)
	}
}

func TestAReadSeesWhatTheRequestHasWritten(t *testing.T) {
	running := service.Start(t, service.Options{})
	browser := service.Browse(t, handle(running.Client("shop"), func(w http.ResponseWriter, r *http.Request, s *sessions.Session) {
		switch r.URL.Path {
		case "/begin":
			s.Set("a", 1)
			s.Set("b", 2)
			s.Increment("n", 5)
		case "/change":
			s.Increment("n", 2)
			s.Delete("a")
			s.Set("c", 3)
			names, _ := s.Names()
			n, _ := sessions.Get[int](s, "n")
			fmt.Fprint(w, names, n)
		case "/clear":
			s.Clear()
			s.Increment("n", 1)
			names, _ := s.Names()
			fmt.Fprint(w, names)
			if err := s.Save(); err != nil {
				t.Error(err)
			}
			n, _ := sessions.Get[int](s, "n")
			fmt.Fprint(w, n)
		case "/discard":
			s.Clear()
			s.Set("n", "lost")
			s.Discard()
			n, err := sessions.Get[int](s, "n")
			fmt.Fprint(w, n, err)
		}
	}))
	browser.Get("/begin")
	for _, want := range [][2]string{{"/change", "[b c n] 7"}, {"/discard", "7 <nil>"}, {"/clear", "[n]1"}, {"/discard", "1 <nil>"}} {
		if got := browser.Get(want[0]).Body; got != want[1] {
			t.Error(want[0], got)
		}
	}
}

func TestALoginReplacesTheTokenAndALogoutEndsTheSession(t *testing.T) {
	running := service.Start(t, service.Options{})
	browser := service.Browse(t, handle(running.Client("shop"), func(w http.ResponseWriter, r *http.Request, s *sessions.Session) {
		switch r.URL.Path {
		case "/visit":
			s.Set("a", 1)
		case "/login":
			s.SetSubject("ada")
			s.SetPermanent(true)
			s.SetIdleTimeout(time.Hour)
		case "/logout":
			if err := s.Destroy(); err != nil {
				t.Error(err)
			}
		}
		id, err := s.ID()
		subject, _ := s.Subject()
		isNew, _ := s.IsNew()
		permanent, _ := s.Permanent()
		end, _ := s.ExpireTime()
		fmt.Fprintln(w, id, subject, isNew, permanent, end.IsZero(), err)
	}))
	browser.Get("/visit")
	anonymous := strings.Fields(browser.Get("/").Body)
	first := browser.Cookies()
	login := browser.Get("/login")
	loggedIn := strings.Fields(browser.Get("/").Body)

	if first == browser.Cookies() || !strings.Contains(login.Header.Get("Set-Cookie"), "Expires=") {
		t.Error("the login replaces the token, in a cookie that outlives the browser", login.Header)
	}
	if anonymous[0] != loggedIn[0] || loggedIn[1] != "ada" || loggedIn[2] != "false" || loggedIn[3] != "true" {
		t.Error(anonymous, loggedIn)
	}
	browser.Get("/logout")
	if got := strings.Fields(browser.Get("/").Body); browser.Cookies() != "" || got[0] != "true" {
		t.Error(got, browser.Cookies())
	}
}

func TestGoroutinesOfAHandlerMayShareItsSession(t *testing.T) {
	running := service.Start(t, service.Options{})
	browser := service.Browse(t, handle(running.Client("shop"), func(w http.ResponseWriter, r *http.Request, s *sessions.Session) {
		var group sync.WaitGroup
		for i := range 16 {
			group.Go(func() {
				s.Increment("n", 1)
				s.Set(fmt.Sprint("entry", i), i)
				if _, err := s.Names(); err != nil {
					t.Error(err)
				}
				if i%4 == 0 {
					s.Save()
				}
			})
		}
		group.Wait()
		n, _ := sessions.Get[int](s, "n")
		names, _ := s.Names()
		fmt.Fprint(w, n, len(names))
	}))
	browser.Get("/")
	if got := browser.Get("/").Body; got != "32 17" {
		t.Error(got)
	}
	if opens := running.Calls("OpenSession"); opens != 1 {
		t.Error("a request opens its session once", opens)
	}
}

func TestAPanicSavesNothing(t *testing.T) {
	running := service.Start(t, service.Options{})
	browser := service.Browse(t, handle(running.Client("shop"), func(w http.ResponseWriter, r *http.Request, s *sessions.Session) {
		switch r.URL.Path {
		case "/panic":
			s.Set("a", 1)
			panic(http.ErrAbortHandler)
		case "/recover":
			defer func() {
				recover()
				s.Discard()
				http.Error(w, "broken", http.StatusInternalServerError)
			}()
			s.Set("a", 1)
			panic("broken")
		}
	}))

	if _, err := browser.Try("/panic"); err == nil {
		t.Error("the panic was not passed on")
	}
	if answer := browser.Get("/recover"); answer.Status != http.StatusInternalServerError {
		t.Error(answer)
	}
	if saves := running.Calls("SaveSession"); saves != 0 {
		t.Error("saves:", saves)
	}
}

func TestTheHeadWaitsForTheSaveWhicheverWayTheResponseBegins(t *testing.T) {
	running := service.Start(t, service.Options{})
	file := t.TempDir() + "/file"
	if err := os.WriteFile(file, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	browser := service.Browse(t, handle(running.Client("shop"), func(w http.ResponseWriter, r *http.Request, s *sessions.Session) {
		s.Increment("n", 1)
		switch r.URL.Path {
		case "/write":
			w.Write([]byte("content"))
		case "/string":
			io.WriteString(w, "content")
		case "/flush":
			w.(http.Flusher).Flush()
			io.WriteString(w, "content")
		case "/controller":
			if err := http.NewResponseController(w).Flush(); err != nil {
				t.Error(err)
			}
			if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Minute)); err != nil {
				t.Error(err)
			}
			io.WriteString(w, "content")
		case "/file":
			http.ServeFile(w, r, file)
		case "/copy":
			if _, isReaderFrom := w.(io.ReaderFrom); !isReaderFrom {
				t.Error("the writer is no io.ReaderFrom")
			}
			io.Copy(w, struct{ io.Reader }{strings.NewReader("content")})
		case "/early":
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusOK)
			io.WriteString(w, "content")
		case "/nothing":
		}
	}))
	for _, path := range []string{"/write", "/string", "/flush", "/controller", "/file", "/copy", "/early", "/nothing"} {
		answer := browser.Another().Get(path)
		isWhole := answer.Body == "content" || path == "/nothing"
		if !isWhole || len(answer.Header["Set-Cookie"]) != 1 || answer.Header.Get("Vary") != "Cookie" {
			t.Error(path, answer)
		}
	}
}

func TestAWriterHasTheMethodsThatTheServersWriterHas(t *testing.T) {
	running := service.Start(t, service.Options{})
	type methods struct{ flushes, hijacks, pushes bool }
	var got methods
	handler := handle(running.Client("shop"), func(w http.ResponseWriter, r *http.Request, s *sessions.Session) {
		_, got.flushes = w.(http.Flusher)
		_, got.hijacks = w.(http.Hijacker)
		_, got.pushes = w.(http.Pusher)
	})
	request := httptest.NewRequest("GET", "/", nil)

	service.Browse(t, handler).Get("/")
	if got != (methods{flushes: true, hijacks: true}) {
		t.Error("the server's own", got)
	}
	http2 := httptest.NewUnstartedServer(handler)
	http2.EnableHTTP2 = true
	http2.StartTLS()
	defer http2.Close()
	answer, err := http2.Client().Get(http2.URL)
	if err != nil || answer.ProtoMajor != 2 || got != (methods{flushes: true, pushes: true}) {
		t.Error("the server's own for HTTP/2", got, err)
	}
	recorder := httptest.NewRecorder()
	plain := struct{ http.ResponseWriter }{recorder}
	handler.ServeHTTP(recorder, request)
	if got != (methods{flushes: true}) {
		t.Error("a recorder", got)
	}
	handler.ServeHTTP(plain, request)
	if got != (methods{}) {
		t.Error("a plain writer", got)
	}
	handler.ServeHTTP(struct {
		http.ResponseWriter
		http.Hijacker
	}{plain, nil}, request)
	if got != (methods{hijacks: true}) {
		t.Error("a writer that cannot be flushed", got)
	}
}

// hijackable is a writer that cannot be flushed. It counts how often its connection was taken over.
type hijackable struct {
	http.ResponseWriter
	hijacks int
}

func (h *hijackable) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	h.hijacks++
	return nil, nil, nil
}

func TestAConnectionIsTakenOverAfterTheSave(t *testing.T) {
	running := service.Start(t, service.Options{})
	writer := &hijackable{ResponseWriter: struct{ http.ResponseWriter }{httptest.NewRecorder()}}
	handler := handle(running.Client("shop"), func(w http.ResponseWriter, r *http.Request, s *sessions.Session) {
		s.Increment("n", 1)
		_, _, err := http.NewResponseController(w).Hijack()
		if saves := running.Calls("SaveSession"); err != nil || saves != 1 {
			t.Error("saves before the handler has the connection:", saves, err)
		}
	})

	handler.ServeHTTP(writer, httptest.NewRequest("GET", "/", nil))

	if writer.hijacks != 1 {
		t.Error(writer.hijacks)
	}
}

// notifying is a writer with a channel of its own.
type notifying struct {
	http.ResponseWriter
	gone chan bool
}

func (n notifying) CloseNotify() <-chan bool { return n.gone }

func TestAWriterTellsThatTheBrowserIsGone(t *testing.T) {
	client, err := cloakroom.New("", cloakroom.Options{Transport: broken{}})
	if err != nil {
		t.Fatal(err)
	}
	var gone <-chan bool
	handler := handle(client, func(w http.ResponseWriter, r *http.Request, s *sessions.Session) {
		gone = w.(interface{ CloseNotify() <-chan bool }).CloseNotify()
	})
	own := notifying{httptest.NewRecorder(), make(chan bool)}
	ctx, cancel := context.WithCancel(t.Context())
	request := httptest.NewRequest("GET", "/", nil).WithContext(ctx)

	handler.ServeHTTP(own, request)
	if gone != (<-chan bool)(own.gone) {
		t.Error("not the channel of the writer")
	}
	handler.ServeHTTP(httptest.NewRecorder(), request)
	select {
	case <-gone:
		t.Error("gone too early")
	default:
	}
	cancel()
	if !<-gone {
		t.Error("not gone")
	}
}

func TestWhatChangesAfterTheHeadIsSavedAtTheEnd(t *testing.T) {
	running := service.Start(t, service.Options{})
	browser := service.Browse(t, handle(running.Client("shop"), func(w http.ResponseWriter, r *http.Request, s *sessions.Session) {
		s.Increment("n", 1)
		http.NewResponseController(w).Flush()
		switch r.URL.Path {
		case "/late":
			s.Increment("n", 1)
			io.WriteString(w, "content")
		case "/lost":
			running.Stop()
			s.Increment("n", 1)
		case "/read":
			n, _ := sessions.Get[int](s, "n")
			fmt.Fprint(w, n)
		}
	}))
	browser.Get("/late")
	if got := browser.Get("/read").Body; got != "3" {
		t.Error(got)
	}
	if _, err := browser.Try("/lost"); err == nil {
		t.Error("a response whose late changes are lost looks complete")
	}
}

func TestAnOutageIs503WhateverTheHandlerDoes(t *testing.T) {
	running := service.Start(t, service.Options{})
	client, err := cloakroom.New(running.Address, cloakroom.Options{App: "shop", Deadline: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	browser := service.Browse(t, handle(client, func(w http.ResponseWriter, r *http.Request, s *sessions.Session) {
		w.Header().Set("Content-Length", "7")
		switch r.URL.Path {
		case "/set":
			s.Set("a", 1)
		case "/ignored":
			sessions.Get[int](s, "a")
		case "/public":
			if err := s.Open(); !errors.Is(err, cloakroom.ErrUnavailable) {
				t.Error(err)
			}
		}
		io.WriteString(w, "content")
	}))
	browser.Get("/set")
	cookies := browser.Cookies()
	running.Stop()

	for _, path := range []string{"/set", "/ignored"} {
		answer := browser.Get(path)
		if answer.Status != http.StatusServiceUnavailable || answer.Header.Get("Retry-After") == "" || answer.Body == "content" {
			t.Error(path, answer)
		}
	}
	if answer := browser.Get("/public"); answer.Status != http.StatusOK || answer.Body != "content" {
		t.Error("a handler that asked Open decides itself", answer)
	}
	if answer := browser.Get("/untouched"); answer.Status != http.StatusOK {
		t.Error(answer)
	}
	if browser.Cookies() != cookies {
		t.Error("the outage changed the cookies")
	}
}

func TestAnAnswerInPlaceOfTheHandlersHasNothingOfItsBody(t *testing.T) {
	running := service.Start(t, service.Options{})
	client, err := cloakroom.New(running.Address, cloakroom.Options{App: "shop", Deadline: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ofBody := []string{"Accept-Ranges", "Content-Disposition", "Content-Encoding", "Content-Language", "Content-Range", "Etag",
		"Last-Modified", "Location", "Trailer"}
	others := []string{"Access-Control-Allow-Origin", "Content-Security-Policy", "Content-Security-Policy-Report-Only"}
	browser := service.Browse(t, handle(client, func(w http.ResponseWriter, r *http.Request, s *sessions.Session) {
		for _, name := range append(ofBody, others...) {
			w.Header().Set(name, "handler")
		}
		s.Set("a", 1)
		w.WriteHeader(http.StatusSeeOther)
	}))
	running.Stop()

	answer := browser.Get("/")

	for _, name := range ofBody {
		if answer.Header.Get(name) != "" {
			t.Error("a 503 has the handler's", name)
		}
	}
	for _, name := range others {
		if answer.Header.Get(name) != "handler" {
			t.Error("a 503 lacks", name)
		}
	}
	if answer.Status != http.StatusServiceUnavailable {
		t.Error(answer)
	}
}

func TestAnAnswerInPlaceOfTheHandlersHasItsOwnHeaders(t *testing.T) {
	running := service.Start(t, service.Options{})
	client, err := cloakroom.New(running.Address, cloakroom.Options{App: "shop", Deadline: 500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	of := sessions.New(client)
	of.OnGone = func(w http.ResponseWriter, r *http.Request, _ *sessions.GoneError) {
		w.Header().Set("Cache-Control", "no-store")
		http.Redirect(w, r, "/again", http.StatusSeeOther)
	}
	of.OnUnavailable = func(w http.ResponseWriter, r *http.Request, _ error) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", "2")
		w.WriteHeader(http.StatusServiceUnavailable)
		io.WriteString(w, "{}")
	}
	handler := of.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := sessions.From(r.Context())
		if id, _ := s.ID(); id != "" {
			adminOf(t, running).Revoke(context.Background(), id)
		}
		s.Set("a", 1)
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("Content-Disposition", "attachment")
		io.WriteString(w, "content")
	}))
	begun := httptest.NewRecorder()
	handler.ServeHTTP(begun, httptest.NewRequest("GET", "/", nil))
	request := httptest.NewRequest("GET", "/", nil)
	request.AddCookie(begun.Result().Cookies()[0])

	gone := httptest.NewRecorder()
	handler.ServeHTTP(gone, request)
	running.Stop()
	unavailable := httptest.NewRecorder()
	handler.ServeHTTP(unavailable, httptest.NewRequest("GET", "/", nil))

	for _, answer := range []*httptest.ResponseRecorder{gone, unavailable} {
		if header := answer.Header(); header.Get("Cache-Control") != "no-store" || header.Get("Content-Disposition") != "" {
			t.Error(answer.Code, header)
		}
	}
	if gone.Code != http.StatusSeeOther || gone.Header().Get("Location") != "/again" {
		t.Error(gone.Code, gone.Header())
	}
	if header := unavailable.Header(); header.Get("Content-Type") != "application/json" || header.Get("Content-Length") != "2" {
		t.Error(unavailable.Code, header)
	}
}

func TestWhatCannotBeSavedIsNoSuccess(t *testing.T) {
	running := service.Start(t, service.Options{})
	browser := service.Browse(t, handle(running.Client("shop"), func(w http.ResponseWriter, r *http.Request, s *sessions.Session) {
		switch r.URL.Path {
		case "/function":
			s.Set("f", func() {})
		case "/large":
			s.Set("large", strings.Repeat("x", 1<<20))
		case "/counter":
			s.Set("text", "x")
			s.Increment("text", 1)
		case "/unnamed":
			s.Set("", 1)
		}
		io.WriteString(w, "saved")
	}))
	for _, path := range []string{"/function", "/large", "/counter", "/unnamed"} {
		answer := browser.Get(path)
		if answer.Status != http.StatusInternalServerError || answer.Body == "saved" || browser.Cookies() != "" {
			t.Error(path, answer)
		}
	}
}

func TestAHandlerThatJustReturnsAfterAnErrorIsNoSuccess(t *testing.T) {
	running := service.Start(t, service.Options{})
	var browser *service.Browser
	handler := func(w http.ResponseWriter, r *http.Request) {
		s := sessions.From(r.Context())
		w.Header().Set("Etag", "handler")
		s.Set("text", "x")
		switch r.URL.Path {
		case "/set", "/logout":
			if r.URL.Path == "/logout" {
				s.Destroy()
			}
			return
		case "/type":
			if _, err := sessions.Get[int](s, "text"); err != nil {
				return
			}
		case "/large":
			s.Set("large", strings.Repeat("x", 1<<20))
			if err := s.Save(); err != nil {
				return
			}
		case "/ended":
			request, _ := http.NewRequest("GET", browser.Server.URL+"/logout", nil)
			request.Header.Set("Cookie", r.Header.Get("Cookie"))
			s.Has("a")
			http.DefaultClient.Do(request)
			if err := s.Save(); err != nil {
				return
			}
		case "/ignored":
			if _, err := sessions.Get[int](s, "text"); err != nil {
				s.Delete("text")
			}
			return
		case "/answered":
			if _, err := sessions.Get[int](s, "text"); err != nil {
				w.WriteHeader(http.StatusNoContent)
				return
			}
		}
		t.Error(r.URL.Path, "has no error")
	}
	browser = service.Browse(t, sessions.New(running.Client("shop")).Middleware(http.HandlerFunc(handler)))

	for path, expected := range map[string]int{"/type": 500, "/large": 500, "/ended": 409, "/ignored": 200, "/answered": 204} {
		browser.Get("/set")
		answer := browser.Get(path)
		if answer.Status != expected || expected >= 400 && (answer.Body == "" || answer.Header.Get("Etag") != "") {
			t.Error(path, answer)
		}
	}
}

func TestASessionThatHasEndedIsReported(t *testing.T) {
	running := service.Start(t, service.Options{})
	var told string
	of := sessions.New(running.Client("shop"))
	of.OnGone = func(w http.ResponseWriter, r *http.Request, gone *sessions.GoneError) { told += gone.Reason }
	var browser *service.Browser
	handler := func(w http.ResponseWriter, r *http.Request) {
		s := sessions.From(r.Context())
		switch r.URL.Path {
		case "/set":
			s.Set("a", 1)
		case "/logout":
			s.Destroy()
		case "/late":
			s.Has("a")
			request, _ := http.NewRequest("GET", browser.Server.URL+"/logout", nil)
			request.Header.Set("Cookie", r.Header.Get("Cookie"))
			http.DefaultClient.Do(request)
			s.Set("a", 2)
			if r.URL.RawQuery == "save" {
				var gone *sessions.GoneError
				if err := s.Save(); !errors.As(err, &gone) || gone.Reason != "DESTROYED" {
					t.Error(err)
				}
				io.WriteString(w, "logged out")
			}
		}
	}
	browser = service.Browse(t, of.Middleware(http.HandlerFunc(handler)))

	browser.Get("/set")
	browser.Get("/late")
	if told != "DESTROYED" {
		t.Error(told)
	}
	browser.Get("/set")
	browser.Get("/late?save")
	if told != "DESTROYED" {
		t.Error("told twice", told)
	}
}

// clients returns one of a service, and one of sessions in memory.
func clients(t *testing.T) map[string]*cloakroom.Client {
	memory := cloakroomtest.New(cloakroomtest.App{Name: "shop"}).Client("shop")
	return map[string]*cloakroom.Client{"service": service.Start(t, service.Options{}).Client("shop"), "memory": memory}
}

// browseSlow returns a browser at an application with one slow page. This gets its session, and the browser for other requests.
func browseSlow(t *testing.T, of *sessions.Sessions, slow func(*sessions.Session, *service.Browser)) *service.Browser {
	var browser *service.Browser
	browser = service.Browse(t, of.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := sessions.From(r.Context())
		switch r.URL.Path {
		case "/login":
			s.SetSubject("ada")
		case "/logout":
			s.Destroy()
		case "/slow":
			// Longer than a call is on its way.
			time.Sleep(200 * time.Millisecond)
			slow(s, browser)
		case "/write":
			s.Set("a", 2)
		case "/read":
			subject, _ := s.Subject()
			a, _ := sessions.Get[int](s, "a")
			fmt.Fprint(w, subject, a)
		}
	})))
	return browser
}

func TestARequestThatOpensItsSessionAfterALogoutLeavesTheCookieOfTheNextLogin(t *testing.T) {
	for name, client := range clients(t) {
		browser := browseSlow(t, sessions.New(client), func(s *sessions.Session, browser *service.Browser) {
			browser.Get("/logout")
			browser.Get("/login")
			a, _ := sessions.Get[int](s, "a")
			s.Set("a", a+1)
		})
		browser.Get("/write")
		if slow := browser.Get("/slow"); slow.Status != http.StatusOK || slow.Header.Get("Set-Cookie") != "" {
			t.Error(name, slow.Status, slow.Header)
		}
		if got := browser.Get("/read").Body; got != "ada0" {
			t.Error(name, got)
		}
	}
}

func TestASlowWriteWithoutAReadLeavesTheCookieOfALoginMeanwhile(t *testing.T) {
	for name, client := range clients(t) {
		for _, meanwhile := range [][]string{{"/login"}, {"/logout"}, {"/logout", "/login"}} {
			var told string
			of := sessions.New(client)
			of.OnGone = func(w http.ResponseWriter, r *http.Request, gone *sessions.GoneError) { told = gone.Reason }
			browser := browseSlow(t, of, func(s *sessions.Session, browser *service.Browser) {
				for _, path := range meanwhile {
					browser.Get(path)
				}
				s.Set("a", 1)
			})
			browser.Get("/write")
			if slow := browser.Get("/slow"); slow.Header.Get("Set-Cookie") != "" || told == "" {
				t.Error(name, meanwhile, slow.Header, told)
			}
			want := map[string]string{"/login": "ada2", "/logout": "0"}[meanwhile[0]]
			if len(meanwhile) == 2 {
				want = "ada0"
			}
			if got := browser.Get("/read").Body; got != want {
				t.Error(name, meanwhile, got)
			}
			// What has ended before a request does not hinder it.
			told = ""
			browser.Get("/write")
			if got := browser.Get("/read").Body; !strings.HasSuffix(got, "2") || told != "" {
				t.Error(name, meanwhile, got, told)
			}
		}
	}
}

func TestCookiesThatAreNotASCIIReachTheService(t *testing.T) {
	running := service.Start(t, service.Options{})
	handler := handle(running.Client("shop"), func(w http.ResponseWriter, r *http.Request, s *sessions.Session) {
		n, err := sessions.Get[int](s, "n")
		s.Increment("n", 1)
		fmt.Fprint(w, n, err)
	})
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, httptest.NewRequest("GET", "/", nil))
	cookie, _, _ := strings.Cut(recorder.Header().Get("Set-Cookie"), ";")
	request := httptest.NewRequest("GET", "/", nil)
	request.Header["Cookie"] = []string{"other=\xff\xfe", cookie}
	request.Header.Set("User-Agent", "\xff")

	recorder = httptest.NewRecorder()
	handler.ServeHTTP(recorder, request)

	if recorder.Body.String() != "1 <nil>" {
		t.Error(recorder.Body)
	}
}

func TestASessionOutsideOfTheMiddlewareIsAnError(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("From made a session of nothing")
		}
	}()
	sessions.From(context.Background())
}
