//! What all nodes of a scripted cluster know, and what they answer by it.

use std::collections::{BTreeMap, BTreeSet};

use cloakroom::session::EndReason;

use super::NODES;
use super::faults::{Choices, Faults};
use crate::conformance::fixtures::{IDLE, SPAN, START, verifier_hash};

/// The generation of each app in each partition at first.
pub(in crate::redis_store::cluster) const GENERATION: u32 = 3;

/// How many entries the feed of each partition has had.
const FEED_COUNT: u32 = 5;

pub(super) struct State {
    choices: Choices,
    faults: Faults,
    /// The number of partitions that the layout names.
    partitions: u16,
    ports: [u16; NODES],
    /// The node of each slot, and what it was before the last change.
    owners: Vec<usize>,
    owners_before: Vec<usize>,
    moves: BTreeMap<u16, Move>,
    /// How the keys of the sessions end that are there from the beginning.
    sessions: Vec<Vec<u8>>,
    /// The keys of the sessions that were created, and whether each has ended.
    created: BTreeMap<Vec<u8>, bool>,
    /// How often the generation of a key was raised.
    revocations: BTreeMap<Vec<u8>, u32>,
    has_scripts: [bool; NODES],
    /// The node that refuses connections. No slot moves to it.
    stopped: Option<usize>,
    /// How often scripts were run, by their first key and their argument.
    runs: BTreeMap<(Vec<u8>, Vec<u8>), u32>,
    seen: BTreeSet<&'static str>,
}

/// A slot that is being moved.
struct Move {
    target: usize,
    /// The keys that are there already.
    moved: BTreeSet<Vec<u8>>,
}

/// What a node does with a command.
pub(super) enum Reply {
    Bytes(Vec<u8>),
    /// The connection is closed instead.
    Close,
}

impl State {
    pub(super) fn new(choices: Choices, faults: Faults, partitions: u16, ports: [u16; NODES], ids: &[String]) -> Self {
        let owners: Vec<usize> = (0..SLOTS).map(|slot| usize::from(slot) * NODES / usize::from(SLOTS)).collect();
        Self {
            choices,
            faults,
            partitions,
            ports,
            owners_before: owners.clone(),
            owners,
            moves: BTreeMap::new(),
            created: BTreeMap::new(),
            sessions: ids.iter().map(|id| format!(":{id}").into_bytes()).collect(),
            revocations: BTreeMap::new(),
            has_scripts: [false; NODES],
            stopped: None,
            runs: BTreeMap::new(),
            seen: BTreeSet::new(),
        }
    }

    /// How often a script was run with this argument on each key.
    pub(super) fn runs(&self, argument: &[u8]) -> Vec<u32> {
        self.runs.iter().filter(|((_, other), _)| other == argument).map(|(_, count)| *count).collect()
    }

    /// How often the session with this id was created, or ended.
    pub(super) fn runs_on(&self, id: &str, argument: &str) -> u32 {
        let is_meant = |(key, other): &(Vec<u8>, Vec<u8>)| key.ends_with(id.as_bytes()) && other == argument.as_bytes();
        self.runs.iter().filter(|(run, _)| is_meant(run)).map(|(_, count)| *count).sum()
    }

    /// What the only node of another cluster answers at the port of this node.
    pub(super) fn answer_of_other_cluster(&self, node: usize, command: &[Vec<u8>]) -> Reply {
        Reply::Bytes(answer_of_other_cluster(self.ports[node], self.partitions, command))
    }

