package sessions

import (
	"errors"

	"cloakroom.example/cloakroom"
	pb "cloakroom.example/cloakroom/cloakroomv1"
)

// GoneError says that a session had ended before its changes were saved, so nothing was saved: the user has logged out,
// or another request has logged the user in.
type GoneError struct {
	// Reason says why it ended, such as DESTROYED, REVOKED or SUPERSEDED. UNKNOWN if the service does not know it.
	Reason string
}

func (e *GoneError) Error() string {
	return "sessions: the session had ended before it was saved (" + e.Reason + ")"
}

// EncodingError says that a value cannot be read as it was asked for, or written as JSON.
type EncodingError struct {
	// Entry is the name of the entry.
	Entry string
	// Err is the error of encoding/json.
	Err error
}

func (e *EncodingError) Error() string { return "sessions: entry " + e.Entry + ": " + e.Err.Error() }

// Unwrap returns the error of encoding/json.
func (e *EncodingError) Unwrap() error { return e.Err }

var (
	errRaw   = errors.New("it is bytes that another client wrote; read it into a *[]byte")
	errEmpty = errors.New("the name of an entry is empty")
)

func nullSessionError(null *pb.NullSession) error {
	return cloakroom.NewError("FAILED_PRECONDITION", null.Reason, null.Message, nil)
}

func isAmbiguous(err error) bool {
	var refused *cloakroom.Error
	return errors.As(err, &refused) && refused.Reason == "COOKIES_AMBIGUOUS"
}

func isUnavailable(err error) bool { return errors.Is(err, cloakroom.ErrUnavailable) }
