// Measures what a session costs in a request of net/http, beside scs on Redis.
//
// Four servers run in processes of their own: without sessions, with scs on Redis, with scs on our store, and with this
// client. They take turns in short
// rounds, and the figure is the CPU of the server's process: the request less the same request without sessions. At the
// end it measures a call of the client's own transport beside connect-go.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"cloakroom.example/cloakroom"
	"cloakroom.example/cloakroom/scsstore"
	"cloakroom.example/cloakroom/sessions"
	"github.com/alexedwards/scs/redisstore"
	"github.com/alexedwards/scs/v2"
	"github.com/gomodule/redigo/redis"
)

const (
	withoutSessions = "none"
	withScs         = "scs"
	withStore       = "scsstore"
	withClient      = "cloakroom"
)

var kinds = []string{withoutSessions, withScs, withStore, withClient}

func main() {
	kind := flag.String("serve", "", "the kind of server to be")
	rounds := flag.Int("rounds", 7, "how often each measurement is made")
	requests := flag.Int("requests", 3000, "the requests of a measurement")
	flag.Parse()
	if *kind != "" {
		log.Fatal(serve(*kind))
	}
	if err := measure(*rounds, *requests); err != nil {
		log.Fatal(err)
	}
}

// entries are what a session holds: four of 256 bytes.
func entries() map[string]string {
	found := map[string]string{}
	for i := range 4 {
		found[fmt.Sprint("entry", i)] = strings.Repeat(strconv.Itoa(i), 256)
	}
	return found
}

func serve(kind string) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	return http.Serve(listener, handlerOf(kind))
}

func handlerOf(kind string) http.Handler {
	mux := http.NewServeMux()
	// The CPU that this process has used, in nanoseconds.
	mux.HandleFunc("/cpu", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, cpuUsed())
	})
	pages, wrap := pagesOf(kind)
	for path, page := range pages {
		mux.Handle("/"+path, wrap(page))
	}
	return mux
}

func pagesOf(kind string) (map[string]http.HandlerFunc, func(http.Handler) http.Handler) {
	switch kind {
	case withClient:
		client, err := cloakroom.New(os.Getenv("BENCH_SERVICE"), cloakroom.Options{App: "shop", Deadline: time.Minute})
		if err != nil {
			log.Fatal(err)
		}
		return map[string]http.HandlerFunc{
			"untouched": answer,
			"begin":     func(w http.ResponseWriter, r *http.Request) { begin(sessions.From(r.Context()).Set); answer(w, r) },
			"read": func(w http.ResponseWriter, r *http.Request) {
				if _, err := sessions.Get[string](sessions.From(r.Context()), "entry0"); err != nil {
					log.Fatal(err)
				}
				answer(w, r)
			},
			"write": func(w http.ResponseWriter, r *http.Request) {
				session := sessions.From(r.Context())
				n, err := sessions.Get[int](session, "n")
				if err != nil {
					log.Fatal(err)
				}
				session.Set("n", n+1)
				answer(w, r)
			},
		}, sessions.New(client).Middleware
	case withScs:
		manager := scs.New()
		manager.Store = redisstore.New(&redis.Pool{MaxIdle: 64, Dial: func() (redis.Conn, error) {
			return redis.Dial("tcp", os.Getenv("BENCH_REDIS"))
		}})
		return scsPagesOf(manager), manager.LoadAndSave
	case withStore:
		client, err := cloakroom.New(os.Getenv("BENCH_SERVICE"), cloakroom.Options{App: "external", Deadline: time.Minute})
		if err != nil {
			log.Fatal(err)
		}
		manager, store := scs.New(), scsstore.New(client)
		manager.Store, manager.Codec = store, scsstore.Codec{}
		return scsPagesOf(manager), func(next http.Handler) http.Handler { return store.Middleware(manager.LoadAndSave(next)) }
	}
	return map[string]http.HandlerFunc{"untouched": answer, "begin": answer, "read": answer, "write": answer},
		func(next http.Handler) http.Handler { return next }
}

func scsPagesOf(manager *scs.SessionManager) map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"untouched": answer,
		"begin": func(w http.ResponseWriter, r *http.Request) {
			begin(func(name string, value any) { manager.Put(r.Context(), name, value) })
			answer(w, r)
		},
		"read": func(w http.ResponseWriter, r *http.Request) {
			if manager.GetString(r.Context(), "entry0") == "" {
				log.Fatal("no session")
			}
			answer(w, r)
		},
		"write": func(w http.ResponseWriter, r *http.Request) {
			manager.Put(r.Context(), "n", manager.GetInt(r.Context(), "n")+1)
			answer(w, r)
		},
	}
}

func begin(set func(name string, value any)) {
	for name, value := range entries() {
		set(name, value)
	}
	set("n", 0)
}

