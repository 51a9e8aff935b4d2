package cloakroom

import (
	"context"
	"errors"
)

// Error says why a call failed.
//
// errors.Is tells the kinds apart: [ErrUnavailable] and [ErrRefused]. An error that is neither is a defect. It also finds
// context.DeadlineExceeded if there was no answer in time, and context.Canceled if the context of the call was cancelled.
type Error struct {
	// Code is that of the call, such as UNAVAILABLE or INVALID_ARGUMENT.
	Code string
	// Reason is the service's, such as STORE_UNAVAILABLE; docs/errors.md lists them. Empty if the service did not answer.
	Reason string
	// Message is for a developer and says what to change.
	Message string

	cause error
	// isLasting is true if a repeat would fail as well.
	isLasting bool
}

// ErrUnavailable is the kind of an error for which the service did not answer in time, or cannot. A later request may
// succeed, and the user is still logged in.
var ErrUnavailable = errors.New("the session service is unavailable")

// ErrRefused is the kind of an error for which the service refused the call. Nothing was written.
var ErrRefused = errors.New("the session service refused the call")

// NewError returns an error as a [Transport] reports it.
func NewError(code, reason, message string, cause error) *Error {
	return &Error{Code: code, Reason: reason, Message: message, cause: cause}
}

func (e *Error) Error() string {
	text := "cloakroom: " + e.Message + " (" + e.Code
	if e.Reason != "" {
		text += " " + e.Reason
	}
	return text + ")"
}

// Unwrap returns the cause of a failed connection, such as an error of package net.
func (e *Error) Unwrap() error { return e.cause }

// Is reports whether the error is of a kind: ErrUnavailable, ErrRefused or context.DeadlineExceeded.
func (e *Error) Is(kind error) bool {
	switch kind {
	case ErrUnavailable:
		return e.isUnavailable()
	case ErrRefused:
		return e.isRefused()
	case context.DeadlineExceeded:
		return e.Code == "DEADLINE_EXCEEDED"
	}
	return false
}

func (e *Error) isUnavailable() bool {
	switch e.Code {
	case "UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "CANCELLED":
		return true
	}
	return e.isBrokenConnection()
}

// isBrokenConnection tells whether a proxy may have said so that a connection ended in the middle of a call.
func (e *Error) isBrokenConnection() bool {
	return (e.Code == "CANCELLED" || e.Code == "INTERNAL") && e.Reason == ""
}

func (e *Error) isRefused() bool {
	switch e.Code {
	case "INVALID_ARGUMENT", "FAILED_PRECONDITION", "ABORTED", "NOT_FOUND", "PERMISSION_DENIED", "UNAUTHENTICATED",
		"UNIMPLEMENTED":
		return true
	}
	return false
}
