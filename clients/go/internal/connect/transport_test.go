//go:build go1.25

package connect

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	pb "cloakroom.example/cloakroom/cloakroomv1"
)

const (
	path       = "/cloakroom.v1.SessionService/WatchSession"
	usualEmpty = "HTTP/1.1 200 OK\r\ncontent-type: application/proto\r\ncontent-length: 0\r\n\r\n"
	streamHead = "HTTP/1.1 200 OK\r\ncontent-type: application/connect+proto\r\ntransfer-encoding: chunked\r\n\r\n"
	// The first message, without content.
	streamMessage = "5\r\n\x00\x00\x00\x00\x00\r\n"
)

// connects is what a pool connects by.
type connects = func(context.Context, time.Time) (*connection, error)

// twoReplicas returns a transport whose first call goes to the first replica, and a context with a deadline of 500 ms.
func twoReplicas(t *testing.T, first, second connects) (*Transport, context.Context) {
	t.Helper()
	transport, err := New("10.0.0.1:1,10.0.0.2:1", Credentials{})
	if err != nil {
		t.Fatal(err)
	}
	transport.replicas.turns[path] = 0
	for i, connect := range []connects{first, second} {
		transport.replicas.all[i].pool.connect = connect
	}
	t.Cleanup(transport.Close)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	t.Cleanup(cancel)
	return transport, ctx
}

// unreachable connects to nothing until its end, as if packets were dropped.
func unreachable(_ context.Context, end time.Time) (*connection, error) {
	time.Sleep(time.Until(end))
	return nil, context.DeadlineExceeded
}

// answers connects to a replica that answers the first request by a text, and then is silent.
func answers(text string) connects {
	return func(context.Context, time.Time) (*connection, error) {
		near, far := net.Pipe()
		go func() {
			far.Read(make([]byte, 4096))
			io.WriteString(far, text)
			io.Copy(io.Discard, far)
		}()
		return &connection{conn: near, isNew: true, lastUse: time.Now(), input: make([]byte, 4096)}, nil
	}
}

func TestACallLeavesHalfOfItsTimeForAnotherReplicaWhenItCannotConnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		transport, ctx := twoReplicas(t, unreachable, answers(usualEmpty))

		if err := transport.Call(ctx, path, &pb.OpenSessionRequest{}, &pb.OpenSessionResponse{}); err != nil {
			t.Error(err)
		}
	})
}

func TestACallLeavesHalfOfItsTimeForAnotherReplicaWhenAllConnectionsAreInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		transport, ctx := twoReplicas(t, unreachable, answers(usualEmpty))
		for range maxConnections {
			transport.replicas.all[0].pool.permits <- struct{}{}
		}

		if err := transport.Call(ctx, path, &pb.OpenSessionRequest{}, &pb.OpenSessionResponse{}); err != nil {
			t.Error(err)
		}
	})
}

func TestTheLastReplicaHasAllOfTheTimeToConnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		transport, ctx := twoReplicas(t, unreachable, unreachable)
		start := time.Now()

		err := transport.Call(ctx, path, &pb.OpenSessionRequest{}, &pb.OpenSessionResponse{})

		if took := time.Since(start); err == nil || took != 500*time.Millisecond {
			t.Error(err, took)
		}
	})
}

func TestAStreamLeavesHalfOfItsTimeForAnotherReplicaWhenItCannotConnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		transport, ctx := twoReplicas(t, unreachable, answers(streamHead+streamMessage))

		begins(t, transport, ctx)
	})
}

func TestAStreamThatAReplicaDoesNotBeginCanBeRepeatedAtAnother(t *testing.T) {
	for _, silent := range []string{"", streamHead} {
		synctest.Test(t, func(t *testing.T) {
			transport, ctx := twoReplicas(t, answers(silent), answers(streamHead+streamMessage))

			stream, err := transport.Stream(ctx, path, &pb.WatchSessionRequest{})
			if err == nil {
				err = stream.Receive(&pb.WatchSessionResponse{})
				stream.Close()
			}

			// The client repeats only what is UNAVAILABLE.
			var failed *Failed
			if !errors.As(err, &failed) || failed.Code != "UNAVAILABLE" {
				t.Fatalf("%q: %v", silent, err)
			}
			begins(t, transport, ctx)
		})
	}
}

// begins receives the first message of a stream.
func begins(t *testing.T, transport *Transport, ctx context.Context) {
	t.Helper()
	stream, err := transport.Stream(ctx, path, &pb.WatchSessionRequest{})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	if err := stream.Receive(&pb.WatchSessionResponse{}); err != nil {
		t.Error(err)
	}
}
