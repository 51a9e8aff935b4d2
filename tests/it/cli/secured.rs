//! A service with TLS and callers, started and called from the command line.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use cloakroom::auth::TokenHash;
use cloakroom::token::Key;

use super::program::{Ended, Program};
use crate::support::authority::CertificateAuthority;

/// A running service that logs at the lowest level.
struct Service {
    child: Child,
    lines: Receiver<String>,
    /// All lines of stderr up to now.
    output: String,
    banner: String,
    authority: CertificateAuthority,
    token: String,
    program: Program,
}

impl Service {
    fn start() -> Self {
        Self::with(SETTINGS)
    }

    fn with(settings: &str) -> Self {
        let authority = CertificateAuthority::new();
        let token = Program::new(&["caller-token"]).run().stdout.trim().to_owned();
        let mut program = Program::new(&["serve"])
            .file("ca.pem", &authority.pem())
            .file("operator.hashes", &format!("# old, new\n{}\n{}\n", "0".repeat(64), TokenHash::of(token.as_bytes())))
            .file("cloakroom.toml", settings)
            .file("keys", &Key::generate());
        authority.sign("localhost").write(&program.path("tls.crt"), &program.path("tls.key"));
        let mut child = program.command().spawn().unwrap();
        let (sender, lines) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let mut service =
            Self { child, lines, output: String::new(), banner: String::new(), authority, token, program };
        service.wait_for("--cacert ca.pem https://");
        service.banner.clone_from(&service.output);
        service
    }

    /// Waits until stderr contains these words.
    fn wait_for(&mut self, words: &str) {
        while !self.output.contains(words) {
            let line = self.lines.recv_timeout(Duration::from_secs(60)).unwrap_or_else(|_| panic!("{}", self.output));
            self.output = format!("{}{line}\n", self.output);
        }
    }

    /// Returns the address in a row of the banner, with the host name of the certificate.
    fn address(&self, row: &str) -> String {
        let line = self.banner.lines().find_map(|line| line.trim().strip_prefix(row)).unwrap();
        line.trim().replace("127.0.0.1", "localhost")
    }

    /// Runs `cloakroom sessions stats` with these arguments, and with a token in its environment.
    fn stats(&self, arguments: &[&str], token: Option<&str>) -> Ended {
        let address = self.address("admin");
        let program = Program::new(&[&["sessions", "--address", &address, "stats"], arguments].concat());
        token.into_iter().fold(program, |program, token| program.env("CLOAKROOM_CALLER_TOKEN", token)).run()
    }

    /// Replaces a file and sends SIGHUP.
    fn reload(&self, name: &str, text: &str) {
        std::fs::write(self.program.path(name), text).unwrap();
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-HUP", &id]).status().unwrap().success());
    }

