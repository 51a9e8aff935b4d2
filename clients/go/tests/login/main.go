// An application with scs or gorilla/sessions, whichever its argument names. Who names a user is logged in.
package main

import (
	"fmt"
	"html"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	"cloakroom.example/cloakroom"
	"cloakroom.example/cloakroom/gorillastore"
	"cloakroom.example/cloakroom/scsstore"
	"github.com/alexedwards/scs/v2"
	"github.com/gorilla/sessions"
)

const form = `<form method="post" action="/login"><input name="username"><button>Log in</button></form>`

// library is what the pages need of the session of a request.
type library interface {
	get(r *http.Request, name string) (string, error)
	set(w http.ResponseWriter, r *http.Request, name, value string) error
	// renew gives the session another id and sets a value.
	renew(w http.ResponseWriter, r *http.Request, name, value string) error
}

func main() {
	client, err := cloakroom.New(os.Getenv("CLOAKROOM_ADDRESS"), cloakroom.Options{App: "stores", Deadline: time.Minute})
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("http://%s\n", listener.Addr())
	log.Fatal(http.Serve(listener, application(client, os.Args[1])))
}

func application(client *cloakroom.Client, name string) http.Handler {
	if name == "gorilla" {
		store := gorillastore.New(client, []byte(os.Getenv("SECRET")))
		return pages(gorillaLibrary{store})
	}
	store, manager := scsstore.New(client), scs.New()
	manager.Store, manager.Codec, manager.ErrorFunc = store, scsstore.Codec{}, scsstore.ErrorFunc(manager.ErrorFunc)
	return store.Middleware(manager.LoadAndSave(pages(scsLibrary{manager})))
}

func pages(library library) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		user, err := library.get(r, "user")
		text := "logged in as " + html.EscapeString(user)
		if user == "" {
			text = "not logged in"
		}
		w.Header().Set("Content-Type", "text/html")
		answer(w, fmt.Sprintf(`<link rel="icon" href="data:,"><p>%s</p>%s`, text, form), err)
	})
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		if err := library.renew(w, r, "user", r.PostFormValue("username")); err != nil {
			answer(w, "", err)
			return
		}
		http.Redirect(w, r, "/", http.StatusSeeOther)
	})
	mux.HandleFunc("GET /set", func(w http.ResponseWriter, r *http.Request) {
		answer(w, "set", library.set(w, r, r.FormValue("name"), r.FormValue("value")))
	})
	return mux
}

func answer(w http.ResponseWriter, text string, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprint(w, text)
}

type scsLibrary struct{ *scs.SessionManager }

func (l scsLibrary) get(r *http.Request, name string) (string, error) {
	return l.GetString(r.Context(), name), nil
}

func (l scsLibrary) set(_ http.ResponseWriter, r *http.Request, name, value string) error {
	l.Put(r.Context(), name, value)
	return nil
}

func (l scsLibrary) renew(w http.ResponseWriter, r *http.Request, name, value string) error {
	if err := l.RenewToken(r.Context()); err != nil {
		return err
	}
	return l.set(w, r, name, value)
}

type gorillaLibrary struct{ sessions.Store }

func (l gorillaLibrary) get(r *http.Request, name string) (string, error) {
	session, err := l.Get(r, "gorilla")
	value, _ := session.Values[name].(string)
	return value, err
}

func (l gorillaLibrary) set(w http.ResponseWriter, r *http.Request, name, value string) error {
	session, err := l.Get(r, "gorilla")
	if err != nil {
		return err
	}
	session.Values[name] = value
	return session.Save(r, w)
}

func (l gorillaLibrary) renew(w http.ResponseWriter, r *http.Request, name, value string) error {
	session, err := l.Get(r, "gorilla")
	if err != nil {
		return err
	}
	session.ID = ""
	session.Values[name] = value
	return session.Save(r, w)
}
