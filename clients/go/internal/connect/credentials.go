package connect

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// Credentials are what the calls of a client are authenticated by. Files are read again when they have changed.
type Credentials struct {
	Token     string // The caller token, which is sent with every call.
	TokenFile string // The file that has it, in place of Token.
	CAFile    string // The certificates, in PEM, that may have signed the service's.
	CertFile  string // The client's certificate, with its chain, in PEM.
	KeyFile   string // The key of that certificate, in PEM.
}

func (c Credentials) check(addresses []Address) error {
	if (c.CertFile == "") != (c.KeyFile == "") {
		return errors.New("CertFile and KeyFile belong together: set both or none")
	}
	if c.Token != "" && c.TokenFile != "" {
		return errors.New("set Token or TokenFile, not both")
	}
	if err := checkToken(c.Token); err != nil {
		return fmt.Errorf("the caller token %w", err)
	}
	for _, address := range addresses {
		if (c.CAFile != "" || c.CertFile != "") && !address.IsTLS {
			return errors.New("the credentials need TLS: write the address as https://host:port")
		}
	}
	return nil
}

func checkToken(token string) error {
	if strings.IndexFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) >= 0 {
		return errors.New("has a character that is not visible ASCII, such as a newline")
	}
	return nil
}

// fromFiles is a value that is made from files, and made again when one of them has changed.
type fromFiles[T any] struct {
	files []string
	read  func() (T, error)

	mutex   sync.Mutex
	checked time.Time
	version string
	value   T
}

// get returns the value. It looks at the files at most once in a second.
func (f *fromFiles[T]) get() (T, error) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if !f.checked.IsZero() && time.Since(f.checked) < time.Second {
		return f.value, nil
	}
	version, err := versionOf(f.files)
	if err != nil {
		return f.value, err
	}
	if f.checked.IsZero() || version != f.version {
		value, err := f.read()
		if err != nil {
			return f.value, err
		}
		f.value, f.version = value, version
	}
	f.checked = time.Now()
	return f.value, nil
}

func versionOf(files []string) (string, error) {
	var version strings.Builder
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&version, "%d %d;", info.ModTime().UnixNano(), info.Size())
	}
	return version.String(), nil
}

// authorization returns what makes the header of a call: empty without a token.
func (c Credentials) authorization() *fromFiles[string] {
	if c.TokenFile == "" {
		return &fromFiles[string]{read: func() (string, error) { return authorizationHeader(c.Token), nil }}
	}
	return &fromFiles[string]{files: []string{c.TokenFile}, read: func() (string, error) {
		content, err := os.ReadFile(c.TokenFile)
		if err != nil {
			return "", err
		}
		token := strings.TrimSpace(string(content))
		if err := checkToken(token); err != nil || token == "" {
			return "", fmt.Errorf("%s has no caller token", c.TokenFile)
		}
		return authorizationHeader(token), nil
	}}
}

func authorizationHeader(token string) string {
	if token == "" {
		return ""
	}
	return "authorization: Bearer " + token + "\r\n"
}

func (c Credentials) tlsConfig() *fromFiles[*tls.Config] {
	var files []string
	for _, file := range []string{c.CAFile, c.CertFile, c.KeyFile} {
		if file != "" {
			files = append(files, file)
		}
	}
	return &fromFiles[*tls.Config]{files: files, read: c.readTLSConfig}
}

func (c Credentials) readTLSConfig() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
	if c.CAFile != "" {
		content, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(content) {
			return nil, fmt.Errorf("%s has no certificate in PEM", c.CAFile)
		}
	}
	if c.CertFile != "" {
		certificate, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{certificate}
	}
	return config, nil
}
