package sessions

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"

	pb "cloakroom.example/cloakroom/cloakroomv1"
)

// entries tracks a session's entries in one request, and what the request changes. It makes no calls: a write needs no
// read, and neither does a read of what was just written.
type entries struct {
	stored     map[string]*pb.Value
	isComplete bool // Whether stored has all entries that the session had.
	isCleared  bool // Whether all earlier entries were removed.
	// Whether the earlier entries are another user's. The service removes them in the save that changes the subject.
	areOthers bool

	set       map[string]*pb.Value
	unset     map[string]struct{}
	increment map[string]int64
}

// lookup returns the value of an entry; nil if there is none. It reports false if the session has to be opened for that.
func (e *entries) lookup(name string) (value *pb.Value, isKnown bool, err error) {
	if written, isWritten := e.set[name]; isWritten {
		return written, true, nil
	}
	if _, isRemoved := e.unset[name]; isRemoved {
		return nil, true, nil
	}
	if !e.isKnown() {
		return nil, false, nil
	}
	stored := e.current()[name]
	if by, isCounter := e.increment[name]; isCounter {
		value, err := added(stored, by)
		return value, true, err
	}
	return stored, true, nil
}

// names returns the names of all entries, sorted. Needs isKnown.
func (e *entries) names() []string {
	all := map[string]struct{}{}
	for name := range e.current() {
		all[name] = struct{}{}
	}
	for name := range e.unset {
		delete(all, name)
	}
	for name := range e.set {
		all[name] = struct{}{}
	}
	for name := range e.increment {
		all[name] = struct{}{}
	}
	return slices.Sorted(maps.Keys(all))
}

func (e *entries) write(name string, value *pb.Value) {
	delete(e.unset, name)
	delete(e.increment, name)
	if e.set == nil {
		e.set = map[string]*pb.Value{}
	}
	e.set[name] = value
}

func (e *entries) remove(name string) {
	delete(e.set, name)
	delete(e.increment, name)
	if e.unset == nil {
		e.unset = map[string]struct{}{}
	}
	e.unset[name] = struct{}{}
}

func (e *entries) clear() {
	*e = entries{stored: e.stored, isComplete: e.isComplete, isCleared: true}
}

// discard forgets the changes that were not saved.
func (e *entries) discard() {
	*e = entries{stored: e.stored, isComplete: e.isComplete}
}

// isKnown tells whether current returns all entries of the session.
func (e *entries) isKnown() bool { return e.isComplete || e.isCleared || e.areOthers }

// current returns the stored entries that are left.
func (e *entries) current() map[string]*pb.Value {
	if e.isCleared || e.areOthers {
		return nil
	}
	return e.stored
}

func (e *entries) add(name string, by int64) error {
	if written, isWritten := e.set[name]; isWritten {
		value, err := added(written, by)
		if err == nil {
			e.set[name] = value
		}
		return err
	}
	if _, isRemoved := e.unset[name]; isRemoved {
		e.write(name, jsonValue(strconv.AppendInt(nil, by, 10)))
		return nil
	}
	if e.increment == nil {
		e.increment = map[string]int64{}
	}
	e.increment[name] += by
	return nil
}

func (e *entries) hasChanges() bool {
	return e.isCleared || len(e.set) > 0 || len(e.unset) > 0 || len(e.increment) > 0
}

// changes returns what a save must send, and treats it as stored. Later changes belong to the next save.
func (e *entries) changes() *pb.Changes {
	changes := &pb.Changes{Clear: e.isCleared, Set: e.set, Unset: slices.Sorted(maps.Keys(e.unset)), Increment: e.increment}
	if e.isKnown() {
		e.load(e.current(), changes)
	}
	e.set, e.unset, e.increment, e.isCleared, e.areOthers = nil, nil, nil, false, false
	return changes
}

// with returns these entries with the changes of others, which are later and take precedence.
func (e entries) with(later *entries) entries {
	e.set, e.unset, e.increment = maps.Clone(e.set), maps.Clone(e.unset), maps.Clone(e.increment)
	for name := range later.unset {
		e.remove(name)
	}
	for name, value := range later.set {
		e.write(name, value)
	}
	for name, by := range later.increment {
		e.add(name, by) // Fails only for a value that is no number. Then the service would refuse both changes.
	}
	return e
}

// forNewSession returns these entries after their session has ended and the next save begins another one.
func (e entries) forNewSession() entries {
	return entries{isComplete: true, set: e.set, increment: e.increment}
}

// load replaces the stored entries by others, with the changes of a save that the others do not have yet.
func (e *entries) load(stored map[string]*pb.Value, changes *pb.Changes) {
	loaded := make(map[string]*pb.Value, len(stored)+len(changes.GetSet()))
	if !changes.GetClear() {
		maps.Copy(loaded, stored)
	}
	for _, name := range changes.GetUnset() {
		delete(loaded, name)
	}
	maps.Copy(loaded, changes.GetSet())
	for name, by := range changes.GetIncrement() {
		if value, err := added(loaded[name], by); err == nil {
			loaded[name] = value
		}
	}
	e.stored, e.isComplete = loaded, true
}

// updateCounters sets counters to the values that a save returned.
func (e *entries) updateCounters(counters map[string]int64) {
	if !e.isComplete {
		return
	}
	for name, number := range counters {
		e.stored[name] = jsonValue(strconv.AppendInt(nil, number, 10))
	}
}

// added returns a counter with something added to it. A missing one counts as 0.
func added(value *pb.Value, by int64) (*pb.Value, error) {
	var number int64
	if value != nil {
		if err := json.Unmarshal([]byte(value.GetJson()), &number); err != nil {
			return nil, err
		}
	}
	return jsonValue(strconv.AppendInt(nil, number+by, 10)), nil
}

func jsonValue(text []byte) *pb.Value { return &pb.Value{Kind: &pb.Value_Json{Json: string(text)}} }

// decode reads the value of an entry into what a pointer points to.
func decode(name string, value *pb.Value, into any) error {
	if raw, isRaw := value.Kind.(*pb.Value_Raw); isRaw {
		target, isBytes := into.(*[]byte)
		if !isBytes {
			return &EncodingError{name, errRaw}
		}
		*target = slices.Clone(raw.Raw)
		return nil
	}
	if err := json.Unmarshal([]byte(value.GetJson()), into); err != nil {
		return &EncodingError{name, err}
	}
	return nil
}
