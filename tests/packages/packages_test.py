"""Builds the clients' packages, and installs each into an empty project that counts visits with a real service."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import unittest
import zipfile

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[1]
sys.path += [str(ROOT / "clients"), str(ROOT / "clients/python/tests")]
import build_packages  # noqa: E402

from service import APPS, Service  # noqa: E402

VERSION = re.search(r'^version = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)[1]
WHEEL = f"cloakroom_sessions-{VERSION}-py3-none-any.whl"
SDIST = f"cloakroom_sessions-{VERSION}.tar.gz"
NPM = f"cloakroom-sessions-{VERSION}.tgz"
GO = f"cloakroom-go-v{VERSION}.zip"
GORILLA = f"cloakroom-go-gorillastore-v{VERSION}.zip"
NPM_STORE = f"connect-cloakroom-{VERSION}.tgz"
PHP = f"cloakroom-session-handler-{VERSION}.zip"
GEM = f"rack-session-cloakroom-{VERSION}.gem"
JAR = f"spring-session-cloakroom-{VERSION}.jar"
PACKAGES = [WHEEL, SDIST, NPM, GO, GORILLA, NPM_STORE, PHP, GEM, JAR]

FLASK_APP = """
import sys
from flask import Flask, session
from cloakroom.flask import CloakroomSessionInterface

app = Flask(__name__)
app.session_interface = CloakroomSessionInterface(sys.argv[1], app="shop")

@app.get("/")
def count():
    session["visits"] = session.get("visits", 0) + 1
    return str(session["visits"])

browser = app.test_client()
print(browser.get("/").text, browser.get("/").text)
"""
EXPRESS_APP = """
const express = require('express');
const { sessions } = require('cloakroom-sessions/express');

const app = express();
app.use(sessions({ service: process.argv[2], app: 'shop' }));
app.get('/', (req, res) => res.send(String(req.session.visits = (req.session.visits ?? 0) + 1)));

const server = app.listen(0, '127.0.0.1', async () => {
  const url = `http://127.0.0.1:${server.address().port}/`;
  const first = await fetch(url);
  const [cookie] = first.headers.getSetCookie()[0].split(';');
  const second = await fetch(url, { headers: { cookie } });
  console.log(await first.text(), await second.text());
  process.exit();
});
"""
GO_APP = """
package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"

	"cloakroom.example/cloakroom"
	_ "cloakroom.example/cloakroom/gorillastore"
	_ "cloakroom.example/cloakroom/scsstore"
	"cloakroom.example/cloakroom/sessions"
)

func count(w http.ResponseWriter, r *http.Request) {
	session := sessions.From(r.Context())
	visits, _ := sessions.Get[int](session, "visits")
	session.Set("visits", visits+1)
	fmt.Fprint(w, visits+1)
}

