package connect

import (
	"context"
	"io"
	"net"
	"testing"
	"time"
)

// answering has a whole response, and lets a call be cancelled when that has arrived.
type answering struct {
	net.Conn
	cancel  context.CancelFunc
	expired chan struct{} // Gets a value when the deadline is set to a time long ago.
}

func (a *answering) Write(data []byte) (int, error) { return len(data), nil }

func (a *answering) Read(into []byte) (int, error) {
	a.cancel()
	<-a.expired
	return copy(into, "HTTP/1.1 200 OK\r\ncontent-type: application/proto\r\ncontent-length: 0\r\n\r\n"), nil
}

func (a *answering) SetDeadline(end time.Time) error {
	if end.Before(time.Now()) {
		a.expired <- struct{}{}
	}
	return nil
}

func TestAConnectionWhoseCallWasCancelledAtItsEndIsNotUsedAgain(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	near, far := net.Pipe()
	defer near.Close()
	go io.Copy(io.Discard, far)
	c := &connection{conn: &answering{near, cancel, make(chan struct{}, 1)}, input: make([]byte, 4096)}

	got, err := c.call(ctx, []byte("request"), time.Now().Add(time.Hour))

	// The cancellation may set the deadline of the connection while the next call uses it.
	if err != nil || got.isReusable {
		t.Error(got, err)
	}
}
