package tests

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"cloakroom.example/cloakroom"
	"cloakroom.example/cloakroom/admin"
	"cloakroom.example/cloakroom/cloakroomtest"
	pb "cloakroom.example/cloakroom/cloakroomv1"
	"cloakroom.example/cloakroom/tests/service"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// memoryApps are apps with their settings in the configuration of the service.
var memoryApps = map[string]struct {
	configuration string
	app           cloakroomtest.App
}{
	"plain": {"", cloakroomtest.App{Name: "plain"}},
	"login": {
		"subject_key = \"user\"\nrefresh_each_request = false\n[apps.login.cookie]\nname = \"__Secure-id\"\nsecure = true\n" +
			"domain = \"example.org\"\npath = \"/shop\"\nsamesite = \"None\"",
		cloakroomtest.App{
			Name: "login", SubjectKey: "user", KeepsExpiry: true, CookieName: "__Secure-id", CookieSecure: true,
			CookieDomain: "example.org", CookiePath: "/shop", CookieSameSite: "None",
		},
	},
	"anonymous": {
		"idle_timeout = \"20h\"\nabsolute_timeout = \"30h\"\n[apps.anonymous.anonymous]\nidle_timeout = \"2h\"\nabsolute_timeout = \"3h\"",
		cloakroomtest.App{
			Name: "anonymous", IdleTimeout: 20 * time.Hour, AbsoluteTimeout: 30 * time.Hour,
			AnonymousIdleTimeout: 2 * time.Hour, AnonymousAbsoluteTimeout: 3 * time.Hour,
		},
	},
	"evicting": {"max_sessions_per_subject = 2", cloakroomtest.App{Name: "evicting", MaxSessionsPerSubject: 2}},
	"refusing": {
		"max_sessions_per_subject = 2\non_session_limit = \"refuse\"\nsubject_key = \"user\"",
		cloakroomtest.App{Name: "refusing", MaxSessionsPerSubject: 2, RefusesSessions: true, SubjectKey: "user"},
	},
	"small": {
		"[apps.small.limits]\nmax_entries = 2\nmax_session_bytes = 1024",
		cloakroomtest.App{Name: "small", MaxEntries: 2, MaxSessionBytes: 1024},
	},
}

var memoryAppNames = []string{"plain", "login", "anonymous", "evicting", "refusing", "small"}

func startPair(t *testing.T) *pair {
	t.Helper()
	tables, apps := "", []cloakroomtest.App{}
	for _, name := range memoryAppNames {
		tables += fmt.Sprintf("[apps.%s]\nkeys = [\"{key}\"]\n%s\n", name, memoryApps[name].configuration)
		apps = append(apps, memoryApps[name].app)
	}
	running := service.Start(t, service.Options{Apps: tables})
	dial := func(address string) cloakroom.Transport {
		transport, err := cloakroom.Dial(address, cloakroom.Credentials{})
		if err != nil {
			t.Fatal(err)
		}
		return transport
	}
	memory := cloakroomtest.New(apps...)
	return &pair{
		t: t, session: [2]cloakroom.Transport{dial(running.Address), memory},
		admin:   [2]cloakroom.Transport{dial(running.AdminAddress), memory},
		symbols: symbols{numbers: [2]map[string]int{{}, {}}},
	}
}

func TestRandomCallsHaveTheSameResultsInMemoryAsAtTheService(t *testing.T) {
	// The short form is the same in each run, and the long one another.
	steps, first := 1500, uint64(1)
	if more, err := strconv.Atoi(os.Getenv("CLOAKROOM_TEST_STEPS")); err == nil {
		steps, first = more, uint64(time.Now().UnixNano())
	}
	for seed := range uint64(4) {
		seed += first
		if fixed, err := strconv.ParseUint(os.Getenv("CLOAKROOM_TEST_SEED"), 10, 64); err == nil {
			seed = fixed
		}
		t.Log("CLOAKROOM_TEST_SEED =", seed)
		player := newPlayer(startPair(t), seed)
		for range steps {
			player.step()
		}
		if len(player.seen) < 20 {
			t.Error("the calls have too few outcomes", player.seen)
		}
	}
}

