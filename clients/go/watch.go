package cloakroom

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"time"

	pb "cloakroom.example/cloakroom/cloakroomv1"
	"google.golang.org/protobuf/proto"
)

const (
	// Before an interrupted stream begins again, so that a replica that stops is not asked in a loop. The pause doubles for
	// each failure after it, up to the last.
	firstPauseOfStream = 50 * time.Millisecond
	lastPauseOfStream  = 2 * time.Second
)

// EndedError says that a watched session has ended, or that another token has replaced its own. The stores for other session
// libraries return it if a session had ended before it was saved.
type EndedError struct {
	// Reason says why, such as DESTROYED, REVOKED or SUPERSEDED. UNKNOWN if the service does not know it.
	Reason string
}

func (e *EndedError) Error() string { return "cloakroom: the session has ended (" + e.Reason + ")" }

// WatchSession returns a context that ends within half a second after the session has ended or its token was replaced. Its
// cause, context.Cause, is an *[EndedError] then. For what goes on longer than a request, such as a websocket.
//
// The watch begins again by itself when its connection ends, and lasts until ctx ends: cancel it. An error of the kind
// [ErrUnavailable] says that the watch could not begin within the client's deadline.
func (c *Client) WatchSession(ctx context.Context, request *pb.WatchSessionRequest) (context.Context, error) {
	// The watch needs it for as long as it lasts.
	request = proto.CloneOf(request)
	request.App = c.app
	stream, err := c.beginWatch(ctx, request)
	if err != nil {
		var ended *EndedError
		if !errors.As(err, &ended) {
			return nil, err
		}
	}
	watched, end := context.WithCancelCause(ctx)
	if err != nil {
		end(err)
		return watched, nil
	}
	go c.watch(watched, end, stream, request)
	return watched, nil
}

// watch waits for the end of a session, over as many streams as it takes.
func (c *Client) watch(ctx context.Context, end context.CancelCauseFunc, stream Stream, request *pb.WatchSessionRequest) {
	failures := 0
	for {
		if stream != nil {
			err := waitForEnd(ctx, stream)
			var ended *EndedError
			if errors.As(err, &ended) || ctx.Err() != nil {
				end(err)
				return
			}
			failures = 0
		}
		pause := min(firstPauseOfStream<<min(failures, 10), lastPauseOfStream)
		// Random, so that many watches do not begin again at the same time.
		timer := time.NewTimer(time.Duration(float64(pause) * (0.5 + 0.5*rand.Float64())))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			end(ctx.Err())
			return
		}
		var err error
		if stream, err = c.beginWatch(ctx, request); err != nil {
			stream = nil
			failures++
			// The service may be away for longer than a deadline. That says nothing about the session.
			if !errors.Is(err, ErrUnavailable) {
				end(err)
				return
			}
		}
	}
}

// beginWatch begins a stream and waits for its first message. The error is an *EndedError if the session has ended.
func (c *Client) beginWatch(ctx context.Context, request *pb.WatchSessionRequest) (Stream, error) {
	first := &pb.WatchSessionResponse{}
	stream, err := c.BeginStream(ctx, sessionService+"WatchSession", request, first)
	if err != nil {
		return nil, err
	}
	if err := endedOf(first); err != nil {
		stream.Close()
		return nil, err
	}
	return stream, nil
}

func waitForEnd(ctx context.Context, stream Stream) error {
	stop := context.AfterFunc(ctx, stream.Close)
	defer stop()
	defer stream.Close()
	for {
		message := &pb.WatchSessionResponse{}
		if err := stream.Receive(message); err != nil {
			return err
		}
		if err := endedOf(message); err != nil {
			return err
		}
	}
}

func endedOf(message *pb.WatchSessionResponse) error {
	if message.State != pb.WatchState_WATCH_STATE_ENDED {
		return nil
	}
	reason := "UNKNOWN"
	if message.EndReason != pb.EndReason_END_REASON_UNSPECIFIED {
		reason = message.EndReason.String()[len("END_REASON_"):]
	}
	return &EndedError{reason}
}

// BeginStream begins a call that is answered by several messages, and receives the first of them. It repeats that until
// the client's deadline.
func (c *Client) BeginStream(ctx context.Context, path string, request, first proto.Message) (Stream, error) {
	limited, cancel := context.WithTimeout(ctx, c.deadline)
	defer cancel()
	for repeats := 0; ; repeats++ {
		stream, err := c.firstOf(limited, path, request, first)
		if err == nil {
			return stream, nil
		}
		if final := waitForRepeat(limited, err, repeats); final != nil {
			return nil, final
		}
	}
}

// firstOf begins a call once, and receives the first of its messages.
func (c *Client) firstOf(ctx context.Context, path string, request, first proto.Message) (Stream, error) {
	stream, err := c.transport.Stream(ctx, path, request)
	if err != nil {
		return nil, err
	}
	isCancelled := func() bool { return errors.Is(ctx.Err(), context.Canceled) }
	stop := context.AfterFunc(ctx, func() {
		if isCancelled() {
			stream.Close()
		}
	})
	err = stream.Receive(first)
	isStopped := stop()
	switch {
	case !isStopped && isCancelled():
		err = NewError("CANCELLED", "", "the call was cancelled", ctx.Err())
	case errors.Is(err, io.EOF):
		err = NewError("UNAVAILABLE", "", "the stream ended without a message", err)
	}
	if err != nil {
		stream.Close()
		return nil, err
	}
	return stream, nil
}
