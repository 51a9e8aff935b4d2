package cloakroomtest

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"cloakroom.example/cloakroom"
	pb "cloakroom.example/cloakroom/cloakroomv1"
)

const (
	permanentEntry = "_permanent"
	maxNames       = 8192
	maxDepth       = 127
)

// changes are those of one request, checked: aliases are resolved, and values are as they are stored.
type changes struct {
	clear             bool
	unset             []string
	set               map[string]string
	increment         map[string]int64
	changesPermanent  bool
	permanent         *bool
	changesSubject    bool
	subject           string
	authenticated     bool
	idleTimeout       time.Duration // 0: not changed.
	deadline          time.Time
	isDefaultLifetime bool
}

// mayBeginAnew tells whether the changes leave nothing of the session before them: a clear, or another subject.
func mayBeginAnew(message *pb.Changes, subjectKey string) bool {
	_, isAlias := message.GetSet()[subjectKey]
	isAlias = (isAlias || slices.Contains(message.GetUnset(), subjectKey)) && subjectKey != ""
	return message.GetClear() || message != nil && message.Subject != nil || isAlias
}

func (c *changes) touchesPermanent() bool { return c != nil && (c.clear || c.changesPermanent) }

// canonical returns text that is equal exactly if the changes are.
func (c *changes) canonical() string {
	unset, increment := append([]string{}, c.unset...), map[string]int64{}
	maps.Copy(increment, c.increment)
	text, _ := json.Marshal([]any{c.clear, unset, c.set, increment, c.changesPermanent, c.permanent, c.changesSubject,
		c.subject, c.authenticated, c.idleTimeout, c.deadline, c.isDefaultLifetime}) // Cannot fail for these types.
	return string(text)
}

// checkValues checks what can be wrong in the changes by themselves.
func checkValues(message *pb.Changes) error {
	for name, value := range message.GetSet() {
		switch kind := value.GetKind().(type) {
		case nil:
			return invalid("VALUE_INVALID", fmt.Sprintf("changes.set[%q]: a value needs a kind, json or raw", name))
		case *pb.Value_Json:
			if !isJSON(kind.Json) {
				return invalid("VALUE_INVALID", fmt.Sprintf("changes.set[%q]: json is not RFC 8259 text of at most 127 levels", name))
			}
		}
	}
	if len(message.GetSubject()) > 256 {
		return subjectInvalid()
	}
	switch lifetime := message.GetLifetime().(type) {
	case *pb.Changes_IdleTimeout:
		if lifetime.IdleTimeout.CheckValid() != nil || lifetime.IdleTimeout.AsDuration() < time.Second {
			return invalid("LIFETIME_INVALID", "changes.idle_timeout: it has to be a valid span of at least 1 s")
		}
	case *pb.Changes_DeadlineTime:
		if lifetime.DeadlineTime.CheckValid() != nil || lifetime.DeadlineTime.Seconds < 0 {
			return invalid("LIFETIME_INVALID", "changes.deadline_time: it has to be a valid time")
		}
	}
	return nil
}

// checkChanges checks the names and resolves aliases.
func checkChanges(message *pb.Changes, subjectKey string) (*changes, error) {
	c := &changes{clear: message.Clear, authenticated: message.Authenticated, increment: message.Increment, set: map[string]string{}}
	c.unset = slices.Compact(slices.Sorted(slices.Values(message.Unset)))
	if len(message.Unset)+len(message.Set)+len(message.Increment) > maxNames {
		return nil, invalid("TOO_MANY_CHANGES", fmt.Sprintf("the limit of entries in one save is %d", maxNames))
	}
	if err := checkNames(message); err != nil {
		return nil, err
	}
	for name, value := range message.Set {
		if name != permanentEntry {
			c.set[name] = stored(value)
		}
	}
	if err := c.resolvePermanent(message); err != nil {
		return nil, err
	}
	c.unset = slices.DeleteFunc(c.unset, func(name string) bool { return name == permanentEntry })
	if err := c.resolveSubject(message, subjectKey); err != nil {
		return nil, err
	}
	switch lifetime := message.Lifetime.(type) {
	case *pb.Changes_IdleTimeout:
		c.idleTimeout = lifetime.IdleTimeout.AsDuration()
	case *pb.Changes_DeadlineTime:
		c.deadline = lifetime.DeadlineTime.AsTime()
	case *pb.Changes_DefaultLifetime:
		c.isDefaultLifetime = lifetime.DefaultLifetime
	}
	return c, nil
}

