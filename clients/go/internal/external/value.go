package external

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	pb "cloakroom.example/cloakroom/cloakroomv1"
)

// int64Member is the only member of the JSON object that an int64 is stored as.
const int64Member = "int64"

// Encode returns a value of a Go application as it is stored. Decode returns the same value with the same type.
//
// Text, true, false, nil, numbers of the types int and float64, and slices and maps of the type any of these are JSON, so
// that other clients and the app's subject_key can read them. An int64 is the JSON object {"int64":1}. All other types are
// gob, and have to be registered by gob.Register.
func Encode(value any) (*pb.Value, error) {
	if number, isInt64 := value.(int64); isInt64 {
		return jsonValue(`{"` + int64Member + `":` + strconv.FormatInt(number, 10) + `}`), nil
	}
	if text, isPlain := appendJSON(nil, value); isPlain {
		return jsonValue(string(text)), nil
	}
	var encoded bytes.Buffer
	if err := gob.NewEncoder(&encoded).Encode(&value); err != nil {
		return nil, err
	}
	return &pb.Value{Kind: &pb.Value_Raw{Raw: encoded.Bytes()}}, nil
}

// Text returns ASCII text as it is stored.
func Text(text string) *pb.Value { return jsonValue(strconv.Quote(text)) }

// Decode returns the value of an entry. JSON of another client becomes the types that Encode writes as JSON.
func Decode(value *pb.Value) (any, error) {
	var decoded any
	if raw, isRaw := value.Kind.(*pb.Value_Raw); isRaw {
		err := gob.NewDecoder(bytes.NewReader(raw.Raw)).Decode(&decoded)
		return decoded, err
	}
	if text := value.GetJson(); strings.HasPrefix(text, `"`) {
		var decoded string
		err := json.Unmarshal([]byte(text), &decoded)
		return decoded, err
	} else if number, err := strconv.Atoi(text); err == nil {
		return number, nil
	}
	decoder := json.NewDecoder(strings.NewReader(value.GetJson()))
	decoder.UseNumber()
	if err := decoder.Decode(&decoded); err != nil {
		return nil, err
	}
	if object, isObject := decoded.(map[string]any); isObject && len(object) == 1 {
		if text, isNumber := object[int64Member].(json.Number); isNumber {
			if number, err := text.Int64(); err == nil {
				return number, nil
			}
		}
	}
	return withNumbers(decoded)
}

// IsSame tells whether an application sees no difference between two values. Their bytes may differ: another client may
// have written the JSON, and gob writes the members of a map in any order.
func IsSame(stored, wanted *pb.Value) bool {
	_, isStoredRaw := stored.Kind.(*pb.Value_Raw)
	_, isWantedRaw := wanted.Kind.(*pb.Value_Raw)
	if isStoredRaw == isWantedRaw && stored.GetJson() == wanted.GetJson() && bytes.Equal(stored.GetRaw(), wanted.GetRaw()) {
		return true
	}
	one, err := Decode(stored)
	if err != nil {
		return false
	}
	other, err := Decode(wanted)
	return err == nil && reflect.DeepEqual(one, other)
}

// appendJSON reports false for a value that JSON cannot give back with the same type.
func appendJSON(text []byte, value any) ([]byte, bool) {
	switch value := value.(type) {
	case nil:
		return append(text, "null"...), true
	case bool:
		return strconv.AppendBool(text, value), true
	case int:
		return strconv.AppendInt(text, int64(value), 10), true
	case float64:
		return appendFloat(text, value)
	case string:
		return appendString(text, value)
	case []any:
		return appendList(text, value)
	case map[string]any:
		return appendObject(text, value)
	}
	return text, false
}

// appendFloat writes a fraction or an exponent, because a number without them is an int.
func appendFloat(text []byte, number float64) ([]byte, bool) {
	if math.IsNaN(number) || math.IsInf(number, 0) {
		return text, false
	}
	start := len(text)
	text = strconv.AppendFloat(text, number, 'g', -1, 64)
	if !bytes.ContainsAny(text[start:], ".e") {
		text = append(text, ".0"...)
	}
	return text, true
}

func appendString(text []byte, value string) ([]byte, bool) {
	if !utf8.ValidString(value) {
		return text, false
	}
	if strings.IndexFunc(value, isEscaped) < 0 {
		return append(append(append(text, '"'), value...), '"'), true
	}
	quoted, err := json.Marshal(value)
	return append(text, quoted...), err == nil
}

// isEscaped tells whether JSON may need another form of a character.
func isEscaped(char rune) bool { return char < ' ' || char >= 0x7f || char == '"' || char == '\\' }

func appendList(text []byte, list []any) ([]byte, bool) {
	text = append(text, '[')
	for i, element := range list {
		if i > 0 {
			text = append(text, ',')
		}
		var isPlain bool
		if text, isPlain = appendJSON(text, element); !isPlain {
			return text, false
		}
	}
	return append(text, ']'), true
}

func appendObject(text []byte, object map[string]any) ([]byte, bool) {
	if _, isLikeInt64 := object[int64Member]; isLikeInt64 && len(object) == 1 {
		return text, false
	}
	text = append(text, '{')
	for i, name := range slices.Sorted(maps.Keys(object)) {
		if i > 0 {
			text = append(text, ',')
		}
		var isPlain bool
		if text, isPlain = appendString(text, name); !isPlain {
			return text, false
		}
		if text, isPlain = appendJSON(append(text, ':'), object[name]); !isPlain {
			return text, false
		}
	}
	return append(text, '}'), true
}

// withNumbers replaces each number by an int, or else by a float64.
func withNumbers(value any) (any, error) {
	var err error
	switch value := value.(type) {
	case json.Number:
		if number, err := strconv.Atoi(value.String()); err == nil {
			return number, nil
		}
		return value.Float64()
	case []any:
		for i := range value {
			if value[i], err = withNumbers(value[i]); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for name := range value {
			if value[name], err = withNumbers(value[name]); err != nil {
				return nil, err
			}
		}
	}
	return value, nil
}

func jsonValue(text string) *pb.Value { return &pb.Value{Kind: &pb.Value_Json{Json: text}} }
