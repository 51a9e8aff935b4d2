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

// page is a response: the session's name and counter, or Text in their place.
type page struct {
	Status      int
	Text        string
	Ended       bool // Shows a button that starts a new session.
	Name, Count string
	Headers     []*pb.Header
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

// counterPage shows the entries of a session.
func counterPage(entries map[string]*pb.Value, headers []*pb.Header) page {
	result := page{Status: http.StatusOK, Count: "0", Headers: headers}
	if count, ok := entries["count"]; ok {
		result.Count = count.GetJson()
	}
	if name, ok := entries["name"]; ok {
		if err := json.Unmarshal([]byte(name.GetJson()), &result.Name); err != nil {
			log.Print(err)
		}
	}
	return result
}

// jsonString returns a string as the value of an entry.
func jsonString(text string) *pb.Value {
	encoded, _ := json.Marshal(text) // Cannot fail for a string.
	return &pb.Value{Kind: &pb.Value_Json{Json: string(encoded)}}
}

func sessionEndedPage(headers []*pb.Header) page {
	return page{Status: http.StatusConflict, Text: "This session has ended.", Ended: true, Headers: headers}
}

func redirect(headers []*pb.Header) page {
	headers = append(headers, &pb.Header{Name: "Location", Value: "/"})
	return page{Status: http.StatusSeeOther, Text: "See the first page.", Headers: headers}
}

// handler returns the page for a request, or the error of a call to Cloakroom.
type handler func(r *http.Request) (page, error)

func (handle handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 4096)
	response, err := handle(r)
	switch status.Code(err) {
	case codes.OK:
		for _, header := range response.Headers {
			w.Header().Add(header.Name, header.Value)
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(response.Status)
		if err := layout.Execute(w, response); err != nil {
			log.Print(err)
		}
	// If the session cannot be read now, do not show the page of a user who is logged out.
	case codes.Unavailable, codes.DeadlineExceeded, codes.ResourceExhausted:
		log.Print(err)
		http.Error(w, "Try again in a moment.", http.StatusServiceUnavailable)
	default:
		log.Print(err)
		http.Error(w, "Something broke.", http.StatusInternalServerError)
	}
}
