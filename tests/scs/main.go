// Writes tests/it/scs/vectors.json: sessions as the real scs writes them, and the JSON that Go writes of their values.
//
//	go -C tests/scs run . > tests/it/scs/vectors.json
//
// The store keeps what scs tells it to store, as its Redis stores do.
package main

import (
	"encoding/base64"
	"encoding/gob"
	"encoding/json"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	"github.com/alexedwards/scs/v2"
)

type store struct{ key, value string }

func (s *store) Find(string) ([]byte, bool, error) { return nil, false, nil }
func (s *store) Delete(string) error               { return nil }
func (s *store) Commit(key string, value []byte, _ time.Time) error {
	s.key, s.value = key, base64.StdEncoding.EncodeToString(value)
	return nil
}

// A codec as applications write it.
type jsonCodec struct{}

type jsonSession struct {
	Deadline time.Time              `json:"deadline"`
	Values   map[string]interface{} `json:"values"`
}

func (jsonCodec) Encode(deadline time.Time, values map[string]interface{}) ([]byte, error) {
	return json.Marshal(jsonSession{deadline, values})
}

func (jsonCodec) Decode(b []byte) (time.Time, map[string]interface{}, error) {
	var session jsonSession
	err := json.Unmarshal(b, &session)
	return session.Deadline, session.Values, err
}

type user struct{ Name string }
type role string
type selfWritten struct{}

func (selfWritten) GobEncode() ([]byte, error) { return []byte("x"), nil }
func (*selfWritten) GobDecode([]byte) error    { return nil }

type vector struct {
	Name     string `json:"name"`
	Cookie   string `json:"cookie"`
	Key      string `json:"key"`
	Value    string `json:"value"`
	Deadline string `json:"deadline"`
	// Whether the service reads it: it holds plain values only.
	Plain  bool              `json:"plain"`
	Loaded map[string]string `json:"loaded,omitempty"`
}

// Serves one request with a session that has these values.
func record(name string, plain bool, values map[string]any, options ...func(*scs.SessionManager)) vector {
	kept := &store{}
	manager := scs.New()
	manager.Store = kept
	for _, option := range options {
		option(manager)
	}
	var deadline time.Time
	handler := manager.LoadAndSave(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		for key, value := range values {
			manager.Put(r.Context(), key, value)
		}
		if !manager.Cookie.Persist {
			manager.RememberMe(r.Context(), true)
		}
		deadline = manager.Deadline(r.Context())
	}))
	response := httptest.NewRecorder()
	handler.ServeHTTP(response, httptest.NewRequest(http.MethodGet, "/", nil))
	if response.Code != http.StatusOK {
		panic(name)
	}
	made := vector{
		Name: name, Cookie: response.Result().Cookies()[0].Value, Key: kept.key, Value: kept.value,
		Deadline: deadline.UTC().Format(time.RFC3339Nano), Plain: plain,
	}
	if plain {
		made.Loaded = map[string]string{}
		for key, value := range values {
			text, err := json.Marshal(value)
			if err != nil {
				panic(err)
			}
			made.Loaded[key] = string(text)
		}
	}
	return made
}

func main() {
	for _, value := range []any{
		time.Time{}, time.Duration(0), user{}, role(""), selfWritten{}, map[string]any{}, []any{}, map[string]string{},
		map[string]int{}, map[int]string{}, [][]string{}, [2]bool{}, map[string]time.Time{}, []user{},
	} {
		gob.Register(value)
	}
	noon := time.Date(2026, 11, 26, 12, 0, 0, 120_000_000, time.UTC)
	login := map[string]any{"userID": "anna", "n": 1}
	nested := map[string]any{"a": []any{1, "x", nil, map[string]any{"b": true}}, "c": map[string]any{}}
	deep := any("end")
	for range 40 {
		deep = []any{deep}
	}
	vectors := []vector{
		record("plain", true, login),
		record("hashed_token", true, login, func(m *scs.SessionManager) { m.HashTokenInStore = true }),
		record("remembered", true, login, func(m *scs.SessionManager) { m.Cookie.Persist = false }),
		record("json_codec", true, login, func(m *scs.SessionManager) { m.Codec = jsonCodec{} }),
		record("integers", true, map[string]any{
			"int": -129, "zero": 0, "int8": int8(-128), "int64": int64(math.MinInt64), "max": int64(math.MaxInt64),
			"uint": uint(7), "uint64": uint64(math.MaxUint64), "byte": byte(255), "duration": time.Minute,
		}),
		record("floats", true, map[string]any{"float64": 17.25, "float32": float32(0.5), "negative": -1e-300, "large": 1.5e300}),
		record("texts", true, map[string]any{"empty": "", "ümlaut": "Zoë \"quoted\" \\ \n", "smile": "😀"}),
		record("truths", true, map[string]any{"yes": true, "no": false, "nothing": nil}),
		record("bytes", true, map[string]any{"bytes": []byte{0, 255}, "none": []byte{}}),
		record("times", true, map[string]any{
			"utc": noon, "east": noon.In(time.FixedZone("", 5*3600+1800)), "west": noon.In(time.FixedZone("", -3600)),
			"zero": time.Time{}, "old": time.Date(1949, 2, 28, 23, 59, 59, 1, time.UTC),
		}),
		record("lists", true, map[string]any{
			"ints": []int{1, 2}, "texts": []string{}, "lists": [][]string{{"a"}, {}}, "array": [2]bool{true, false},
			"floats": []float64{0.5},
		}),
		record("maps", true, map[string]any{
			"texts": map[string]string{"a": "b"}, "ints": map[string]int{"": 1}, "any": nested,
		}),
		record("nested", true, map[string]any{"deep": deep, "other": nested, "list": []any{[]any{noon}, map[string]string{"a": ""}}}),
		record("struct", false, map[string]any{"user": user{"anna"}}),
		record("structs_in_a_list", false, map[string]any{"users": []any{user{"anna"}}}),
		record("list_of_structs", false, map[string]any{"users": []user{{"anna"}}}),
		record("own_text", false, map[string]any{"role": role("admin")}),
		record("self_written", false, map[string]any{"x": selfWritten{}}),
		record("map_by_number", false, map[string]any{"names": map[int]string{1: "a"}}),
		record("map_of_times", false, map[string]any{"times": map[string]time.Time{"a": noon}}),
		record("not_a_number", false, map[string]any{"float": math.NaN()}),
		record("infinite", false, map[string]any{"float": math.Inf(1)}),
		record("complex", false, map[string]any{"complex": complex(1, 2)}),
		record("not_utf_8", false, map[string]any{"text": "\xff"}),
		record("zone_with_seconds", false, map[string]any{"time": noon.In(time.FixedZone("", 61))}),
		record("year_10000", false, map[string]any{"time": time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}),
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	if err := encoder.Encode(map[string]any{"scs": "v2.9.0", "sessions": vectors}); err != nil {
		panic(err)
	}
}