    fn file(&self, name: &str) -> String {
        self.program.path(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const SETTINGS: &str = "
[server]
listen = '127.0.0.1:0'
[server.tls]
certificate_file = 'tls.crt'
key_file = 'tls.key'
[admin]
listen = '127.0.0.1:0'
[admin.tls]
certificate_file = 'tls.crt'
key_file = 'tls.key'
client_ca_file = 'ca.pem'
[store]
kind = 'memory'
[log]
level = 'trace'
format = 'text'
[apps.default]
keys_file = 'keys'
[callers.operator]
roles = ['admin']
apps = ['*']
token_hashes_file = 'operator.hashes'
[callers.auditor]
roles = ['admin']
apps = ['default']
certificate_names = ['auditor.test']
";

#[test]
fn an_operator_authenticates_by_token_or_certificate_and_no_secret_is_logged() {
    let mut service = Service::start();
    let ca = service.file("ca.pem");
    let auditor = service.authority.sign("auditor.test");
    auditor.write(&service.program.path("auditor.crt"), &service.program.path("auditor.key"));
    std::fs::write(service.program.path("token"), format!("{}\n", service.token)).unwrap();

    let by_file = service.stats(&["--ca", &ca, "--token-file", &service.file("token")], None);
    let by_variable = service.stats(&["--ca", &ca], Some(&service.token));
    let (cert, key) = (service.file("auditor.crt"), service.file("auditor.key"));
    let by_certificate = service.stats(&["--ca", &ca, "--cert", &cert, "--key", &key], None);
    let wrong = service.stats(&["--ca", &ca], Some("cloakroom_caller_wrong-mark"));
    let without_token = service.stats(&["--ca", &ca], None);
    let plain = service.stats(&[], Some(&service.token));
    let other_name = service.stats(&["--ca", &ca, "--server-name", "other.test"], Some(&service.token));

    for allowed in [by_file, by_variable, by_certificate] {
        assert_eq!(allowed.code, Some(0), "{allowed:?}");
    }
    for refused in [&wrong, &without_token] {
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.stderr.contains("(CALLER_UNKNOWN)"), "{refused:?}");
    }
    for (unconnected, words) in
        [(&plain, "is called with --ca"), (&other_name, "no connection: invalid peer certificate")]
    {
        assert!(unconnected.code == Some(1) && unconnected.stderr.contains(words), "{unconnected:?}");
    }
    let key_before = std::fs::read_to_string(service.program.path("tls.key")).unwrap();
    let another = service.authority.sign("localhost");
    std::fs::write(service.program.path("tls.key"), &another.key).unwrap();
    service.wait_for("the new certificate is refused");
    another.write(&service.program.path("tls.crt"), &service.program.path("tls.key"));
    service.wait_for("new connections get a new certificate");
    let logged = [&service.output, &wrong.stderr, &plain.stderr, &other_name.stderr].map(String::as_str).concat();
    let keys = [&key_before, &another.key, &auditor.key];
    let lines = keys.into_iter().flat_map(|key| key.lines().filter(|line| !line.starts_with('-')));
    let hash = TokenHash::of(service.token.as_bytes()).to_string();
    let secrets = lines.chain([service.token.as_str(), "wrong-mark", &hash]);
    secrets.for_each(|secret| assert!(!logged.contains(secret), "`{secret}` was logged"));
}

#[test]
fn a_pipe_in_place_of_a_key_of_tls_is_refused() {
    let mut service = Service::start();
    let key = service.program.path("tls.key");
    std::fs::remove_file(&key).unwrap();
    assert!(Command::new("mkfifo").arg(&key).status().unwrap().success());

    service.wait_for("tls.key: it is a pipe");
    let mut start = Program::new(&["serve"]).file("cloakroom.toml", SETTINGS).file("operator.hashes", &"0".repeat(64));
    start = start
        .file("keys", &Key::generate())
        .file("tls.crt", &std::fs::read_to_string(service.file("tls.crt")).unwrap());
    assert!(Command::new("mkfifo").arg(start.path("tls.key")).status().unwrap().success());
    let refused = start.run();
    std::fs::remove_file(&key).unwrap();
    service.authority.sign("localhost").write(&service.program.path("tls.crt"), &key);

    service.wait_for("new connections get a new certificate");
    assert!(refused.code == Some(1) && refused.stderr.contains("tls.key: it is a pipe"), "{refused:?}");
}

#[test]
fn a_healthcheck_needs_no_credential() {
    let service = Service::start();
    let (address, admin) = (service.address("listens"), service.address("admin"));
    let with_ca = Program::new(&["healthcheck", "--address", &address, "--ca", &service.file("ca.pem")]).run();
    let port = admin.rsplit(':').next().unwrap();
    let config = service.file("cloakroom.toml");

    // As in a container: the certificate is for another name than 127.0.0.1.
    let by_configuration = Program::new(&["healthcheck", "--config", &config])
        .env("CLOAKROOM__ADMIN__LISTEN", &format!("127.0.0.1:{port}"))
        .file("operator.hashes", &"0".repeat(64))
        .file("keys", &Key::generate())
        .run();

    assert_eq!([with_ca.code, by_configuration.code], [Some(0); 2], "{with_ca:?} {by_configuration:?}");
}

#[test]
fn check_prints_callers_and_certificates_without_secrets() {
    let authority = CertificateAuthority::new();
    let identity = authority.sign("localhost");
    let hash = TokenHash::of(b"x").to_string();
    let settings =
        format!("{SETTINGS}[callers.shop]\nroles = ['frontend']\napps = ['default']\ntoken_hashes = ['{hash}']\n");
    let check = |certificate: &str, key: &str| {
        Program::new(&["check"])
            .file("cloakroom.toml", &settings)
            .file("operator.hashes", &"0".repeat(64))
            .file("keys", &Key::generate())
            .file("ca.pem", &authority.pem())
            .file("tls.crt", certificate)
            .file("tls.key", key)
            .run()
    };

    let right = check(&identity.certificate, &identity.key);
    let broken = check("nothing", &identity.key);
    let expired = authority.sign_until("localhost", 2001);
    let late = check(&expired.certificate, &expired.key);

    assert_eq!(right.code, Some(0), "{right:?}");
    for line in [
        "[callers.shop]",
        "roles = [\"frontend\"]  # cloakroom.toml:",
        "token_hashes = [\"***\"]  # cloakroom.toml:",
        "# The certificate of [server.tls] expires: 2100-01-01T00:00:00Z.",
        "# The certificate of [admin.tls] expires: 2100-01-01T00:00:00Z.",
    ] {
        assert!(right.stdout.contains(line), "{line} is missing in:\n{}", right.stdout);
    }
    assert!(!right.stdout.contains(&hash) && !right.stdout.contains(&"0".repeat(64)), "{}", right.stdout);
    assert_eq!(late.code, Some(0), "{late:?}");
    assert!(
        late.stdout.contains("# The certificate of [server.tls] has expired: 2001-01-01T00:00:00Z.\n"),
        "{}",
        late.stdout
    );
    assert_eq!(broken.code, Some(1));
    assert!(
        broken.stderr.contains("cloakroom: server.tls: tls.crt: there is no certificate in PEM in it"),
        "{}",
        broken.stderr
    );
}

#[test]
fn a_token_and_its_hash_are_printed_apart() {
    let made = Program::new(&["caller-token"]).run();
    let token = made.stdout.trim();
    let hash = TokenHash::of(token.as_bytes()).to_string();

    let hashed = Program::new(&["caller-token", "--hash", "-"]).stdin(&made.stdout).run();
    let none = Program::new(&["caller-token", "--hash", "-"]).stdin(" \n").run();

    assert!(token.starts_with("cloakroom_caller_") && made.stdout.lines().count() == 1, "{made:?}");
    assert!(made.stderr.contains(&hash) && !made.stderr.contains(token), "{made:?}");
    assert_eq!((hashed.code, hashed.stdout.trim()), (Some(0), hash.as_str()));
    assert_eq!(none.code, Some(1));
}

#[test]
fn a_file_that_has_no_token_is_named_and_a_longer_one_is_not_cut() {
    let hash = |text: &str| Program::new(&["caller-token", "--hash", "token"]).file("token", text).run();

    let missing = Program::new(&["caller-token", "--hash", "token"]).run();
    let (longest, longer) = (hash(&"x".repeat(4096)), hash(&"x".repeat(4097)));

    let expected = "cloakroom: --hash token: No such file or directory (os error 2)\n";
    assert_eq!((missing.code, missing.stderr.as_str()), (Some(1), expected));
    assert_eq!(longest.stdout.trim(), TokenHash::of("x".repeat(4096).as_bytes()).to_string());
    let expected = "cloakroom: --hash token: it is longer than 4096 bytes, and no token\n";
    assert_eq!((longer.code, longer.stdout.as_str(), longer.stderr.as_str()), (Some(1), "", expected));
}

#[test]
fn the_table_of_a_broken_tls_file_is_named() {
    for table in ["server", "admin"] {
        let settings = format!("[{table}.tls]\ncertificate_file = \"none.pem\"\nkey_file = \"none.pem\"\n");
        let ended = Program::new(&["check"]).file("cloakroom.toml", &settings).run();

        let expected = format!("cloakroom: {table}.tls: none.pem: it cannot be read");
        assert!(ended.code == Some(1) && ended.stderr.starts_with(&expected), "{ended:?}");
    }
}

#[test]
fn invalid_callers_are_refused_with_file_and_line() {
    let hash = TokenHash::of(b"x").to_string();
    let table = [
        (
            "certificate_names = ['a.test']".to_owned(),
            "cloakroom.toml:4: callers.a.certificate_names: no listener asks",
        ),
        (format!("token_hashes = '{hash}'"), "cloakroom.toml:4: callers.a.token_hashes: one text is no list"),
        ("token_hashes = ['x']".to_owned(), "cloakroom.toml:4: callers.a.token_hashes: a hash is 64"),
        (
            "token_hashes_file = '/dev/null'".to_owned(),
            "cloakroom.toml:4: callers.a.token_hashes_file: there is no hash",
        ),
        (
            format!("token_hashes = ['{hash}']\n[callers.b]\nroles = ['boss']"),
            "cloakroom.toml:6: callers.b.roles: \"boss\" is none of",
        ),
    ];

    for (line, words) in table {
        let settings = format!("[callers.a]\nroles = ['frontend']\napps = ['default']\n{line}\n");
        let ended = Program::new(&["check"]).file("cloakroom.toml", &settings).run();
        assert!(ended.code == Some(78) && ended.stderr.starts_with(words), "{words}\n{ended:?}");
    }
    let unknown = format!("[callers.a]\nroles = ['frontend']\napps = ['nowhere']\ntoken_hashes = ['{hash}']\n");
    let ended = Program::new(&["check"]).file("cloakroom.toml", &unknown).run();
    assert!(ended.stderr.contains("cloakroom.toml:3: callers.a.apps: there is no app \"nowhere\""), "{ended:?}");
}

#[test]
fn a_reload_changes_callers_but_never_removes_all_from_an_exposed_listener() {
    let open = SETTINGS.replacen("127.0.0.1:0", "0.0.0.0:0", 1);
    let mut service = Service::with(&open);
    let ca = service.file("ca.pem");
    let code = |service: &Service, token: Option<&str>| service.stats(&["--ca", &ca], token).code;
    let old = service.token.clone();
    assert_eq!([code(&service, Some(&old)), code(&service, None)], [Some(0), Some(1)]);

    // Valid at a start, but this process listens for other machines.
    let without_callers =
        SETTINGS.split("[callers.operator]").next().unwrap().replace("client_ca_file = 'ca.pem'\n", "");
    service.reload("cloakroom.toml", &without_callers);
    service.wait_for("refused; the old one stays in force");
    assert!(service.output.contains("server.listen: 0.0.0.0:0 is open to other machines"), "{}", service.output);
    assert_eq!([code(&service, Some(&old)), code(&service, None)], [Some(0), Some(1)]);

    service.reload("cloakroom.toml", &open);
    service.wait_for("the configuration is reloaded");
    service.output.clear();
    service.reload("operator.hashes", &TokenHash::of(b"new").to_string());
    service.wait_for("the configuration is reloaded");
    assert_eq!([code(&service, Some("new")), code(&service, Some(&old))], [Some(0), Some(1)]);
}
