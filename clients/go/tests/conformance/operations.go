package main

import (
	"encoding/json"
	"errors"
	"net/http"

	"cloakroom.example/cloakroom/sessions"
)

// operation is a name and its arguments.
type operation []json.RawMessage

// routes returns what the kit asks for. It takes the place of the pages of examples/go as well, so it has no imports that
// the example has not.
func routes() http.Handler { return http.HandlerFunc(serve) }

func serve(w http.ResponseWriter, r *http.Request) {
	var request struct{ Operations []operation }
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	done := response{w: w, status: http.StatusOK, results: []any{}}
	for _, operation := range request.Operations {
		result, err := done.run(sessions.From(r.Context()), operation)
		if gone := (*sessions.GoneError)(nil); errors.As(err, &gone) {
			http.Error(w, gone.Error(), http.StatusConflict)
			return
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		done.results = append(done.results, result)
	}
	body, _ := json.Marshal(map[string]any{"results": done.results})
	w.WriteHeader(done.status)
	if !done.isStreamed {
		w.Write(body)
		return
	}
	for _, part := range [][]byte{body[:5], body[5:10], body[10:]} {
		w.Write(part)
		http.NewResponseController(w).Flush()
	}
}

// response is what the operations have made of the response.
type response struct {
	w          http.ResponseWriter
	status     int
	isStreamed bool
	results    []any
}

func (r *response) run(session *sessions.Session, o operation) (any, error) {
	switch text(o[0]) {
	case "get":
		return sessions.Get[any](session, text(o[1]))
	case "set":
		session.Set(text(o[1]), o[2])
	case "delete":
		session.Delete(text(o[1]))
	case "increment":
		session.Increment(text(o[1]), decode[int64](o[2]))
	case "clear":
		session.Clear()
	case "login":
		session.SetSubject(text(o[1]))
	case "subject":
		subject, err := session.Subject()
		if subject == "" {
			return nil, err
		}
		return subject, err
	case "rotate":
		session.Rotate()
	case "permanent":
		session.SetPermanent(decode[bool](o[1]))
	case "destroy":
		return nil, session.Destroy()
	case "save":
		return nil, session.Save()
	case "header":
		r.w.Header().Add(text(o[1]), text(o[2]))
	case "status":
		r.status = decode[int](o[1])
	case "stream":
		r.isStreamed = true
	}
	return nil, nil
}

func text(raw json.RawMessage) string { return decode[string](raw) }

func decode[T any](raw json.RawMessage) (value T) {
	if err := json.Unmarshal(raw, &value); err != nil {
		panic(err)
	}
	return value
}
