package tests

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cloakroom.example/cloakroom"
	pb "cloakroom.example/cloakroom/cloakroomv1"
	"cloakroom.example/cloakroom/tests/service"
	"google.golang.org/protobuf/proto"
)

func open(client *cloakroom.Client) error {
	_, err := client.OpenSession(context.Background(), &pb.OpenSessionRequest{})
	return err
}

func newClient(t *testing.T, addresses string, deadline time.Duration, credentials cloakroom.Credentials) *cloakroom.Client {
	t.Helper()
	client, err := cloakroom.New(addresses, cloakroom.Options{App: "shop", Deadline: deadline, Credentials: credentials})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

// relay passes bytes on between clients and a service, and can stop to do so.
type relay struct {
	net.Listener
	to       string
	accepted atomic.Int32
	isSilent atomic.Bool

	mutex sync.Mutex
	conns []net.Conn
}

func newRelay(t *testing.T, to string) *relay {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{Listener: listener, to: to}
	t.Cleanup(func() {
		listener.Close()
		r.endConnections()
	})
	go r.serve()
	return r
}

func (r *relay) serve() {
	for {
		near, err := r.Accept()
		if err != nil {
			return
		}
		r.accepted.Add(1)
		far, err := net.Dial("tcp", r.to)
		if err != nil {
			near.Close()
			continue
		}
		r.mutex.Lock()
		r.conns = append(r.conns, near, far)
		r.mutex.Unlock()
		go r.pass(near, far)
		go r.pass(far, near)
	}
}

func (r *relay) pass(from, to net.Conn) {
	defer to.Close()
	buffer := make([]byte, 4096)
	isForgotten := false
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		isForgotten = isForgotten || r.isSilent.Load()
		if !isForgotten {
			to.Write(buffer[:n])
		}
	}
}

func (r *relay) endConnections() {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for _, conn := range r.conns {
		conn.Close()
	}
	r.conns = nil
}

func TestCallsGoThroughAUnixSocketAndNames(t *testing.T) {
	running := service.Start(t, service.Options{})
	_, port, _ := net.SplitHostPort(running.Address)

	for _, address := range []string{"unix:" + running.Socket, "unix://" + running.Socket, "localhost:" + port, "dns:///localhost:" + port} {
		if err := open(newClient(t, address, service.WaitLimit, cloakroom.Credentials{})); err != nil {
			t.Error(address, err)
		}
	}
}

func TestANameThatNobodyHasFailsAtTheDeadline(t *testing.T) {
	start := time.Now()
	err := open(newClient(t, "nobody.invalid", 300*time.Millisecond, cloakroom.Credentials{}))

	if !errors.Is(err, cloakroom.ErrUnavailable) || !strings.Contains(err.Error(), `look up "nobody.invalid"`) {
		t.Error(err)
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Error(took)
	}
}

func TestConnectionsAreReusedAndBounded(t *testing.T) {
	running := service.Start(t, service.Options{})
	between := newRelay(t, running.Address)
	client := newClient(t, between.Addr().String(), service.WaitLimit, cloakroom.Credentials{})
	for range 20 {
		if err := open(client); err != nil {
			t.Fatal(err)
		}
	}
	if made := between.accepted.Load(); made != 1 {
		t.Error("connections of calls one after another:", made)
	}
	var group sync.WaitGroup
	for range 300 {
		group.Go(func() {
			if err := open(client); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if made := between.accepted.Load(); made > 65 {
		t.Error("connections of 300 calls at once:", made)
	}
}

func TestAConnectionThatEndedWhileItWasIdleCostsNoCall(t *testing.T) {
	running := service.Start(t, service.Options{})
	between := newRelay(t, running.Address)
	transport, err := cloakroom.Dial(between.Addr().String(), cloakroom.Credentials{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), service.WaitLimit)
	defer cancel()
	for attempt := range 5 {
		// A transport repeats nothing.
		err := transport.Call(ctx, "/cloakroom.v1.SessionService/OpenSession", &pb.OpenSessionRequest{App: "shop"}, &pb.OpenSessionResponse{})
		if err != nil {
			t.Error(attempt, err)
		}
		between.endConnections()
		time.Sleep(20 * time.Millisecond) // So long that it is looked at.
	}
}

func TestAConnectionThatIsSilentIsLeftWithinTheDeadline(t *testing.T) {
	running := service.Start(t, service.Options{})
	between := newRelay(t, running.Address)
	client := newClient(t, between.Addr().String(), 20*time.Second, cloakroom.Credentials{})
	if err := open(client); err != nil {
		t.Fatal(err)
	}
	between.isSilent.Store(true)
	time.AfterFunc(time.Second, func() { between.isSilent.Store(false) })

	if err := open(client); err != nil {
		t.Error(err)
	}
}

func TestACallIsCancelledWithItsContext(t *testing.T) {
	running := service.Start(t, service.Options{})
	between := newRelay(t, running.Address)
	between.isSilent.Store(true)
	client := newClient(t, between.Addr().String(), service.WaitLimit, cloakroom.Credentials{})
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(50*time.Millisecond, cancel)
	start := time.Now()

	_, err := client.OpenSession(ctx, &pb.OpenSessionRequest{})

	if !errors.Is(err, context.Canceled) || time.Since(start) > service.WaitLimit/2 {
		t.Error(err, time.Since(start))
	}
}

// listen accepts connections on loopback, and calls serve for each of them.
func listen(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { conn.Close() })
			go serve(conn)
		}
	}()
	return listener.Addr().String()
}

