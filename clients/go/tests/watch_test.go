package tests

import (
	"context"
	"errors"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cloakroom.example/cloakroom"
	"cloakroom.example/cloakroom/admin"
	pb "cloakroom.example/cloakroom/cloakroomv1"
	"cloakroom.example/cloakroom/sessions"
	"cloakroom.example/cloakroom/tests/service"
	"github.com/gorilla/websocket"
	"google.golang.org/protobuf/proto"
)

func adminOf(t *testing.T, running *service.Service) *admin.Admin {
	t.Helper()
	return admin.New(newClient(t, running.AdminAddress, service.WaitLimit, cloakroom.Credentials{}))
}

// chat is a handler whose websocket is closed when its session ends. It stands in docs/go.md.
func chat(w http.ResponseWriter, r *http.Request) {
	session := sessions.From(r.Context())
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	watched, err := session.Watch(ctx)
	if err != nil {
		return // The middleware answers.
	}
	upgrader := websocket.Upgrader{}
	socket, err := upgrader.Upgrade(w, r, session.Headers())
	if err != nil {
		return
	}
	defer socket.Close()
	context.AfterFunc(watched, func() {
		message := websocket.FormatCloseMessage(websocket.ClosePolicyViolation, context.Cause(watched).Error())
		socket.WriteControl(websocket.CloseMessage, message, time.Now().Add(time.Second))
		socket.Close()
	})
	for {
		kind, message, err := socket.ReadMessage()
		if err != nil {
			return
		}
		socket.WriteMessage(kind, message)
	}
}

func chatApplication(of *sessions.Sessions) http.Handler {
	of.Log = quiet
	mux := http.NewServeMux()
	mux.HandleFunc("/chat", chat)
	mux.HandleFunc("/login", func(w http.ResponseWriter, r *http.Request) {
		session := sessions.From(r.Context())
		session.SetSubject("ada")
		session.Save()
		id, _ := session.ID()
		io.WriteString(w, id)
	})
	mux.HandleFunc("/rotate", func(w http.ResponseWriter, r *http.Request) { sessions.From(r.Context()).Rotate() })
	return of.Middleware(mux)
}

