//go:build go1.25

package connect

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func pipes(made *atomic.Int32) func(context.Context, time.Time) (*connection, error) {
	return func(context.Context, time.Time) (*connection, error) {
		made.Add(1)
		near, far := net.Pipe()
		go func() {
			var one [1]byte
			far.Read(one[:])
		}()
		return &connection{conn: near, lastUse: time.Now()}, nil
	}
}

func TestMoreCallsThanConnectionsWaitUntilTheirEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var made atomic.Int32
		p := newPool(pipes(&made))
		var taken []*connection
		for range maxConnections {
			c, err := p.take(t.Context(), time.Now().Add(time.Second))
			if err != nil {
				t.Fatal(err)
			}
			taken = append(taken, c)
		}
		start := time.Now()
		if _, err := p.take(t.Context(), start.Add(time.Second)); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if time.Since(start) != time.Second {
			t.Error(time.Since(start))
		}
		go func() {
			time.Sleep(time.Second / 2)
			p.put(taken[0])
		}()
		if c, err := p.take(t.Context(), time.Now().Add(time.Second)); c != taken[0] || err != nil {
			t.Error(c, err)
		}
		for _, c := range taken {
			p.drop(c)
		}
		if made.Load() != maxConnections {
			t.Error(made.Load())
		}
	})
}

func TestAConnectionThatIsIdleForAMinuteIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var made atomic.Int32
		p := newPool(pipes(&made))
		first, _ := p.take(t.Context(), time.Now().Add(time.Second))
		second, _ := p.take(t.Context(), time.Now().Add(time.Second))
		p.put(first)
		time.Sleep(maxIdleTime / 2)
		second.lastUse = time.Now()
		p.put(second)

		time.Sleep(maxIdleTime/2 + time.Second)
		if _, err := first.conn.Write([]byte("x")); err == nil {
			t.Error("the first is still open")
		}
		if again, _ := p.take(t.Context(), time.Now().Add(time.Second)); again != second {
			t.Error("the second was closed")
		}
		p.put(second)
		p.close()
		if _, err := second.conn.Write([]byte("x")); err == nil {
			t.Error("the second is open after the pool")
		}
	})
}

// closing is a connection that runs a function when it is closed.
type closing struct {
	net.Conn
	closed func()
}

func (c closing) Close() error {
	c.closed()
	return nil
}

func TestAConnectionThatComesBackWhileThePoolIsClosedIsClosed(t *testing.T) {
	p := newPool(pipes(new(atomic.Int32)))
	isClosed := false
	inUse := &connection{conn: closing{closed: func() { isClosed = true }}, lastUse: time.Now()}
	idle := &connection{conn: closing{closed: func() { p.put(inUse) }}, lastUse: time.Now()}
	for range 2 {
		p.permits <- struct{}{}
	}
	p.put(idle)

	p.close()

	if !isClosed {
		t.Error("the connection stays open")
	}
}