// So long that what waits for a deadline does not end in time.
const hours = 4 * time.Hour

func TestACallThatConnectsIsCancelledWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	// Its client waits for the handshake.
	silent := listen(t, func(net.Conn) { cancel() })

	_, err := newClient(t, "https://"+silent, hours, cloakroom.Credentials{}).OpenSession(ctx, &pb.OpenSessionRequest{})

	var failed *cloakroom.Error
	if !errors.Is(err, context.Canceled) || !errors.As(err, &failed) || failed.Code != "CANCELLED" {
		t.Error(err)
	}
}

func TestACallThatWasCancelledBeforeSaysSo(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()

	_, err := newClient(t, "localhost:1", hours, cloakroom.Credentials{}).OpenSession(ctx, &pb.OpenSessionRequest{})

	var failed *cloakroom.Error
	if !errors.Is(err, context.Canceled) || !errors.As(err, &failed) || failed.Code != "CANCELLED" {
		t.Error(err)
	}
}

// cancelling fails each call, after it has cancelled the context.
type cancelling struct{ cancel context.CancelFunc }

func (c cancelling) Call(context.Context, string, proto.Message, proto.Message) error {
	c.cancel()
	return cloakroom.NewError("UNAVAILABLE", "", "away", nil)
}

func (c cancelling) Stream(ctx context.Context, _ string, _ proto.Message) (cloakroom.Stream, error) {
	return nil, c.Call(ctx, "", nil, nil)
}

func TestACallThatWaitsForItsRepeatIsCancelledWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	client, err := cloakroom.New("", cloakroom.Options{Transport: cancelling{cancel}})
	if err != nil {
		t.Fatal(err)
	}

	_, err = client.OpenSession(ctx, &pb.OpenSessionRequest{})
	_, watchErr := client.WatchSession(ctx, &pb.WatchSessionRequest{})

	for _, err := range []error{err, watchErr} {
		if !errors.Is(err, context.Canceled) || !errors.Is(err, cloakroom.ErrUnavailable) || !strings.Contains(err.Error(), "away") {
			t.Error(err)
		}
	}
}

// waiting answers no call, until its context ends.
type waiting struct{}

func (waiting) Call(ctx context.Context, _ string, _, _ proto.Message) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(10 * time.Second):
		return errors.New("the context had no end")
	}
}

func (s waiting) Stream(ctx context.Context, _ string, _ proto.Message) (cloakroom.Stream, error) {
	return nil, s.Call(ctx, "", nil, nil)
}

func TestTheContextOfATransportEndsWithTheDeadlineOfTheClient(t *testing.T) {
	client, err := cloakroom.New("", cloakroom.Options{Transport: waiting{}, Deadline: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}

	_, err = client.OpenSession(context.Background(), &pb.OpenSessionRequest{})
	_, watchErr := client.WatchSession(context.Background(), &pb.WatchSessionRequest{})

	for _, err := range []error{err, watchErr} {
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	}
}

func TestAStreamThatDoesNotBeginIsCancelledWithItsContext(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\ncontent-type: application/connect+proto\r\ntransfer-encoding: chunked\r\n\r\n"
	for _, answer := range []string{"", head} {
		ctx, cancel := context.WithCancel(context.Background())
		address := listen(t, func(conn net.Conn) {
			conn.Read(make([]byte, 4096))
			io.WriteString(conn, answer)
			cancel()
		})

		_, err := newClient(t, address, hours, cloakroom.Credentials{}).WatchSession(ctx, &pb.WatchSessionRequest{})

		if !errors.Is(err, context.Canceled) {
			t.Errorf("%q: %v", answer, err)
		}
	}
}

func TestADeadlineThatIsOverIsOneOfTheContextPackageToo(t *testing.T) {
	silent := listen(t, func(net.Conn) {})

	err := open(newClient(t, silent, 100*time.Millisecond, cloakroom.Credentials{}))

	if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, cloakroom.ErrUnavailable) {
		t.Error(err)
	}
}

