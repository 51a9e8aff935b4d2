package main

import (
	"html/template"
	"log"
	"net/http"

	"cloakroom.example/cloakroom/sessions"
)

// page is the session's name and counter, or Text in their place.
type page struct {
	Text  string
	Ended bool // Shows a button that starts a new session.
	Name  string
	Count int64
}

var layout = template.Must(template.New("page").Parse(`<!doctype html><title>Cloakroom</title>
{{- if .Text}}
<p id="who">{{.Text}}</p>
{{- if .Ended}}
<form method="post" action="/logout"><button>Start a new session</button></form>
{{- end}}
{{- else}}
<p id="who">{{if .Name}}Hello, {{.Name}}{{else}}not logged in{{end}}</p>
<p>Counter: <output id="count">{{.Count}}</output></p>
<form method="post" action="/count"><button>Count</button></form>
<form method="post" action="/logout"><button>Log out</button></form>
<form method="post" action="/login"><input name="name" required maxlength="64"><button>Log in</button></form>
{{- end}}
`))

// counterPage shows what the session has.
func counterPage(session *sessions.Session) (page, error) {
	name, err := sessions.Get[string](session, "name")
	if err != nil {
		return page{}, err
	}
	count, err := sessions.Get[int64](session, "count")
	return page{Name: name, Count: count}, err
}

func show(w http.ResponseWriter, status int, content page) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	if err := layout.Execute(w, content); err != nil {
		log.Print(err)
	}
}

// showEnded tells the user that the session ended while the request was running: nothing was saved.
func showEnded(w http.ResponseWriter, _ *http.Request, _ *sessions.GoneError) {
	show(w, http.StatusConflict, page{Text: "This session has ended.", Ended: true})
}
