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

const deadline = 5 * time.Second

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

// Saves what save says of the opened session, and answers all the headers to append.
func (s sessions) save(r *http.Request, opened *pb.OpenSessionResponse, save *pb.SaveSessionRequest) (*pb.SaveSessionResponse, error) {
	ctx, cancel := context.WithTimeout(r.Context(), deadline)
	defer cancel()
	id := make([]byte, 16)
	rand.Read(id) // Never fails, says its documentation.
	save.RequestId = hex.EncodeToString(id)
	save.Credential = &pb.SaveSessionRequest_Token{Token: opened.Session.Token}
	save.Accessed = true
	saved, err := s.service.SaveSession(ctx, save)
	// The open may have put another token in the place of the browser's, which the save then takes for known.
	if err == nil && saved.Outcome != pb.Outcome_OUTCOME_GONE {
		saved.Headers = append(opened.UntouchedHeaders, saved.Headers...)
	}
	return saved, err
}

// Saves what save says of the request's session, or of a new one if the request has no cookie.
func (s sessions) openAndSave(r *http.Request, save *pb.SaveSessionRequest) (*pb.SaveSessionResponse, error) {
	opened, err := s.open(r)
	if err != nil {
		return nil, err
	}
	return s.save(r, opened, save)
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
