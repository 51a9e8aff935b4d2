package main

import (
	"errors"
	"net/http"
	"strings"
	"unicode/utf8"

	"cloakroom.example/cloakroom/sessions"
)

func routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", home)
	// The cookie is SameSite=Lax by default. A real site also adds CSRF tokens to its forms.
	mux.HandleFunc("POST /login", login)
	mux.HandleFunc("POST /count", count)
	mux.HandleFunc("POST /logout", logout)
	return http.MaxBytesHandler(mux, 4096)
}

func home(w http.ResponseWriter, r *http.Request) {
	content, err := counterPage(sessions.From(r.Context()))
	if err != nil {
		return // The middleware answers: 503 in an outage.
	}
	show(w, http.StatusOK, content)
}

// A real application asks for a password.
func login(w http.ResponseWriter, r *http.Request) {
	name := strings.ToValidUTF8(r.PostFormValue("name"), "\uFFFD")
	if name == "" || utf8.RuneCountInString(name) > 64 {
		show(w, http.StatusBadRequest, page{Text: "A name has 1 to 64 characters."})
		return
	}
	session := sessions.From(r.Context())
	session.Set("name", name)
	session.SetSubject(name)
	session.Rotate() // Also if the same user logs in again.
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func count(w http.ResponseWriter, r *http.Request) {
	session := sessions.From(r.Context())
	// Opens the session, so that the page has the name and the count of the same one.
	if _, err := counterPage(session); err != nil {
		return
	}
	session.Increment("count", 1)
	err := session.Save()
	if gone := (*sessions.GoneError)(nil); errors.As(err, &gone) {
		showEnded(w, r, gone)
		return
	}
	if err != nil {
		return
	}
	home(w, r)
}

func logout(w http.ResponseWriter, r *http.Request) {
	if err := sessions.From(r.Context()).Destroy(); err != nil {
		return
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}
