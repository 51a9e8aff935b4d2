package connect

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	pb "cloakroom.example/cloakroom/cloakroomv1"
)

// endless answers a stream with a text that it repeats until the client is gone, and returns how many bytes it has sent.
func endless(t *testing.T, start, repeated string) int {
	t.Helper()
	transport, err := New("127.0.0.1:1", Credentials{})
	if err != nil {
		t.Fatal(err)
	}
	near, far := net.Pipe()
	defer near.Close()
	go io.Copy(io.Discard, far)
	sent := make(chan int)
	go func() {
		total, err := io.WriteString(far, start)
		for err == nil && total < 1<<20 {
			var n int
			n, err = io.WriteString(far, repeated)
			total += n
		}
		far.Close()
		sent <- total
	}()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	end, _ := ctx.Deadline()

	stream, err := transport.beginStream(transport.replicas.all[0], &connection{conn: near}, "/", "", &pb.WatchSessionRequest{}, end)

	if err == nil {
		t.Error("the stream has begun", stream)
	}
	near.Close()
	return <-sent
}

func TestTheHeadOfAStreamIsReadInBoundedMemory(t *testing.T) {
	line := "x: " + strings.Repeat("y", 1000) + "\r\n"
	if sent := endless(t, "HTTP/1.1 200 OK\r\n", line); sent > 2*maxHead {
		t.Error("bytes of headers that were read:", sent)
	}
	if sent := endless(t, "", "HTTP/1.1 100 Continue\r\n\r\n"); sent > 2*maxHead {
		t.Error("bytes of interim responses that were read:", sent)
	}
}
