package sessions

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
)

// errReplaced is what a handler's Write returns after another response has taken the place of the handler's.
var errReplaced = errors.New("sessions: the session could not be saved, and the middleware has answered the request")

// responseWriter saves the session before the head of the response is sent, because its headers depend on that.
type responseWriter struct {
	http.ResponseWriter
	hold *hold
}

func (w *responseWriter) WriteHeader(status int) {
	isInformation := status >= 100 && status < 200 && status != http.StatusSwitchingProtocols
	if isInformation && !w.hold.isReplaced {
		w.ResponseWriter.WriteHeader(status)
		return
	}
	if w.hold.pass() {
		w.ResponseWriter.WriteHeader(status)
	}
}

func (w *responseWriter) Write(data []byte) (int, error) {
	if !w.hold.pass() {
		return 0, errReplaced
	}
	return w.ResponseWriter.Write(data)
}

func (w *responseWriter) WriteString(text string) (int, error) {
	if !w.hold.pass() {
		return 0, errReplaced
	}
	return io.WriteString(w.ResponseWriter, text)
}

// ReadFrom lets the server send a file without copying it.
func (w *responseWriter) ReadFrom(source io.Reader) (int64, error) {
	if !w.hold.pass() {
		return 0, errReplaced
	}
	return io.Copy(w.ResponseWriter, source)
}

