package external

import (
	"encoding/gob"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	pb "cloakroom.example/cloakroom/cloakroomv1"
)

type cart struct {
	Items map[string]int
}

func init() {
	gob.Register(cart{})
	gob.Register(time.Time{})
	gob.Register(map[string]any{})
}

func TestAValueComesBackWithItsType(t *testing.T) {
	for _, value := range []any{
		nil, true, "", "text <&> \u2028 \x00", `"quoted" \`, "no UTF-8: \xff", 0, -1, math.MaxInt, math.MinInt, 3.0, -0.5, 1e300, math.Inf(1),
		int64(42), int64(math.MinInt64), int32(7), uint64(math.MaxUint64), []byte{0, 255}, []string{"a"}, cart{map[string]int{"tea": 2}},
		time.Unix(1700000000, 123).UTC(), []any{}, []any{1, "a", 2.0, nil, []any{true}},
		map[string]any{}, map[string]any{"a": 1, "b": []any{"c"}}, map[string]any{"int64": 1}, map[string]any{"deep": int64(1)},
	} {
		encoded, err := Encode(value)
		if err != nil {
			t.Errorf("%#v: %v", value, err)
			continue
		}
		if decoded, err := Decode(encoded); err != nil || !reflect.DeepEqual(decoded, value) {
			t.Errorf("%#v comes back as %#v, %v", value, decoded, err)
		}
		if !IsSame(encoded, encoded) {
			t.Errorf("%#v differs from itself", value)
		}
	}
}

func TestPlainValuesAreJSONThatOtherClientsRead(t *testing.T) {
	for text, value := range map[string]any{
		`"ada"`: "ada", `42`: 42, `{"int64":42}`: int64(42), `2.0`: 2.0, `null`: nil, `[1,{"a":true}]`: []any{1, map[string]any{"a": true}},
	} {
		if encoded, err := Encode(value); err != nil || encoded.GetJson() != text {
			t.Errorf("%#v is %v, %v; want %s", value, encoded, err, text)
		}
	}
}

func TestAValueThatAnotherClientSpelledOtherwiseIsTheSame(t *testing.T) {
	spelled := jsonValue(` {"b" : [ 1 ], "a":"é"}`)
	value, err := Decode(spelled)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := Encode(value)
	if err != nil || encoded.GetJson() == spelled.GetJson() || !IsSame(spelled, encoded) {
		t.Error(encoded, err)
	}
	if IsSame(jsonValue("1"), jsonValue("1.0")) || IsSame(jsonValue("1"), jsonValue("2")) {
		t.Error("values that differ are the same")
	}
}

func TestAMapOfGobIsTheSameInAnyOrder(t *testing.T) {
	items := map[string]int{}
	for i := range 64 {
		items[strings.Repeat("x", i)] = i
	}
	first, err := Encode(cart{items})
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		again, err := Encode(cart{items})
		if err != nil || !IsSame(first, again) {
			t.Fatal("an unchanged value differs", err)
		}
	}
	items["one more"] = 1
	if changed, err := Encode(cart{items}); err != nil || IsSame(first, changed) {
		t.Error("a changed value is the same", err)
	}
}

func TestATypeThatIsNotRegisteredIsAnError(t *testing.T) {
	type unknown struct{ A int }
	if _, err := Encode(unknown{1}); err == nil || !strings.Contains(err.Error(), "not registered") {
		t.Error(err)
	}
	if _, err := Decode(&pb.Value{Kind: &pb.Value_Raw{Raw: []byte("no gob")}}); err == nil {
		t.Error("bytes of another client are gob")
	}
}

func TestChangesNameWhatDiffers(t *testing.T) {
	stored := map[string]*pb.Value{"same": jsonValue("1"), "changed": jsonValue("1"), "removed": jsonValue("1")}
	wanted := map[string]*pb.Value{"same": jsonValue(" 1"), "changed": jsonValue("2"), "added": jsonValue("1")}

	changes := Changes(stored, wanted)
	if changes.Clear || len(changes.Set) != 2 || changes.Set["changed"].GetJson() != "2" || changes.Set["added"] == nil ||
		!reflect.DeepEqual(changes.Unset, []string{"removed"}) {
		t.Error(changes)
	}
	if changes := Changes(nil, wanted); !changes.Clear || len(changes.Set) != 3 {
		t.Error(changes)
	}
}
