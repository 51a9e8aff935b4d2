//! Two nodes of a cluster that redirect as a script of random choices says, but never contradict the protocol.
//!
//! A slot and the keys in it are at the first node at first. Between any two commands, keys may move to the other node
//! and the slot after them, and back. Each command may be refused, each connection closed.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::conformance::fixtures::{IDLE, SPAN, START, verifier_hash};
use crate::support::environment::number;

/// The two nodes. Dropping it ends them.
pub(super) struct ScriptedCluster {
    pub(super) ports: [u16; 2],
    state: Arc<Mutex<State>>,
    _nodes: JoinSet<()>,
}

/// What both nodes know.
struct State {
    rng: u64,
    ports: [u16; 2],
    /// The node that has all slots, and the one that they are being moved to.
    owner: usize,
    target: Option<usize>,
    /// Where each key is, of those that exist.
    keys: BTreeMap<Vec<u8>, usize>,
    scripts: [bool; 2],
    /// How often the script was run with each argument.
    runs: BTreeMap<Vec<u8>, u32>,
    /// How often each kind of redirection was answered.
    answered: BTreeSet<&'static str>,
}

impl ScriptedCluster {
    /// Starts them with these keys of sessions.
    pub(super) async fn start(keys: &[String]) -> Self {
        let seed = number("CLOAKROOM_TEST_SEED").unwrap_or(0x5eed_u64);
        let listeners =
            [TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap()];
        let ports = listeners.each_ref().map(|listener| listener.local_addr().unwrap().port());
        let state = Arc::new(Mutex::new(State {
            rng: seed,
            ports,
            owner: 0,
            target: None,
            keys: keys.iter().map(|key| (key.clone().into_bytes(), 0)).collect(),
            scripts: [false; 2],
            runs: BTreeMap::new(),
            answered: BTreeSet::new(),
        }));
        let mut nodes = JoinSet::new();
        for (number, listener) in listeners.into_iter().enumerate() {
            let state = Arc::clone(&state);
            nodes.spawn(async move {
                let mut connections = JoinSet::new();
                while let Ok((stream, _)) = listener.accept().await {
                    connections.spawn(serve(number, stream, Arc::clone(&state)));
                }
            });
        }
        Self { ports, state, _nodes: nodes }
    }

    /// How often the script was run with this argument.
    pub(super) fn runs(&self, argument: &str) -> u32 {
        self.state.lock().runs.get(argument.as_bytes()).copied().unwrap_or_default()
    }

    /// The kinds of redirections that were answered.
    pub(super) fn answered(&self) -> BTreeSet<&'static str> {
        self.state.lock().answered.clone()
    }
}

/// What a node does with a command.
enum Reply {
    Bytes(Vec<u8>),
    /// The connection is closed instead.
    Close,
}

async fn serve(number: usize, stream: TcpStream, state: Arc<Mutex<State>>) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    let mut is_asking = false;
    loop {
        let command = read_command(&mut reader).await?;
        let reply = state.lock().answer(number, &command, is_asking);
        is_asking = command[0] == b"ASKING";
        match reply {
            Reply::Bytes(bytes) => writer.write_all(&bytes).await?,
            Reply::Close => return Ok(()),
        }
    }
}

async fn read_command(reader: &mut BufReader<tokio::net::tcp::OwnedReadHalf>) -> io::Result<Vec<Vec<u8>>> {
    let count = read_number(reader).await?;
    let mut command = Vec::with_capacity(count);
    for _ in 0..count {
        let mut part = vec![0; read_number(reader).await? + 2];
        reader.read_exact(&mut part).await?;
        part.truncate(part.len() - 2);
        command.push(part);
    }
    Ok(command)
}

