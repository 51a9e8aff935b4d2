package cloakroom

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	pb "cloakroom.example/cloakroom/cloakroomv1"
	"google.golang.org/protobuf/proto"
)

const (
	defaultDeadline = 2 * time.Second
	// Before the first repeat. The pause doubles for each further one, up to the last.
	firstPause = 50 * time.Millisecond
	lastPause  = 200 * time.Millisecond
	// The last pause if the service has answered: it works, but something that it needs does not.
	lastPauseOfAnswered = time.Second

	sessionService = "/cloakroom.v1.SessionService/"
)

// Options are what a client needs to know besides the address. All are optional.
type Options struct {
	// App is the app's name in the service's configuration. Empty means `default`.
	App string
	// Deadline is the time that one call may take, its repeats included. 0 means 2 seconds.
	Deadline time.Duration
	// Credentials are what the calls are authenticated by.
	Credentials Credentials
	// Transport makes the calls in place of connections to an address, which has to be empty then.
	Transport Transport
}

// Client calls one service for the sessions of one app. It may be used by many goroutines.
//
// A call that got no answer is repeated until its deadline. Every error of a call has the type *[Error].
type Client struct {
	app       string
	deadline  time.Duration
	transport Transport
	// Whether the transport looks at the deadline of a context, and needs no context that ends by itself.
	keepsDeadlines bool

	mutex  sync.Mutex
	policy *pb.GetAppPolicyResponse
}

// New returns a client of the service at one or more addresses, which are separated by commas. A process needs one client
// for each app.
func New(addresses string, options Options) (*Client, error) {
	if options.Deadline < 0 {
		return nil, fmt.Errorf("cloakroom: Deadline is %v; it cannot be negative", options.Deadline)
	}
	client := &Client{app: options.App, deadline: options.Deadline, transport: options.Transport}
	if client.deadline == 0 {
		client.deadline = defaultDeadline
	}
	if client.transport != nil {
		if addresses != "" || options.Credentials != (Credentials{}) {
			return nil, errors.New("cloakroom: a Transport has addresses and Credentials of its own")
		}
		return client, nil
	}
	transport, err := Dial(addresses, options.Credentials)
	if err != nil {
		return nil, fmt.Errorf("cloakroom: %w", err)
	}
	client.transport, client.keepsDeadlines = transport, true
	return client, nil
}

// App returns the name of the client's app.
func (c *Client) App() string { return c.app }

// Close closes the client's connections; those in use after their calls.
func (c *Client) Close() error {
	if closer, canClose := c.transport.(io.Closer); canClose {
		return closer.Close()
	}
	return nil
}

// OpenSession makes this call of the contract. The client fills in the app, here and below.
func (c *Client) OpenSession(ctx context.Context, request *pb.OpenSessionRequest) (*pb.OpenSessionResponse, error) {
	request.App = c.app
	response := &pb.OpenSessionResponse{}
	return response, c.Call(ctx, sessionService+"OpenSession", request, response)
}

// SaveSession makes this call of the contract. The request must have a request_id, so that a repeat is not applied twice.
func (c *Client) SaveSession(ctx context.Context, request *pb.SaveSessionRequest) (*pb.SaveSessionResponse, error) {
	if request.RequestId == "" {
		return nil, NewError("INVALID_ARGUMENT", "", "a save needs a request_id, so that its repeat is harmless", nil)
	}
	request.App = c.app
	response := &pb.SaveSessionResponse{}
	return response, c.Call(ctx, sessionService+"SaveSession", request, response)
}

// DestroySession makes this call of the contract.
func (c *Client) DestroySession(ctx context.Context, request *pb.DestroySessionRequest) (*pb.DestroySessionResponse, error) {
	request.App = c.app
	response := &pb.DestroySessionResponse{}
	return response, c.Call(ctx, sessionService+"DestroySession", request, response)
}

// Policy returns the cookie settings, lifetimes and limits of the app. It is fetched once.
func (c *Client) Policy(ctx context.Context) (*pb.GetAppPolicyResponse, error) {
	c.mutex.Lock()
	policy := c.policy
	c.mutex.Unlock()
	if policy != nil {
		return policy, nil
	}
	policy = &pb.GetAppPolicyResponse{}
	if err := c.Call(ctx, sessionService+"GetAppPolicy", &pb.GetAppPolicyRequest{App: c.app}, policy); err != nil {
		return nil, err
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.policy = policy
	return policy, nil
}

// Call makes a call that may be repeated, and repeats it until the client's deadline or that of the context.
func (c *Client) Call(ctx context.Context, path string, request, response proto.Message) error {
	if c.keepsDeadlines && ctx.Done() == nil {
		ctx = withEnd{ctx, time.Now().Add(c.deadline)}
	} else {
		limited, cancel := context.WithTimeout(ctx, c.deadline)
		defer cancel()
		ctx = limited
	}
	var before error
	for repeats := 0; ; repeats++ {
		err := c.transport.Call(ctx, path, request, response)
		if err == nil {
			return nil
		}
		if final := waitForRepeat(ctx, err, repeats); final != nil {
			return failureOfRepeat(ctx, before, final)
		}
		before = err
	}
}

// failureOfRepeat returns the failure of a repeat. That there was no time left for it does not say why the call was
// repeated.
func failureOfRepeat(ctx context.Context, before, err error) error {
	var earlier, failed *Error
	if end, _ := ctx.Deadline(); time.Now().Before(end) || !errors.As(before, &earlier) || !errors.As(err, &failed) {
		return err
	}
	return NewError(failed.Code, failed.Reason, failed.Message+"; the attempt before: "+earlier.Message, failed.cause)
}

// waitForRepeat waits before a failed call is repeated. It returns the error of the call if there is no point or no time
// for that.
func waitForRepeat(ctx context.Context, err error, repeats int) error {
	var failed *Error
	if !errors.As(err, &failed) || failed.isLasting || errors.Is(err, context.Canceled) {
		return err
	}
	pause := firstPause << min(repeats, 10)
	switch {
	case failed.Reason == "" && (failed.Code == "UNAVAILABLE" || failed.isBrokenConnection()):
		pause = min(pause, lastPause)
	case failed.Code == "UNAVAILABLE" || failed.Reason == "OVERLOADED":
		pause = min(pause, lastPauseOfAnswered)
	default:
		return err
	}
	if end, _ := ctx.Deadline(); !time.Now().Add(pause).Before(end) {
		return err
	}
	// Random, so that many processes do not repeat at the same time.
	timer := time.NewTimer(time.Duration(float64(pause) * (0.5 + 0.5*rand.Float64())))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.Canceled) {
			return NewError("CANCELLED", "", "the call was cancelled; the attempt before: "+failed.Message, ctx.Err())
		}
		return err
	}
}

// withEnd is a context that nobody can cancel, with a deadline. It needs no timer.
type withEnd struct {
	context.Context
	end time.Time
}

func (c withEnd) Deadline() (time.Time, bool) { return c.end, true }
