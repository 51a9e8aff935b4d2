package tests

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"cloakroom.example/cloakroom/tests/service"
)

// suite has scs' own tests of a session, and what those that fail say. docs/go.md has the reasons.
var suite = map[string]string{
	"TestEnable":      "",
	"TestLifetime":    "",
	"TestRenewToken":  "",
	"TestFlusher":     "",
	"TestHijacker":    "",
	"TestDestroy":     `expected to contain "Expires=Thu, 01 Jan 1970 00:00:01 GMT"`,
	"TestIdleTimeout": `want "bar"; got "foo does not exist in session`,
	"TestRememberMe":  "want Max-Age and Expires attributes",
	"TestIterate":     "package admin lists sessions, without their values",
}

func TestScsOwnSessionTestsHaveTheResultsThatTheTableNames(t *testing.T) {
	running := service.Start(t, service.Options{Apps: "[apps.scs]\nkeys = [\"{key}\"]\nrefresh_each_request = false\n"})
	program := buildSuite(t)

	for name, message := range suite {
		output, err := runOne(program, name, running.Address)
		// TestLifetime fails if two requests take more than half a second, as on a busy machine.
		for attempt := 1; attempt < 10 && message == "" && err != nil; attempt++ {
			output, err = runOne(program, name, running.Address)
		}
		switch {
		case !strings.Contains(string(output), "=== RUN   "+name):
			t.Errorf("scs has no test %s any more", name)
		case message == "" && err != nil:
			t.Errorf("%s: %v\n%s", name, err, output)
		case message != "" && (err == nil || !strings.Contains(string(output), message)):
			t.Errorf("%s passes, or fails for another reason: %v\n%s", name, err, output)
		}
	}
}

func runOne(program, name, address string) ([]byte, error) {
	command := exec.Command(program, "-test.run", "^"+name+"$", "-test.v")
	command.Env = append(os.Environ(), "SCS_SERVICE="+address)
	return command.CombinedOutput()
}

// buildSuite compiles scs' tests into package scs, from the module that go.mod names.
func buildSuite(t *testing.T) string {
	t.Helper()
	module, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/alexedwards/scs/v2").Output()
	if err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(service.Root(), "clients/go/tests/scs")
	replace := map[string]string{}
	for _, file := range []string{"session_test.go", "session_go120_test.go"} {
		replace[filepath.Join(own, file)] = filepath.Join(strings.TrimSpace(string(module)), file)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	program := filepath.Join(folder, "suite")
	build := exec.Command("go", "test", "-c", "-vet=off", "-overlay", writeFile(t, folder, "overlay.json", overlay), "-o", program, "./scs")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return program
}
