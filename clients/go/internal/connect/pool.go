package connect

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// Calls at a time from one process to one endpoint. Others wait for a connection.
	maxConnections = 64
	// Calls that wait. More fail at once.
	maxWaiting = 4096
	// An idle connection is closed after it. The service does so after 15 minutes.
	maxIdleTime = time.Minute
	// An idle connection is looked at before it is used again after it.
	maxUnseenTime = 10 * time.Millisecond
)

// pool has the connections of a process to one endpoint.
type pool struct {
	connect func(ctx context.Context, end time.Time) (*connection, error)
	permits chan struct{} // One is held by each call.
	waiting atomic.Int32

	mutex    sync.Mutex
	idle     []*connection // The one that was used last is at the end.
	isClosed bool
	sweep    *time.Timer // Closes what was idle for too long. Nil if nothing is idle.
}

func newPool(connect func(ctx context.Context, end time.Time) (*connection, error)) *pool {
	return &pool{connect: connect, permits: make(chan struct{}, maxConnections)}
}

// take returns a connection, which has to be given back to put or drop.
func (p *pool) take(ctx context.Context, end time.Time) (*connection, error) {
	select {
	case p.permits <- struct{}{}:
	default:
		if err := p.waitForPermit(ctx, end); err != nil {
			return nil, err
		}
	}
	for {
		found := p.takeIdle()
		if found == nil {
			break
		}
		idleTime := time.Since(found.lastUse)
		if idleTime < maxUnseenTime || (idleTime < maxIdleTime && found.isAlive()) {
			return found, nil
		}
		found.conn.Close()
	}
	made, err := p.connect(ctx, end)
	if err != nil {
		<-p.permits
	}
	return made, err
}

func (p *pool) waitForPermit(ctx context.Context, end time.Time) error {
	if p.waiting.Add(1) > maxWaiting {
		p.waiting.Add(-1)
		return fmt.Errorf("%d calls are under way already, and %d more wait", maxConnections, maxWaiting)
	}
	defer p.waiting.Add(-1)
	timer := time.NewTimer(time.Until(end))
	defer timer.Stop()
	select {
	case p.permits <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return fmt.Errorf("%d calls are under way already: %w", maxConnections, context.DeadlineExceeded)
	}
}

func (p *pool) takeIdle() *connection {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	last := len(p.idle) - 1
	if last < 0 {
		return nil
	}
	found := p.idle[last]
	p.idle[last] = nil
	p.idle = p.idle[:last]
	return found
}

// put takes back a connection that can carry another call.
func (p *pool) put(c *connection) {
	p.mutex.Lock()
	isClosed := p.isClosed
	if !isClosed {
		p.idle = append(p.idle, c)
		if p.sweep == nil {
			p.sweep = time.AfterFunc(maxIdleTime, p.closeOld)
		}
	}
	p.mutex.Unlock()
	if isClosed {
		c.conn.Close()
	}
	<-p.permits
}

// drop takes back a connection that can carry no call any more.
func (p *pool) drop(c *connection) {
	c.conn.Close()
	<-p.permits
}

// dropIdle closes all connections that no call uses.
func (p *pool) dropIdle() {
	p.mutex.Lock()
	idle := p.idle
	p.idle = nil
	p.mutex.Unlock()
	// With TLS, a close writes.
	for _, c := range idle {
		c.conn.Close()
	}
}

// close closes all connections; those in use after their calls.
func (p *pool) close() {
	p.mutex.Lock()
	p.isClosed = true
	if p.sweep != nil {
		p.sweep.Stop()
	}
	p.mutex.Unlock()
	// Last, because no connection becomes idle any more from here on.
	p.dropIdle()
}

// closeOld closes what was idle for too long. The oldest are first.
func (p *pool) closeOld() {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.isClosed {
		return
	}
	old := 0
	for old < len(p.idle) && time.Since(p.idle[old].lastUse) >= maxIdleTime {
		p.idle[old].conn.Close()
		old++
	}
	p.idle = append([]*connection(nil), p.idle[old:]...)
	if p.sweep = nil; len(p.idle) > 0 {
		p.sweep = time.AfterFunc(maxIdleTime-time.Since(p.idle[0].lastUse), p.closeOld)
	}
}
