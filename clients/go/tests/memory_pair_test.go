package tests

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"cloakroom.example/cloakroom"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// tolerance is by how much the two may differ in a time.
const tolerance = 5 * time.Second

var (
	tokenText   = regexp.MustCompile(`(?:testing-)?([vt]1[sk]?)\.(?:[\w-]+\.){0,2}([\w-]{43})\.[\w-]{43}`)
	expiresText = regexp.MustCompile(`Expires=[^;]+`)
)

// symbols are what the random texts of both sides stand for. Each is known by its number.
type symbols struct {
	pairs   [][2]string
	numbers [2]map[string]int
}

func keyOf(text string) string {
	if found := tokenText.FindStringSubmatch(text); found != nil {
		return found[1] + " " + found[2]
	}
	return text
}

// add says that two texts stand for the same, and reports false if one of them is known as something else.
func (s *symbols) add(texts [2]string) bool {
	one, isOneKnown := s.numbers[0][keyOf(texts[0])]
	two, isTwoKnown := s.numbers[1][keyOf(texts[1])]
	switch {
	case isOneKnown != isTwoKnown || one != two:
		return false
	case !isOneKnown:
		one = len(s.pairs)
		s.numbers[0][keyOf(texts[0])], s.numbers[1][keyOf(texts[1])] = one, one
		s.pairs = append(s.pairs, texts)
	}
	// A ticket is signed anew each time.
	s.pairs[one] = texts
	return true
}

// pair is the service, and the service in memory.
type pair struct {
	t       *testing.T
	session [2]cloakroom.Transport
	admin   [2]cloakroom.Transport
	symbols symbols
}

// call makes a call to both and compares the responses. It returns what both answered.
func (p *pair) call(path string, make func(side int) proto.Message, response proto.Message) string {
	p.t.Helper()
	transports := p.session
	if strings.Contains(path, "AdminService") {
		transports = p.admin
	}
	var trees [2]any
	var codes [2]string
	for side, transport := range transports {
		answer := proto.Clone(response)
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		err := callOne(ctx, transport, path, make(side), answer)
		cancel()
		if failed := (*cloakroom.Error)(nil); errors.As(err, &failed) {
			codes[side] = failed.Code + " " + failed.Reason
		} else if err != nil {
			p.t.Fatal(err)
		}
		trees[side] = treeOf(p.t, answer)
	}
	if codes[0] != codes[1] {
		p.t.Fatalf("%s: %v\n%v\n%v", path, codes, make(0), trees)
	}
	if codes[0] != "" {
		return codes[0]
	}
	isList := strings.HasSuffix(path, "ListSessions")
	if !isList {
		p.learn(path, trees)
	}
	var times [2][]time.Time
	results := [2]any{p.normalize(trees[0], "", 0, &times[0]), p.normalize(trees[1], "", 1, &times[1])}
	if !reflect.DeepEqual(results[0], results[1]) || len(times[0]) != len(times[1]) {
		p.t.Fatalf("%s: %v\n%v\n%v", path, make(0), results[0], results[1])
	}
	for i := range times[0] {
		if difference := times[0][i].Sub(times[1][i]); difference.Abs() > tolerance {
			p.t.Fatalf("%s: %v: times differ by %v\n%v\n%v", path, make(0), difference, trees[0], trees[1])
		}
	}
	outcome, _ := trees[0].(map[string]any)["outcome"].(string)
	return outcome
}

// callOne makes a call. Of a stream, it returns the first message.
func callOne(ctx context.Context, transport cloakroom.Transport, path string, request, answer proto.Message) error {
	if !strings.HasSuffix(path, "WatchSession") {
		return transport.Call(ctx, path, request, answer)
	}
	stream, err := transport.Stream(ctx, path, request)
	if err != nil {
		return err
	}
	defer stream.Close()
	return stream.Receive(answer)
}

func treeOf(t *testing.T, message proto.Message) any {
	t.Helper()
	text, err := protojson.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	var tree any
	if err := json.Unmarshal(text, &tree); err != nil {
		t.Fatal(err)
	}
	return tree
}

// learn notes what the random texts of two responses stand for.
func (p *pair) learn(path string, trees [2]any) {
	p.t.Helper()
	one, other := randomTexts(trees[0], ""), randomTexts(trees[1], "")
	if len(one) != len(other) {
		p.t.Fatalf("%s: %v\n%v", path, trees[0], trees[1])
	}
	for i := range one {
		if texts := [2]string{one[i], other[i]}; !p.symbols.add(texts) {
			p.t.Fatalf("%s: %v stand for different things\n%v\n%v", path, texts, trees[0], trees[1])
		}
	}
}

func isRandomField(name string) bool {
	return name == "id" || name == "token" || name == "nextPageToken"
}

func randomTexts(tree any, field string) []string {
	var found []string
	switch tree := tree.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(tree)) {
			if name != "entries" {
				found = append(found, randomTexts(tree[name], name)...)
			}
		}
	case []any:
		for _, each := range tree {
			found = append(found, randomTexts(each, "")...)
		}
	case string:
		if isRandomField(field) {
			return []string{tree}
		}
		return tokenText.FindAllString(tree, -1)
	}
	return found
}

// normalize replaces random texts by their numbers, and takes times out.
func (p *pair) normalize(tree any, field string, side int, times *[]time.Time) any {
	switch tree := tree.(type) {
	case map[string]any:
		result := map[string]any{}
		for _, name := range slices.Sorted(maps.Keys(tree)) {
			result[name] = p.normalize(tree[name], name, side, times)
		}
		return result
	case []any:
		result := []any{}
		for _, each := range p.sorted(tree, field, side) {
			result = append(result, p.normalize(each, "", side, times))
		}
		return result
	case string:
		return p.normalizeText(tree, field, side, times)
	}
	return tree
}

// sorted returns the sessions of a list by their numbers: those of an app come in no order.
func (p *pair) sorted(list []any, field string, side int) []any {
	if field == "sessions" {
		list = slices.SortedFunc(slices.Values(list), func(a, b any) int {
			number := func(of any) int { return p.symbols.numbers[side][of.(map[string]any)["id"].(string)] }
			return number(a) - number(b)
		})
	}
	return list
}

func (p *pair) normalizeText(text, field string, side int, times *[]time.Time) any {
	if isRandomField(field) {
		return p.symbols.numbers[side][keyOf(text)]
	}
	if strings.HasSuffix(field, "Time") {
		parsed, err := time.Parse(time.RFC3339Nano, text)
		if err == nil {
			*times = append(*times, parsed)
			return "time"
		}
	}
	text = tokenText.ReplaceAllStringFunc(text, func(found string) string {
		return fmt.Sprint("#", p.symbols.numbers[side][keyOf(found)])
	})
	return expiresText.ReplaceAllStringFunc(text, func(found string) string {
		parsed, err := http.ParseTime(strings.TrimPrefix(found, "Expires="))
		if err != nil {
			p.t.Fatal(found, err)
		}
		*times = append(*times, parsed)
		return "Expires"
	})
}
