package tests

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"cloakroom.example/cloakroom"
	"cloakroom.example/cloakroom/cloakroomtest"
	pb "cloakroom.example/cloakroom/cloakroomv1"
	"cloakroom.example/cloakroom/sessions"
	"cloakroom.example/cloakroom/tests/service"
	"google.golang.org/protobuf/proto"
)

// attributePages are pages that save, rotate and end a session, and one that a header of a proxy gives its attributes.
func attributePages(client *cloakroom.Client, choose func(*http.Request) *pb.CookieAttributes) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/save", func(w http.ResponseWriter, r *http.Request) { sessions.From(r.Context()).Set("a", 1) })
	mux.HandleFunc("/rotate", func(w http.ResponseWriter, r *http.Request) { sessions.From(r.Context()).Rotate() })
	mux.HandleFunc("/permanent", func(w http.ResponseWriter, r *http.Request) { sessions.From(r.Context()).SetPermanent(true) })
	mux.HandleFunc("/read", func(w http.ResponseWriter, r *http.Request) {
		has, err := sessions.From(r.Context()).Has("a")
		fmt.Fprint(w, has, err)
	})
	mux.HandleFunc("/destroy", func(w http.ResponseWriter, r *http.Request) { sessions.From(r.Context()).Destroy() })
	of := sessions.New(client)
	of.CookieAttributes = choose
	return of.Middleware(mux)
}

func TestARequestChoosesTheAttributesOfItsCookieInEveryCall(t *testing.T) {
	running := service.Start(t, service.Options{})
	memory, err := cloakroom.New("", cloakroom.Options{App: "shop", Transport: cloakroomtest.New(cloakroomtest.App{Name: "shop"})})
	must(t, err)
	choose := func(r *http.Request) *pb.CookieAttributes {
		return &pb.CookieAttributes{
			Domain: proto.String("shop.example"), Path: proto.String("/app"), Secure: proto.Bool(true), Samesite: proto.String("Strict"),
		}
	}
	for name, client := range map[string]*cloakroom.Client{"service": running.Client("shop"), "memory": memory} {
		handler, cookie := attributePages(client, choose), ""
		for _, page := range []string{"/save", "/rotate", "/permanent", "/read", "/destroy"} {
			recorder, request := httptest.NewRecorder(), httptest.NewRequest("GET", page, nil)
			request.Header.Set("Cookie", cookie)
			handler.ServeHTTP(recorder, request)

			set := recorder.Header().Get("Set-Cookie")
			if !strings.Contains(set, "; Domain=shop.example") || !strings.Contains(set, "; Secure; HttpOnly; Path=/app; SameSite=Strict") {
				t.Errorf("%s%s: %q", name, page, set)
			}
			cookie, _, _ = strings.Cut(set, ";")
		}
	}
}

func TestSecureAutoFollowsTheConnectionOfTheBrowser(t *testing.T) {
	running := service.Start(t, service.Options{})
	handler := attributePages(running.Client("shop"), sessions.SecureAuto)
	for _, isTLS := range []bool{false, true} {
		recorder, request := httptest.NewRecorder(), httptest.NewRequest("GET", "/save", nil)
		if isTLS {
			request.TLS = &tls.ConnectionState{}
		}
		handler.ServeHTTP(recorder, request)
		if set := recorder.Header().Get("Set-Cookie"); set == "" || strings.Contains(set, "; Secure") != isTLS {
			t.Errorf("by TLS %v: %q", isTLS, set)
		}
	}
}

func TestEachMountHasACookieOfItsOwnByItsPath(t *testing.T) {
	running := service.Start(t, service.Options{})
	mux := http.NewServeMux()
	for _, mount := range []string{"/shop", "/office"} {
		pages := attributePages(running.Client("shop"), func(*http.Request) *pb.CookieAttributes {
			return &pb.CookieAttributes{Path: proto.String(mount)}
		})
		mux.Handle(mount+"/", http.StripPrefix(mount, pages))
	}
	browser := service.Browse(t, mux)

	set := browser.Get("/shop/save").Header.Get("Set-Cookie")
	atShop, atOffice := browser.Get("/shop/read").Body, browser.Get("/office/read").Body

	if !strings.Contains(set, "; Path=/shop;") || atShop != "true <nil>" || atOffice != "false <nil>" {
		t.Errorf("%q, read at the shop: %s, at the office: %s", set, atShop, atOffice)
	}
	if set := browser.Get("/office/save").Header.Get("Set-Cookie"); !strings.Contains(set, "; Path=/office;") {
		t.Errorf("%q", set)
	}
}

