// Package cloakroom calls Cloakroom, a service that has the sessions of web applications.
//
// A [Client] makes the calls of one app. Web applications hand it to the package sessions, whose middleware opens and
// saves the session of each request:
//
//	client, err := cloakroom.New("localhost:50051", cloakroom.Options{App: "shop"})
//	...
//	http.ListenAndServe(":8000", sessions.New(client).Middleware(mux))
//
// The package admin lists and ends the sessions of a user, and cloakroomtest has a service in memory, for tests.
//
// # Addresses
//
// An address is a host and a port, such as "cloakroom:50051", "https://cloakroom:50051" with TLS, or "unix:/path" of a
// Unix socket. Several are separated by commas, and a name stands for all addresses that it has. All are used in turn; one
// that does not answer is left out for a while.
package cloakroom
