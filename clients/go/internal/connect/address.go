package connect

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

const defaultPort = 50051

// Address is one address of the service, as an application writes it: a Unix socket, or a host and a port.
type Address struct {
	Path  string // Of a Unix socket. Empty for TCP.
	Host  string // A name or an IP address.
	Port  int
	IsTLS bool
}

// endpoint is what a connection goes to. Equal endpoints share connections.
type endpoint struct {
	network, target string
	host            string // Of the header `host`.
	tlsName         string // The name that the service's certificate must have. Empty without TLS.
}

// ParseAddresses returns the addresses in a list that is separated by commas.
func ParseAddresses(text string) ([]Address, error) {
	var addresses []Address
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		address, err := parseAddress(part)
		if err != nil {
			return nil, err
		}
		addresses = append(addresses, address)
	}
	if len(addresses) == 0 {
		return nil, fmt.Errorf("the service's address is empty; it is, for example, localhost:50051")
	}
	return addresses, nil
}

func parseAddress(text string) (Address, error) {
	if path, isUnix := strings.CutPrefix(text, "unix:"); isUnix {
		// unix:///run/x.sock is the form of a URL.
		if strings.HasPrefix(path, "///") {
			path = path[2:]
		}
		if path == "" {
			return Address{}, fmt.Errorf("%q has no path; it is, for example, unix:/run/cloakroom/cloakroom.sock", text)
		}
		return Address{Path: path}, nil
	}
	rest, isTLS := strings.CutPrefix(text, "https://")
	hasScheme := isTLS
	for _, scheme := range []string{"http://", "dns:///"} {
		if without, found := strings.CutPrefix(rest, scheme); found && !hasScheme {
			rest, hasScheme = without, true
		}
	}
	if hasScheme {
		rest = strings.TrimSuffix(rest, "/")
	}
	if strings.ContainsAny(rest, "/@") {
		return Address{}, fmt.Errorf("%q is no address of the service; it is, for example, localhost:50051, "+
			"https://cloakroom:50051 or unix:/run/cloakroom/cloakroom.sock", text)
	}
	host, port, err := splitPort(rest, text)
	return Address{Host: host, Port: port, IsTLS: isTLS}, err
}

func splitPort(rest, text string) (host string, port int, err error) {
	host, digits := rest, ""
	switch {
	case strings.HasPrefix(rest, "["):
		end := strings.IndexByte(rest, ']')
		if end < 0 || (end+1 < len(rest) && rest[end+1] != ':') {
			return "", 0, fmt.Errorf("%q: an IPv6 address with a port is written as [::1]:50051", text)
		}
		host, digits = rest[1:end], strings.TrimPrefix(rest[end+1:], ":")
	case strings.Count(rest, ":") == 1:
		host, digits, _ = strings.Cut(rest, ":")
	}
	if host == "" || strings.IndexFunc(host, func(r rune) bool { return r <= ' ' || r > '~' }) >= 0 {
		return "", 0, fmt.Errorf("%q has no valid host; it is, for example, localhost:50051", text)
	}
	if digits == "" {
		return host, defaultPort, nil
	}
	number, err := strconv.ParseUint(digits, 10, 16)
	if err != nil || number == 0 {
		return "", 0, fmt.Errorf("%q: the port is a number from 1 to 65535", text)
	}
	return host, int(number), nil
}

// isName tells whether the address has to be looked up.
func (a Address) isName() bool {
	_, err := netip.ParseAddr(a.Host)
	return a.Path == "" && err != nil
}

// endpoint returns what a connection goes to. ip is the address's own, or one that its name has.
func (a Address) endpoint(ip string) endpoint {
	if a.Path != "" {
		return endpoint{network: "unix", target: a.Path, host: "localhost"}
	}
	port := strconv.Itoa(a.Port)
	target := endpoint{network: "tcp", target: net.JoinHostPort(ip, port), host: net.JoinHostPort(a.Host, port)}
	if a.IsTLS {
		target.tlsName = a.Host
	} else if parsed, err := netip.ParseAddr(ip); err == nil && parsed.IsLoopback() {
		// On loopback the service takes no name: it could be a web page's, by DNS rebinding.
		target.host = target.target
	}
	return target
}

func (e endpoint) String() string {
	if e.network == "unix" {
		return "unix:" + e.target
	}
	return e.target
}
