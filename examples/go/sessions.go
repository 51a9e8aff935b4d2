package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"

	pb "example/counter/cloakroom/v1"
)

var deadline = 5 * time.Second

// Without a connection, a call waits for one until its deadline.
const serviceConfig = `{
	"loadBalancingConfig": [{"round_robin": {}}],
	"methodConfig": [{"name": [{"service": "cloakroom.v1.SessionService"}], "waitForReady": true}]
}`

// sessions calls Cloakroom with a deadline per call, over all addresses in turn.
//
// Opens and saves take turns separately. Otherwise one of two replicas would get every open and the other one every save.
type sessions struct{ opens, saves pb.SessionServiceClient }

// dial takes one or more addresses: host:port, unix:/path, or dns:///name:port for all addresses of a name.
func dial(addresses string) (sessions, error) {
	opens, err := newClient(addresses)
	if err != nil {
		return sessions{}, err
	}
	saves, err := newClient(addresses)
	return sessions{opens, saves}, err
}

func newClient(addresses string) (pb.SessionServiceClient, error) {
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(serviceConfig),
		grpc.WithNoProxy(), // Calls carry tokens.
		// Leaves a connection that loses its packets. grpc-go pings every 10 s at most.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time: 10 * time.Second, Timeout: 3 * time.Second, PermitWithoutStream: true,
		}),
		// Connects again soon after a restart, and drops connections that are not used.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: time.Second,
		}),
		grpc.WithIdleTimeout(time.Minute),
	}
	if list := strings.Split(addresses, ","); len(list) > 1 {
		endpoints := resolver.State{}
		for _, address := range list {
			endpoints.Addresses = append(endpoints.Addresses, resolver.Address{Addr: address})
		}
		replicas := manual.NewBuilderWithScheme("replicas")
		replicas.InitialState(endpoints)
		options = append(options, grpc.WithResolvers(replicas))
		addresses = "replicas:///cloakroom"
	}
	conn, err := grpc.NewClient(addresses, options...)
	return pb.NewSessionServiceClient(conn), err
}

func (s sessions) open(r *http.Request) (*pb.OpenSessionResponse, error) {
	return call(r, s.opens.OpenSession, &pb.OpenSessionRequest{
		Credential: &pb.OpenSessionRequest_CookieHeader{CookieHeader: cookieHeader(r)},
	})
}

// save saves the changes in request to the opened session. If that has ended meanwhile, nothing is saved.
func (s sessions) save(r *http.Request, opened *pb.OpenSessionResponse, request *pb.SaveSessionRequest) (*pb.SaveSessionResponse, error) {
	request.Credential = &pb.SaveSessionRequest_Token{Token: opened.Session.Token}
	request.CookieOutdated = opened.CookieOutdated
	return s.send(r, request)
}

// openAndSave saves the changes in request without an open. If the cookie opens no session, that begins a new one.
func (s sessions) openAndSave(r *http.Request, request *pb.SaveSessionRequest) (*pb.SaveSessionResponse, error) {
	request.Credential = &pb.SaveSessionRequest_CookieHeader{CookieHeader: cookieHeader(r)}
	return s.send(r, request)
}

func (s sessions) send(r *http.Request, request *pb.SaveSessionRequest) (*pb.SaveSessionResponse, error) {
	id := make([]byte, 16)
	rand.Read(id) // Never returns an error, by its documentation.
	request.RequestId = hex.EncodeToString(id)
	request.Accessed = true
	return call(r, s.saves.SaveSession, request)
}

func (s sessions) destroy(r *http.Request) (*pb.DestroySessionResponse, error) {
	return call(r, s.saves.DestroySession, &pb.DestroySessionRequest{
		Credential: &pb.DestroySessionRequest_CookieHeader{CookieHeader: cookieHeader(r)},
	})
}

// call repeats a call until the deadline while the service is unavailable. That is safe: opens and destroys may be
// repeated, and saves have a request_id. gRPC's own retries end after five attempts, and when an answer has begun.
func call[Q, A any](r *http.Request, method func(context.Context, Q, ...grpc.CallOption) (A, error), request Q) (A, error) {
	ctx, cancel := context.WithTimeout(r.Context(), deadline)
	defer cancel()
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, 400*time.Millisecond) {
		answer, err := method(ctx, request)
		if status.Code(err) != codes.Unavailable {
			return answer, err
		}
		select {
		case <-ctx.Done():
			return answer, err
		case <-time.After(pause):
		}
	}
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
