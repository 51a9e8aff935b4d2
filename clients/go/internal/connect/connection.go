package connect

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"time"
)

const (
	connectTimeout = time.Second
	// Larger buffers are not kept between calls.
	maxKeptBuffer = 64 << 10
)

// longAgo is a deadline that ends what waits for a connection.
var longAgo = time.Unix(1, 0)

// connection carries one call at a time.
type connection struct {
	conn    net.Conn
	lastUse time.Time
	isNew   bool // Whether no call was answered on it yet.
	input   []byte
	output  []byte
}

// dial connects until a time.
func dial(ctx context.Context, to endpoint, config *tls.Config, end time.Time) (*connection, error) {
	ctx, cancel := context.WithDeadline(ctx, earlier(end, time.Now().Add(connectTimeout)))
	defer cancel()
	dialer := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3,
	}}
	conn, err := dialer.DialContext(ctx, to.network, to.target)
	if err != nil {
		return nil, err
	}
	if config != nil {
		config = config.Clone()
		config.ServerName = to.tlsName
		secure := tls.Client(conn, config)
		if err := secure.HandshakeContext(ctx); err != nil {
			conn.Close()
			return nil, err
		}
		conn = secure
	}
	return &connection{conn: conn, isNew: true, lastUse: time.Now(), input: make([]byte, 4096)}, nil
}

// call sends a request and reads its response. After an error, or if the response is not reusable, the connection has
// to be closed.
func (c *connection) call(ctx context.Context, request []byte, end time.Time) (got response, err error) {
	if err := c.conn.SetDeadline(end); err != nil {
		return response{}, err
	}
	if ctx.Done() != nil {
		stop := context.AfterFunc(ctx, func() { c.conn.SetDeadline(longAgo) })
		defer func() {
			// If it is too late to stop it, it may set the deadline of the next call.
			got.isReusable = stop() && got.isReusable
		}()
	}
	if _, err := c.conn.Write(request); err != nil {
		return response{}, err
	}
	var input []byte
	got, input, err = readResponse(c.conn, c.input)
	if c.input = input; len(input) > maxKeptBuffer {
		c.input = make([]byte, 4096)
	}
	if err != nil {
		return response{}, err
	}
	c.lastUse, c.isNew = time.Now(), false
	return got, nil
}

// isAlive tells whether an idle connection can still be used. The service has closed it if there is something to read.
func (c *connection) isAlive() bool {
	conn := c.conn
	if secure, isTLS := conn.(*tls.Conn); isTLS {
		conn = secure.NetConn()
	}
	// The deadline of the last call may be over.
	return c.conn.SetDeadline(time.Time{}) == nil && !hasInput(conn)
}

func isTimeout(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded)
}

func earlier(one, other time.Time) time.Time {
	if one.Before(other) {
		return one
	}
	return other
}
