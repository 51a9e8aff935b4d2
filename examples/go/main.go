// A login and a counter: each request opens its session, saves it at most once, and sends the returned headers.
package main

import (
	"cmp"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	pb "example/counter/cloakroom/v1"
)

func main() {
	s, err := dial(cmp.Or(os.Getenv("CLOAKROOM_ADDRESS"), "127.0.0.1:50051"))
	if err != nil {
		log.Fatal(err)
	}
	// Not http.DefaultServeMux, in which grpc-go's tracing registers pages of its own.
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", handler(s.home))
	// The cookie is SameSite=Lax by default. A real site also adds CSRF tokens to its forms.
	mux.Handle("POST /login", handler(s.login))
	mux.Handle("POST /count", handler(s.count))
	mux.Handle("POST /logout", handler(s.logout))

	listener, err := net.Listen("tcp", "127.0.0.1:"+cmp.Or(os.Getenv("PORT"), "8003"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("http://%s\n", listener.Addr())
	// Cloakroom takes a Cookie header of up to 1 MiB.
	server := http.Server{Handler: mux, MaxHeaderBytes: 64 << 10, ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(server.Serve(listener))
}

func (s sessions) home(r *http.Request) (page, error) {
	opened, err := s.open(r)
	if err != nil {
		return page{}, err
	}
	return counterPage(opened.Session.Entries, opened.ReadHeaders), nil
}

func (s sessions) login(r *http.Request) (page, error) {
	name := strings.ToValidUTF8(r.PostFormValue("name"), "\uFFFD")
	if name == "" || utf8.RuneCountInString(name) > 64 {
		return page{Status: http.StatusBadRequest, Text: "A name has 1 to 64 characters."}, nil
	}
	changes := &pb.Changes{Set: map[string]*pb.Value{"name": jsonString(name)}, Subject: &name}
	saved, err := s.openAndSave(r, &pb.SaveSessionRequest{Changes: changes, Rotate: true})
	return redirect(saved.GetHeaders()), err
}

func (s sessions) count(r *http.Request) (page, error) {
	opened, err := s.open(r)
	if err != nil {
		return page{}, err
	}
	changes := &pb.Changes{Increment: map[string]int64{"count": 1}}
	saved, err := s.save(r, opened, &pb.SaveSessionRequest{Changes: changes})
	if err != nil || saved.Outcome == pb.Outcome_OUTCOME_GONE {
		return sessionEndedPage(saved.GetHeaders()), err
	}
	result := counterPage(opened.Session.Entries, saved.Headers)
	result.Count = fmt.Sprint(saved.Counters["count"])
	return result, nil
}

func (s sessions) logout(r *http.Request) (page, error) {
	destroyed, err := s.destroy(r)
	return redirect(destroyed.GetHeaders()), err
}
