// A login and a counter in net/http.
package main

import (
	"cmp"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	"cloakroom.example/cloakroom"
	"cloakroom.example/cloakroom/sessions"
)

func main() {
	address := cmp.Or(os.Getenv("CLOAKROOM_ADDRESS"), "localhost:50051")
	client, err := cloakroom.New(address, cloakroom.Options{Deadline: 5 * time.Second})
	if err != nil {
		log.Fatal(err)
	}
	of := sessions.New(client)
	of.OnGone = showEnded

	listener, err := net.Listen("tcp", "127.0.0.1:"+cmp.Or(os.Getenv("PORT"), "8003"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("http://%s\n", listener.Addr())
	server := http.Server{
		Handler: of.Middleware(routes()),
		// Cloakroom takes a Cookie header of up to 1 MiB.
		MaxHeaderBytes: 64 << 10, ReadHeaderTimeout: 10 * time.Second,
	}
	log.Fatal(server.Serve(listener))
}
