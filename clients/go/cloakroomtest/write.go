package cloakroomtest

import (
	"strconv"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"cloakroom.example/cloakroom"
	pb "cloakroom.example/cloakroom/cloakroomv1"
)

// write is a write by the holder of a token: an edit, or an end with its reason.
type write struct {
	token  token
	work   *edit
	reason pb.EndReason
	etag   *int64
	by     fingerprint
}

// rotating returns the same write with a new token.
func (w write) rotating(onlyForSubject bool, now time.Time) write {
	work := *w.work
	work.rotation = &rotation{replaced: w.token.verifier, next: randomBytes(), time: now, by: w.by}
	work.onlyForSubject = onlyForSubject
	w.work = &work
	return w
}

func (w write) precondition(now time.Time) precondition {
	return precondition{verifier: &w.token.verifier, mayOnlyEnd: w.work == nil, etag: w.etag, by: w.by, now: now}
}

// done is the result of a write, by this call or by an earlier one with the same request_id.
type done struct {
	verdict  verdict // allowed, gone or missing.
	outcome  pb.Outcome
	reason   pb.EndReason
	record   *record // Nil if the session has ended.
	token    *token  // Nil if this caller may not get it.
	counters map[string]int64
}

func (c *call) write(w write) (done, error) {
	result, judged, err := c.store.apply(c.app.Name, w.token.id(c.app.Name), w.precondition(c.now), w.work, w.reason)
	if err != nil {
		return done{}, err
	}
	switch judged.verdict {
	case allowed:
		finished := done{outcome: result.effect, reason: result.record.endReason, counters: result.counters, token: &w.token}
		if result.record.ended.IsZero() {
			finished.record = result.record
		}
		if w.work != nil && w.work.rotation != nil && w.work.rotation.next == result.record.verifier {
			finished.token = &token{w.token.selector, result.record.verifier}
		}
		return finished, nil
	case replayed:
		return c.replay(w, judged.effect), nil
	case otherEtag:
		return done{}, w.etagError()
	case reused:
		message := "this request_id was used for another call on this session; make a new one for each save"
		return done{}, cloakroom.NewError("ABORTED", "REQUEST_ID_REUSED", message, nil)
	}
	return done{verdict: judged.verdict, reason: judged.reason}, nil
}

// replay answers a call that was done before: with the same outcome, and the session as it is now.
func (c *call) replay(w write, effect pb.Outcome) done {
	r := c.load(w.token)
	again := done{outcome: effect}
	if previous := r.replacedBy(w.token.verifier, c.now); r.verifier == w.token.verifier {
		again.token = &w.token
	} else if previous != nil && previous.by == w.by {
		again.token = &token{w.token.selector, previous.next}
	}
	if effect == pb.Outcome_OUTCOME_DELETED {
		if again.reason = r.endReason; r.ended.IsZero() {
			again.reason = pb.EndReason_END_REASON_DESTROYED
		}
	}
	if w.work != nil && w.work.changes != nil {
		again.counters = map[string]int64{}
		for name := range w.work.changes.increment {
			if number, isCounter := counter(r.entries[name]); isCounter {
				again.counters[name] = number
			}
		}
	}
	if r.judge(c.store.generations[c.app.Name], precondition{now: c.now}).verdict == allowed {
		again.record = r
	}
	return again
}

// impossibleEtag is the etag that no session ever has: with it, a save whose deadline has passed writes nothing.
var impossibleEtag = int64(-1)

// mayCreate tells whether the etag lets the write create a session.
func (w write) mayCreate() bool { return w.etag == nil || *w.etag == 0 }

// etagError returns the error if the session does not have the etag.
func (w write) etagError() error {
	if *w.etag == impossibleEtag {
		return invalid("LIFETIME_INVALID", "changes.deadline_time is not in the future")
	}
	return cloakroom.NewError("ABORTED", "ETAG_MISMATCH", "the session has another etag by now; open it again and decide anew", nil)
}

func etagOf(text string) (*int64, error) {
	if text == "" {
		return nil, nil
	}
	number, err := strconv.ParseInt(text, 10, 64)
	if err != nil || number < 0 || number >= 1<<53 || decimal(number) != text {
		return nil, invalid("ETAG_INVALID", "etag: it has to be one that this service gave out")
	}
	return &number, nil
}

func checkRequestAge(age *durationpb.Duration) error {
	if age != nil && (age.CheckValid() != nil || age.AsDuration() < 0) {
		return invalid("REQUEST_AGE_INVALID", "request_age: it has to be a valid span that is not negative")
	}
	return nil
}

func checkRequestID(id string) error {
	if len(id) > 64 {
		return invalid("REQUEST_ID_INVALID", "request_id: the limit is 64 bytes")
	}
	return nil
}