func checkNames(message *pb.Changes) error {
	all := slices.Concat(message.Unset, slices.Collect(maps.Keys(message.Set)), slices.Collect(maps.Keys(message.Increment)))
	for _, name := range all {
		if len(name) < 1 || len(name) > 256 {
			return invalid("ENTRY_NAME_INVALID", "an entry's name needs 1 to 256 bytes")
		}
	}
	for name := range message.Increment {
		if _, isSet := message.Set[name]; isSet || slices.Contains(message.Unset, name) {
			return repeated(name)
		}
	}
	for _, name := range message.Unset {
		if _, isSet := message.Set[name]; isSet {
			return repeated(name)
		}
	}
	return nil
}

func (c *changes) resolvePermanent(message *pb.Changes) error {
	c.changesPermanent, c.permanent = message.Permanent != nil, message.Permanent
	if _, isCounter := message.Increment[permanentEntry]; isCounter {
		return permanentInvalid()
	}
	var alias *bool
	isAlias := slices.Contains(message.Unset, permanentEntry)
	if value, isSet := message.Set[permanentEntry]; isSet {
		switch strings.Trim(value.GetJson(), " \t\n\r") {
		case "true":
			alias = new(bool)
			*alias = true
		case "false":
			alias = new(bool)
		default:
			return permanentInvalid()
		}
		isAlias = true
	}
	if !isAlias {
		return nil
	}
	if c.changesPermanent && (alias == nil || *alias != *c.permanent) {
		return repeated(permanentEntry)
	}
	c.changesPermanent, c.permanent = true, alias
	return nil
}

func (c *changes) resolveSubject(message *pb.Changes, key string) error {
	c.changesSubject, c.subject = message.Subject != nil, message.GetSubject()
	if key == "" {
		return nil
	}
	if _, isCounter := message.Increment[key]; isCounter {
		return subjectInvalid()
	}
	alias, isAlias := "", slices.Contains(message.Unset, key)
	if value, isSet := message.Set[key]; isSet {
		var err error
		if alias, err = subjectOf(value); err != nil {
			return err
		}
		isAlias = true
	}
	if !isAlias {
		return nil
	}
	if c.changesSubject && alias != c.subject {
		return repeated(key)
	}
	c.changesSubject, c.subject = true, alias
	return nil
}

var integer = regexp.MustCompile(`^(0|-?[1-9][0-9]*)$`)

// subjectOf reads a value as a subject: a string as it is, an integer as its digits, and null as none.
func subjectOf(value *pb.Value) (string, error) {
	text := strings.Trim(value.GetJson(), " \t\n\r")
	if text == "-0" {
		return "0", nil
	}
	var subject *string
	if integer.MatchString(text) {
		subject = &text
	} else if err := json.Unmarshal([]byte(value.GetJson()), &subject); err != nil {
		return "", subjectInvalid()
	}
	if subject == nil {
		return "", nil
	}
	if len(*subject) > 256 || hasLoneSurrogate(text) {
		return "", subjectInvalid()
	}
	return *subject, nil
}

var escape = regexp.MustCompile(`(?i)\\(?:[^u]|ud[89ab]..\\ud[c-f]..|(ud[89a-f]..)|u....)`)

// hasLoneSurrogate tells whether a JSON text was cut inside of a character. encoding/json replaces what is left of it.
func hasLoneSurrogate(text string) bool {
	return slices.ContainsFunc(escape.FindAllStringSubmatch(text, -1), func(found []string) bool { return found[1] != "" })
}

func stored(value *pb.Value) string {
	if raw, isRaw := value.Kind.(*pb.Value_Raw); isRaw {
		return "\x00" + string(raw.Raw)
	}
	return value.GetJson()
}

func isJSON(text string) bool {
	depth, inString, isEscaped := 0, false, false
	for _, character := range text {
		switch {
		case isEscaped:
			isEscaped = false
		case character == '\\':
			isEscaped = true
		case character == '"':
			inString = !inString
		case !inString && (character == '[' || character == '{'):
			if depth++; depth > maxDepth {
				return false
			}
		case !inString && (character == ']' || character == '}'):
			depth--
		}
	}
	return json.Valid([]byte(text))
}

func invalid(reason, message string) error {
	return cloakroom.NewError("INVALID_ARGUMENT", reason, message, nil)
}

func refused(reason, message string) error {
	return cloakroom.NewError("FAILED_PRECONDITION", reason, message, nil)
}

func repeated(name string) error {
	return invalid("ENTRY_REPEATED", fmt.Sprintf("%q is in two of unset, set and increment, or contradicts its field", name))
}

func permanentInvalid() error {
	return invalid("VALUE_INVALID", "the entry `_permanent` is true or false")
}

func subjectInvalid() error {
	return invalid("SUBJECT_INVALID", "a subject is a string or an integer of at most 256 bytes")
}
