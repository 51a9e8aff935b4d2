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

// waitsFor are scs' tests that wait for the end of a session. They run in slow motion, because the machine may be busy.
var waitsFor = []string{"TestLifetime", "TestIdleTimeout"}

func TestScsOwnTestsPassOnTheStore(t *testing.T) {
	running := service.Start(t, service.Options{Apps: externalApps("all", "entries", "opaque")})

	for app, codec := range map[string]string{"entries": "EntryCodec{}", "opaque": "GobCodec{}"} {
		program := buildOwnTests(t, codec)
		run := func(app string, arguments ...string) (string, error) {
			command := exec.Command(program, append(arguments, "-test.v")...)
			command.Env = append(os.Environ(), "SCS_SERVICE="+running.Address, "SCS_ADMIN="+running.AdminAddress, "SCS_APP="+app)
			output, err := command.CombinedOutput()
			return string(output), err
		}
		output, err := run("all", "-test.skip", "^("+strings.Join(append(waitsFor, "TestIterate"), "|")+")$")
		if passed := strings.Count(output, "\n--- PASS"); err != nil || passed < 29 {
			t.Errorf("%s: %d tests passed, %v\n%s", codec, passed, err, output)
		}
		// It lists all sessions of its app.
		if output, err := run(app, "-test.run", "^TestIterate$"); err != nil || !strings.Contains(output, "--- PASS") {
			t.Errorf("%s: %v\n%s", codec, err, output)
		}
		if app == "entries" {
			output, err = run("all", "-test.run", "^("+strings.Join(waitsFor, "|")+")$")
			for attempt := 1; attempt < 5 && err != nil; attempt++ {
				output, err = run("all", "-test.run", "^("+strings.Join(waitsFor, "|")+")$")
			}
			if err != nil || strings.Count(output, "\n--- PASS") != len(waitsFor) {
				t.Errorf("%v\n%s", err, output)
			}
		}
	}
}

// buildOwnTests compiles scs with its tests, from the module that go.mod names. A new manager has the store and the codec.
func buildOwnTests(t *testing.T, codec string) string {
	t.Helper()
	module, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/alexedwards/scs/v2").Output()
	must(t, err)
	own, folder := filepath.Join(service.Root(), "clients/go/tests/scsown"), t.TempDir()
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(module)), "*.go"))
	must(t, err)
	replace := map[string]string{}
	for _, file := range files {
		name := filepath.Base(file)
		replace[filepath.Join(own, name)] = file
		if name == "store.go" {
			delete(replace, filepath.Join(own, name))
			replace[filepath.Join(own, "scs_store.go")] = file
		}
	}
	change := func(name string, texts ...string) {
		source, err := os.ReadFile(replace[filepath.Join(own, name)])
		must(t, err)
		for i := 0; i < len(texts); i += 2 {
			if !strings.Contains(string(source), texts[i]) {
				t.Fatalf("scs' %s has no %q any more", name, texts[i])
			}
		}
		changed := strings.NewReplacer(texts...).Replace(string(source))
		replace[filepath.Join(own, name)] = writeFile(t, folder, name, []byte(changed))
	}
	change("session.go", "memstore.New()", "NewStore()", "GobCodec{},", codec+",",
		`"github.com/alexedwards/scs/v2/memstore"`, "")
	change("session_test.go", "500 * time.Millisecond", "2500 * time.Millisecond", "200 * time.Millisecond", "time.Second",
		"150 * time.Millisecond", "750 * time.Millisecond", "100 * time.Millisecond", "500 * time.Millisecond",
		"time.Sleep(time.Second)", "time.Sleep(5 * time.Second)", "Lifetime = time.Second", "Lifetime = 5 * time.Second")
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	must(t, err)
	program := filepath.Join(folder, "own")
	build := exec.Command("go", "test", "-c", "-vet=off", "-overlay", writeFile(t, folder, "overlay.json", overlay), "-o", program, "./scsown")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return program
}

// externalApps returns the tables of apps whose sessions scs and the like name.
func externalApps(names ...string) string {
	var tables strings.Builder
	for _, name := range names {
		tables.WriteString("[apps." + name + "]\nkind = \"external\"\n")
	}
	return tables.String()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