    pub(super) const fn seen(&self) -> &BTreeSet<&'static str> {
        &self.seen
    }

    pub(super) fn note(&mut self, what: &'static str) {
        self.seen.insert(what);
    }

    /// Gives all slots of a node to the next one, with all keys, and ends the moves to it.
    pub(super) fn take_over(&mut self, node: usize) {
        self.owners_before.clone_from(&self.owners);
        self.owners.iter_mut().filter(|owner| **owner == node).for_each(|owner| *owner = (node + 1) % NODES);
        let owners = &self.owners;
        self.moves.retain(|slot, it| it.target != node && it.target != owners[usize::from(*slot)]);
    }

    /// Notes which node refuses connections from now on.
    pub(super) const fn set_stopped(&mut self, node: Option<usize>) {
        self.stopped = node;
    }

    /// Ends all faults and moves.
    pub(super) fn end_faults(&mut self) {
        self.faults = Faults::default();
        self.moves.clear();
    }

    /// What a node answers to a command.
    pub(super) fn answer(&mut self, node: usize, command: &[Vec<u8>], is_asking: bool) -> Reply {
        let name = String::from_utf8_lossy(&command[0]).to_uppercase();
        match (name.as_str(), command.get(1)) {
            ("PING", _) => Reply::Bytes(b"+PONG\r\n".to_vec()),
            ("ASKING", _) => Reply::Bytes(b"+OK\r\n".to_vec()),
            ("INFO", _) => Reply::Bytes(bulk(b"role:master\r\n")),
            ("CLUSTER", _) => Reply::Bytes(self.slots()),
            ("SCRIPT", _) => {
                self.has_scripts[node] = true;
                Reply::Bytes(bulk(b"hash"))
            }
            ("HGETALL" | "GET" | "XREVRANGE", Some(key)) => {
                if self.choices.chance(self.faults.closes) {
                    return self.close("closed at a read");
                }
                let refused = self.refusal(node, std::slice::from_ref(key), is_asking);
                Reply::Bytes(refused.unwrap_or_else(|| self.read(&name, key)))
            }
            ("EVALSHA", _) => self.run_script(node, command, is_asking),
            _ => Reply::Bytes(format!("-ERR unknown command '{name}'\r\n").into_bytes()),
        }
    }

    /// Says when or where else a command has to be done; `None` if it is here and now.
    fn refusal(&mut self, node: usize, keys: &[Vec<u8>], is_asking: bool) -> Option<Vec<u8>> {
        let slot = slot(&keys[0]);
        self.move_on(slot, keys);
        if self.choices.chance(self.faults.refusals) {
            let code = REFUSALS[self.choices.below(REFUSALS.len())];
            return Some(self.refuse(code, &format!("-{code} not now\r\n")));
        }
        let owner = self.owners[usize::from(slot)];
        let is_there = |it: &Move, key: &Vec<u8>| it.moved.contains(key) && self.exists(key);
        let is_left = |it: &Move, key: &Vec<u8>| !it.moved.contains(key) && self.exists(key);
        let (code, to) = match self.moves.get(&slot) {
            None if node == owner => return None,
            Some(it) if node == owner => match keys.iter().filter(|key| is_left(it, key)).count() {
                left if left == keys.len() => return None,
                0 => ("ASK", it.target),
                _ => return Some(self.refuse("TRYAGAIN", SPLIT)),
            },
            Some(it) if node == it.target && is_asking => {
                let is_split = keys.len() > 1 && !keys.iter().all(|key| is_there(it, key));
                return is_split.then(|| self.refuse("TRYAGAIN", SPLIT));
            }
            _ => ("MOVED", owner),
        };
        // Some nodes leave it to the client to know their host.
        let host = if self.choices.chance(20) { "" } else { "127.0.0.1" };
        let port = self.ports[to];
        Some(self.refuse(code, &format!("-{code} {slot} {host}:{port}\r\n")))
    }

    /// Moves keys of a slot, or the slot, or begins to.
    fn move_on(&mut self, slot: u16, keys: &[Vec<u8>]) {
        let owner = self.owners[usize::from(slot)];
        // What needs several keys waits for the end of a move, which would otherwise take many calls.
        let goes_on = keys.len() > 1 && self.moves.contains_key(&slot);
        if !goes_on && !self.choices.chance(self.faults.moves) {
            return;
        }
        let (which, some) = (self.choices.below(4), self.choices.below(NODES - 1));
        match self.moves.get_mut(&slot) {
            None => {
                let target = (owner + 1 + some) % NODES;
                if self.stopped != Some(target) {
                    self.moves.insert(slot, Move { target, moved: BTreeSet::new() });
                }
            }
            Some(it) if which > 0 => it.moved.extend(keys.iter().take(which).cloned()),
            Some(it) => {
                self.owners_before.clone_from(&self.owners);
                self.owners[usize::from(slot)] = it.target;
                self.moves.remove(&slot);
            }
        }
    }

    fn exists(&self, key: &[u8]) -> bool {
        self.is_session(key) || self.created.contains_key(key) || REST.iter().any(|end| key.ends_with(end))
    }

    fn is_session(&self, key: &[u8]) -> bool {
        self.sessions.iter().any(|end| key.ends_with(end))
    }

    fn read(&self, name: &str, key: &[u8]) -> Vec<u8> {
        match name {
            "HGETALL" if self.is_session(key) => record(),
            "HGETALL" => match self.created.get(key) {
                Some(false) => record(),
                Some(true) => tombstone(),
                None => b"*0\r\n".to_vec(),
            },
            "XREVRANGE" => newest_event(),
            _ if key.ends_with(b":layout") => bulk(self.partitions.to_string().as_bytes()),
            _ if key.ends_with(b":generation") => {
                let raised = self.revocations.get(key).copied().unwrap_or_default();
                bulk((GENERATION + raised).to_string().as_bytes())
            }
            _ if key.ends_with(b":revoked") => bulk(START.millis().to_string().as_bytes()),
            _ if key.ends_with(b":feed:count") => bulk(FEED_COUNT.to_string().as_bytes()),
            _ => b"$-1\r\n".to_vec(),
        }
    }

    fn run_script(&mut self, node: usize, command: &[Vec<u8>], is_asking: bool) -> Reply {
        let count: usize = String::from_utf8_lossy(&command[2]).parse().expect("it is the number of keys");
        let (keys, arguments) = command[3..].split_at(count);
        if let Some(refused) = self.refusal(node, keys, is_asking) {
            return Reply::Bytes(refused);
        }
        if self.choices.chance(self.faults.forgets) {
            self.has_scripts[node] = false;
        }
        if !self.has_scripts[node] {
            return Reply::Bytes(self.refuse("NOSCRIPT", "-NOSCRIPT load it first\r\n"));
        }
        if self.choices.chance(self.faults.missing_replicas) {
            return Reply::Bytes(self.refuse("NOREPLICAS", "-NOREPLICAS Not enough good replicas to write.\r\n"));
        }
        if self.choices.chance(self.faults.closes) {
            return self.close("closed before a write");
        }
        let (key, done) = (&keys[0], b":1\r\n".to_vec());
        let (argument, answer) = match arguments {
            [revoked] if key.ends_with(b":generation") => {
                *self.revocations.entry(key.clone()).or_default() += 1;
                (revoked.clone(), b"$-1\r\n".to_vec())
            }
            // A second time it is neither created nor ended, but the run is counted.
            [_] => {
                self.created.insert(key.clone(), true);
                (b"end".to_vec(), ended())
            }
            [_, _, _, _, _, _, ..] => {
                let is_free = self.created.insert(key.clone(), false).is_none();
                (b"create".to_vec(), if is_free { done } else { b":0\r\n".to_vec() })
            }
            [_, name, value] if name.starts_with(b"e:") => (value.clone(), bulk(&[meta(), access_time()].concat())),
            [_, used, _] => (used.clone(), done),
            _ => panic!("no script has these arguments: {arguments:?}"),
        };
        *self.runs.entry((key.clone(), argument)).or_default() += 1;
        if self.choices.chance(self.faults.closes) {
            return self.close("closed after a write");
        }
        Reply::Bytes(answer)
    }

    fn refuse(&mut self, kind: &'static str, text: &str) -> Vec<u8> {
        self.note(kind);
        text.as_bytes().to_vec()
    }

    fn close(&mut self, kind: &'static str) -> Reply {
        self.note(kind);
        Reply::Close
    }

    /// The answer to CLUSTER SLOTS, which may be late.
    fn slots(&mut self) -> Vec<u8> {
        let owners = if self.choices.chance(self.faults.stale) { &self.owners_before } else { &self.owners };
        let mut first = 0;
        let ranges = owners.chunk_by(|one, other| one == other).map(|range| {
            let last = first + range.len() - 1;
            let (id, port) = (range[0], self.ports[range[0]]);
            let text = format!("*3\r\n:{first}\r\n:{last}\r\n*3\r\n$9\r\n127.0.0.1\r\n:{port}\r\n$1\r\n{id}\r\n");
            first = last + 1;
            text
        });
        let ranges: Vec<String> = ranges.collect();
        format!("*{}\r\n{}", ranges.len(), ranges.concat()).into_bytes()
    }
}

