package cloakroom

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"cloakroom.example/cloakroom/internal/connect"
	"google.golang.org/protobuf/proto"
)

// Transport makes single attempts of calls. Applications need none: [New] makes one that speaks to a service, and
// cloakroomtest has one that is a service in memory.
//
// path is that of an RPC, such as "/cloakroom.v1.SessionService/OpenSession". The context always has a deadline. Every
// error has the type *Error, but for the end of a stream, which is io.EOF.
type Transport interface {
	Call(ctx context.Context, path string, request, response proto.Message) error
	Stream(ctx context.Context, path string, request proto.Message) (Stream, error)
}

// Stream has the messages of one call. One goroutine receives them, and any may close it.
type Stream interface {
	Receive(message proto.Message) error
	Close()
}

// Credentials are what the calls of a client are authenticated by. All are optional. The files are read again when they
// have changed, so they can be renewed without a restart.
type Credentials struct {
	Token     string // The caller token, which is sent with every call.
	TokenFile string // The file that has it, in place of Token.
	CAFile    string // The certificates, in PEM, that may have signed the service's. Else: those that the system trusts.
	CertFile  string // The client's certificate, with its chain, in PEM.
	KeyFile   string // The key of that certificate, in PEM.
}

// String returns the credentials without the token, so that they can be printed.
func (c Credentials) String() string {
	type printed Credentials
	shown := printed(c)
	if shown.Token != "" {
		shown.Token = "[hidden]"
	}
	return fmt.Sprintf("%+v", shown)
}

// GoString returns the same for the verb %#v.
func (c Credentials) GoString() string { return c.String() }

// LogValue returns the same for package log/slog.
func (c Credentials) LogValue() slog.Value { return slog.StringValue(c.String()) }

// Dial returns a transport to one or more addresses, which are separated by commas. It connects at the first call, has at
// most 64 connections to each address besides those of streams, and takes no proxy from the environment. It is an
// io.Closer.
func Dial(addresses string, credentials Credentials) (Transport, error) {
	transport, err := connect.New(addresses, connect.Credentials(credentials))
	if err != nil {
		return nil, err
	}
	return connectTransport{transport}, nil
}

type connectTransport struct{ transport *connect.Transport }

func (t connectTransport) Call(ctx context.Context, path string, request, response proto.Message) error {
	return errorOf(t.transport.Call(ctx, path, request, response))
}

func (t connectTransport) Stream(ctx context.Context, path string, request proto.Message) (Stream, error) {
	stream, err := t.transport.Stream(ctx, path, request)
	if err != nil {
		return nil, errorOf(err)
	}
	return connectStream{stream}, nil
}

// Close closes all connections; those in use after their calls.
func (t connectTransport) Close() error {
	t.transport.Close()
	return nil
}

type connectStream struct{ stream *connect.Stream }

func (s connectStream) Receive(message proto.Message) error {
	return errorOf(s.stream.Receive(message))
}

func (s connectStream) Close() { s.stream.Close() }

func errorOf(err error) error {
	var failed *connect.Failed
	if errors.As(err, &failed) {
		err := NewError(failed.Code, failed.Reason, failed.Message, failed.Cause)
		err.isLasting = failed.IsLasting
		return err
	}
	return err
}
