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

// Calls Cloakroom, with a deadline on each call.
type sessions struct{ service pb.SessionServiceClient }

func dial(address string) (sessions, error) {
	conn, err := grpc.NewClient(address,
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultServiceConfig(retry))
	return sessions{pb.NewSessionServiceClient(conn)}, err
}

func (s sessions) open(r *http.Request) (*pb.OpenSessionResponse, error) {
	ctx, cancel := context.WithTimeout(r.Context(), deadline)
	defer cancel()
	return s.service.OpenSession(ctx, &pb.OpenSessionRequest{
		Credential: &pb.OpenSessionRequest_CookieHeader{CookieHeader: cookieHeader(r)},
	})
}

// Saves what save says of the session.
func (s sessions) save(r *http.Request, session *pb.Session, save *pb.SaveSessionRequest) (*pb.SaveSessionResponse, error) {
	ctx, cancel := context.WithTimeout(r.Context(), deadline)
	defer cancel()
	id := make([]byte, 16)
	rand.Read(id) // Never fails, says its documentation.
	save.RequestId = hex.EncodeToString(id)
	save.Credential = &pb.SaveSessionRequest_Token{Token: session.Token}
	save.Accessed = true
	return s.service.SaveSession(ctx, save)
}

// Saves what save says of the request's session, or of a new one if the request has no cookie.
func (s sessions) openAndSave(r *http.Request, save *pb.SaveSessionRequest) (*pb.SaveSessionResponse, error) {
	opened, err := s.open(r)
	if err != nil {
		return nil, err
	}
	return s.save(r, opened.Session, save)
}

func (s sessions) destroy(r *http.Request) (*pb.DestroySessionResponse, error) {
	ctx, cancel := context.WithTimeout(r.Context(), deadline)
	defer cancel()
	return s.service.DestroySession(ctx, &pb.DestroySessionRequest{
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
