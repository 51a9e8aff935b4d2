package connect

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
)

const (
	contentType       = "application/proto"
	streamContentType = "application/connect+proto"
)

// Failed says why one attempt of a call failed.
type Failed struct {
	Code    string // Such as UNAVAILABLE.
	Reason  string // The service's reason, such as STORE_UNAVAILABLE. Empty if the service did not answer.
	Message string
	Cause   error
	// IsLasting is true if a repeat would fail as well, whatever the code: the service is not trusted.
	IsLasting bool
}

func (f *Failed) Error() string { return f.Message }

func (f *Failed) Unwrap() error { return f.Cause }

// fixedHead returns the part of a request's head that is the same for all calls of a method to an endpoint.
func fixedHead(path, host, contentType string) string {
	return "POST " + path + " HTTP/1.1\r\nhost: " + host + "\r\ncontent-type: " + contentType + "\r\n"
}

// appendRequest appends a whole request, for a service that may take a time.
func appendRequest(to []byte, head, authorization string, message proto.Message, timeout time.Duration) ([]byte, error) {
	milliseconds := max((timeout + time.Millisecond - 1).Milliseconds(), 1)
	options := proto.MarshalOptions{UseCachedSize: true}
	size := proto.Size(message)
	to = append(to, head...)
	to = append(to, authorization...)
	to = append(to, "connect-timeout-ms: "...)
	to = strconv.AppendInt(to, milliseconds, 10)
	to = append(to, "\r\ncontent-length: "...)
	to = strconv.AppendInt(to, int64(size), 10)
	to = append(to, "\r\n\r\n"...)
	return options.MarshalAppend(to, message)
}

// readMessage reads the message of a response, or why the call failed.
func readMessage(got response, path string, into proto.Message) error {
	if got.status != http.StatusOK {
		return failedOf(got.status, got.reason, got.body)
	}
	if got.contentType != contentType {
		return &Failed{Code: "INTERNAL", Message: "what answered is not the service: its response is no message"}
	}
	if err := proto.Unmarshal(got.body, into); err != nil {
		return &Failed{Code: "INTERNAL", Message: "the response is no message of " + path}
	}
	return nil
}

// errorBody is the JSON of a failed call.
type errorBody struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Details []struct {
		Debug struct {
			Reason string `json:"reason"`
		} `json:"debug"`
	} `json:"details"`
}

func failedOf(status int, reason string, body []byte) *Failed {
	var parsed errorBody
	if err := json.Unmarshal(body, &parsed); err != nil {
		parsed = errorBody{} // A proxy has answered.
	}
	failed := parsed.failed()
	if failed.Code == "" {
		failed.Code = codeOf(status)
	}
	if failed.Message == "" {
		failed.Message = fmt.Sprintf("HTTP status %d", status)
	}
	if reason != "" {
		failed.Reason = reason
	}
	return failed
}

func (b errorBody) failed() *Failed {
	failed := &Failed{Code: strings.ToUpper(b.Code), Message: b.Message}
	for _, detail := range b.Details {
		if failed.Reason == "" {
			failed.Reason = detail.Debug.Reason
		}
	}
	return failed
}

// codeOf returns what the HTTP status means where the body does not say it, by Connect's specification.
func codeOf(status int) string {
	switch status {
	case http.StatusBadRequest:
		return "INTERNAL"
	case http.StatusUnauthorized:
		return "UNAUTHENTICATED"
	case http.StatusForbidden:
		return "PERMISSION_DENIED"
	case http.StatusNotFound:
		return "UNIMPLEMENTED"
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return "UNAVAILABLE"
	}
	return "UNKNOWN"
}
