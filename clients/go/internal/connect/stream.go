package connect

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"time"

	"google.golang.org/protobuf/proto"
)

const maxMessage = 16 << 20

// Stream reads the messages of one call, on a connection of its own. One goroutine reads, and any may close it.
type Stream struct {
	conn        *connection
	body        *bufio.Reader
	isOpen      bool // Whether a message has arrived: the deadline counts until then.
	hasOtherWay bool // Whether there is time left after that deadline.
}

// Stream makes one attempt to begin a call that is answered by several messages. The first one has to arrive until the
// context's deadline, or within half of the time if there are several replicas.
func (t *Transport) Stream(ctx context.Context, path string, request proto.Message) (*Stream, error) {
	end, _ := ctx.Deadline()
	authorization, err := t.prepare(ctx, end)
	if err != nil {
		return nil, err
	}
	var tried []*replica
	for {
		chosen := t.replicas.next(path, tried)
		if chosen == nil {
			return nil, &Failed{Code: "UNAVAILABLE", Message: "the service has no address now"}
		}
		conn, err := chosen.pool.connect(ctx, t.attemptEnd(end, tried))
		if err == nil {
			stop := context.AfterFunc(ctx, func() { conn.conn.SetDeadline(longAgo) })
			stream, err := t.beginStream(chosen, conn, path, authorization, request, end)
			if !stop() && isCancelled(ctx) {
				err = cancelled(ctx)
			}
			if err != nil {
				conn.conn.Close()
				t.noStream(chosen, err)
				return nil, err
			}
			return stream, nil
		}
		if isCancelled(ctx) {
			return nil, cancelled(ctx)
		}
		failed := t.replicas.notConnected(chosen, err)
		tried = append(tried, chosen)
		if len(tried) >= t.replicas.count() || !time.Now().Before(end) {
			return nil, failed
		}
	}
}

// noStream prefers other replicas for a while, if this one has not answered.
func (t *Transport) noStream(chosen *replica, err error) {
	var failed *Failed
	if errors.As(err, &failed) && failed.Reason == "" && (failed.Code == "UNAVAILABLE" || failed.Code == "DEADLINE_EXCEEDED") {
		t.replicas.didNotAnswer(chosen)
	}
}

func (t *Transport) beginStream(
	chosen *replica, conn *connection, path, authorization string, request proto.Message, end time.Time,
) (*Stream, error) {
	message, err := proto.Marshal(request)
	if err != nil {
		return nil, &Failed{Code: "INVALID_ARGUMENT", Message: fmt.Sprintf("the request cannot be written: %v", err), Cause: err}
	}
	head := t.head(chosen, path, streamContentType) + authorization
	output := fmt.Appendf(nil, "%scontent-length: %d\r\n\r\n", head, len(message)+5)
	output = binary.BigEndian.AppendUint32(append(output, 0), uint32(len(message)))
	output = append(output, message...)
	// A repeat may go to any other replica.
	attemptEnd := t.attemptEnd(end, nil)
	stream := &Stream{conn: conn, hasOtherWay: attemptEnd.Before(end)}
	if err := conn.conn.SetDeadline(attemptEnd); err != nil {
		return nil, stream.cutOff(err)
	}
	if _, err := conn.conn.Write(output); err != nil {
		return nil, stream.cutOff(err)
	}
	limited := &io.LimitedReader{R: conn.conn, N: maxHead}
	got, err := readHead(bufio.NewReader(limited))
	if err != nil && limited.N == 0 {
		message := fmt.Sprintf("what answered is not the service: the head of its response is over %d bytes", maxHead)
		return nil, &Failed{Code: "INTERNAL", Message: message}
	}
	if err != nil {
		return nil, stream.cutOff(err)
	}
	// The messages may go on for as long as the session lasts.
	limited.N = math.MaxInt64
	if got.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(got.Body, maxHead))
		return nil, failedOf(got.StatusCode, got.Header.Get("Cloakroom-Reason"), body)
	}
	if got.Header.Get("Content-Type") != streamContentType {
		return nil, &Failed{Code: "INTERNAL", Message: "what answered is not the service: its response is no stream"}
	}
	stream.body = bufio.NewReader(got.Body)
	return stream, nil
}

// Receive reads the next message. It returns io.EOF when the stream has ended well.
func (s *Stream) Receive(into proto.Message) error {
	var prefix [5]byte
	if _, err := io.ReadFull(s.body, prefix[:]); err != nil {
		return s.cutOff(err)
	}
	length := binary.BigEndian.Uint32(prefix[1:])
	if length > maxMessage {
		return &Failed{Code: "INTERNAL", Message: fmt.Sprintf("a message of the stream is over %d bytes", maxMessage)}
	}
	message := make([]byte, length)
	if _, err := io.ReadFull(s.body, message); err != nil {
		return s.cutOff(err)
	}
	switch prefix[0] {
	case 0:
		if err := proto.Unmarshal(message, into); err != nil {
			return &Failed{Code: "INTERNAL", Message: "a message of the stream cannot be read"}
		}
	case 2:
		return endOf(message)
	default:
		return &Failed{Code: "INTERNAL", Message: "a message of the stream has flags that nobody asked for"}
	}
	if s.isOpen {
		return nil
	}
	s.isOpen = true
	// From now on TCP finds out whether the service is there.
	return s.conn.conn.SetDeadline(time.Time{})
}

// Close ends the stream, also for a goroutine that reads it.
func (s *Stream) Close() { s.conn.conn.Close() }

func endOf(message []byte) error {
	var end struct{ Error *errorBody }
	if err := json.Unmarshal(message, &end); err != nil {
		return &Failed{Code: "INTERNAL", Message: "the end of the stream is not JSON"}
	}
	if end.Error != nil {
		return end.Error.failed()
	}
	return io.EOF
}

func (s *Stream) cutOff(err error) error {
	if isTimeout(err) && !s.hasOtherWay {
		return &Failed{Code: "DEADLINE_EXCEEDED", Message: "the stream did not begin within the deadline", Cause: err}
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return &Failed{Code: "UNAVAILABLE", Message: fmt.Sprintf("the stream was cut off: %v", err), Cause: err}
}