func main() {
	client, err := cloakroom.New(os.Args[1], cloakroom.Options{App: "shop"})
	if err != nil {
		panic(err)
	}
	handler := sessions.New(client).Middleware(http.HandlerFunc(count))
	first, second := httptest.NewRecorder(), httptest.NewRecorder()
	handler.ServeHTTP(first, httptest.NewRequest("GET", "/", nil))
	again := httptest.NewRequest("GET", "/", nil)
	again.AddCookie(first.Result().Cookies()[0])
	handler.ServeHTTP(second, again)
	fmt.Println(first.Body, second.Body)
}
"""


class Packages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.packages = cls.folder / "packages"
        build_packages.build(cls.packages)
        cls.service = Service.start(cls.folder, apps=f'{APPS}\n[apps.external]\nkind = "external"\n')
        cls.addClassCleanup(cls.service.__exit__)

    def test_a_second_build_has_the_same_bytes_whatever_the_umask_and_the_time_zone(self):
        again = self.folder / "again"
        before = os.umask(0o077)
        self.addCleanup(os.umask, before)
        environment = {**os.environ, "TZ": "Asia/Tokyo", "LC_ALL": "C"}
        subprocess.run([sys.executable, ROOT / "clients/build_packages.py", again], env=environment, check=True)

        names = sorted(path.name for path in self.packages.iterdir())
        self.assertEqual(names, sorted(["SHA256SUMS", *PACKAGES]))
        for name in names:
            self.assertEqual((self.packages / name).read_bytes(), (again / name).read_bytes(), name)

    def test_the_checksums_are_those_of_the_packages(self):
        subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=self.packages, check=True)

    def test_a_source_package_has_licence_changelog_and_readme_and_neither_its_suite_nor_left_files(self):
        for package in [package for package in PACKAGES if package != WHEEL]:
            names = [name.removeprefix("META-INF/") for name in self.files_of(package)]
            for name in ("LICENSE.md", "CHANGELOG.md", "README.md"):
                self.assertIn(name, names, package)
            self.assertEqual([], [name for name in names if re.search(r"(^|/)(tests?/|__pycache__|\.)", name)], package)

    def test_a_wheel_has_the_licence_and_what_a_type_checker_needs(self):
        with zipfile.ZipFile(self.packages / WHEEL) as archive:
            names = archive.namelist()

        self.assertIn(f"cloakroom_sessions-{VERSION}.dist-info/licenses/LICENSE.md", names)
        self.assertIn("cloakroom/py.typed", names)
        self.assertIn("cloakroom/messages/session_service_pb2.pyi", names)

    def test_no_readme_has_a_link_to_a_file_that_is_not_in_the_package(self):
        with tarfile.open(self.packages / SDIST) as archive:
            text = archive.extractfile(f"cloakroom_sessions-{VERSION}/README.md").read().decode()

        links = re.findall(r"\]\(([^)]*)\)", text)
        self.assertTrue(links)
        self.assertEqual([], [link for link in links if not link.startswith("#")])

    def test_the_wheel_and_the_source_package_work_in_an_empty_project(self):
        for package in (WHEEL, SDIST):
            project = self.project("count.py", FLASK_APP)
            subprocess.run([sys.executable, "-m", "venv", "venv"], cwd=project, check=True)
            python = project / "venv/bin/python"
            install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            subprocess.run([*install, f"{self.packages / package}[flask]"], cwd=project, check=True)

            self.assertEqual("1 2\n", self.output(project, python, "count.py"), package)

    def test_the_npm_package_works_in_an_empty_project(self):
        project = self.project("count.cjs", EXPRESS_APP)
        manifest = json.loads((ROOT / "clients/node/package.json").read_text())
        express = f"express@{manifest['devDependencies']['express']}"
        (project / "package.json").write_text("{}")
        install = ["npm", "install", "--silent", "--no-audit", "--no-fund"]
        subprocess.run([*install, self.packages / NPM, express], cwd=project, check=True)

        self.assertEqual("1 2\n", self.output(project, "node", "count.cjs"))

    def test_the_go_modules_work_in_an_empty_project(self):
        modules = [self.offer(package) for package in (GO, GORILLA)]
        project = self.project("main.go", GO_APP)
        others = subprocess.check_output(["go", "env", "GOPROXY"], text=True).strip()
        go = {
            **os.environ,
            "GOPROXY": f"file://{self.folder}/proxy,{others}",
            "GONOSUMDB": ",".join(modules),
            "GOFLAGS": "-mod=mod",
        }
        go |= {"GOMODCACHE": str(self.folder / "modules"), "GOTOOLCHAIN": "local"}
        subprocess.run(["go", "mod", "init", "count.example"], cwd=project, env=go, check=True, capture_output=True)
        wanted = [f"{module}@v{VERSION}" for module in modules]
        subprocess.run(["go", "get", *wanted], cwd=project, env=go, check=True, capture_output=True)
        self.addCleanup(subprocess.run, ["go", "clean", "-modcache"], env=go, check=True)
        subprocess.run(["go", "build", "-o", "count", "."], cwd=project, env=go, check=True)

        self.assertEqual("1 2\n", self.output(project, "./count"))

    def test_the_npm_package_of_the_store_works_in_an_empty_project(self):
        project = self.project("package.json", "{}")
        shutil.copy(HERE / "count_store.cjs", project)
        manifest = json.loads((ROOT / "clients/connect-cloakroom/package.json").read_text())
        others = [f"{name}@{manifest['devDependencies'][name]}" for name in ("express", "express-session")]
        install = ["npm", "install", "--silent", "--no-audit", "--no-fund"]
        subprocess.run([*install, self.packages / NPM, self.packages / NPM_STORE, *others], cwd=project, check=True)

        self.assertEqual("1 2\n", self.output(project, "node", "count_store.cjs"))

    def test_the_package_for_php_works_in_an_empty_project(self):
        repositories = {"packages": {"type": "artifact", "url": str(self.packages)}, "packagist.org": False}
        project = self.project("composer.json", json.dumps({"repositories": repositories}))
        shutil.copy(HERE / "count.php", project)
        require = ["composer", "require", "--quiet", "--no-interaction", f"cloakroom/session-handler:{VERSION}"]
        environment = {**os.environ, "COMPOSER_HOME": str(self.folder / "composer"), "COMPOSER_ALLOW_SUPERUSER": "1"}
        subprocess.run(require, cwd=project, env=environment, check=True)

        self.assertEqual("1 2\n", self.output(project, "php", "count.php"))

    def test_the_gem_works_in_an_empty_project(self):
        project = self.project("Gemfile", "")
        shutil.copy(HERE / "count.rb", project)
        install = ["gem", "install", "--silent", "--local", "--ignore-dependencies", "--no-document"]
        subprocess.run([*install, "--install-dir", project / "gems", self.packages / GEM], check=True)
        gem_path = subprocess.check_output(["ruby", "-e", "print Gem.path.join(':')"], text=True)

        version = (ROOT / "clients/ruby/lib/rack/session/cloakroom/version.rb").read_text()
        self.assertIn(f"VERSION = '{VERSION}'", version)
        gems = f"GEM_PATH={project}/gems:{gem_path}"
        self.assertEqual("1 2\n", self.output(project, "env", gems, "ruby", "count.rb"))

    def test_the_package_for_java_works_in_an_empty_project(self):
        project = self.project("README", "")
        for path in (HERE / "java").iterdir():
            shutil.copy(path, project)
        maven = [*build_packages.MAVEN, f"-Dcloakroom.version={VERSION}"]
        self.addCleanup(shutil.rmtree, ROOT / ".tools/maven/example/cloakroom", ignore_errors=True)
        subprocess.run([*maven, "install:install-file", f"-Dfile={self.packages / JAR}"], cwd=project, check=True)
        path = project / "class-path"
        subprocess.run(
            [*maven, "compile", "dependency:build-classpath", f"-Dmdep.outputFile={path}"], cwd=project, check=True
        )

        class_path = f"{project}/target/classes:{path.read_text()}"
        self.assertEqual("1 2\n", self.output(project, "java", "-cp", class_path, "Count"))

    def offer(self, package):
        """Puts a Go module into a folder that stands in for a module proxy (https://go.dev/ref/mod#goproxy-protocol)."""
        with zipfile.ZipFile(self.packages / package) as archive:
            module = archive.namelist()[0].partition("@")[0]
            go_mod = archive.read(f"{module}@v{VERSION}/go.mod")
        versions = self.folder / "proxy" / module / "@v"
        versions.mkdir(parents=True)
        (versions / f"v{VERSION}.info").write_text(json.dumps({"Version": f"v{VERSION}"}))
        (versions / f"v{VERSION}.mod").write_bytes(go_mod)
        (versions / f"v{VERSION}.zip").write_bytes((self.packages / package).read_bytes())
        return module

    def files_of(self, package):
        """Returns the names of a package's files, without the folder that all of them are in."""
        path = self.packages / package
        if package == JAR:
            return zipfile.ZipFile(path).namelist()
        if package == GEM:
            with tarfile.open(path) as gem, tarfile.open(fileobj=gem.extractfile("data.tar.gz")) as data:
                return data.getnames()
        if package.endswith(".zip"):
            with zipfile.ZipFile(path) as archive:
                # A Go module has slashes in its name, so its folder ends behind its version.
                return [re.sub(r"^(.*@[^/]+|[^/]+)/", "", name) for name in archive.namelist()]
        with tarfile.open(path) as archive:
            return [name.partition("/")[2] for name in archive.getnames()]

    def project(self, name, text):
        """Makes a folder with one file."""
        project = pathlib.Path(tempfile.mkdtemp(dir=self.folder))
        (project / name).write_text(text)
        return project

    def output(self, project, *command):
        """Runs a program with the service's address, without what the environment says about Python's packages."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        command = [*command, self.service.address]
        return subprocess.check_output(command, cwd=project, env=environment, text=True, timeout=60)


if __name__ == "__main__":
    unittest.main()