/// What the only node of another cluster, which has no sessions, answers at this port.
fn answer_of_other_cluster(port: u16, partitions: u16, command: &[Vec<u8>]) -> Vec<u8> {
    let slots = || format!("*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n$9\r\n127.0.0.1\r\n:{port}\r\n$5\r\nother\r\n");
    match command[0].to_ascii_uppercase().as_slice() {
        b"PING" => b"+PONG\r\n".to_vec(),
        b"ASKING" => b"+OK\r\n".to_vec(),
        b"INFO" => bulk(b"role:master\r\n"),
        b"CLUSTER" => slots().into_bytes(),
        b"SCRIPT" => bulk(b"hash"),
        b"GET" if command[1].ends_with(b":layout") => bulk(partitions.to_string().as_bytes()),
        b"GET" => b"$-1\r\n".to_vec(),
        b"HGETALL" | b"XREVRANGE" => b"*0\r\n".to_vec(),
        _ => b"-ERR another cluster was sent a write\r\n".to_vec(),
    }
}

/// The hash of a session, as the store writes it.
fn record() -> Vec<u8> {
    [b"*4\r\n".to_vec(), bulk(b"m"), bulk(&meta()), bulk(b"u"), bulk(&access_time())].concat()
}

/// The same of one that has ended.
fn tombstone() -> Vec<u8> {
    [b"*6\r\n".to_vec(), bulk(b"m"), bulk(&meta()), bulk(b"u"), bulk(&access_time()), bulk(b"x"), bulk(&end())].concat()
}