// FlushError is what http.ResponseController calls.
func (w *responseWriter) FlushError() error {
	if !w.hold.pass() {
		return errReplaced
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Unwrap lets http.ResponseController find the rest: deadlines and full duplex.
func (w *responseWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// CloseNotify returns a channel that gets a value when the browser is gone. gin's Stream panics if a writer has none, so
// each has one: if the original has none, the value comes when the context of the request ends.
func (w *responseWriter) CloseNotify() <-chan bool {
	if original, isFound := find[interface{ CloseNotify() <-chan bool }](w.ResponseWriter); isFound {
		return original.CloseNotify()
	}
	gone := make(chan bool, 1)
	context.AfterFunc(w.hold.r.Context(), func() { gone <- true })
	return gone
}

// flusher is a responseWriter whose connection can be flushed.
type flusher struct{ *responseWriter }

func (w flusher) Flush() { w.FlushError() }

// flushingPusher is one that can push as well, as that of HTTP/2 can.
type flushingPusher struct{ flusher }

func (w flushingPusher) Push(target string, options *http.PushOptions) error {
	original, _ := find[http.Pusher](w.ResponseWriter) // It is there: wrap has looked.
	return original.Push(target, options)
}

// hijacker is a responseWriter whose connection can be taken over.
type hijacker struct{ *responseWriter }

// Hijack saves the session first. The headers of the session are not on the response then, unless the handler sends those
// of Session.Headers.
func (w hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if !w.hold.pass() {
		return nil, nil, errReplaced
	}
	return http.NewResponseController(w.ResponseWriter).Hijack()
}

// flushingHijacker is one that can be flushed as well, as that of HTTP/1 can.
type flushingHijacker struct{ hijacker }

func (w flushingHijacker) Flush() { w.FlushError() }

// wrap returns a writer that has the optional methods of the original one.
func wrap(w *responseWriter) http.ResponseWriter {
	flushes := canFlush(w.ResponseWriter)
	if _, hijacks := find[http.Hijacker](w.ResponseWriter); hijacks {
		if flushes {
			return flushingHijacker{hijacker{w}}
		}
		return hijacker{w}
	}
	if !flushes {
		return w
	}
	if _, pushes := find[http.Pusher](w.ResponseWriter); pushes {
		return flushingPusher{flusher{w}}
	}
	return flusher{w}
}

func canFlush(w http.ResponseWriter) bool {
	for {
		switch is := w.(type) {
		case interface{ FlushError() error }, http.Flusher:
			return true
		case interface{ Unwrap() http.ResponseWriter }:
			w = is.Unwrap()
		default:
			return false
		}
	}
}

// find returns the outermost writer that has some methods.
func find[T any](w http.ResponseWriter) (found T, isFound bool) {
	for {
		switch is := w.(type) {
		case T:
			return is, true
		case interface{ Unwrap() http.ResponseWriter }:
			w = is.Unwrap()
		default:
			return found, false
		}
	}
}

// hold decides when the session is saved and what becomes of the response.
type hold struct {
	sessions   *Sessions
	session    *Session
	w          http.ResponseWriter
	r          *http.Request
	isDone     bool // Whether the head of the response is decided.
	isReplaced bool // Whether another response has taken the place of the handler's.
}

// pass saves the session before the first byte. It reports whether the handler's response goes on.
func (h *hold) pass() bool { return h.save(true) }

// save saves the session, and answers the request if that fails. A handler that has returned without a response has left
// it to the middleware to answer for what its session has reported.
func (h *hold) save(hasResponse bool) bool {
	if !h.isDone {
		h.isDone = true
		saved := h.session.finishRequest()
		// The cookie that an earlier save has set is on the response whatever becomes of a later one: the browser's is worth
		// nothing any more.
		if saved.hasAnswered {
			appendHeaders(h.w.Header(), saved.headers)
		}
		h.isReplaced = h.answer(saved) || !hasResponse && h.answerReported(saved.reported)
		if !h.isReplaced && !saved.hasAnswered {
			appendHeaders(h.w.Header(), saved.headers)
		}
	}
	return !h.isReplaced
}

// answer answers the request in place of the handler if the session could not be saved. It reports whether it did.
func (h *hold) answer(saved finished) bool {
	switch {
	case saved.unavailable != nil:
		dropBodyHeaders(h.w.Header(), h.w.Header())
		h.sessions.unavailable(h.w, h.r, saved.unavailable)
	case saved.failed != nil:
		dropBodyHeaders(h.w.Header(), h.w.Header())
		h.sessions.failed(h.w, h.r, "a session was not saved", saved.failed)
	case saved.gone != nil:
		return h.answerGone(saved.gone)
	default:
		return false
	}
	return true
}

func (h *hold) answerGone(gone *GoneError) bool {
	answer := &answerWriter{ResponseWriter: h.w, before: h.w.Header().Clone()}
	h.sessions.gone(answer, h.r, gone)
	return answer.isUsed
}

// answerReported answers for a handler that has returned after an error of its session. It reports whether it did.
func (h *hold) answerReported(err error) bool {
	if err == nil {
		return false
	}
	if gone, isGone := err.(*GoneError); isGone && h.answerGone(gone) {
		return true
	}
	dropBodyHeaders(h.w.Header(), h.w.Header())
	if isUnavailable(err) {
		h.sessions.unavailable(h.w, h.r, err)
	} else {
		h.sessions.failed(h.w, h.r, "a handler returned without a response after an error of its session", err)
	}
	return true
}

// abandon forgets what was not saved, after a panic: the writer may be used after it, as it is for echo's error pages. The
// cookie that an earlier save has set is on the response all the same: the browser's is worth nothing any more.
func (h *hold) abandon() {
	h.session.Discard()
	if headers := h.session.answeredHeaders(); !h.isDone && len(headers) > 0 {
		appendHeaders(h.w.Header(), headers)
		h.isDone = true
	}
}

// finish saves what changed after the head was sent. Its cookie cannot be sent any more, and if it fails, the connection
// ends, so that nobody takes the response for complete.
func (h *hold) finish() {
	if !h.isDone {
		h.save(false)
		return
	}
	if h.isReplaced {
		return
	}
	saved := h.session.finishRequest()
	err := saved.err
	if err == nil && saved.gone != nil {
		err = saved.gone
	}
	if err != nil {
		h.sessions.log().Warn("changes of a session were not saved after the head of the response", "error", err)
		panic(http.ErrAbortHandler)
	}
}

// answerWriter tells whether something was written in place of the handler's response.
type answerWriter struct {
	http.ResponseWriter
	before http.Header // The handler's.
	isUsed bool
}

func (w *answerWriter) WriteHeader(status int) {
	if !w.isUsed {
		dropBodyHeaders(w.Header(), w.before)
	}
	w.isUsed = true
	w.ResponseWriter.WriteHeader(status)
}

func (w *answerWriter) Write(data []byte) (int, error) {
	if !w.isUsed {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(data)
}

func (w *answerWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// dropBodyHeaders removes what the handler has said about a body that is not sent, if it is still as it was before. Others
// stay, such as those for CORS.
func dropBodyHeaders(header, before http.Header) {
	for name, values := range header {
		if isOfBody(name) && slices.Equal(values, before[name]) {
			delete(header, name)
		}
	}
}

func isOfBody(name string) bool {
	switch name {
	case "Accept-Ranges", "Cache-Control", "Etag", "Last-Modified", "Location", "Trailer", "Transfer-Encoding":
		return true
	}
	return strings.HasPrefix(name, "Content-") && !strings.HasPrefix(name, "Content-Security-Policy")
}

func variesBy(header http.Header, name string) bool {
	for _, line := range header["Vary"] {
		for each := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(each), name) {
				return true
			}
		}
	}
	return false
}
