package cloakroomtest

import (
	"cmp"
	"fmt"
	"slices"

	pb "cloakroom.example/cloakroom/cloakroomv1"
)

// enforceLimit refuses a login if its subject has as many sessions as it may have.
func (c *call) enforceLimit(prepared preparedSave) error {
	changes, limit := prepared.write.work.changes, c.app.MaxSessionsPerSubject
	if changes == nil || !changes.changesSubject || changes.subject == "" || limit < 0 || !c.app.RefusesSessions {
		return nil
	}
	sessions := c.store.live(c.app.Name, changes.subject, c.now)
	own := prepared.presented.token.id(c.app.Name)
	isOneOfThem := slices.ContainsFunc(sessions, func(each listed) bool { return each.id == own })
	if len(sessions) < limit || isOneOfThem || !c.wouldWrite(prepared) {
		return nil
	}
	return refused("TOO_MANY_SESSIONS", fmt.Sprintf("the subject has %d sessions already, which is the limit", limit))
}

// wouldWrite tells whether the save would be written but for the limit.
func (c *call) wouldWrite(prepared preparedSave) bool {
	r := c.load(prepared.presented.token)
	if r == nil {
		return prepared.presented.isTicket && prepared.write.mayCreate()
	}
	return r.judge(c.store.generations[c.app.Name], prepared.write.precondition(c.now)).verdict == allowed
}

// evict ends the oldest sessions of a subject that has more than it may have after a login.
func (c *call) evict(prepared preparedSave, result done) {
	changes, limit := prepared.write.work.changes, c.app.MaxSessionsPerSubject
	isLogin := changes != nil && changes.changesSubject && changes.subject != "" && result.record != nil && result.record.subject != ""
	if limit < 0 || c.app.RefusesSessions || !isLogin {
		return
	}
	sessions := c.store.live(c.app.Name, result.record.subject, c.now)
	slices.SortFunc(sessions, func(a, b listed) int {
		return cmp.Or(a.record.authenticated.Compare(b.record.authenticated), a.record.created.Compare(b.record.created), cmp.Compare(a.id, b.id))
	})
	for _, each := range sessions[:max(len(sessions)-limit, 0)] {
		c.store.apply(c.app.Name, each.id, precondition{now: c.now}, nil, pb.EndReason_END_REASON_EVICTED)
	}
}
