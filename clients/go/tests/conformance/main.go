// The client in clients/go, as an application of the conformance kit.
package main

import (
	"log"
	"net/http"
	"os"
	"time"

	"cloakroom.example/cloakroom"
	"cloakroom.example/cloakroom/sessions"
)

func main() {
	deadline, err := time.ParseDuration(os.Getenv("CLOAKROOM_DEADLINE") + "s")
	if err != nil {
		log.Fatal(err)
	}
	client, err := cloakroom.New(os.Getenv("CLOAKROOM_ADDRESS"), cloakroom.Options{
		App: os.Getenv("CLOAKROOM_APP"), Deadline: deadline,
	})
	if err != nil {
		log.Fatal(err)
	}
	middleware := sessions.New(client)
	middleware.OnGone = func(w http.ResponseWriter, r *http.Request, gone *sessions.GoneError) {
		http.Error(w, gone.Error(), http.StatusConflict)
	}
	middleware.OnError = func(w http.ResponseWriter, r *http.Request, err error) {
		http.Error(w, err.Error(), http.StatusBadRequest)
	}
	handler := middleware.Middleware(routes())
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), handler))
}
