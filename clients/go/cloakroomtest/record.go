package cloakroomtest

import (
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	pb "cloakroom.example/cloakroom/cloakroomv1"
)

const (
	tombstoneTTL = 16 * time.Minute
	// A session remembers calls, and the token that the last rotation replaced, for this long.
	idempotencyTTL = 10 * time.Minute
	maxCalls       = 16
)

// fingerprint identifies a call that has a request_id.
type fingerprint struct{ requestID, content string }

// rememberedCall is a call that a session remembers, and its effect.
type rememberedCall struct {
	fingerprint fingerprint
	time        time.Time
	effect      pb.Outcome
}

// rotation is the last replacement of a session's token.
type rotation struct {
	replaced, next [16]byte
	time           time.Time
	by             fingerprint
}

func (r *rotation) isRemembered(now time.Time) bool { return now.Before(r.time.Add(idempotencyTTL)) }

// record is a session, or what stays of one that has ended: its tombstone.
type record struct {
	verifier                 [16]byte
	created, used            time.Time
	idleTimeout              time.Duration
	deadline                 time.Time
	version                  int64
	authenticated            time.Time
	permanent                *bool
	generation               int
	subject                  string
	rotation                 *rotation
	calls                    []rememberedCall
	userAgent, remoteAddress string
	entries                  map[string]string // JSON text as it is; raw bytes after a zero byte.
	endReason                pb.EndReason      // With ended, if a call has ended the session.
	ended                    time.Time
}

func (r *record) clone() *record {
	copied := *r
	copied.calls, copied.entries = slices.Clone(r.calls), maps.Clone(r.entries)
	if copied.entries == nil {
		copied.entries = map[string]string{}
	}
	return &copied
}

func (r *record) entryBytes() int {
	sum := 0
	for name, value := range r.entries {
		sum += len(name) + len(value)
	}
	return sum
}

func (r *record) setContext(context *pb.RequestContext) {
	if context != nil {
		r.userAgent, r.remoteAddress = cut(context.UserAgent, 256), cut(context.RemoteAddress, 64)
	}
}

// expires returns when the session expires if it is last used at a time.
func (r *record) expires(used time.Time) time.Time {
	if used.Before(r.used) {
		used = r.used
	}
	if idle := used.Add(r.idleTimeout); idle.Before(r.deadline) {
		return idle
	}
	return r.deadline
}

func (r *record) isForgotten(now time.Time) bool {
	end := r.ended
	if end.IsZero() {
		end = r.expires(r.used)
	}
	return !now.Before(end.Add(tombstoneTTL))
}

func (r *record) remember(by fingerprint, now time.Time, effect pb.Outcome) {
	if by.requestID == "" {
		return
	}
	r.calls = append(r.calls, rememberedCall{by, now, effect})
	r.calls = r.calls[max(len(r.calls)-maxCalls, 0):]
}

// tombstone returns what stays after a call has ended the session.
func (r *record) tombstone(reason pb.EndReason, by fingerprint, now time.Time) *record {
	left := r.clone()
	left.endReason, left.ended = reason, now
	left.subject, left.permanent, left.authenticated, left.entries = "", nil, time.Time{}, nil
	left.userAgent, left.remoteAddress = "", ""
	left.remember(by, now, pb.Outcome_OUTCOME_DELETED)
	return left
}

// replacedBy returns the last rotation, if it replaced the token with this verifier and is still known.
func (r *record) replacedBy(verifier [16]byte, now time.Time) *rotation {
	if r.rotation != nil && r.rotation.replaced == verifier && r.rotation.isRemembered(now) {
		return r.rotation
	}
	return nil
}

// endTime returns when the token ceased to open the session by a call; zero: it opens it, or only time has ended it.
func (r *record) endTime(verifier [16]byte) time.Time {
	replaced := r.created
	if r.rotation != nil {
		replaced = r.rotation.time
	}
	if r.verifier == verifier || (!r.ended.IsZero() && r.ended.Before(replaced)) {
		return r.ended
	}
	return replaced
}

// precondition has the conditions on which a call writes.
type precondition struct {
	verifier   *[16]byte // Nil: an administrator.
	mayOnlyEnd bool      // Whether the token that was replaced last is enough, as it is to end the session.
	etag       *int64
	by         fingerprint
	now        time.Time
}

type verdict int

const (
	allowed verdict = iota
	replayed
	gone
	missing
	otherEtag
	reused
)

// judgement says whether a call may write, and if not, why.
type judgement struct {
	verdict verdict
	reason  pb.EndReason // With gone.
	effect  pb.Outcome   // With replayed.
}

// findCall returns the last call with this request_id; nil if there is none that is still known.
func (r *record) findCall(requestID string, now time.Time) *rememberedCall {
	for i := len(r.calls) - 1; i >= 0 && requestID != ""; i-- {
		if call := &r.calls[i]; call.fingerprint.requestID == requestID && now.Before(call.time.Add(idempotencyTTL)) {
			return call
		}
	}
	return nil
}

func (r *record) judge(generation int, on precondition) judgement {
	if call := r.findCall(on.by.requestID, on.now); call != nil {
		if call.fingerprint == on.by {
			return judgement{verdict: replayed, effect: call.effect}
		}
		return judgement{verdict: reused}
	}
	if reason := r.whyEnded(generation, on.now); reason != pb.EndReason_END_REASON_UNSPECIFIED {
		return judgement{verdict: gone, reason: reason}
	}
	if on.verifier != nil && *on.verifier != r.verifier && !(on.mayOnlyEnd && r.replacedBy(*on.verifier, on.now) != nil) {
		return judgement{verdict: gone, reason: pb.EndReason_END_REASON_SUPERSEDED}
	}
	if on.etag != nil && *on.etag != r.version {
		return judgement{verdict: otherEtag}
	}
	return judgement{}
}

func (r *record) whyEnded(generation int, now time.Time) pb.EndReason {
	switch {
	case !r.ended.IsZero():
		return r.endReason
	case r.generation < generation:
		return pb.EndReason_END_REASON_REVOKED
	case !now.Before(r.deadline):
		return pb.EndReason_END_REASON_ABSOLUTE
	case !now.Before(r.used.Add(r.idleTimeout)):
		return pb.EndReason_END_REASON_IDLE
	}
	return pb.EndReason_END_REASON_UNSPECIFIED
}

// cut returns a text cut between characters, to at most so many bytes.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return strings.Clone(text[:limit])
}
