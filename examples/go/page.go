package main

import (
	"encoding/json"
	"html/template"
	"log"
	"net/http"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "example/counter/cloakroom/v1"
)

type page struct {
	Status      int
	Text        string // Instead of the session.
	Ended       bool
	Name, Count string
	Headers     []*pb.Header
}

var layout = template.Must(template.New("page").Parse(`<!doctype html><title>Cloakroom</title>
{{- if .Text}}
<p id="who">{{.Text}}</p>
{{- if .Ended}}
<form method="post" action="/logout"><button>Start afresh</button></form>
{{- end}}
{{- else}}
<p id="who">{{if .Name}}Hello, {{.Name}}{{else}}not logged in{{end}}</p>
<p>Counter: <output id="count">{{.Count}}</output></p>
<form method="post" action="/count"><button>Count</button></form>
<form method="post" action="/logout"><button>Log out</button></form>
<form method="post" action="/login"><input name="name" required maxlength="64"><button>Log in</button></form>
{{- end}}
`))

func view(entries map[string]*pb.Value, headers []*pb.Header) page {
	shown := page{Status: http.StatusOK, Count: "0", Headers: headers}
	if count, ok := entries["count"]; ok {
		shown.Count = count.GetJson()
	}
	if name, ok := entries["name"]; ok {
		if err := json.Unmarshal([]byte(name.GetJson()), &shown.Name); err != nil {
			log.Print(err)
		}
	}
	return shown
}

// A name as the entry's value.
func text(name string) *pb.Value {
	encoded, _ := json.Marshal(name) // A string always has a JSON text.
	return &pb.Value{Kind: &pb.Value_Json{Json: string(encoded)}}
}

func ended(headers []*pb.Header) page {
	return page{Status: http.StatusConflict, Text: "This session has ended.", Ended: true, Headers: headers}
}

func redirect(headers []*pb.Header) page {
	headers = append(headers, &pb.Header{Name: "Location", Value: "/"})
	return page{Status: http.StatusSeeOther, Text: "See the first page.", Headers: headers}
}

// A request's answer, or why there is none.
type handler func(r *http.Request) (page, error)

func (answer handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 4096)
	shown, err := answer(r)
	switch status.Code(err) {
	case codes.OK:
		for _, header := range shown.Headers {
			w.Header().Add(header.Name, header.Value)
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(shown.Status)
		if err := layout.Execute(w, shown); err != nil {
			log.Print(err)
		}
	// A session that cannot be read now is no reason to show a logged out page.
	case codes.Unavailable, codes.DeadlineExceeded, codes.ResourceExhausted:
		log.Print(err)
		http.Error(w, "Try again in a moment.", http.StatusServiceUnavailable)
	default:
		log.Print(err)
		http.Error(w, "Something broke.", http.StatusInternalServerError)
	}
}
