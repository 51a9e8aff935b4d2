// Package connect makes calls by the Connect protocol over HTTP/1.1, to one or several addresses, with Go's own sockets.
//
// It knows nothing of sessions. docs/wire.md describes the protocol.
package connect

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"
)

// Transport makes calls to the replicas of a service, which take turns. It connects at the first call.
type Transport struct {
	replicas      *replicas
	authorization *fromFiles[string]
	tlsConfig     *fromFiles[*tls.Config]
	heads         sync.Map // Of requests, by endpoint, path and content type.
}

type headKey struct{ host, path, contentType string }

// New returns a transport to one or more addresses, which are separated by commas.
func New(addresses string, credentials Credentials) (*Transport, error) {
	parsed, err := ParseAddresses(addresses)
	if err != nil {
		return nil, err
	}
	if err := credentials.check(parsed); err != nil {
		return nil, err
	}
	t := &Transport{authorization: credentials.authorization(), tlsConfig: credentials.tlsConfig()}
	t.replicas = newReplicas(parsed, func(to endpoint) *pool {
		return newPool(func(ctx context.Context, end time.Time) (*connection, error) { return t.dial(ctx, to, end) })
	})
	return t, nil
}

// Call makes one attempt of a call. Its error is a *Failed, unless the context has ended.
func (t *Transport) Call(ctx context.Context, path string, request, response proto.Message) error {
	end, _ := ctx.Deadline()
	authorization, err := t.prepare(ctx, end)
	if err != nil {
		return err
	}
	var tried []*replica
	for {
		chosen := t.replicas.next(path, tried)
		if chosen == nil {
			return &Failed{Code: "UNAVAILABLE", Message: "the service has no address now"}
		}
		conn, err := chosen.pool.take(ctx, t.attemptEnd(end, tried))
		if err == nil {
			return t.exchange(ctx, chosen, conn, path, authorization, request, response)
		}
		if isCancelled(ctx) {
			return cancelled(ctx)
		}
		// Nothing was sent, so another replica may have the call at once.
		failed := t.replicas.notConnected(chosen, err)
		tried = append(tried, chosen)
		if len(tried) >= t.replicas.count() || !time.Now().Before(end) || ctx.Err() != nil {
			return failed
		}
	}
}

// attemptEnd returns until when a call may wait for a replica that was not tried yet. If there is another one, half of the
// time is left for it.
func (t *Transport) attemptEnd(end time.Time, tried []*replica) time.Time {
	if len(tried)+1 >= t.replicas.count() {
		return end
	}
	return halfway(time.Now(), end)
}

// prepare does what a call needs before it has a replica.
func (t *Transport) prepare(ctx context.Context, end time.Time) (authorization string, err error) {
	if isCancelled(ctx) {
		return "", cancelled(ctx)
	}
	if err := ctx.Err(); err != nil {
		return "", &Failed{Code: "DEADLINE_EXCEEDED", Message: err.Error(), Cause: err}
	}
	authorization, err = t.authorization.get()
	if err != nil {
		return "", &Failed{Code: "UNAVAILABLE", Message: fmt.Sprintf("cannot read the caller token: %v", err), Cause: err}
	}
	if len(t.replicas.names) > 0 {
		if err := t.replicas.lookUp(ctx, end); isCancelled(ctx) {
			return "", cancelled(ctx)
		} else if err != nil {
			return "", &Failed{Code: "UNAVAILABLE", Message: err.Error(), Cause: err}
		}
	}
	return authorization, nil
}

func (t *Transport) exchange(
	ctx context.Context, chosen *replica, conn *connection, path, authorization string, request, into proto.Message,
) error {
	start := time.Now()
	end, _ := ctx.Deadline()
	attemptEnd := end
	// Where there is another way, half of the time is left for it.
	if !conn.isNew || t.replicas.count() > 1 {
		attemptEnd = halfway(start, end)
	}
	output, err := appendRequest(conn.output[:0], t.head(chosen, path, contentType), authorization, request, end.Sub(start))
	if err != nil {
		chosen.pool.put(conn)
		return &Failed{Code: "INVALID_ARGUMENT", Message: fmt.Sprintf("the request cannot be written: %v", err), Cause: err}
	}
	got, err := conn.call(ctx, output, attemptEnd)
	if conn.output = output; cap(output) > maxKeptBuffer {
		conn.output = nil
	}
	if err != nil {
		return t.unanswered(ctx, chosen, conn, attemptEnd.Before(end), err)
	}
	chosen.answered()
	failed := readMessage(got, path, into)
	if got.isReusable {
		chosen.pool.put(conn)
	} else {
		chosen.pool.drop(conn)
	}
	return failed
}

// unanswered leaves a connection on which a call failed.
func (t *Transport) unanswered(ctx context.Context, chosen *replica, conn *connection, hasOtherWay bool, err error) error {
	chosen.pool.drop(conn)
	if isCancelled(ctx) {
		return cancelled(ctx)
	}
	t.replicas.didNotAnswer(chosen)
	if isTimeout(err) {
		// The others that are idle may lead to the same silence.
		chosen.pool.dropIdle()
		if !hasOtherWay {
			return &Failed{Code: "DEADLINE_EXCEEDED", Message: "no answer within the deadline", Cause: err}
		}
	}
	return &Failed{Code: "UNAVAILABLE", Message: fmt.Sprintf("no answer from %s: %v", chosen.endpoint, err), Cause: err}
}

// Close closes all connections; those in use after their calls.
func (t *Transport) Close() { t.replicas.close() }

func (t *Transport) dial(ctx context.Context, to endpoint, end time.Time) (*connection, error) {
	if to.tlsName == "" {
		return dial(ctx, to, nil, end)
	}
	config, err := t.tlsConfig.get()
	if err != nil {
		return nil, err
	}
	return dial(ctx, to, config, end)
}

func halfway(start, end time.Time) time.Time { return start.Add(end.Sub(start) / 2) }

// isCancelled tells whether nobody waits for a call any more. That says nothing about the service.
func isCancelled(ctx context.Context) bool { return errors.Is(ctx.Err(), context.Canceled) }

func cancelled(ctx context.Context) *Failed {
	return &Failed{Code: "CANCELLED", Message: "the call was cancelled", Cause: ctx.Err()}
}

func (t *Transport) head(to *replica, path, contentType string) string {
	key := headKey{to.endpoint.host, path, contentType}
	if head, isKnown := t.heads.Load(key); isKnown {
		return head.(string)
	}
	head := fixedHead(path, to.endpoint.host, contentType)
	t.heads.Store(key, head)
	return head
}
