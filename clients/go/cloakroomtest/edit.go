package cloakroomtest

import (
	"fmt"
	"strconv"
	"time"

	pb "cloakroom.example/cloakroom/cloakroomv1"
)

// lifetime is how long a session lives. The zero value leaves it as it is.
type lifetime struct {
	idle, absolute time.Duration
	latest         time.Time // The latest deadline, if the save sets one.
}

// deadline returns the deadline of a session that has this record before.
func (l lifetime) deadline(r *record, now time.Time) time.Time {
	bound := r.created.Add(l.absolute)
	if !bound.After(now) { // The absolute timeout was longer when the session was created.
		bound = r.deadline
	}
	if !l.latest.IsZero() && l.latest.Before(bound) {
		return l.latest
	}
	return bound
}

func (a App) own() lifetime { return lifetime{idle: a.IdleTimeout, absolute: a.AbsoluteTimeout} }

func (a App) anonymous() lifetime {
	return lifetime{idle: a.AnonymousIdleTimeout, absolute: a.AnonymousAbsoluteTimeout}
}

// newLifetime returns the lifetime that the changes ask for, within the app's own.
func newLifetime(app App, c *changes) lifetime {
	switch {
	case !c.deadline.IsZero():
		return lifetime{app.AbsoluteTimeout, app.AbsoluteTimeout, c.deadline}
	case c.isDefaultLifetime:
		return app.own()
	case c.idleTimeout != 0:
		return lifetime{idle: min(c.idleTimeout, app.IdleTimeout), absolute: app.AbsoluteTimeout}
	}
	return lifetime{}
}

// edit is the work of a save.
type edit struct {
	app       App
	changes   *changes // Nil: the call only rotates.
	lifetime  lifetime
	keepEmpty bool
	context   *pb.RequestContext
	// The rotation, if it may happen, and whether it happens only if the subject changes.
	rotation       *rotation
	onlyForSubject bool
}

// apply returns the record after the edit, which does not remember the call yet.
func (e *edit) apply(before *record, now time.Time) (after *record, effect pb.Outcome, counters map[string]int64, err error) {
	after = before.clone()
	subject, clears := before.subject, false
	if e.changes != nil {
		switch {
		case e.changes.changesSubject:
			subject = e.changes.subject
		case e.changes.clear:
			subject = ""
		}
		if e.changes.authenticated && subject == "" {
			return nil, 0, nil, refused("SUBJECT_MISSING", "changes.authenticated needs a session with a subject")
		}
		isOther := before.subject != "" && subject != "" && before.subject != subject
		clears = e.changes.clear || isOther
		if counters, err = e.changes.apply(after, clears, now); err != nil {
			return nil, 0, nil, err
		}
	}
	if err := checkLimits(before, after, e.app); err != nil {
		return nil, 0, nil, err
	}
	isEmpty := len(after.entries) == 0 && subject == "" && after.permanent == nil
	if e.changes != nil && isEmpty && !e.keepEmpty {
		return after, pb.Outcome_OUTCOME_DELETED, counters, nil
	}
	if e.rotation != nil && (!e.onlyForSubject || subject != before.subject) {
		after.rotation, after.verifier = e.rotation, e.rotation.next
	}
	e.setLifetime(after, subject, clears, now)
	after.subject = subject
	after.setContext(e.context)
	if now.After(after.used) {
		after.used = now
	}
	return after, pb.Outcome_OUTCOME_UPDATED, counters, nil
}

func (c *changes) apply(r *record, clears bool, now time.Time) (map[string]int64, error) {
	if clears {
		r.entries, r.permanent, r.authenticated = map[string]string{}, nil, time.Time{}
	}
	counters := map[string]int64{}
	for name, by := range c.increment {
		number, isCounter := int64(0), true
		if text, isThere := r.entries[name]; isThere {
			number, isCounter = counter(text)
		}
		if sum := number + by; isCounter && (sum > number) == (by > 0) {
			counters[name] = sum
			continue
		}
		return nil, refused("NOT_A_COUNTER", fmt.Sprintf("%q is no decimal int64 in JSON, or would leave its range", name))
	}
	for _, name := range c.unset {
		delete(r.entries, name)
	}
	for name, value := range c.set {
		r.entries[name] = value
	}
	for name, number := range counters {
		r.entries[name] = strconv.FormatInt(number, 10)
	}
	r.version++
	if c.changesPermanent {
		r.permanent = c.permanent
	}
	if c.changesSubject {
		if r.authenticated = now; c.subject == "" {
			r.authenticated = time.Time{}
		}
	}
	if c.authenticated {
		r.authenticated = now
	}
	return counters, nil
}

// counter reads a stored value as a counter: a decimal int64 in its canonical spelling.
func counter(text string) (int64, bool) {
	number, err := strconv.ParseInt(text, 10, 64)
	return number, err == nil && strconv.FormatInt(number, 10) == text
}

func checkLimits(before, after *record, app App) error {
	if count := len(after.entries); count > app.MaxEntries && count > len(before.entries) {
		return refused("TOO_MANY_ENTRIES", fmt.Sprintf("the session would have %d entries; the limit is %d", count, app.MaxEntries))
	}
	if size := after.entryBytes(); size > app.MaxSessionBytes && size > before.entryBytes() {
		return refused("SESSION_TOO_LARGE", fmt.Sprintf("the session would have %d bytes; the limit is %d", size, app.MaxSessionBytes))
	}
	return nil
}

// setLifetime sets the lifetime after a save that makes subject the subject; the record has the one before.
func (e *edit) setLifetime(r *record, subject string, clears bool, now time.Time) {
	wanted, own, anonymous := e.lifetime, e.app.own(), e.app.anonymous()
	if clears && wanted == (lifetime{}) {
		wanted = own
	}
	if own != anonymous {
		if subject == "" {
			if r.subject != "" || wanted != (lifetime{}) {
				r.setAnonymousLifetime(wanted, anonymous, now)
			}
			return
		}
		if r.subject == "" && wanted == (lifetime{}) {
			wanted = own
		}
	}
	if wanted != (lifetime{}) {
		r.idleTimeout, r.deadline = wanted.idle, later(wanted.deadline(r, now), now)
	}
}

func (r *record) setAnonymousLifetime(wanted, limit lifetime, now time.Time) {
	idle, deadline := r.idleTimeout, r.deadline
	if wanted != (lifetime{}) {
		idle, deadline = wanted.idle, wanted.deadline(r, now)
	}
	latest := later(r.deadline, r.created.Add(limit.absolute))
	if r.subject != "" {
		latest = now.Add(limit.absolute)
	}
	if latest.Before(deadline) {
		deadline = latest
	}
	r.idleTimeout, r.deadline = min(idle, limit.idle), later(deadline, now)
}

func later(one, other time.Time) time.Time {
	if one.After(other) {
		return one
	}
	return other
}