/// What the script that ends a session answers.
fn ended() -> Vec<u8> {
    let view = [meta(), access_time()].concat();
    [b"*5\r\n:1\r\n".to_vec(), bulk(&view), bulk(&end()), bulk(b""), b"*0\r\n".to_vec()].concat()
}

fn end() -> Vec<u8> {
    [&[EndReason::Destroyed as u8][..], &START.millis().to_be_bytes()[2..]].concat()
}

fn meta() -> Vec<u8> {
    let u48 = |number: u128| number.to_be_bytes()[10..].to_vec();
    let start = u128::from(START.millis());
    let parts = [
        1_u64.to_be_bytes().to_vec(),
        verifier_hash(1).as_bytes().to_vec(),
        u48(start),
        u48(IDLE.as_millis()),
        u48(start + SPAN.as_millis()),
        u48(0),
        vec![0; 9],
        GENERATION.to_be_bytes().to_vec(),
    ];
    parts.concat()
}

fn access_time() -> Vec<u8> {
    START.millis().to_be_bytes().to_vec()
}

/// The last entry of a feed, as XREVRANGE answers it.
fn newest_event() -> Vec<u8> {
    let (number, entry) = (FEED_COUNT.to_string(), &START.millis().to_be_bytes()[2..]);
    let fields = [bulk(b"n"), bulk(number.as_bytes()), bulk(b"e"), bulk(entry)].concat();
    [b"*1\r\n*2\r\n$3\r\n7-1\r\n*4\r\n".to_vec(), fields].concat()
}

/// Writes an answer of bytes.
pub(in crate::redis_store::cluster) fn bulk(bytes: &[u8]) -> Vec<u8> {
    [format!("${}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

/// The slot of a key: CRC16 of what is in its braces.
fn slot(key: &[u8]) -> u16 {
    let tag = || {
        let (_, rest) = key.split_at(key.iter().position(|byte| *byte == b'{')? + 1);
        Some(&rest[..rest.iter().position(|byte| *byte == b'}')?])
    };
    let shift = |crc: u16| if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
    let add = |crc: u16, byte: &u8| (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| shift(crc));
    tag().unwrap_or(key).iter().fold(0, add) % SLOTS
}

const SLOTS: u16 = 16_384;

const SPLIT: &str = "-TRYAGAIN Multiple keys request during rehashing of slot\r\n";

const REFUSALS: [&str; 5] = ["TRYAGAIN", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "READONLY"];

/// How keys end that exist and are not those of sessions.
const REST: [&[u8]; 5] = [b":layout", b":generation", b":revoked", b":feed", b":feed:count"];
