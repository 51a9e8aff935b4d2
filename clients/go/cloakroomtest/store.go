package cloakroomtest

import (
	"cmp"
	"slices"
	"time"

	pb "cloakroom.example/cloakroom/cloakroomv1"
)

type storeKey struct{ app, id string }

// store holds records by app and id. The service's lock protects it.
type store struct {
	records     map[storeKey]*record
	generations map[string]int
}

func newStore() *store { return &store{map[storeKey]*record{}, map[string]int{}} }

// load returns a session or its tombstone; nil if there is none.
func (s *store) load(app, id string, now time.Time) *record {
	found := s.records[storeKey{app, id}]
	if found != nil && found.isForgotten(now) {
		delete(s.records, storeKey{app, id})
		return nil
	}
	return found
}

// create stores a new session. It reports false if there was one, or a tombstone.
func (s *store) create(app, id string, r *record, now time.Time) bool {
	if s.load(app, id, now) != nil {
		return false
	}
	r.generation = s.generations[app]
	s.records[storeKey{app, id}] = r
	return true
}

// applied is a write that was done: the record after it, its effect, and the new values of counters.
type applied struct {
	record   *record
	effect   pb.Outcome
	counters map[string]int64
}

// apply edits a session, or ends it for a reason if there is no edit, if the judge allows it.
func (s *store) apply(app, id string, on precondition, work *edit, reason pb.EndReason) (applied, judgement, error) {
	before := s.load(app, id, on.now)
	if before == nil {
		return applied{}, judgement{verdict: missing}, nil
	}
	if judged := before.judge(s.generations[app], on); judged.verdict != allowed {
		return applied{}, judged, nil
	}
	done := applied{record: before, effect: pb.Outcome_OUTCOME_DELETED}
	if work != nil {
		var err error
		if done.record, done.effect, done.counters, err = work.apply(before, on.now); err != nil {
			return applied{}, judgement{}, err
		}
		reason = pb.EndReason_END_REASON_EMPTIED
	}
	if done.effect == pb.Outcome_OUTCOME_DELETED {
		done.record = done.record.tombstone(reason, on.by, on.now)
	} else {
		done.record.remember(on.by, on.now, done.effect)
	}
	s.records[storeKey{app, id}] = done.record
	return done, judgement{}, nil
}

// touch records a use of a live session that changes nothing else, if that is due.
func (s *store) touch(r *record, context *pb.RequestContext, now time.Time) {
	if now.Sub(r.used) >= r.idleTimeout/20 {
		r.used = now
		r.setContext(context)
	}
}

// listed is a session with its id.
type listed struct {
	id     string
	record *record
}

// live returns the live sessions of an app, or of one of its subjects, sorted by id.
func (s *store) live(app, subject string, now time.Time) []listed {
	var found []listed
	for key := range s.records {
		r := s.load(key.app, key.id, now)
		if r == nil || key.app != app || (subject != "" && r.subject != subject) {
			continue
		}
		if r.judge(s.generations[app], precondition{now: now}).verdict == allowed {
			found = append(found, listed{key.id, r})
		}
	}
	slices.SortFunc(found, func(a, b listed) int { return cmp.Compare(a.id, b.id) })
	return found
}
