package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	pb "example/counter/cloakroom/v1"
)

const deadline = 2 * time.Second

// Repeating is harmless: opening and destroying always, saving because each save has a request_id.
const retry = `{"methodConfig": [{
	"name": [{"service": "cloakroom.v1.SessionService"}],
	"retryPolicy": {
		"maxAttempts": 3, "initialBackoff": "0.05s", "maxBackoff": "0.5s", "backoffMultiplier": 2,
		"retryableStatusCodes": ["UNAVAILABLE"]
	}
}]}`

type client struct{ sessions pb.SessionServiceClient }

func dial(address string) (client, error) {
	conn, err := grpc.NewClient(address,
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultServiceConfig(retry))
	return client{pb.NewSessionServiceClient(conn)}, err
}

func (c client) open(r *http.Request) (*pb.OpenSessionResponse, error) {
	ctx, cancel := context.WithTimeout(r.Context(), deadline)
	defer cancel()
	return c.sessions.OpenSession(ctx, &pb.OpenSessionRequest{
		Credential: &pb.OpenSessionRequest_CookieHeader{CookieHeader: cookieHeader(r)},
	})
}

func (c client) save(r *http.Request, token string, changes *pb.Changes, rotate bool) (*pb.SaveSessionResponse, error) {
	ctx, cancel := context.WithTimeout(r.Context(), deadline)
	defer cancel()
	id := make([]byte, 16)
	rand.Read(id) // Never fails, says its documentation.
	return c.sessions.SaveSession(ctx, &pb.SaveSessionRequest{
		Credential: &pb.SaveSessionRequest_Token{Token: token},
		Changes:    changes,
		Accessed:   true,
		Rotate:     rotate,
		RequestId:  hex.EncodeToString(id),
	})
}

func (c client) destroy(r *http.Request) (*pb.DestroySessionResponse, error) {
	ctx, cancel := context.WithTimeout(r.Context(), deadline)
	defer cancel()
	return c.sessions.DestroySession(ctx, &pb.DestroySessionRequest{
		Credential: &pb.DestroySessionRequest_CookieHeader{CookieHeader: cookieHeader(r)},
	})
}

// All Cookie lines, each byte read as the Latin-1 character of that number.
func cookieHeader(r *http.Request) string {
	line := []byte(strings.Join(r.Header["Cookie"], "; "))
	text := make([]rune, len(line))
	for i, b := range line {
		text[i] = rune(b)
	}
	return string(text)
}