func answer(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") }

// server is one of the processes, and the cookie of a session in it.
type server struct {
	process *exec.Cmd
	url     string
	cookie  string
}

func measure(rounds, requests int) error {
	folder, err := os.MkdirTemp("", "cloakroom-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	environment, stop, err := startStores(folder)
	defer stop()
	if err != nil {
		return err
	}
	servers := map[string]*server{}
	for _, kind := range kinds {
		found, err := startServer(kind, environment)
		if err != nil {
			return err
		}
		defer found.process.Process.Kill()
		servers[kind] = found
	}
	fmt.Printf("CPU of the session's part of a request, in us: the median of %d rounds of %d requests\n", rounds, requests)
	fmt.Printf("%-26s %8s %10s %7s %10s %7s\n", "", withScs, withStore, "ratio", withClient, "ratio")
	for _, concurrency := range []int{1, 50} {
		for _, page := range []string{"untouched", "read", "write"} {
			figures := map[string][]float64{}
			for range rounds {
				round := map[string]float64{}
				for _, kind := range kinds {
					if round[kind], err = servers[kind].cpu(page, requests, concurrency); err != nil {
						return err
					}
				}
				for _, kind := range kinds[1:] {
					figures[kind] = append(figures[kind], round[kind]-round[withoutSessions])
				}
			}
			scs, store, client := median(figures[withScs]), median(figures[withStore]), median(figures[withClient])
			fmt.Printf("%-26s %8.1f %10.1f %7.2f %10.1f %7.2f\n",
				fmt.Sprintf("%s, %d at once", page, concurrency), scs, store, store/scs, client, client/scs)
		}
	}
	fmt.Println()
	service := strings.TrimPrefix(environment[1], "BENCH_SERVICE=")
	return measureTransports(service, rounds, requests)
}

func median(of []float64) float64 {
	slices.Sort(of)
	return of[len(of)/2]
}

func startServer(kind string, environment []string) (*server, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	command := exec.Command(program, "-serve", kind)
	command.Env = append(os.Environ(), environment...)
	command.Stderr = os.Stderr
	output, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		return nil, err
	}
	found := &server{process: command, url: "http://" + strings.TrimSpace(line)}
	response, err := http.Get(found.url + "/begin")
	if err != nil {
		return nil, err
	}
	response.Body.Close()
	for _, cookie := range response.Cookies() {
		found.cookie = cookie.Name + "=" + cookie.Value
	}
	if kind != withoutSessions && found.cookie == "" {
		return nil, fmt.Errorf("%s began no session: %s", kind, response.Status)
	}
	return found, nil
}

// cpu returns the microseconds of CPU that the server used for each request.
func (s *server) cpu(page string, requests, concurrency int) (float64, error) {
	if err := s.send(page, requests/10+concurrency, concurrency); err != nil {
		return 0, err
	}
	start, err := s.used()
	if err != nil {
		return 0, err
	}
	if err := s.send(page, requests, concurrency); err != nil {
		return 0, err
	}
	end, err := s.used()
	return float64(end-start) / 1000 / float64(requests), err
}

func (s *server) used() (int, error) {
	response, err := http.Get(s.url + "/cpu")
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(text))
}

func (s *server) send(page string, requests, concurrency int) error {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: concurrency}}
	defer client.CloseIdleConnections()
	errs := make(chan error, concurrency)
	var group sync.WaitGroup
	for i := range concurrency {
		group.Go(func() {
			for range (requests + i) / concurrency {
				request, _ := http.NewRequestWithContext(context.Background(), "GET", s.url+"/"+page, nil)
				request.Header.Set("Cookie", s.cookie)
				response, err := client.Do(request)
				if err == nil {
					_, err = io.Copy(io.Discard, response.Body)
					response.Body.Close()
				}
				if err == nil && response.StatusCode != http.StatusOK {
					err = fmt.Errorf("%s: %s", page, response.Status)
				}
				if err != nil {
					errs <- err
					return
				}
			}
		})
	}
	group.Wait()
	close(errs)
	return <-errs
}

// startStores starts Redis for scs, and the service with a memory store, both on TCP of the loopback interface.
func startStores(folder string) (environment []string, stop func(), err error) {
	var processes []*exec.Cmd
	stop = func() {
		for _, process := range processes {
			process.Process.Kill()
			process.Wait()
		}
	}
	start := func(address, name string, arguments ...string) error {
		command := exec.Command(name, arguments...)
		command.Env = append(os.Environ(), "RUST_LOG=error")
		if err := command.Start(); err != nil {
			return err
		}
		processes = append(processes, command)
		for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
			conn, err := net.Dial("tcp", address)
			if err == nil {
				return conn.Close()
			}
			if time.Now().After(end) {
				return fmt.Errorf("%s does not listen: %w", name, err)
			}
		}
	}
	redisAddress, serviceAddress, adminAddress := freeAddress(), freeAddress(), freeAddress()
	_, port, _ := net.SplitHostPort(redisAddress)
	program := os.Getenv("CLOAKROOM_BIN")
	key, err := exec.Command(program, "keygen").Output()
	if err != nil {
		return nil, stop, fmt.Errorf("CLOAKROOM_BIN has to name the service: %w", err)
	}
	fields := strings.Fields(string(key))
	file := filepath.Join(folder, "cloakroom.toml")
	config := fmt.Sprintf("[server]\nlisten = %q\n[admin]\nlisten = %q\n[store]\nkind = \"memory\"\n[apps.shop]\nkeys = [%q]\n"+
		"[apps.external]\nkind = \"external\"\n",
		serviceAddress, adminAddress, fields[len(fields)-1])
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, stop, err
	}
	if err := start(redisAddress, "redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", folder); err != nil {
		return nil, stop, err
	}
	if err := start(serviceAddress, program, "serve", "--config", file); err != nil {
		return nil, stop, err
	}
	return []string{"BENCH_REDIS=" + redisAddress, "BENCH_SERVICE=" + serviceAddress}, stop, nil
}

func freeAddress() string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}
