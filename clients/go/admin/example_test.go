package admin_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"cloakroom.example/cloakroom/admin"
	"cloakroom.example/cloakroom/cloakroomtest"
	"cloakroom.example/cloakroom/sessions"
)

func Example() {
	client := cloakroomtest.New().Client("shop") // Or cloakroom.New("localhost:50052", ...), AdminService's own address.
	login := sessions.New(client).Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sessions.From(r.Context()).SetSubject("ada")
	}))
	for _, device := range []string{"Telephone", "Laptop"} {
		request := httptest.NewRequest("GET", "/login", nil)
		request.Header.Set("User-Agent", device)
		login.ServeHTTP(httptest.NewRecorder(), request)
	}
	of, ctx := admin.New(client), context.Background()

	devices, err := of.Sessions(ctx, "ada")
	fmt.Println(len(devices), err)
	ended, err := of.RevokeOthers(ctx, "ada", devices[0].ID)
	fmt.Println(ended, err)
	// Output:
	// 2 <nil>
	// 1 <nil>
}
