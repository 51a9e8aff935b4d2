package cloakroom

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"time"

	pb "cloakroom.example/cloakroom/cloakroomv1"
	"cloakroom.example/cloakroom/internal/endreason"
	"google.golang.org/protobuf/proto"
)

const (
	// Before an interrupted stream begins again, so that a replica that stops is not asked in a loop. The pause doubles for
	// each failure after it, up to the last.
	firstPauseOfStream = 50 * time.Millisecond
	lastPauseOfStream  = 2 * time.Second
	// After it at the latest, another stream takes the place of one: it may be silent because the service hangs.
	longestStream = 5 * time.Minute
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
	for {
		err := waitForEnd(ctx, stream)
		var ended *EndedError
		if errors.As(err, &ended) || ctx.Err() != nil {
			end(err)
			return
		}
		if err != nil {
			pauseOfStream(ctx, 0)
		}
		if stream, err = c.watchAgain(ctx, request); err != nil {
			end(err)
			return
		}
	}
}

// watchAgain begins another stream, however long that takes: the service may be away for longer than a deadline, which
// says nothing about the session.
func (c *Client) watchAgain(ctx context.Context, request *pb.WatchSessionRequest) (Stream, error) {
	for failures := 1; ; failures++ {
		stream, err := c.beginWatch(ctx, request)
		if !errors.Is(err, ErrUnavailable) || ctx.Err() != nil {
			return stream, err
		}
		pauseOfStream(ctx, failures)
	}
}

// pauseOfStream waits before a stream begins again, or until ctx ends.
func pauseOfStream(ctx context.Context, failures int) {
	timer := time.NewTimer(atRandom(min(firstPauseOfStream<<min(failures, 10), lastPauseOfStream)))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// atRandom returns a duration or down to half of it, so that many watches do not begin again at the same time.
func atRandom(longest time.Duration) time.Duration {
	return time.Duration(float64(longest) * (0.5 + 0.5*rand.Float64()))
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

// waitForEnd returns nil if the stream was closed because of its age.
func waitForEnd(ctx context.Context, stream Stream) error {
	limited, cancel := context.WithTimeout(ctx, atRandom(longestStream))
	defer cancel()
	stop := context.AfterFunc(limited, stream.Close)
	defer stop()
	defer stream.Close()
	for {
		message := &pb.WatchSessionResponse{}
		err := stream.Receive(message)
		if err == nil {
			err = endedOf(message)
		} else if limited.Err() != nil && ctx.Err() == nil {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func endedOf(message *pb.WatchSessionResponse) error {
	if message.State != pb.WatchState_WATCH_STATE_ENDED {
		return nil
	}
	return &EndedError{endreason.Text(message.EndReason)}
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