func TestATokenIsInNothingThatIsPrinted(t *testing.T) {
	options := cloakroom.Options{App: "shop", Credentials: cloakroom.Credentials{Token: "secret", CAFile: "ca.crt"}}
	var logged strings.Builder
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("made", "credentials", options.Credentials)

	printed := fmt.Sprintf("%v %+v %#v %s %s", options, options, options, options.Credentials, logged.String())

	if strings.Contains(printed, "secret") || strings.Count(printed, "ca.crt") != 5 {
		t.Error(printed)
	}
}

func TestAProxyOfTheEnvironmentGetsNoCall(t *testing.T) {
	running := service.Start(t, service.Options{})
	proxy := newRelay(t, running.Address)
	for _, name := range []string{"http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"} {
		t.Setenv(name, "http://"+proxy.Addr().String())
	}
	if err := open(newClient(t, running.Address, service.WaitLimit, cloakroom.Credentials{})); err != nil {
		t.Error(err)
	}
	if proxy.accepted.Load() != 0 {
		t.Error("the proxy got a connection")
	}
}

func TestWhatIsNoServiceIsAnErrorAndNoSession(t *testing.T) {
	browser := service.Browse(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "<html>") }))
	address := strings.TrimPrefix(browser.Server.URL, "http://")

	err := open(newClient(t, address, 300*time.Millisecond, cloakroom.Credentials{}))

	if err == nil || !strings.Contains(err.Error(), "what answered is not the service") {
		t.Error(err)
	}
}

func TestSettingsThatCannotBeRightAreRefused(t *testing.T) {
	for want, options := range map[string]cloakroom.Options{
		"it cannot be negative":           {Deadline: -1},
		"need TLS":                        {Credentials: cloakroom.Credentials{CAFile: "ca.crt"}},
		"belong together":                 {Credentials: cloakroom.Credentials{KeyFile: "tls.key"}},
		"not visible ASCII":               {Credentials: cloakroom.Credentials{Token: "x\r\n"}},
		"Token or TokenFile":              {Credentials: cloakroom.Credentials{Token: "x", TokenFile: "y"}},
		"a Transport has addresses":       {Transport: broken{}},
		"the service's address is empty;": {},
	} {
		address := "localhost"
		if strings.HasPrefix(want, "the service's") {
			address = ""
		}
		if _, err := cloakroom.New(address, options); err == nil || !strings.Contains(err.Error(), want) {
			t.Error(want, err)
		}
	}
}

func TestAClientLeavesNoGoroutinesBehind(t *testing.T) {
	running := service.Start(t, service.Options{})
	before := runtime.NumGoroutine()
	for range 10 {
		client, err := cloakroom.New("localhost:"+running.Address[strings.LastIndex(running.Address, ":")+1:], cloakroom.Options{App: "shop"})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		if _, err := client.OpenSession(ctx, &pb.OpenSessionRequest{}); err != nil {
			t.Error(err)
		}
		client.Close()
		cancel()
	}
	service.Wait(t, "the goroutines end", func() bool { return runtime.NumGoroutine() <= before })
}

