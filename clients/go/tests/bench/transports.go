package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"time"

	"cloakroom.example/cloakroom"
	pb "cloakroom.example/cloakroom/cloakroomv1"
	"connectrpc.com/connect"
)

const openSession = "/cloakroom.v1.SessionService/OpenSession"

// caller makes one call that opens a session.
type caller func(ctx context.Context, request *pb.OpenSessionRequest) error

// measureTransports prints the CPU of this process for a call by the client's own transport, and by connect-go over
// net/http. They take turns.
func measureTransports(service string, rounds, calls int) error {
	client, err := cloakroom.New(service, cloakroom.Options{App: "shop", Deadline: time.Minute})
	if err != nil {
		return err
	}
	defer client.Close()
	cookie, err := storeSession(client)
	if err != nil {
		return err
	}
	names := []string{"own", "connect-go, HTTP/1.1", "connect-go, HTTP/2"}
	callers := []caller{
		func(ctx context.Context, request *pb.OpenSessionRequest) error {
			_, err := client.OpenSession(ctx, request)
			return err
		},
		byConnectGo(service, func(protocols *http.Protocols) { protocols.SetHTTP1(true) }),
		byConnectGo(service, func(protocols *http.Protocols) { protocols.SetUnencryptedHTTP2(true) }),
	}
	fmt.Printf("CPU of a call by the client, in us: the median of %d rounds of %d calls\n", rounds, calls)
	for _, concurrency := range []int{1, 50} {
		figures := make([][]float64, len(callers))
		for range rounds {
			for i, call := range callers {
				used, err := cpuOf(call, cookie, calls, concurrency)
				if err != nil {
					return fmt.Errorf("%s: %w", names[i], err)
				}
				figures[i] = append(figures[i], used)
			}
		}
		own := median(figures[0])
		for i, name := range names {
			figure := median(figures[i])
			fmt.Printf("%-26s %-22s %8.1f %7.2f\n", fmt.Sprintf("open, %d at once", concurrency), name, figure, own/figure)
		}
	}
	return nil
}

// storeSession returns the Cookie header of a session with the usual entries.
func storeSession(client *cloakroom.Client) (string, error) {
	changes := &pb.Changes{Set: map[string]*pb.Value{}}
	for name, value := range entries() {
		changes.Set[name] = &pb.Value{Kind: &pb.Value_Json{Json: fmt.Sprintf("%q", value)}}
	}
	saved, err := client.SaveSession(context.Background(), &pb.SaveSessionRequest{
		Credential: &pb.SaveSessionRequest_CookieHeader{}, Changes: changes, RequestId: "0123456789abcdef",
	})
	if err != nil {
		return "", err
	}
	for _, header := range saved.Headers {
		if header.Name == "Set-Cookie" {
			cookie, _, _ := strings.Cut(header.Value, ";")
			return cookie, nil
		}
	}
	return "", fmt.Errorf("the service has set no cookie")
}

func byConnectGo(service string, choose func(*http.Protocols)) caller {
	protocols := &http.Protocols{}
	choose(protocols)
	transport := &http.Transport{Protocols: protocols, MaxIdleConnsPerHost: 64}
	client := connect.NewClient[pb.OpenSessionRequest, pb.OpenSessionResponse](
		&http.Client{Transport: transport}, "http://"+service+openSession)
	return func(ctx context.Context, request *pb.OpenSessionRequest) error {
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		request.App = "shop"
		_, err := client.CallUnary(ctx, connect.NewRequest(request))
		return err
	}
}

// cpuOf returns the microseconds of CPU that this process uses for each call.
func cpuOf(call caller, cookie string, calls, concurrency int) (float64, error) {
	if err := repeat(call, cookie, calls/10+concurrency, concurrency); err != nil {
		return 0, err
	}
	start := cpuUsed()
	err := repeat(call, cookie, calls, concurrency)
	return float64(cpuUsed()-start) / 1000 / float64(calls), err
}

func repeat(call caller, cookie string, calls, concurrency int) error {
	errs := make(chan error, concurrency)
	var group sync.WaitGroup
	for i := range concurrency {
		group.Go(func() {
			for range (calls + i) / concurrency {
				request := &pb.OpenSessionRequest{Credential: &pb.OpenSessionRequest_CookieHeader{CookieHeader: cookie}}
				if err := call(context.Background(), request); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	group.Wait()
	close(errs)
	return <-errs
}

// cpuUsed returns the CPU that this process has used, in nanoseconds.
func cpuUsed() int64 {
	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return usage.Utime.Nano() + usage.Stime.Nano()
}
