package connect

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// scripted is a connection that delivers bytes in pieces, and then ends.
type scripted struct {
	net.Conn
	data []byte
	step int
}

func (s *scripted) Read(into []byte) (int, error) {
	if len(s.data) == 0 {
		return 0, io.EOF
	}
	n := copy(into[:min(len(into), s.step)], s.data)
	s.data = s.data[n:]
	return n, nil
}

func read(text string, step int) (response, error) {
	got, _, err := readResponse(&scripted{data: []byte(text), step: step}, make([]byte, 64))
	return got, err
}

const usual = "HTTP/1.1 200 OK\r\ncontent-type: application/proto\r\ncontent-length: 5\r\n\r\nhello"

func TestAResponseIsReadInWhateverPiecesItArrives(t *testing.T) {
	large := strings.Repeat("x", 100_000)
	for _, text := range []string{
		usual,
		strings.Replace(usual, "5\r\n\r\nhello", "0\r\n\r\n", 1),
		strings.Replace(usual, "5\r\n\r\nhello", "100000\r\n\r\n"+large, 1),
		"HTTP/1.1 100 Continue\r\n\r\n" + usual,
		"HTTP/1.1 200 OK\r\nContent-Type: application/proto\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
		"HTTP/1.1 503 X\r\ncontent-type: application/json\r\ncloakroom-reason: STORE_FULL\r\ncontent-length: 2\r\n\r\n{}",
	} {
		for _, step := range []int{1, 2, 7, 1 << 20} {
			got, err := read(text, step)
			if err != nil || !got.isReusable || !strings.Contains(text, got.contentType) {
				t.Errorf("%.60q by %d: %+v %v", text, step, got, err)
			}
			if got.status == http.StatusServiceUnavailable != (got.reason == "STORE_FULL") {
				t.Error(got)
			}
		}
	}
}

func TestAResponseThatCannotBeTrustedIsRefused(t *testing.T) {
	for _, text := range []string{
		"",
		"HTTP/1.1 200 OK\r\n",
		usual[:len(usual)-1],
		usual + "HTTP/1.1 200 OK",
		strings.Replace(usual, "length: 5", "length: 5\r\ncontent-length: 4", 1),
		strings.Replace(usual, "length: 5", "length: +5", 1),
		strings.Replace(usual, "length: 5", "length: 99999999999999999999", 1),
		strings.Replace(usual, "content-length: 5\r\n", "", 1),
		strings.Replace(usual, "200 OK", "101 Switching", 1),
		"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel",
		"SSH-2.0-OpenSSH_9.2\r\n\r\n",
	} {
		got, err := read(text, 1<<20)
		if err == nil && got.isReusable {
			t.Errorf("%.80q: %+v", text, got)
		}
	}
}

// What the fast path reads, net/http has to read in the same way.
func TestTheUsualFormIsReadAsNetHTTPReadsIt(t *testing.T) {
	rounds := 20_000
	if more, err := strconv.Atoi(os.Getenv("CLOAKROOM_TEST_ANSWERS")); err == nil {
		rounds = more
	}
	seed := uint64(time.Now().UnixNano())
	t.Log("seed", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	pick := func(of ...string) string { return of[random.IntN(len(of))] }
	fast := 0
	for range rounds {
		var text strings.Builder
		text.WriteString(pick("HTTP/1.1 200 OK", "HTTP/1.1 200 OK", "HTTP/1.1 200", "HTTP/1.1 2000", "HTTP/1.0 200 OK", "HTTP/1.1 404 X") + "\r\n")
		for range random.IntN(5) {
			text.WriteString(pick(
				"content-type: application/proto\r\n", "content-type: application/proto\r\n", "content-length: 5\r\n", "content-length: 5\r\n",
				"Content-Length: 5\r\n", "content-length: 05\r\n", "content-length: 5 \r\n", "content-length : 5\r\n", "content-length:5\r\n",
				"date: x\r\n", "date: \r\n", "vary: a\nb: c\r\n", "transfer-encoding: chunked\r\n", "connection: close\r\n", ": x\r\n",
				"x-request-id: 1\r\n", " folded: 1\r\n", "content-encoding: gzip\r\n", "Content-Type: text/html\r\n", "content-length: -5\r\n"))
		}
		text.WriteString("\r\n" + pick("hello", "5\r\nhello\r\n0\r\n\r\n", "hell", "hello!"))
		raw := text.String()
		end := strings.Index(raw, "\r\n\r\n")
		head, isUsual := parseUsualHead([]byte(raw[:end]))
		if !isUsual {
			continue
		}
		fast++
		got, err := http.ReadResponse(bufio.NewReader(strings.NewReader(raw)), nil)
		if err != nil || got.StatusCode != 200 || got.ContentLength != int64(head.length) || got.Close ||
			got.Header.Get("Content-Type") != contentType || len(got.TransferEncoding) > 0 {
			t.Fatalf("%q: %+v %v", raw, got, err)
		}
		if want := len(raw) - end - 4; head.length <= want {
			body, _ := io.ReadAll(got.Body)
			if !bytes.Equal(body, []byte(raw[end+4:end+4+head.length])) {
				t.Fatalf("%q: %q", raw, body)
			}
		}
	}
	if fast < rounds/1000 {
		t.Error("the generator makes too few usual responses:", fast)
	}
}

// ending is a connection whose last bytes come with its end, as those of TLS do.
type ending struct{ scripted }

func (e *ending) Read(into []byte) (int, error) {
	n, err := e.scripted.Read(into)
	if len(e.data) == 0 {
		err = io.EOF
	}
	return n, err
}

func TestAResponseThatArrivesWithTheEndOfItsConnectionIsRead(t *testing.T) {
	refused := strings.Replace(usual, "200 OK", "503 X", 1)
	for text, steps := range map[string][]int{usual: {1, 7, len(usual) - 1, len(usual)}, refused: {len(refused)}} {
		for _, step := range steps {
			got, _, err := readResponse(&ending{scripted{data: []byte(text), step: step}}, make([]byte, 128))

			if err != nil || string(got.body) != "hello" || got.isReusable {
				t.Errorf("%.12q by %d: %+v %v", text, step, got, err)
			}
		}
	}
	cut := usual[:len(usual)-1]
	if got, _, err := readResponse(&ending{scripted{data: []byte(cut), step: len(cut)}}, make([]byte, 128)); err == nil {
		t.Error("a response that is not whole was read", got)
	}
}

func TestALongHeadIsRefusedInBoundedMemory(t *testing.T) {
	head := "HTTP/1.1 200 OK\r\n" + strings.Repeat(fmt.Sprintf("x: %s\r\n", strings.Repeat("y", 1000)), 200)
	if got, err := read(head, 1<<20); err == nil {
		t.Error(got)
	}
}
