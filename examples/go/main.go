// A login and a counter on Cloakroom: open the session, save it at most once, append the headers that come back.
package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"unicode/utf8"

	pb "example/counter/cloakroom/v1"
)

func main() {
	cloakroom, err := dial(cmp.Or(os.Getenv("CLOAKROOM_ADDRESS"), "127.0.0.1:50051"))
	if err != nil {
		log.Fatal(err)
	}
	http.Handle("GET /{$}", handler(cloakroom.home))
	// The cookie is SameSite=Lax unless the app's settings differ; a real site adds CSRF tokens to its forms.
	http.Handle("POST /login", handler(cloakroom.login))
	http.Handle("POST /count", handler(cloakroom.count))
	http.Handle("POST /logout", handler(cloakroom.logout))

	listener, err := net.Listen("tcp", "127.0.0.1:"+cmp.Or(os.Getenv("PORT"), "8003"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("http://%s\n", listener.Addr())
	log.Fatal(http.Serve(listener, nil))
}

func (c client) home(r *http.Request) (page, error) {
	opened, err := c.open(r)
	if err != nil {
		return page{}, err
	}
	return view(opened.Session.Entries, opened.ReadHeaders), nil
}

func (c client) login(r *http.Request) (page, error) {
	name := strings.ToValidUTF8(r.PostFormValue("name"), "\uFFFD")
	if name == "" || utf8.RuneCountInString(name) > 64 {
		return page{Status: http.StatusBadRequest, Text: "A name has 1 to 64 characters."}, nil
	}
	text, err := json.Marshal(name)
	if err != nil {
		return page{}, err
	}
	opened, err := c.open(r)
	if err != nil {
		return page{}, err
	}
	set := map[string]*pb.Value{"name": {Kind: &pb.Value_Json{Json: string(text)}}}
	saved, err := c.save(r, opened.Session.Token, &pb.Changes{Set: set, Subject: &name}, true)
	if err != nil || saved.Outcome == pb.Outcome_OUTCOME_GONE {
		return ended(saved.GetHeaders()), err
	}
	return redirect(saved.Headers), nil
}

func (c client) count(r *http.Request) (page, error) {
	opened, err := c.open(r)
	if err != nil {
		return page{}, err
	}
	saved, err := c.save(r, opened.Session.Token, &pb.Changes{Increment: map[string]int64{"count": 1}}, false)
	if err != nil || saved.Outcome == pb.Outcome_OUTCOME_GONE {
		return ended(saved.GetHeaders()), err
	}
	shown := view(opened.Session.Entries, saved.Headers)
	shown.Count = fmt.Sprint(saved.Counters["count"])
	return shown, nil
}

func (c client) logout(r *http.Request) (page, error) {
	destroyed, err := c.destroy(r)
	return redirect(destroyed.GetHeaders()), err
}
