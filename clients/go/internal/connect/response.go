package connect

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
)

const (
	maxHead = 16 << 10
	maxBody = 64 << 20
)

// response is one whole response. Its body is good until the next call on the connection.
type response struct {
	status      int
	contentType string
	reason      string // The header cloakroom-reason.
	body        []byte
	isReusable  bool // Whether another request may be sent on the connection.
}

// readResponse reads one response. Those of the usual form are read here, and all others by net/http.
//
// The usual form has a length and leaves the connection open. buffer is used for it, and is returned as it has grown.
func readResponse(conn net.Conn, buffer []byte) (response, []byte, error) {
	size := 0
	for {
		if size == len(buffer) {
			buffer = append(buffer, make([]byte, len(buffer))...)
		}
		// With TLS, the last bytes may come together with the end of the connection.
		n, ended := conn.Read(buffer[size:])
		if n == 0 && ended != nil {
			return response{}, buffer, ended
		}
		size += n
		end := bytes.Index(buffer[:size], []byte("\r\n\r\n"))
		if end < 0 && size < maxHead {
			continue
		}
		head, isUsual := parseUsualHead(buffer[:max(end, 0)])
		if !isUsual {
			result, err := readByNetHTTP(conn, buffer[:size])
			result.isReusable = result.isReusable && ended == nil
			return result, buffer, err
		}
		body := end + 4
		total := body + head.length
		if total < size {
			return response{}, buffer, errors.New("more bytes than one response")
		}
		if total > len(buffer) {
			buffer = append(buffer, make([]byte, total-len(buffer))...)
		}
		for size < total && ended == nil {
			n, ended = conn.Read(buffer[size:total])
			size += n
		}
		if size < total {
			return response{}, buffer, ended
		}
		result := response{status: http.StatusOK, contentType: contentType, body: buffer[body:total], isReusable: ended == nil}
		return result, buffer, nil
	}
}

type usualHead struct{ length int }

// parseUsualHead reads the head of a successful response that has a length and the usual content type. It reports false
// if the head has anything that it does not know to be harmless.
func parseUsualHead(head []byte) (usualHead, bool) {
	line, rest, _ := bytes.Cut(head, crlf)
	if !bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")) {
		return usualHead{}, false
	}
	length, hasType := -1, false
	for len(rest) > 0 {
		line, rest, _ = bytes.Cut(rest, crlf)
		name, value, found := bytes.Cut(line, []byte(": "))
		if !found {
			return usualHead{}, false
		}
		switch {
		case bytes.EqualFold(name, []byte("content-length")):
			if length >= 0 {
				return usualHead{}, false
			}
			var isNumber bool
			if length, isNumber = decimal(value); !isNumber {
				return usualHead{}, false
			}
		case bytes.EqualFold(name, []byte("content-type")):
			if hasType || string(value) != contentType {
				return usualHead{}, false
			}
			hasType = true
		case !isHarmless(name, value):
			return usualHead{}, false
		}
	}
	return usualHead{length}, length >= 0 && hasType
}

// isHarmless tells whether a header says nothing about the form of the response.
func isHarmless(name, value []byte) bool {
	for _, known := range harmless {
		if bytes.EqualFold(name, known) {
			return bytes.IndexByte(value, '\n') < 0 && bytes.IndexByte(value, '\r') < 0
		}
	}
	return false
}

func decimal(text []byte) (int, bool) {
	number := 0
	for _, digit := range text {
		if digit < '0' || digit > '9' || number > maxBody {
			return 0, false
		}
		number = number*10 + int(digit-'0')
	}
	return number, len(text) > 0 && number <= maxBody
}

// readByNetHTTP reads a response whose first bytes have arrived already.
func readByNetHTTP(conn io.Reader, first []byte) (response, error) {
	reader := bufio.NewReader(io.LimitReader(io.MultiReader(bytes.NewReader(first), conn), maxHead+2*maxBody))
	got, err := readHead(reader)
	if err != nil {
		return response{}, err
	}
	body, err := io.ReadAll(io.LimitReader(got.Body, maxBody+1))
	if err != nil {
		return response{}, err
	}
	if len(body) > maxBody {
		return response{}, fmt.Errorf("the response is over %d bytes", maxBody)
	}
	return response{
		status:      got.StatusCode,
		contentType: got.Header.Get("Content-Type"),
		reason:      got.Header.Get("Cloakroom-Reason"),
		body:        body,
		isReusable:  !got.Close && reader.Buffered() == 0,
	}, nil
}

// readHead reads the head of a final response. A body that only the end of the connection ends is refused: nobody could
// tell whether it is whole.
func readHead(reader *bufio.Reader) (*http.Response, error) {
	for {
		got, err := http.ReadResponse(reader, nil)
		if err != nil {
			return nil, err
		}
		if got.StatusCode == http.StatusSwitchingProtocols {
			return nil, errors.New("the connection was switched to another protocol, which nobody asked for")
		}
		if got.StatusCode < 200 {
			continue
		}
		if got.ContentLength < 0 && len(got.TransferEncoding) == 0 {
			return nil, errors.New("the response does not say how long it is")
		}
		return got, nil
	}
}

var (
	crlf     = []byte("\r\n")
	harmless = [][]byte{[]byte("date"), []byte("x-request-id"), []byte("server"), []byte("vary")}
)