func connect(t *testing.T, browser *service.Browser) *websocket.Conn {
	t.Helper()
	header := http.Header{"Cookie": {browser.Cookies()}}
	socket, response, err := websocket.DefaultDialer.Dial(strings.Replace(browser.Server.URL, "http", "ws", 1)+"/chat", header)
	if err != nil {
		t.Fatal(err, response)
	}
	if response.Header.Get("Vary") != "Cookie" {
		t.Error("the upgrade has not the headers of the session", response.Header)
	}
	if err := socket.WriteMessage(websocket.TextMessage, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, message, err := socket.ReadMessage(); err != nil || string(message) != "hello" {
		t.Fatal(string(message), err)
	}
	return socket
}

// closed waits for the end of a websocket and returns its text and how long that took.
func closed(socket *websocket.Conn) (string, time.Duration) {
	start := time.Now()
	socket.SetReadDeadline(start.Add(service.WaitLimit))
	_, _, err := socket.ReadMessage()
	var closing *websocket.CloseError
	if !errors.As(err, &closing) {
		return "", time.Since(start)
	}
	return closing.Text, time.Since(start)
}

func TestAWebsocketIsClosedWithinHalfASecondOfARevocation(t *testing.T) {
	running := service.Start(t, service.Options{})
	browser := service.Browse(t, chatApplication(sessions.New(running.Client("shop"))))
	id := browser.Get("/login").Body
	var times []time.Duration
	late := 0
	for range 5 {
		socket := connect(t, browser)
		if revoked, err := adminOf(t, running).Revoke(context.Background(), id); !revoked || err != nil {
			t.Fatal(revoked, err)
		}
		text, took := closed(socket)
		if !strings.Contains(text, "(REVOKED)") {
			t.Error(text)
		}
		times = append(times, took)
		if took >= 500*time.Millisecond {
			late++
		}
		id = browser.Get("/login").Body
	}
	// The machine may be busy with other tests.
	if late > 1 {
		t.Error("more than one is late:", times)
	}
}

func TestAWatchEndsWithTheTokenAndSurvivesARestart(t *testing.T) {
	running := service.Start(t, service.Options{})
	browser := service.Browse(t, chatApplication(sessions.New(running.Client("shop"))))
	browser.Get("/login")
	socket := connect(t, browser)

	running.Stop()
	running.Launch()
	browser.Get("/rotate")

	if text, _ := closed(socket); !strings.Contains(text, "(SUPERSEDED)") {
		t.Error(text)
	}
}

func TestAWatchOfNoSessionEndsAtOnceAndOneThatCannotBeginFails(t *testing.T) {
	running := service.Start(t, service.Options{})
	client, err := cloakroom.New(running.Address, cloakroom.Options{App: "shop", Deadline: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	var cause, failure error
	browser := service.Browse(t, handle(client, func(w http.ResponseWriter, r *http.Request, s *sessions.Session) {
		cause = nil
		watched, err := s.Watch(r.Context())
		if failure = err; err == nil {
			<-watched.Done()
			cause = context.Cause(watched)
		}
	}))
	browser.Get("/")
	var ended *cloakroom.EndedError
	if !errors.As(cause, &ended) || ended.Reason != "UNKNOWN" || failure != nil {
		t.Error(cause, failure)
	}
	running.Stop()
	if browser.Get("/"); !errors.Is(failure, cloakroom.ErrUnavailable) {
		t.Error(failure)
	}
}

func TestAWatchThatIsCancelledLeavesNoGoroutine(t *testing.T) {
	running := service.Start(t, service.Options{})
	browser := service.Browse(t, chatApplication(sessions.New(running.Client("shop"))))
	browser.Get("/login")
	connect(t, browser).Close()
	before := runtime.NumGoroutine()
	for range 10 {
		connect(t, browser).Close()
	}
	service.Wait(t, "the goroutines end", func() bool { return runtime.NumGoroutine() <= before })
}

// refusing answers the first stream, and refuses all others.
type refusing struct{ streams int }

func (r *refusing) Call(context.Context, string, proto.Message, proto.Message) error { return nil }

func (r *refusing) Stream(context.Context, string, proto.Message) (cloakroom.Stream, error) {
	if r.streams++; r.streams > 1 {
		return nil, cloakroom.NewError("RESOURCE_EXHAUSTED", "", "too many streams", nil)
	}
	return &shortStream{}, nil
}

// shortStream has one message, and is cut off then.
type shortStream struct{ isOver bool }

func (s *shortStream) Receive(proto.Message) error {
	if s.isOver {
		return cloakroom.NewError("UNAVAILABLE", "", "cut off", nil)
	}
	s.isOver = true
	return nil
}

func (s *shortStream) Close() {}

// watchFor watches a session for so long, by the clock that the test moves, and then ends the watch.
func watchFor(t *testing.T, transport cloakroom.Transport, duration time.Duration) {
	t.Helper()
	client, err := cloakroom.New("", cloakroom.Options{Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())

	watched, err := client.WatchSession(ctx, &pb.WatchSessionRequest{})
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(duration)
	if watched.Err() != nil {
		t.Error("the watch has ended:", context.Cause(watched))
	}
	cancel()
	<-watched.Done()
	synctest.Wait()
}

func TestAWatchThatCannotBeginAgainIsNoLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		transport := &refusing{}

		watchFor(t, transport, time.Minute)

		if transport.streams < 10 || transport.streams > 80 {
			t.Error("attempts in a minute:", transport.streams)
		}
	})
}

// silent begins streams that have one message each, and then none.
type silent struct {
	refusing
	mutex      sync.Mutex
	open, most int
}

func (s *silent) Stream(context.Context, string, proto.Message) (cloakroom.Stream, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.streams++
	s.open++
	s.most = max(s.most, s.open)
	return &silentStream{transport: s, closed: make(chan struct{})}, nil
}

type silentStream struct {
	transport *silent
	hasBegun  bool
	isClosed  bool
	closed    chan struct{}
}

func (s *silentStream) Receive(proto.Message) error {
	if !s.hasBegun {
		s.hasBegun = true
		return nil
	}
	<-s.closed
	return cloakroom.NewError("UNAVAILABLE", "", "closed", nil)
}

func (s *silentStream) Close() {
	s.transport.mutex.Lock()
	defer s.transport.mutex.Unlock()
	if !s.isClosed {
		s.isClosed = true
		s.transport.open--
		close(s.closed)
	}
}

func TestASilentStreamOfAWatchIsRenewedWithinFiveMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		transport := &silent{}

		watchFor(t, transport, time.Hour)

		// A hung service is silent as well, and its connection stays.
		if transport.streams < 12 || transport.streams > 25 {
			t.Error("streams in an hour:", transport.streams)
		}
		if transport.most != 1 || transport.open != 0 {
			t.Error("streams at the same time:", transport.most, "left open:", transport.open)
		}
	})
}