func TestAHeaderOfTheProxyChoosesTheDomainOfATenant(t *testing.T) {
	running := service.Start(t, service.Options{})
	handler := attributePages(running.Client("shop"), func(r *http.Request) *pb.CookieAttributes {
		tenant := r.Header.Get("X-Tenant")
		if tenant == "" {
			return nil
		}
		return &pb.CookieAttributes{Domain: proto.String(tenant + ".example")}
	})
	for tenant, domain := range map[string]string{"north": "; Domain=north.example;", "south": "; Domain=south.example;", "": ""} {
		cookie := ""
		for _, page := range []string{"/save", "/destroy"} {
			recorder, request := httptest.NewRecorder(), httptest.NewRequest("GET", page, nil)
			request.Header.Set("X-Tenant", tenant)
			request.Header.Set("Cookie", cookie)
			handler.ServeHTTP(recorder, request)

			set := recorder.Header().Get("Set-Cookie")
			if !strings.Contains(set, domain) || strings.Contains(set, "Domain=") != (domain != "") {
				t.Errorf("%s of %q: %q", page, tenant, set)
			}
			cookie, _, _ = strings.Cut(set, ";")
		}
	}
}

// proxies and secureBehindProxy stand in docs/go.md.
var proxies = netip.MustParsePrefix("10.0.0.0/24")

func secureBehindProxy(r *http.Request) *pb.CookieAttributes {
	sender, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !proxies.Contains(sender.Addr().Unmap()) || r.Header.Get("X-Forwarded-Proto") != "https" {
		return sessions.SecureAuto(r)
	}
	return &pb.CookieAttributes{Secure: proto.Bool(true)}
}

func TestSecureFollowsTheHeaderOfAProxyAndOfNobodyElse(t *testing.T) {
	running := service.Start(t, service.Options{})
	handler := attributePages(running.Client("shop"), secureBehindProxy)
	for _, sent := range []struct {
		by, scheme string
		isSecure   bool
	}{
		{"10.0.0.7:4242", "https", true},
		{"[::ffff:10.0.0.7]:4242", "https", true},
		{"10.0.0.7:4242", "http", false},
		{"10.0.0.7:4242", "", false},
		{"10.0.1.7:4242", "https", false},
		{"[::1]:4242", "https", false},
		{"@", "https", false}, // A Unix socket.
	} {
		recorder, request := httptest.NewRecorder(), httptest.NewRequest("GET", "/save", nil)
		request.RemoteAddr = sent.by
		request.Header.Set("X-Forwarded-Proto", sent.scheme)
		handler.ServeHTTP(recorder, request)
		if set := recorder.Header().Get("Set-Cookie"); set == "" || strings.Contains(set, "; Secure") != sent.isSecure {
			t.Errorf("%v: %q", sent, set)
		}
	}
}

func TestServiceAndMemoryRefuseTheSameAttributes(t *testing.T) {
	running := service.Start(t, service.Options{Apps: "[apps.tls]\nkeys = [\"{key}\"]\n[apps.tls.cookie]\nname = \"__Host-id\"\nsecure = true\n"})
	memory, err := cloakroom.New("", cloakroom.Options{App: "tls", Transport: cloakroomtest.New(
		cloakroomtest.App{Name: "tls", CookieName: "__Host-id", CookieSecure: true})})
	must(t, err)
	for i, attributes := range []*pb.CookieAttributes{
		nil, {}, {Secure: proto.Bool(true)}, {Samesite: proto.String("")}, {Samesite: proto.String("None")},
		{Secure: proto.Bool(false)}, {Samesite: proto.String("lax")}, {Path: proto.String("/a")}, {Path: proto.String("a")},
		{Path: proto.String("/;")}, {Domain: proto.String("shop.example")}, {Domain: proto.String(".example")}, {Domain: proto.String("")},
	} {
		var reasons []string
		for _, client := range []*cloakroom.Client{running.Client("tls"), memory} {
			_, err := client.OpenSession(t.Context(), &pb.OpenSessionRequest{CookieAttributes: attributes})
			var refused *cloakroom.Error
			errors.As(err, &refused)
			if refused == nil {
				reasons = append(reasons, "")
			} else {
				reasons = append(reasons, refused.Reason)
			}
		}
		isGood := i < 5 || i == 12
		if reasons[0] != reasons[1] || (reasons[0] == "") != isGood {
			t.Errorf("%v: %q", attributes, reasons)
		}
	}
}
