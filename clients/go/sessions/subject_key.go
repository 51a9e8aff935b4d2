package sessions

import (
	"encoding/json"
	"strconv"
	"strings"

	pb "cloakroom.example/cloakroom/cloakroomv1"
)

// setsSubject tells whether changes of entries set the subject. The app's subject key names the entry that has it, or a
// path to it inside of an entry, such as "passport.user".
func setsSubject(changes *pb.Changes, subjectKey string) bool {
	for end := len(subjectKey); end > 0; end = strings.LastIndexByte(subjectKey[:end], '.') {
		if value, isSet := changes.Set[subjectKey[:end]]; isSet {
			return isSubject(value.GetJson(), steps(subjectKey[end:]))
		}
	}
	return false
}

// steps returns the names in a path, which is empty or begins with a dot.
func steps(path string) []string { return strings.Split(path, ".")[1:] }

// isSubject tells whether a JSON text has a subject at a path.
func isSubject(text string, path []string) bool {
	var value any
	if json.Unmarshal([]byte(text), &value) != nil {
		return false
	}
	for _, step := range path {
		value = memberOf(value, step)
	}
	switch is := value.(type) {
	case string:
		return is != ""
	case float64:
		return is == float64(int64(is))
	}
	return false
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
