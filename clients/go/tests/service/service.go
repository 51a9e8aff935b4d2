// Package service starts Cloakroom for tests, as a process of its own with a few apps.
package service

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"cloakroom.example/cloakroom"
)

// WaitLimit is how long a test waits for what has to happen. The machine may be busy.
const WaitLimit = 60 * time.Second

const apps = `
[apps.shop]
keys = ["{key}"]
[apps.login]
keys = ["{key}"]
subject_key = "user"
[apps.keyless]
`

// Options are settings that a test needs besides the usual ones.
type Options struct {
	Server string // Lines of the table [server].
	More   string // Further tables. {key} stands for a signing key.
	Apps   string // The tables of the apps, in place of the usual ones.
}

// Service is a running service.
type Service struct {
	Address, AdminAddress, Socket string

	t       testing.TB
	folder  string
	process *exec.Cmd
}

// Start starts a service that ends with the test.
func Start(t testing.TB, options Options) *Service {
	t.Helper()
	folder, err := os.MkdirTemp("", "cloakroom-go-")
	must(t, err)
	s := &Service{
		Address: FreeAddress(t), AdminAddress: FreeAddress(t), Socket: filepath.Join(folder, "cloakroom.sock"),
		t: t, folder: folder,
	}
	key, err := exec.Command(Program(t), "keygen").Output()
	must(t, err)
	fields := strings.Fields(string(key))
	if options.Apps == "" {
		options.Apps = apps
	}
	config := fmt.Sprintf("[server]\nlisten = %q\nunix_socket = %q\nmax_connections_per_peer = 4096\n%s\n[admin]\nlisten = %q\n"+
		"[store]\nkind = \"embedded\"\n[store.embedded]\npath = %q\n%s\n%s", s.Address, s.Socket, options.Server,
		s.AdminAddress, filepath.Join(folder, "data"), options.More, options.Apps)
	config = strings.ReplaceAll(config, "{key}", fields[len(fields)-1])
	must(t, os.WriteFile(filepath.Join(folder, "cloakroom.toml"), []byte(config), 0o600))
	t.Cleanup(func() {
		s.Stop()
		os.RemoveAll(folder)
	})
	s.Launch()
	return s
}

// Launch starts the process again after Stop. It has its sessions again.
func (s *Service) Launch() {
	s.t.Helper()
	log, err := os.OpenFile(filepath.Join(s.folder, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	must(s.t, err)
	defer log.Close()
	s.process = exec.Command(Program(s.t), "serve", "--config", filepath.Join(s.folder, "cloakroom.toml"))
	s.process.Dir, s.process.Stderr = s.folder, log
	s.process.Env = append(os.Environ(), "RUST_LOG=error")
	must(s.t, s.process.Start())
	s.t.Log("service", s.Address)
	for _, address := range []string{s.Address, s.AdminAddress} {
		Wait(s.t, "the service listens", func() bool {
			conn, err := net.Dial("tcp", address)
			if err == nil {
				conn.Close()
			}
			return err == nil
		})
	}
}

// Stop ends the process at once.
func (s *Service) Stop() {
	if s.process != nil {
		s.process.Process.Kill()
		s.process.Wait()
		s.process = nil
	}
}

// Client returns a client of an app.
func (s *Service) Client(app string) *cloakroom.Client {
	s.t.Helper()
	client, err := cloakroom.New(s.Address, cloakroom.Options{App: app, Deadline: 10 * time.Second})
	must(s.t, err)
	s.t.Cleanup(func() { client.Close() })
	return client
}

// Calls returns how many calls of an RPC have ended well.
func (s *Service) Calls(rpc string) int {
	s.t.Helper()
	response, err := http.Get("http://" + s.AdminAddress + "/metrics")
	must(s.t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	must(s.t, err)
	sum := 0
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, `cloakroom_calls_total{rpc="cloakroom.v1.SessionService/`+rpc+`",`) &&
			strings.Contains(line, `code="OK"`) {
			fields := strings.Fields(line)
			number, err := strconv.Atoi(fields[len(fields)-1])
			must(s.t, err)
			sum += number
		}
	}
	return sum
}

// FreeAddress returns an address of 127.0.0.1 that no other test gets until this process ends, whether it listens there
// or not yet: a listener on an address that nothing else uses holds it. It has another number, so that programs can
// listen on the port at all addresses. The port is below those that the system gives to outgoing connections, which
// could take it.
func FreeAddress(t testing.TB) string {
	t.Helper()
	for range 10_000 {
		port := 10_000 + rand.IntN(22_768)
		claim, err := net.Listen("tcp", fmt.Sprintf("127.255.255.254:%d", port+32_768))
		if err != nil {
			continue
		}
		claims.Store(port, claim)
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		listener.Close()
		return listener.Addr().String()
	}
	t.Fatal("no port is free")
	return ""
}

// Kept, because the garbage collector would close them.
var claims sync.Map

// Wait waits until a condition is true, and fails the test if it takes too long.
func Wait(t testing.TB, what string, isTrue func() bool) {
	t.Helper()
	for end := time.Now().Add(WaitLimit); !isTrue(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

// Root is the repository.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "../../../..")
}

// Program returns the service that CLOAKROOM_BIN names, or else the one that was built last.
func Program(t testing.TB) string {
	t.Helper()
	if named := os.Getenv("CLOAKROOM_BIN"); named != "" {
		if filepath.IsAbs(named) {
			return named
		}
		return filepath.Join(Root(), named)
	}
	newest, newestTime := "", time.Time{}
	for _, profile := range []string{"dist", "release", "debug"} {
		file := filepath.Join(Root(), "target", profile, "cloakroom")
		if info, err := os.Stat(file); err == nil && info.ModTime().After(newestTime) {
			newest, newestTime = file, info.ModTime()
		}
	}
	if newest == "" {
		t.Fatal("build the service first (cargo build), or name it by CLOAKROOM_BIN")
	}
	return newest
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
