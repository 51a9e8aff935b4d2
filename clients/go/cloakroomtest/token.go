package cloakroomtest

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"regexp"
	"strconv"
	"time"
)

// note is what an open tells the save of the same request about the cookie.
type note string

const (
	// The browser has this token, or no cookie leads to the new session of this ticket.
	noteNone note = ""
	// The browser has another credential of this session. Every response sets the cookie.
	noteSet note = "s"
	// The browser may be about to get the cookie of a login. Only a response to a rotation sets the cookie.
	noteKeep note = "k"
)

const (
	tokenKind  = "testing-v1"
	ticketKind = "testing-t1"
	ticketLife = 15 * 60 // Seconds.
)

// token is what a token says before it is signed: the selector finds the session, and the verifier opens it.
type token struct{ selector, verifier [16]byte }

func randomToken() token { return token{randomBytes(), randomBytes()} }

func randomBytes() (bytes [16]byte) {
	rand.Read(bytes[:]) // Never fails, by its documentation.
	return bytes
}

// id returns the id of the session.
func (t token) id(app string) string {
	sum := t.hash("id", app, false)
	return hex.EncodeToString(sum[:16])
}

// recovery returns the token of the session that this token leads to once it opens its own no more.
func (t token) recovery(app string) token {
	sum := t.hash("recovery", app, true)
	return token{[16]byte(sum[:16]), [16]byte(sum[16:])}
}

func (t token) hash(purpose, app string, withVerifier bool) [32]byte {
	text := append([]byte(purpose+"\x00"+app+"\x00"), t.selector[:]...)
	if withVerifier {
		text = append(text, t.verifier[:]...)
	}
	return sha256.Sum256(text)
}

// signer signs and verifies with a key of its own.
type signer struct{ key [16]byte }

var tokenText = regexp.MustCompile(`^((testing-[vt]1)([sk]?)\.(?:(0|[1-9][0-9]{0,14})\.)?)([A-Za-z0-9_-]{43})\.([A-Za-z0-9_-]{43})$`)

func (s signer) token(app string, t token, n note) string {
	return s.sign(tokenKind+string(n)+".", app, t)
}

func (s signer) ticket(app string, t token, n note, now time.Time) string {
	return s.sign(ticketKind+string(n)+"."+strconv.FormatInt(now.Unix(), 10)+".", app, t)
}

// verify returns the token in a text of a kind. It reports false if the text is none of the app.
func (s signer) verify(kind, app, text string, now time.Time) (token, note, bool) {
	found := tokenText.FindStringSubmatch(text)
	if found == nil || found[2] != kind || (found[4] != "") != (kind == ticketKind) {
		return token{}, "", false
	}
	data, err := base64.RawURLEncoding.Strict().DecodeString(found[5])
	if err != nil || len(data) != 32 {
		return token{}, "", false
	}
	t := token{[16]byte(data[:16]), [16]byte(data[16:])}
	if !hmac.Equal([]byte(s.sign(found[1], app, t)), []byte(text)) {
		return token{}, "", false
	}
	if kind == ticketKind {
		if issued, _ := strconv.ParseInt(found[4], 10, 64); now.Unix()-issued > ticketLife {
			return token{}, "", false
		}
	}
	return t, note(found[3]), true
}

func (s signer) sign(start, app string, t token) string {
	data := append(t.selector[:], t.verifier[:]...)
	mac := hmac.New(sha256.New, s.key[:])
	mac.Write([]byte(start + "\x00" + app + "\x00"))
	mac.Write(data)
	encode := base64.RawURLEncoding.EncodeToString
	return start + encode(data) + "." + encode(mac.Sum(nil))
}
