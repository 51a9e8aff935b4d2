//! One real Redis for the whole test run, with a key space for each test.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cloakroom::store::{Redis, RedisSettings};
use tempfile::TempDir;

/// Opens a store on the shared Redis, in a key space of its own.
pub(crate) fn fresh() -> Redis {
    Redis::new(&settings()).unwrap()
}

/// Returns settings for a key space of the shared Redis that no other test uses.
pub(crate) fn settings() -> RedisSettings {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    // A scan visits all keys of a database, so each test has a database of its own.
    let url = format!("{}?db={}&user=cloakroom&pass=secret", server().url(), number % DATABASES);
    let key_prefix = format!("test{number}");
    RedisSettings { url, key_prefix, timeout: Duration::from_secs(60), ..Default::default() }
}

fn server() -> &'static RedisServer {
    static SERVER: OnceLock<RedisServer> = OnceLock::new();
    SERVER.get_or_init(|| {
        let server = RedisServer::start();
        // The documented user, who may do nothing else. Its databases are for these tests alone.
        let rights = documented_rights();
        let user = ["acl", "setuser", "cloakroom", "on", ">secret", "~test*", "+select"];
        assert_eq!(server.cli(&[&user[..], &rights].concat()), "OK\n");
        server
    })
}

/// Returns the rights that the documentation gives the Redis user: `+get` and so on.
pub(crate) fn documented_rights() -> Vec<&'static str> {
    let page = include_str!("../../../docs/operations.md");
    let (_, rights) = page.split_once("ACL SETUSER cloakroom ").expect("the page has the command");
    let (rights, _) = rights.split_once("```").expect("it is in a block");
    rights.split_whitespace().filter(|word| word.starts_with('+')).collect()
}

/// A Redis process on a Unix socket. It ends with the test run, however that ends.
pub(crate) struct RedisServer {
    folder: TempDir,
    shell: Child,
    command: String,
}

impl RedisServer {
    /// Starts one and waits until it answers.
    pub(crate) fn start() -> Self {
        Self::start_with("")
    }

    /// Stores bytes of any kind.
    pub(crate) fn set_bytes(&self, key: &str, value: &[u8]) {
        let bytes = value.iter().map(u8::to_string).collect::<Vec<_>>().join(" ");
        let script = "local bytes = '' for byte in ARGV[1]:gmatch('%d+') do bytes = bytes .. string.char(byte) end \
                      return redis.call('set', KEYS[1], bytes)";
        self.cli(&["eval", script, "1", key, &bytes]);
    }

    /// Starts one with these arguments besides.
    pub(crate) fn start_with(arguments: &str) -> Self {
        let command = format!(
            "redis-server --port 0 --unixsocket socket --databases {DATABASES} --save '' --appendonly no \
             --loglevel warning {arguments}"
        );
        Self::run(tempfile::tempdir().unwrap(), command)
    }

    /// The same, with its data in another folder.
    pub(crate) fn start_on(data: &Path, arguments: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        let command = format!(
            "redis-server --port 0 --unixsocket {} --dir {} --save '' --loglevel warning {arguments}",
            socket.display(),
            data.display()
        );
        Self::run(folder, command)
    }

    /// Starts the server of another version.
    pub(crate) fn start_program(program: &Path, arguments: &str) -> Self {
        let program = std::path::absolute(program).unwrap();
        let command =
            format!("{} --port 0 --unixsocket socket --save '' --loglevel warning {arguments}", program.display());
        Self::run(tempfile::tempdir().unwrap(), command)
    }

    /// Starts a Sentinel with this configuration.
    pub(crate) fn start_sentinel(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("sentinel.conf"), config).unwrap();
        Self::run(folder, "redis-server sentinel.conf --sentinel --unixsocket socket".to_owned())
    }

    fn run(folder: TempDir, command: String) -> Self {
        let server = Self { shell: Self::spawn(&folder, &command), folder, command };
        server.await_answer();
        server
    }

    /// Returns the URL of its socket.
    pub(crate) fn url(&self) -> String {
        format!("redis+unix://{}", self.socket().display())
    }

    /// Stops it. Its data is lost unless it has an append-only file.
    pub(crate) fn stop(&mut self) {
        drop(self.shell.stdin.take());
        self.shell.wait().unwrap();
    }

    /// Starts it again on the same socket.
    pub(crate) fn start_again(&mut self) {
        self.shell = Self::spawn(&self.folder, &self.command);
        self.await_answer();
    }

    /// Sends a signal: `-STOP` freezes it, `-CONT` lets it continue.
    pub(crate) fn signal(&self, signal: &str) {
        let pid = std::fs::read_to_string(self.folder.path().join("pid")).unwrap();
        assert!(Command::new("kill").args([signal, pid.trim()]).status().unwrap().success());
    }

    /// Runs `redis-cli` on it and returns the output.
    pub(crate) fn cli(&self, arguments: &[&str]) -> String {
        let output = Command::new("redis-cli").arg("-s").arg(self.socket()).args(arguments).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Returns how often it ran a command, alone or in a script, since its statistics were reset.
    ///
    /// Leaves out the inspections of a service, each of which runs every command of the service once, by one script. They
    /// are counted by INCRBY: only theirs fail.
    pub(crate) fn calls(&self, command: &str) -> u64 {
        let stats = self.cli(&["info", "commandstats"]);
        let count = |command: &str, name: &str| {
            let mut lines = stats.lines();
            let line = lines.find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:"))).unwrap_or_default();
            let count = line.split(',').find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
            count.map_or(0, |count| count.parse::<u64>().unwrap())
        };
        count(command, "calls") - count("incrby", "failed_calls")
    }

    /// Runs commands, one on each line, all of which have to succeed.
    pub(crate) fn run_all(&self, commands: &str) {
        let mut cli = Command::new("redis-cli");
        cli.arg("-s").arg(self.socket()).arg("--pipe").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut cli = cli.spawn().unwrap();
        cli.stdin.take().unwrap().write_all(commands.as_bytes()).unwrap();
        let printed = String::from_utf8(cli.wait_with_output().unwrap().stdout).unwrap();
        assert!(printed.contains("errors: 0,"), "{printed}");
    }

    /// Returns all keys but the layout marker, which the first look at a Redis writes.
    pub(crate) fn keys(&self) -> Vec<String> {
        let keys = self.cli(&["--raw", "keys", "*"]);
        keys.lines().filter(|key| !key.is_empty() && !key.ends_with(":layout")).map(str::to_owned).collect()
    }

    /// Returns the path of its Unix socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    /// Starts Redis under a shell that ends it when this process ends, for then the shell's standard input closes.
    fn spawn(folder: &TempDir, command: &str) -> Child {
        let script = format!("{command} >log & echo $! >pid; cat; {{ kill -CONT $!; kill $!; }} 2>/dev/null; wait");
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]).current_dir(folder.path());
        shell.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("redis-server is installed by `make test`")
    }

    fn await_answer(&self) {
        let begin = Instant::now();
        while !self.cli(&["ping"]).starts_with("PONG") {
            assert!(begin.elapsed() < Duration::from_secs(60), "redis-server does not answer");
            std::thread::yield_now();
        }
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.stop();
    }
}

const DATABASES: u64 = 4096;
