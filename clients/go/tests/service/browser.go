package service

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// Browser sends requests to a handler and keeps its cookies.
type Browser struct {
	Server *httptest.Server
	Jar    *cookiejar.Jar

	t      testing.TB
	client *http.Client
}

// Browse serves a handler until the test ends, and returns a browser for it.
func Browse(t testing.TB, handler http.Handler) *Browser {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return (&Browser{Server: server, t: t}).Another()
}

// Another returns another browser for the same server, without cookies.
func (b *Browser) Another() *Browser {
	jar, _ := cookiejar.New(nil) // Never fails without options.
	client := &http.Client{
		Jar:           jar,
		Transport:     b.Server.Client().Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return &Browser{Server: b.Server, Jar: jar, t: b.t, client: client}
}

// Answer is a response that has arrived whole.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// Get sends a request and fails the test if there is no whole answer.
func (b *Browser) Get(path string) Answer {
	b.t.Helper()
	answer, err := b.Try(path)
	must(b.t, err)
	return answer
}

// Try sends a request.
func (b *Browser) Try(path string) (Answer, error) {
	response, err := b.client.Get(b.Server.URL + path)
	if err != nil {
		return Answer{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return Answer{response.StatusCode, response.Header, string(body)}, err
}

// Cookies returns the browser's cookies as one header.
func (b *Browser) Cookies() string {
	to, err := url.Parse(b.Server.URL)
	must(b.t, err)
	var parts []string
	for _, cookie := range b.Jar.Cookies(to) {
		parts = append(parts, cookie.Name+"="+cookie.Value)
	}
	return strings.Join(parts, "; ")
}
