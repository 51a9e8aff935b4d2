package cloakroomtest

import (
	"context"
	"io"
	"sync"
	"time"

	"cloakroom.example/cloakroom"
	pb "cloakroom.example/cloakroom/cloakroomv1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// expiryInterval is how often a watch looks whether its session has expired.
const expiryInterval = 100 * time.Millisecond

// Stream answers WatchSession, as cloakroom.Transport describes it.
func (s *Service) Stream(_ context.Context, path string, request proto.Message) (cloakroom.Stream, error) {
	watched, isWatch := request.(*pb.WatchSessionRequest)
	if !isWatch {
		return nil, cloakroom.NewError("UNIMPLEMENTED", "METHOD_UNKNOWN", "cloakroomtest has no "+path, nil)
	}
	stream := &watchStream{service: s, request: watched, closed: make(chan struct{}), isFirst: true}
	_, _, err := stream.look()
	return stream, err
}

type watchStream struct {
	service *Service
	request *pb.WatchSessionRequest
	isFirst bool
	isEnded bool
	closed  chan struct{}
	close   sync.Once
}

// Receive returns the first message at once, and the other one at the end of the session.
func (w *watchStream) Receive(into proto.Message) error {
	for !w.isEnded {
		found, changed, err := w.look()
		if err != nil {
			return err
		}
		w.isEnded = found.State == pb.WatchState_WATCH_STATE_ENDED
		if w.isFirst || w.isEnded {
			w.isFirst = false
			proto.Reset(into)
			proto.Merge(into, found)
			return nil
		}
		timer := time.NewTimer(expiryInterval)
		select {
		case <-changed:
		case <-timer.C:
		case <-w.closed:
			timer.Stop()
			return cloakroom.NewError("CANCELLED", "", "the stream was closed", nil)
		}
		timer.Stop()
	}
	return io.EOF
}

// Close ends the stream, also for a goroutine that receives.
func (w *watchStream) Close() { w.close.Do(func() { close(w.closed) }) }

// look returns what a watch finds now, and what is closed after the next call.
func (w *watchStream) look() (*pb.WatchSessionResponse, <-chan struct{}, error) {
	w.service.mutex.Lock()
	defer w.service.mutex.Unlock()
	c, err := w.service.begin(w.request.App)
	if err == nil {
		err = c.accept(w.request)
	}
	if err != nil {
		return nil, nil, err
	}
	_, isHeader := w.request.Credential.(*pb.WatchSessionRequest_CookieHeader)
	shown, err := c.ofWrite(w.request, isHeader, "")
	if err != nil {
		return nil, nil, err
	}
	ended := &pb.WatchSessionResponse{State: pb.WatchState_WATCH_STATE_ENDED}
	if shown == nil {
		return ended, w.service.changed, nil
	}
	s := c.state(shown.token)
	if s.record == nil {
		ended.EndReason = s.reason
		return ended, w.service.changed, nil
	}
	alive := &pb.WatchSessionResponse{State: pb.WatchState_WATCH_STATE_ALIVE, ExpireTime: timestamppb.New(s.record.expires(time.Time{}))}
	return alive, w.service.changed, nil
}