/// Reads `*<number>` or `$<number>`.
async fn read_number(reader: &mut BufReader<tokio::net::tcp::OwnedReadHalf>) -> io::Result<usize> {
    let mut line = String::new();
    reader.read_line(&mut line).await?;
    line.get(1..).and_then(|rest| rest.trim().parse().ok()).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

impl State {
    fn answer(&mut self, number: usize, command: &[Vec<u8>], is_asking: bool) -> Reply {
        let name = String::from_utf8_lossy(&command[0]).to_uppercase();
        match (name.as_str(), command.get(1).map(Vec::as_slice)) {
            ("PING", _) => Reply::Bytes(b"+PONG\r\n".to_vec()),
            ("ASKING", _) => Reply::Bytes(b"+OK\r\n".to_vec()),
            ("INFO", _) => Reply::Bytes(bulk(b"role:master\r\n")),
            ("CLUSTER", _) => Reply::Bytes(self.slots()),
            ("SCRIPT", _) => {
                self.scripts[number] = true;
                Reply::Bytes(bulk(b"hash"))
            }
            ("GET", Some(key)) if key.ends_with(b":layout") => Reply::Bytes(bulk(b"1024")),
            ("GET", Some(_)) => self.redirect(number, None, is_asking).unwrap_or(Reply::Bytes(b"$-1\r\n".to_vec())),
            ("HGETALL", Some(key)) => {
                let key = key.to_vec();
                let redirected = self.redirect(number, Some(&key), is_asking);
                redirected.unwrap_or_else(|| Reply::Bytes(self.record(number, &key)))
            }
            ("EVALSHA", _) => self.run_script(number, command, is_asking),
            _ => Reply::Bytes(format!("-ERR unknown command '{name}'\r\n").into_bytes()),
        }
    }

    /// Says where else a command has to be done; `None` if it is here and now.
    fn redirect(&mut self, number: usize, key: Option<&[u8]>, is_asking: bool) -> Option<Reply> {
        self.move_on();
        const REFUSALS: [&str; 4] = ["TRYAGAIN", "CLUSTERDOWN", "LOADING", "MASTERDOWN"];
        if self.chance(10) {
            let code = REFUSALS[self.below(4)];
            return Some(self.refuse(code, &format!("-{code} not now\r\n")));
        }
        let other = self.ports[1 - number];
        if number != self.owner {
            let is_importing = self.target == Some(number) && is_asking;
            return (!is_importing).then(|| self.refuse("MOVED", &format!("-MOVED 1 127.0.0.1:{other}\r\n")));
        }
        let is_here = key.is_some_and(|key| self.keys.get(key) == Some(&number));
        (self.target.is_some() && !is_here).then(|| self.refuse("ASK", &format!("-ASK 1 127.0.0.1:{other}\r\n")))
    }

    fn run_script(&mut self, number: usize, command: &[Vec<u8>], is_asking: bool) -> Reply {
        let (key, argument) = (command[3].clone(), command[5].clone());
        if let Some(redirected) = self.redirect(number, Some(&key), is_asking) {
            return redirected;
        }
        if self.chance(5) {
            self.scripts[number] = false;
        }
        if !self.scripts[number] {
            return self.refuse("NOSCRIPT", "-NOSCRIPT load it first\r\n");
        }
        if self.chance(3) {
            self.answered.insert("closed before");
            return Reply::Close;
        }
        *self.runs.entry(argument).or_default() += 1;
        if self.chance(3) {
            self.answered.insert("closed after");
            return Reply::Close;
        }
        Reply::Bytes(b":1\r\n".to_vec())
    }

    fn refuse(&mut self, kind: &'static str, text: &str) -> Reply {
        self.answered.insert(kind);
        Reply::Bytes(text.as_bytes().to_vec())
    }

    /// Moves a key, or the slot, or begins to.
    fn move_on(&mut self) {
        let (begins, goes_on) = (self.chance(20), self.chance(50));
        match self.target {
            None if begins => self.target = Some(1 - self.owner),
            Some(target) if goes_on => {
                let left = self.keys.values_mut().find(|node| **node != target);
                match left {
                    Some(node) => *node = target,
                    None => (self.owner, self.target) = (target, None),
                }
            }
            _ => {}
        }
    }

    /// The answer to CLUSTER SLOTS, which may be late.
    fn slots(&mut self) -> Vec<u8> {
        let owner = if self.chance(30) { 1 - self.owner } else { self.owner };
        let port = self.ports[owner];
        format!("*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n$9\r\n127.0.0.1\r\n:{port}\r\n$2\r\nid\r\n").into_bytes()
    }

    /// The hash of a session, as the store writes it.
    fn record(&self, number: usize, key: &[u8]) -> Vec<u8> {
        if self.keys.get(key) != Some(&number) {
            return b"*0\r\n".to_vec();
        }
        let u48 = |number: u128| number.to_be_bytes()[10..].to_vec();
        let start = u128::from(START.millis());
        let meta = [
            1_u64.to_be_bytes().to_vec(),
            verifier_hash(1).as_bytes().to_vec(),
            u48(start),
            u48(IDLE.as_millis()),
            u48(start + SPAN.as_millis()),
            u48(0),
            vec![0; 13],
        ];
        [b"*4\r\n".to_vec(), bulk(b"m"), bulk(&meta.concat()), bulk(b"u"), bulk(&START.millis().to_be_bytes())].concat()
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next()).unwrap() % end
    }

    /// `SplitMix64`.
    fn next(&mut self) -> u64 {
        self.rng = self.rng.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.rng ^ (self.rng >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

fn bulk(bytes: &[u8]) -> Vec<u8> {
    [format!("${}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}
