package sessions

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	pb "cloakroom.example/cloakroom/cloakroomv1"
)

// subjectChange returns the subject that changes of entries give: empty if they remove it. It reports false if they leave
// it as it is. The app's subject key names the entry that has it, or a path to it inside of an entry, such as
// "passport.user". changed returns the new value of an entry, nil if it is removed, and reports whether it changes.
func subjectChange(subjectKey string, changed func(name string) (*pb.Value, bool)) (string, bool) {
	for end := len(subjectKey); end > 0; end = strings.LastIndexByte(subjectKey[:end], '.') {
		if value, isChanged := changed(subjectKey[:end]); isChanged {
			return subjectIn(value.GetJson(), steps(subjectKey[end:])), true
		}
	}
	return "", false
}

// subjectOf returns the subject that a save gives, as subjectChange does.
func subjectOf(changes *pb.Changes, subjectKey string) (string, bool) {
	if changes == nil || changes.Subject != nil {
		return changes.GetSubject(), changes != nil
	}
	return subjectChange(subjectKey, func(name string) (*pb.Value, bool) {
		value, isSet := changes.Set[name]
		return value, isSet || slices.Contains(changes.Unset, name)
	})
}

// steps returns the names in a path, which is empty or begins with a dot.
func steps(path string) []string { return strings.Split(path, ".")[1:] }

// subjectIn returns the subject at a path in a JSON text; empty if there is none.
func subjectIn(text string, path []string) string {
	var value any
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	if decoder.Decode(&value) != nil {
		return ""
	}
	for _, step := range path {
		value = memberOf(value, step)
	}
	switch is := value.(type) {
	case string:
		return is
	case json.Number:
		switch digits := is.String(); {
		case digits == "-0":
			return "0"
		case !strings.ContainsAny(digits, ".eE"):
			return digits
		}
	}
	return ""
}

// memberOf returns the member of an object or an array; nil if there is none.
func memberOf(value any, name string) any {
	switch is := value.(type) {
	case map[string]any:
		return is[name]
	case []any:
		if at, err := strconv.Atoi(name); err == nil && at >= 0 && at < len(is) {
			return is[at]
		}
	}
	return nil
}
