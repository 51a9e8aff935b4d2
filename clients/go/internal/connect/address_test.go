package connect

import (
	"strings"
	"testing"
)

func TestAddressesAreReadAsTheyAreWritten(t *testing.T) {
	for text, want := range map[string]Address{
		"localhost":                            {Host: "localhost", Port: 50051},
		"cloakroom:1":                          {Host: "cloakroom", Port: 1},
		"10.0.0.1:65535":                       {Host: "10.0.0.1", Port: 65535},
		"[2001:db8::1]:80":                     {Host: "2001:db8::1", Port: 80},
		"[::1]":                                {Host: "::1", Port: 50051},
		"::1":                                  {Host: "::1", Port: 50051},
		"https://cloakroom:443/":               {Host: "cloakroom", Port: 443, IsTLS: true},
		"http://cloakroom":                     {Host: "cloakroom", Port: 50051},
		"dns:///cloakroom:7":                   {Host: "cloakroom", Port: 7},
		"unix:/run/cloakroom/cloakroom.sock":   {Path: "/run/cloakroom/cloakroom.sock"},
		"unix:///run/cloakroom/cloakroom.sock": {Path: "/run/cloakroom/cloakroom.sock"},
		"unix:cloakroom.sock, ,":               {Path: "cloakroom.sock"},
		" https://[2001:db8::1]:1234 ":         {Host: "2001:db8::1", Port: 1234, IsTLS: true},
	} {
		got, err := ParseAddresses(text)
		if err != nil || len(got) != 1 || got[0] != want {
			t.Error(text, got, err)
		}
	}
	if got, err := ParseAddresses("a, b:2"); err != nil || len(got) != 2 {
		t.Error(got, err)
	}
}

func TestAnAddressThatIsNoneIsRefusedWithAnExample(t *testing.T) {
	for text, want := range map[string]string{
		"":                     "is empty",
		" , ":                  "is empty",
		"unix:":                "has no path",
		"a:0":                  "from 1 to 65535",
		"a:65536":              "from 1 to 65535",
		"a:x":                  "from 1 to 65535",
		":50051":               "no valid host",
		"a b":                  "no valid host",
		"user@a":               "no address of the service",
		"https://a/path":       "no address of the service",
		"https://http://a":     "no address of the service",
		"redis://a":            "no address of the service",
		"[::1":                 "is written as [::1]:50051",
		"[::1]50051":           "is written as [::1]:50051",
		"cloakroom\r\nx: y:50": "no valid host",
	} {
		if _, err := ParseAddresses(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestOnLoopbackTheHostIsTheAddress(t *testing.T) {
	name := Address{Host: "localhost", Port: 1}
	if host := name.endpoint("127.0.0.1").host; host != "127.0.0.1:1" {
		t.Error(host)
	}
	if host := name.endpoint("10.0.0.1").host; host != "localhost:1" {
		t.Error(host)
	}
	name.IsTLS = true
	if found := name.endpoint("127.0.0.1"); found.host != "localhost:1" || found.tlsName != "localhost" {
		t.Error(found)
	}
}
