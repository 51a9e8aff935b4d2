package sessions_test

import (
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"

	"cloakroom.example/cloakroom/cloakroomtest"
	"cloakroom.example/cloakroom/sessions"
)

// browse requests pages of a handler one after another, with the cookies of one browser.
func browse(handler http.Handler, paths ...string) {
	server := httptest.NewServer(handler)
	defer server.Close()
	jar, _ := cookiejar.New(nil)
	client := &http.Client{Jar: jar}
	for _, path := range paths {
		response, err := client.Get(server.URL + path)
		if err != nil {
			fmt.Println(err)
			return
		}
		response.Body.Close()
	}
}

func ExampleSessions_Middleware() {
	type Cart struct{ Items []string }

	mux := http.NewServeMux()
	mux.HandleFunc("/add", func(w http.ResponseWriter, r *http.Request) {
		session := sessions.From(r.Context())
		cart, err := sessions.Get[Cart](session, "cart")
		if err != nil {
			return // The middleware answers: 503 in an outage.
		}
		cart.Items = append(cart.Items, r.FormValue("item"))
		session.Set("cart", cart)
		fmt.Println(cart.Items)
	})
	client := cloakroomtest.New().Client("shop") // Or cloakroom.New("localhost:50051", ...).

	browse(sessions.New(client).Middleware(mux), "/add?item=hat", "/add?item=coat")
	// Output:
	// [hat]
	// [hat coat]
}

func ExampleSession_SetSubject() {
	mux := http.NewServeMux()
	mux.HandleFunc("/login", func(w http.ResponseWriter, r *http.Request) {
		// After the password was checked. The save replaces the token.
		sessions.From(r.Context()).SetSubject("ada")
	})
	mux.HandleFunc("/logout", func(w http.ResponseWriter, r *http.Request) {
		if err := sessions.From(r.Context()).Destroy(); err != nil {
			return
		}
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		user, err := sessions.From(r.Context()).Subject()
		if err != nil {
			return
		}
		fmt.Printf("%q\n", user)
	})
	client := cloakroomtest.New().Client("shop")

	browse(sessions.New(client).Middleware(mux), "/", "/login", "/", "/logout", "/")
	// Output:
	// ""
	// "ada"
	// ""
}

func ExampleSession_Increment() {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		session := sessions.From(r.Context())
		session.Increment("visits", 1)
		if err := session.Save(); err != nil {
			return
		}
		visits, err := sessions.Get[int](session, "visits")
		fmt.Println(visits, err)
	})
	client := cloakroomtest.New().Client("shop")

	browse(sessions.New(client).Middleware(handler), "/", "/")
	// Output:
	// 1 <nil>
	// 2 <nil>
}