func TestASubjectMayHaveAsManySessionsInMemoryAsAtTheService(t *testing.T) {
	p, live := startPair(t), [2]int{}
	for side, transport := range p.session {
		client, err := cloakroom.New("", cloakroom.Options{App: "plain", Transport: transport})
		if err != nil {
			t.Fatal(err)
		}
		for number := range 1002 {
			opened, err := client.OpenSession(t.Context(), &pb.OpenSessionRequest{})
			if err != nil {
				t.Fatal(err)
			}
			_, err = client.SaveSession(t.Context(), &pb.SaveSessionRequest{
				Credential: &pb.SaveSessionRequest_Token{Token: opened.Session.Token},
				Changes:    &pb.Changes{Subject: proto.String("ada")}, RequestId: fmt.Sprintf("login-%012d", number),
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		operator, err := cloakroom.New("", cloakroom.Options{App: "plain", Transport: p.admin[side]})
		if err != nil {
			t.Fatal(err)
		}
		listed, err := admin.New(operator).Sessions(t.Context(), "ada")
		if err != nil {
			t.Fatal(err)
		}
		live[side] = len(listed)
	}
	if live != [2]int{1000, 1000} {
		t.Error("live sessions at the service and in memory:", live)
	}
}

// player makes random calls.
type player struct {
	*pair
	*rand.Rand
	app         string
	tokens, ids map[string][]int // By app: numbers of symbols.
	saves       []savedCall
	last        map[string]text // The last credential of each app: much happens to one browser.
	isLastToken map[string]bool
	seen        map[string]int
}

type savedCall struct {
	app  string
	make func(side int) *pb.SaveSessionRequest
}

// text is made of plain texts and of the numbers of symbols.
type text []any

func newPlayer(p *pair, seed uint64) *player {
	return &player{
		pair: p, Rand: rand.New(rand.NewPCG(seed, 0)), app: "plain", tokens: map[string][]int{}, ids: map[string][]int{},
		last: map[string]text{}, isLastToken: map[string]bool{}, seen: map[string]int{},
	}
}

func (p *player) chance(of float64) bool { return p.Float64() < of }

func pick[T any](p *player, of ...T) T { return of[p.IntN(len(of))] }

// rarely returns one of the texts with a chance, and otherwise an empty one.
func (p *player) rarely(chance float64, of ...string) string {
	if p.chance(chance) {
		return pick(p, of...)
	}
	return ""
}

func (p *player) write(t text, side int) string {
	var written strings.Builder
	for _, part := range t {
		if number, isSymbol := part.(int); isSymbol {
			written.WriteString(p.symbols.pairs[number][side])
		} else {
			written.WriteString(part.(string))
		}
	}
	return written.String()
}

var idText = regexp.MustCompile("^[0-9a-f]{32}$")

func (p *player) step() {
	// Two sessions that were used in one millisecond would have no order.
	for began := time.Now().UnixMilli(); time.Now().UnixMilli() == began; {
		time.Sleep(100 * time.Microsecond)
	}
	if p.chance(0.03) {
		p.app = pick(p, memoryAppNames...)
	}
	known := len(p.symbols.pairs)
	name, result := p.act()
	for number := known; number < len(p.symbols.pairs); number++ {
		if idText.MatchString(p.symbols.pairs[number][0]) {
			p.ids[p.app] = append(p.ids[p.app], number)
		} else {
			p.tokens[p.app] = append(p.tokens[p.app], number)
		}
	}
	p.seen[name+" "+result]++
}

func (p *player) act() (name, result string) {
	switch number := p.IntN(100); {
	case number < 20:
		return "open", p.open()
	case number < 58:
		return "save", p.save(p.saveRequest())
	case number < 68:
		return "repeat", p.repeat()
	case number < 80:
		return "log in", p.logIn()
	case number < 85:
		return "destroy", p.destroy()
	case number < 90:
		return "list", p.list()
	case number < 94:
		return "get", p.get()
	case number < 97:
		return "watch", p.watch()
	}
	return "revoke", p.revoke()
}

func (p *player) open() string {
	credential, isToken := p.credential()
	request := &pb.OpenSessionRequest{App: p.app, CookieName: p.cookieName(), Context: p.context()}
	if p.chance(0.2) {
		request.MaxAuthenticateAge = durationpb.New(pick(p, -time.Second, 0, 10*time.Minute))
	}
	if p.chance(0.3) {
		request.RequestAge = durationpb.New(pick(p, -time.Second, 0, time.Hour))
	}
	isMissing := p.chance(0.05)
	return p.call("/cloakroom.v1.SessionService/OpenSession", func(side int) proto.Message {
		request := proto.CloneOf(request)
		switch {
		case isMissing:
		case isToken:
			request.Credential = &pb.OpenSessionRequest_Token{Token: p.write(credential, side)}
		default:
			request.Credential = &pb.OpenSessionRequest_CookieHeader{CookieHeader: p.write(credential, side)}
		}
		return request
	}, &pb.OpenSessionResponse{})
}

func (p *player) saveRequest() *pb.SaveSessionRequest {
	request := &pb.SaveSessionRequest{
		App: p.app, Accessed: p.chance(0.5), Etag: p.rarely(0.15, "0", "1", "2", "3", "x", "01", "9007199254740992"),
		RequestId: p.requestID(), Rotate: p.chance(0.1), KeepEmpty: p.chance(0.1), CookieOutdated: p.chance(0.1),
		CookieName: p.cookieName(), Context: p.context(),
	}
	if p.chance(0.9) {
		request.Changes = p.changes()
	}
	if p.chance(0.3) {
		request.RequestAge = durationpb.New(pick(p, -time.Second, 0, time.Hour))
	}
	return request
}

func (p *player) save(request *pb.SaveSessionRequest) string {
	credential, isToken := p.credential()
	saved := savedCall{p.app, func(side int) *pb.SaveSessionRequest {
		request := proto.CloneOf(request)
		if isToken {
			request.Credential = &pb.SaveSessionRequest_Token{Token: p.write(credential, side)}
		} else {
			request.Credential = &pb.SaveSessionRequest_CookieHeader{CookieHeader: p.write(credential, side)}
		}
		return request
	}}
	p.saves = append(p.saves, saved)
	return p.send(saved)
}

func (p *player) send(saved savedCall) string {
	make := func(side int) proto.Message { return saved.make(side) }
	return p.call("/cloakroom.v1.SessionService/SaveSession", make, &pb.SaveSessionResponse{})
}

// repeat makes a save again, as it was or with other content.
func (p *player) repeat() string {
	var same []savedCall
	for _, saved := range p.saves[max(len(p.saves)-50, 0):] {
		if saved.app == p.app {
			same = append(same, saved)
		}
	}
	if len(same) == 0 {
		return p.save(p.saveRequest())
	}
	chosen := same[len(same)-1]
	if p.chance(0.5) {
		chosen = pick(p, same[max(len(same)-4, 0):]...)
	}
	if p.chance(0.2) {
		of, other := chosen.make, p.changes()
		chosen.make = func(side int) *pb.SaveSessionRequest {
			request := of(side)
			request.Changes = other
			return request
		}
	}
	return p.send(chosen)
}

// logIn makes a save that nothing refuses but the limit of sessions.
func (p *player) logIn() string {
	if p.chance(0.3) {
		p.last[p.app], p.isLastToken[p.app] = text{""}, false
	}
	changes := &pb.Changes{Subject: proto.String(pick(p, "ada", "7")), Set: map[string]*pb.Value{"a": {Kind: &pb.Value_Json{Json: "1"}}}}
	return p.save(&pb.SaveSessionRequest{App: p.app, RequestId: p.requestID(), Changes: changes})
}

func (p *player) destroy() string {
	credential, isToken := p.credential()
	request := &pb.DestroySessionRequest{App: p.app, RequestId: p.requestID(), CookieName: p.cookieName()}
	return p.call("/cloakroom.v1.SessionService/DestroySession", func(side int) proto.Message {
		request := proto.CloneOf(request)
		if isToken {
			request.Credential = &pb.DestroySessionRequest_Token{Token: p.write(credential, side)}
		} else {
			request.Credential = &pb.DestroySessionRequest_CookieHeader{CookieHeader: p.write(credential, side)}
		}
		return request
	}, &pb.DestroySessionResponse{})
}

func (p *player) watch() string {
	credential, isToken := p.credential()
	return p.call("/cloakroom.v1.SessionService/WatchSession", func(side int) proto.Message {
		request := &pb.WatchSessionRequest{App: p.app}
		if isToken {
			request.Credential = &pb.WatchSessionRequest_Token{Token: p.write(credential, side)}
		} else {
			request.Credential = &pb.WatchSessionRequest_CookieHeader{CookieHeader: p.write(credential, side)}
		}
		return request
	}, &pb.WatchSessionResponse{})
}

func (p *player) list() string {
	request := &pb.ListSessionsRequest{App: p.app, WithEntries: p.chance(0.5)}
	switch number := p.IntN(10); {
	case number < 6:
		request.Subject = pick(p, "ada", "7", strings.Repeat("x", 257))
	case number < 7:
		request.PageToken = "x"
	case number < 8:
		request.PageSize = -1
	default:
		request.PageSize = 1000
	}
	return p.call("/cloakroom.v1.AdminService/ListSessions", func(int) proto.Message { return request }, &pb.ListSessionsResponse{})
}

func (p *player) get() string {
	id, withEntries := p.sessionID(), p.chance(0.5)
	return p.call("/cloakroom.v1.AdminService/GetSession", func(side int) proto.Message {
		return &pb.GetSessionRequest{App: p.app, Id: p.write(id, side), WithEntries: withEntries}
	}, &pb.GetSessionResponse{})
}

func (p *player) revoke() string {
	id, subject, hasExcept := p.sessionID(), pick(p, "ada", "7", ""), p.chance(0.5)
	switch number := p.IntN(20); {
	case number < 12:
		return p.call("/cloakroom.v1.AdminService/RevokeSession", func(side int) proto.Message {
			return &pb.RevokeSessionRequest{App: p.app, Id: p.write(id, side)}
		}, &pb.RevokeSessionResponse{})
	case number < 13:
		return p.call("/cloakroom.v1.AdminService/RevokeApp", func(int) proto.Message {
			return &pb.RevokeAppRequest{App: p.app}
		}, &pb.RevokeAppResponse{})
	}
	return p.call("/cloakroom.v1.AdminService/RevokeSubject", func(side int) proto.Message {
		request := &pb.RevokeSubjectRequest{App: p.app, Subject: subject}
		if hasExcept {
			request.ExceptId = p.write(id, side)
		}
		return request
	}, &pb.RevokeSubjectResponse{})
}

// credential returns a token, or a Cookie header.
func (p *player) credential() (text, bool) {
	if _, isThere := p.last[p.app]; !isThere || p.chance(0.7) {
		p.last[p.app], p.isLastToken[p.app] = p.newCredential()
	}
	return p.last[p.app], p.isLastToken[p.app]
}

func (p *player) newCredential() (text, bool) {
	tokens := p.tokens[p.app]
	if p.chance(0.03) {
		tokens = p.tokens[pick(p, memoryAppNames...)]
	}
	tokens = tokens[max(len(tokens)-8, 0):]
	switch kind := p.Float64(); {
	case kind < 0.4 && len(tokens) > 0:
		return text{pick(p, tokens...)}, true
	case kind < 0.43:
		return text{pick(p, "", "x", "v1.a.b.c", "t1.a.b")}, true
	case kind < 0.55 || len(tokens) == 0:
		return text{pick(p, "", "other=1", "session=x; __Secure-id=y")}, false
	}
	var header text
	for range pick(p, 1, 1, 1, 2, 3) {
		name := "session"
		if own := memoryApps[p.app].app.CookieName; own != "" {
			name = own
		}
		if p.chance(0.05) {
			name = "id"
		}
		header = append(header, pick(p, "", " ", "a=b;", ";;"), name, "=", pick(p, tokens...), pick(p, ";", " ;", ""), ";")
	}
	return header, false
}

var memoryValues = []string{
	"1", "-7", "true", "false", "null", `"ada"`, `"bob"`, "7", "9223372036854775807", "1.5", "[1, {}]", `""`, " 2", "-0 ",
	strings.Repeat("9", 30), `"\ud83d"`, "1e400",
}

var badMemoryValues = []string{
	"", "{", "NaN", "01", "\"\t\"", strings.Repeat("[", 128) + strings.Repeat("]", 128), "'a'", `"` + strings.Repeat("x", 2000) + `"`,
	strings.Repeat("9", 257),
}

func (p *player) changes() *pb.Changes {
	changes := &pb.Changes{Clear: p.chance(0.05), Set: map[string]*pb.Value{}, Increment: map[string]int64{}}
	names := []string{"a", "b", "c", "user", "_permanent"}
	p.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	for _, name := range names[:pick(p, 0, 1, 1, 1, 2, 3)] {
		p.change(changes, name)
	}
	if p.chance(0.02) {
		changes.Unset = append(changes.Unset, pick(p, names...))
	}
	if p.chance(0.1) {
		changes.Permanent = proto.Bool(p.chance(0.5))
	}
	if p.chance(0.3) {
		changes.Subject = proto.String(pick(p, "ada", "7", "ada", "7", "ada", "7", "", strings.Repeat("x", 257)))
	}
	changes.Authenticated = p.chance(0.1)
	switch lifetime := p.Float64(); {
	case lifetime < 0.1:
		span := pick(p, time.Second/2, time.Hour, 9000*time.Second, 100_000_000*time.Second)
		changes.Lifetime = &pb.Changes_IdleTimeout{IdleTimeout: durationpb.New(span)}
	case lifetime < 0.2:
		end := time.Now().Add(time.Duration(pick(p, -5, 3600, 40_000, 100_000_000)) * time.Second)
		changes.Lifetime = &pb.Changes_DeadlineTime{DeadlineTime: timestamppb.New(end)}
	case lifetime < 0.25:
		changes.Lifetime = &pb.Changes_DefaultLifetime{DefaultLifetime: true}
	}
	return changes
}

func (p *player) change(changes *pb.Changes, name string) {
	if other := p.rarely(0.02, strings.Repeat("x", 257), "_permanent"); other != "" {
		name = other
	}
	switch kind := p.Float64(); {
	case kind < 0.55:
		value := pick(p, memoryValues...)
		if p.chance(0.05) {
			value = pick(p, badMemoryValues...)
		}
		changes.Set[name] = &pb.Value{Kind: &pb.Value_Json{Json: value}}
	case kind < 0.6:
		changes.Set[name] = &pb.Value{Kind: &pb.Value_Raw{Raw: pick(p, []byte{}, []byte("\x00\xff"), []byte("1"))}}
	case kind < 0.62:
		changes.Set[name] = &pb.Value{}
	case kind < 0.8:
		changes.Increment[name] = pick(p, int64(1), -3, 0, math.MaxInt64)
	default:
		changes.Unset = append(changes.Unset, name)
	}
}

func (p *player) requestID() string {
	if p.chance(0.4) {
		return ""
	}
	if id := p.rarely(0.2, "once", "twice", strings.Repeat("é", 33)); id != "" {
		return id
	}
	return fmt.Sprint(p.Uint64())
}

func (p *player) context() *pb.RequestContext {
	if p.chance(0.8) {
		return nil
	}
	text := pick(p, "", "Firefox", strings.Repeat("é", 200))
	return &pb.RequestContext{UserAgent: text, RemoteAddress: text}
}

func (p *player) cookieName() string {
	return p.rarely(0.03, "id", "a b", "__Host-id", strings.Repeat("x", 257))
}

func (p *player) sessionID() text {
	ids := p.ids[p.app]
	if len(ids) == 0 || p.chance(0.1) {
		return text{pick(p, "x", strings.Repeat("0", 32))}
	}
	return text{pick(p, ids[max(len(ids)-8, 0):]...)}
}
