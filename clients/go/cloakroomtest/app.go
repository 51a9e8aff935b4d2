package cloakroomtest

import (
	"slices"
	"strings"
	"time"

	pb "cloakroom.example/cloakroom/cloakroomv1"
	"google.golang.org/protobuf/types/known/durationpb"
)

// App has the settings of an app. Those that are zero have the defaults of the service's configuration.
type App struct {
	Name           string // Default: `default`.
	CookieName     string // Default: `session`.
	CookieDomain   string
	CookiePath     string // Default: `/`.
	CookieSecure   bool
	CookieSameSite string // Default: `Lax`.
	// KeepsExpiry is refresh_each_request = false: reads send the cookie of a permanent session only if it changed.
	KeepsExpiry              bool
	IdleTimeout              time.Duration // Default: 31 days.
	AbsoluteTimeout          time.Duration // Default: 365 days.
	AnonymousIdleTimeout     time.Duration // Default: the app's own.
	AnonymousAbsoluteTimeout time.Duration // Default: the app's own.
	SubjectKey               string
	MaxSessionsPerSubject    int  // Default: 1000. Negative: no limit.
	RefusesSessions          bool // on_session_limit = "refuse". Otherwise the oldest session ends.
	MaxEntries               int  // Default: 256.
	MaxSessionBytes          int  // Default: 64 KiB.
}

func (a App) withDefaults() App {
	setDefault(&a.Name, "default")
	setDefault(&a.CookieName, "session")
	setDefault(&a.CookiePath, "/")
	setDefault(&a.CookieSameSite, "Lax")
	setDefault(&a.IdleTimeout, 31*24*time.Hour)
	setDefault(&a.AbsoluteTimeout, 365*24*time.Hour)
	setDefault(&a.AnonymousAbsoluteTimeout, a.AbsoluteTimeout)
	setDefault(&a.AnonymousIdleTimeout, a.IdleTimeout)
	a.AnonymousIdleTimeout = min(a.AnonymousIdleTimeout, a.AnonymousAbsoluteTimeout)
	setDefault(&a.MaxSessionsPerSubject, 1000)
	setDefault(&a.MaxEntries, 256)
	setDefault(&a.MaxSessionBytes, 64<<10)
	return a
}

func setDefault[T comparable](field *T, value T) {
	if zero := *new(T); *field == zero {
		*field = value
	}
}

// named returns the app with another name of its cookie, which a request asks for.
func (a App) named(cookieName string) (App, error) {
	if cookieName == "" {
		return a, nil
	}
	isToken := func(r rune) bool {
		return r > ' ' && r < 0x7f && !strings.ContainsRune(`()<>@,;:\"/[]?={}`, r)
	}
	if len(cookieName) > 256 || strings.IndexFunc(cookieName, func(r rune) bool { return !isToken(r) }) >= 0 {
		return a, invalid("COOKIE_NAME_INVALID", "cookie_name: it has 1 to 256 letters, digits and !#$%&'*+-.^_`|~")
	}
	a.CookieName = cookieName
	if !a.keepsPrefix() {
		return a, invalid("COOKIE_NAME_INVALID", "cookie_name: browsers refuse its prefix without other attributes")
	}
	return a, nil
}

// keepsPrefix tells whether the cookie has the attributes that the prefix of its name needs.
func (a App) keepsPrefix() bool {
	lower := strings.ToLower(a.CookieName)
	isHostOnly := a.CookieSecure && a.CookieDomain == "" && a.CookiePath == "/"
	switch {
	case strings.HasPrefix(lower, "__host-"):
		return isHostOnly
	case strings.HasPrefix(lower, "__http-"), strings.HasPrefix(lower, "__secure-"):
		return a.CookieSecure
	}
	return true
}

// withAttributes returns the app with other attributes of its cookie, which a request chooses.
func (a App) withAttributes(chosen *pb.CookieAttributes) (App, error) {
	if chosen == nil {
		return a, nil
	}
	wasSecure := a.CookieSecure
	set(&a.CookieDomain, chosen.Domain)
	set(&a.CookiePath, chosen.Path)
	set(&a.CookieSecure, chosen.Secure)
	set(&a.CookieSameSite, chosen.Samesite)
	isPath := func(r rune) bool { return r > ' ' && r < 0x7f && r != ';' }
	isDomain := func(r rune) bool { return r > ' ' && r < 0x7f && !strings.ContainsRune(";:/,", r) }
	switch {
	case wasSecure && !a.CookieSecure,
		!a.CookieSecure && a.CookieSameSite == "None",
		!slices.Contains([]string{"", "Strict", "Lax", "None"}, a.CookieSameSite),
		!strings.HasPrefix(a.CookiePath, "/"), !consistsOf(a.CookiePath, isPath),
		strings.HasPrefix(a.CookieDomain, "."), !consistsOf(a.CookieDomain, isDomain),
		!a.keepsPrefix():
		return a, invalid("COOKIE_ATTRIBUTES_INVALID", "cookie_attributes: browsers refuse such a cookie, or the app's is secure")
	}
	return a, nil
}

func consistsOf(text string, isAllowed func(rune) bool) bool {
	return strings.IndexFunc(text, func(r rune) bool { return !isAllowed(r) }) < 0
}

func set[T any](field, value *T) {
	if value != nil {
		*field = *value
	}
}

func (a App) policy() *pb.GetAppPolicyResponse {
	return &pb.GetAppPolicyResponse{
		App: a.Name, Kind: pb.AppKind_APP_KIND_STORED, CookieName: a.CookieName, CookieDomain: a.CookieDomain,
		CookiePath: a.CookiePath, CookieHttponly: true, CookieSecure: a.CookieSecure, CookieSamesite: a.CookieSameSite,
		RefreshEachRequest: !a.KeepsExpiry, IdleTimeout: durationpb.New(a.IdleTimeout),
		AbsoluteTimeout: durationpb.New(a.AbsoluteTimeout), RotationGrace: durationpb.New(30 * time.Second),
		MaxEntries: uint32(a.MaxEntries), MaxSessionBytes: uint32(a.MaxSessionBytes), SubjectKey: a.SubjectKey,
		AnonymousIdleTimeout:     durationpb.New(a.AnonymousIdleTimeout),
		AnonymousAbsoluteTimeout: durationpb.New(a.AnonymousAbsoluteTimeout),
	}
}

const maxCookieLifetime = 400 * 24 * time.Hour

// setCookie returns the header that sets the cookie. A zero time: until the browser closes.
func (a App) setCookie(value string, expires, now time.Time) *pb.Header {
	if expires.IsZero() {
		return a.cookie(value, "")
	}
	if latest := now.Add(maxCookieLifetime); expires.After(latest) {
		expires = latest
	}
	return a.cookie(value, "; Expires="+httpDate(expires))
}

func (a App) deleteCookie() *pb.Header {
	return a.cookie("", "; Expires="+httpDate(time.Unix(0, 0))+"; Max-Age=0")
}

func (a App) cookie(value, expiry string) *pb.Header {
	text := a.CookieName + "=" + value
	if a.CookieDomain != "" {
		text += "; Domain=" + a.CookieDomain
	}
	text += expiry
	if a.CookieSecure {
		text += "; Secure"
	}
	text += "; HttpOnly; Path=" + a.CookiePath
	if a.CookieSameSite != "" {
		text += "; SameSite=" + a.CookieSameSite
	}
	return &pb.Header{Name: "Set-Cookie", Value: text}
}

func httpDate(t time.Time) string { return t.UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT") }

func vary() *pb.Header { return &pb.Header{Name: "Vary", Value: "Cookie"} }