// files writes files into a folder and returns their paths.
func writeFile(t *testing.T, folder, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(folder, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCallersAreRecognizedByTokenAndByCertificateAndFilesAreReadAgain(t *testing.T) {
	folder := t.TempDir()
	authority := newAuthority(t)
	caFile := writeFile(t, folder, "ca.crt", authority.pem)
	certificate, key := authority.issue(t, "127.0.0.1")
	token, hash := callerToken(t)
	running := service.Start(t, service.Options{
		Server: fmt.Sprintf("[server.tls]\ncertificate_file = %q\nkey_file = %q\nclient_ca_file = %q\n",
			writeFile(t, folder, "tls.crt", certificate), writeFile(t, folder, "tls.key", key), caFile),
		More: fmt.Sprintf("[callers.by-token]\nroles = [\"frontend\"]\napps = [\"shop\"]\ntoken_hashes = [%q]\n"+
			"[callers.by-certificate]\nroles = [\"frontend\"]\napps = [\"shop\"]\ncertificate_names = [\"shop.test\"]\n", hash),
	})
	address := "https://" + running.Address
	clientCertificate, clientKey := authority.issue(t, "shop.test")
	certFile, keyFile := writeFile(t, folder, "client.crt", clientCertificate), writeFile(t, folder, "client.key", clientKey)
	tokenFile := writeFile(t, folder, "token", []byte("wrong\n"))

	for _, good := range []cloakroom.Credentials{{Token: token, CAFile: caFile}, {CAFile: caFile, CertFile: certFile, KeyFile: keyFile}} {
		if err := open(newClient(t, address, service.WaitLimit, good)); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []cloakroom.Credentials{{CAFile: caFile}, {Token: "wrong", CAFile: caFile}} {
		err := open(newClient(t, address, service.WaitLimit, bad))
		if !errors.Is(err, cloakroom.ErrRefused) || !strings.Contains(err.Error(), "CALLER_UNKNOWN") {
			t.Error(err)
		}
	}
	if err := open(newClient(t, address, 300*time.Millisecond, cloakroom.Credentials{Token: token})); err == nil {
		t.Error("a certificate of an unknown authority is trusted")
	}
	other := newAuthority(t)
	othersFile := writeFile(t, folder, "other.crt", other.pem)
	renewed := newClient(t, address, 300*time.Millisecond, cloakroom.Credentials{TokenFile: tokenFile, CAFile: othersFile})
	if err := open(renewed); err == nil || errors.Is(err, cloakroom.ErrRefused) {
		t.Error("the wrong authority is trusted", err)
	}
	writeFile(t, folder, "other.crt", append(other.pem, authority.pem...))
	service.Wait(t, "the authority is read again", func() bool { return errors.Is(open(renewed), cloakroom.ErrRefused) })
	writeFile(t, folder, "token", []byte(token+"\n"))
	service.Wait(t, "the token is read again", func() bool { return open(renewed) == nil })
}

func TestACertificateThatIsNotTrustedIsAnErrorAtOnce(t *testing.T) {
	folder := t.TempDir()
	authority := newAuthority(t)
	caFile := writeFile(t, folder, "ca.crt", authority.pem)
	otherAuthorityFile := writeFile(t, folder, "other-authority.crt", newAuthority(t).pem)
	certificate, key := authority.issue(t, "127.0.0.1")
	running := service.Start(t, service.Options{
		Server: fmt.Sprintf("[server.tls]\ncertificate_file = %q\nkey_file = %q\n",
			writeFile(t, folder, "tls.crt", certificate), writeFile(t, folder, "tls.key", key)),
	})
	address := "https://" + running.Address
	otherName := strings.Replace(address, "127.0.0.1", "localhost", 1)

	for _, untrusted := range []*cloakroom.Client{
		newClient(t, address, hours, cloakroom.Credentials{CAFile: otherAuthorityFile}),
		newClient(t, otherName, hours, cloakroom.Credentials{CAFile: caFile}),
		newClient(t, address+","+otherName, hours, cloakroom.Credentials{CAFile: otherAuthorityFile}),
	} {
		err := open(untrusted)
		var invalid *tls.CertificateVerificationError
		if !errors.Is(err, cloakroom.ErrUnavailable) || !errors.As(err, &invalid) || !strings.Contains(err.Error(), "set CAFile to") {
			t.Error(err)
		}
		if _, err := untrusted.WatchSession(context.Background(), &pb.WatchSessionRequest{}); !strings.Contains(fmt.Sprint(err), "set CAFile to") {
			t.Error(err)
		}
	}
	trusted := newClient(t, otherName+","+address, service.WaitLimit, cloakroom.Credentials{CAFile: caFile})
	for range 4 {
		if err := open(trusted); err != nil {
			t.Error("the replica with the right name was not called", err)
		}
	}
}

func TestACallWhoseRepeatHasNoTimeLeftSaysWhyItWasRepeated(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		// The first connection ends, and all others are silent.
		for isFirst := true; ; isFirst = false {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			if isFirst {
				conn.Close()
			} else {
				defer conn.Close()
			}
		}
	}()

	err = open(newClient(t, listener.Addr().String(), 2*time.Second, cloakroom.Credentials{}))

	if !errors.Is(err, cloakroom.ErrUnavailable) || !strings.Contains(err.Error(), "; the attempt before: ") {
		t.Fatal(err)
	}
}
