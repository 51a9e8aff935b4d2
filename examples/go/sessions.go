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

// Retries are safe: opens and destroys may be repeated, and saves have a request_id.
const retryPolicy = `{"methodConfig": [{
	"name": [{"service": "cloakroom.v1.SessionService"}],
	"retryPolicy": {
		"maxAttempts": 3, "initialBackoff": "0.05s", "maxBackoff": "0.5s", "backoffMultiplier": 2,
		"retryableStatusCodes": ["UNAVAILABLE"]
	}
}]}`

// sessions calls Cloakroom with a deadline per call.
type sessions struct{ service pb.SessionServiceClient }

func dial(address string) (sessions, error) {
	conn, err := grpc.NewClient(address,
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultServiceConfig(retryPolicy),
		grpc.WithNoProxy()) // Calls carry tokens.
	return sessions{pb.NewSessionServiceClient(conn)}, err
}

func (s sessions) open(r *http.Request) (*pb.OpenSessionResponse, error) {
	ctx, cancel := context.WithTimeout(r.Context(), deadline)
	defer cancel()
	return s.service.OpenSession(ctx, &pb.OpenSessionRequest{
		Credential: &pb.OpenSessionRequest_CookieHeader{CookieHeader: cookieHeader(r)},
	})
}

// save saves the changes in request to the opened session. The response has all headers to send.
func (s sessions) save(r *http.Request, opened *pb.OpenSessionResponse, request *pb.SaveSessionRequest) (*pb.SaveSessionResponse, error) {
	ctx, cancel := context.WithTimeout(r.Context(), deadline)
	defer cancel()
	id := make([]byte, 16)
	rand.Read(id) // Never returns an error, by its documentation.
	request.RequestId = hex.EncodeToString(id)
	request.Credential = &pb.SaveSessionRequest_Token{Token: opened.Session.Token}
	request.Accessed = true
	saved, err := s.service.SaveSession(ctx, request)
	// If the open returned a new token, only the headers of the open set it.
	if err == nil && saved.Outcome != pb.Outcome_OUTCOME_GONE {
		saved.Headers = append(opened.UntouchedHeaders, saved.Headers...)
	}
	return saved, err
}

// openAndSave saves the changes in request to the session of r, or to a new session if r has no cookie.
func (s sessions) openAndSave(r *http.Request, request *pb.SaveSessionRequest) (*pb.SaveSessionResponse, error) {
	opened, err := s.open(r)
	if err != nil {
		return nil, err
	}
	return s.save(r, opened, request)
}

func (s sessions) destroy(r *http.Request) (*pb.DestroySessionResponse, error) {
	ctx, cancel := context.WithTimeout(r.Context(), deadline)
	defer cancel()
	return s.service.DestroySession(ctx, &pb.DestroySessionRequest{
		Credential: &pb.DestroySessionRequest_CookieHeader{CookieHeader: cookieHeader(r)},
	})
}

// cookieHeader returns all Cookie lines, decoded as Latin-1, which is what Cloakroom expects.
func cookieHeader(r *http.Request) string {
	line := []byte(strings.Join(r.Header["Cookie"], "; "))
	text := make([]rune, len(line))
	for i, b := range line {
		text[i] = rune(b)
	}
	return string(text)
}
