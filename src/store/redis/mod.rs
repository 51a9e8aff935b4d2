//! Sessions in Redis: one hash a session, one script a verb that writes, one round trip a call.
//!
//! Keys are `<prefix>:{<partition>}:<app>:<id>`. The partition, the first six bits of the id, is the only
//! hash tag, so that a session shares its slot with its app's generation of that partition. Scripts
//! decide whether a call is a plain go; anything else the judge explains here.
//!
//! A save has two scripts: most set entries and nothing else, which `set.lua` does; `edit.lua` does whatever there is.
//! Nobody can tell them apart but by their price.

mod arguments;
mod connection;
mod feed;
mod index;
mod reply;
mod settings;

use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, Pipeline, RedisError, Script, ScriptInvocation};

use self::arguments::{field, subject_or_none};
pub(super) use self::connection::Connections;
use self::reply::{Reply, SnapshotReply};
pub use self::settings::Settings;
use super::encoding::EncodedHead;
use super::handle::{Backend, Handle};
use super::{Applied, Created, Cursor, Error, Page, SessionKey, Snapshot, Store, Touch, Write};
use crate::session::{Precondition, Record, judge};
use crate::token::SessionId;
use crate::types::{AppName, Time};

/// Sessions in Redis.
#[derive(Debug)]
pub struct Redis {
    connections: Connections,
    prefix: String,
    scripts: Scripts,
}

#[derive(Debug)]
struct Scripts {
    create: Script,
    set: Script,
    edit: Script,
    end: Script,
    touch: Script,
    revoke_app: Script,
    enter: Script,
    leave: Script,
}

impl Redis {
    /// A store on that Redis, which is asked for the first time by the first call.
    pub fn new(settings: &Settings) -> Result<Self, RedisError> {
        Ok(Self {
            connections: Connections::new(settings)?,
            prefix: settings.key_prefix.clone(),
            scripts: Scripts {
                create: Script::new(concat!(include_str!("notice.lua"), include_str!("create.lua"))),
                set: Script::new(concat!(include_str!("common.lua"), include_str!("set.lua"))),
                edit: Script::new(concat!(
                    include_str!("common.lua"),
                    include_str!("notice.lua"),
                    include_str!("bury.lua"),
                    include_str!("edit.lua")
                )),
                end: Script::new(concat!(
                    include_str!("common.lua"),
                    include_str!("notice.lua"),
                    include_str!("bury.lua"),
                    include_str!("end.lua")
                )),
                touch: Script::new(include_str!("touch.lua")),
                revoke_app: Script::new(concat!(include_str!("notice.lua"), include_str!("revoke_app.lua"))),
                enter: Script::new(include_str!("enter.lua")),
                leave: Script::new(include_str!("leave.lua")),
            },
        })
    }

    fn session_key(&self, session_key: &SessionKey) -> Vec<u8> {
        self.key(&session_key.app, session_key.id.partition(), &session_key.id.digits())
    }

    /// No id is spelled like this, so that it can't be a session's key.
    fn generation_key(&self, app: &AppName, partition: u8) -> Vec<u8> {
        self.key(app, partition, b"generation")
    }

    /// When that generation was raised.
    fn revoked_key(&self, app: &AppName, partition: u8) -> Vec<u8> {
        self.key(app, partition, b"revoked")
    }

    fn key(&self, app: &AppName, partition: u8, last: &[u8]) -> Vec<u8> {
        // By hand: every open needs two keys, and formatting them took a tenth of what it spends on Redis.
        let tag = [b':', b'{', b'0' + partition / 10, b'0' + partition % 10, b'}', b':'];
        [self.prefix.as_bytes(), &tag, app.as_bytes(), b":", last].concat()
    }

    fn script_of(&self, session_key: &SessionKey, precondition: &Precondition, write: &Write) -> ScriptInvocation<'_> {
        match write {
            Write::End(reason) => {
                let mut script = self.invoke_and_tell(&self.scripts.end, session_key);
                arguments::add_end(&mut script, precondition, *reason);
                script
            }
            Write::Edit(edit) => match arguments::sets_alone(edit) {
                Some(changes) => {
                    let mut script = self.invoke(&self.scripts.set, session_key);
                    arguments::add_set(&mut script, precondition, (edit, changes));
                    script
                }
                None => {
                    let mut script = self.invoke_and_tell(&self.scripts.edit, session_key);
                    arguments::add_edit(&mut script, precondition, edit);
                    script
                }
            },
        }
    }

    fn invoke<'s>(&self, script: &'s Script, session_key: &SessionKey) -> ScriptInvocation<'s> {
        let mut invocation = script.key(self.session_key(session_key));
        invocation.key(self.generation_key(&session_key.app, session_key.id.partition()));
        invocation
    }

    /// As [`Self::invoke()`], for a script that may have something to tell whoever watches.
    fn invoke_and_tell<'s>(&self, script: &'s Script, session_key: &SessionKey) -> ScriptInvocation<'s> {
        let mut invocation = self.invoke(script, session_key);
        let partition = session_key.id.partition();
        invocation
            .key(self.feed_key(&session_key.app, partition))
            .key(self.feed_count_key(&session_key.app, partition));
        invocation
    }
}

impl Store for Redis {
    fn into_handle(self: Arc<Self>) -> Handle {
        Handle::new(Backend::Redis(self))
    }

    async fn load(&self, session_key: &SessionKey) -> Result<Option<Snapshot>, Error> {
        let mut pipe = Pipeline::with_capacity(2);
        pipe.add_command(about("HGETALL", &self.session_key(session_key)));
        pipe.add_command(about("GET", &self.generation_key(&session_key.app, session_key.id.partition())));
        let SnapshotReply(snapshot) = self.connections.pipeline(pipe).await?;
        Ok(snapshot)
    }

    async fn create(&self, session_key: &SessionKey, record: &Record) -> Result<Created, Error> {
        let EncodedHead { meta, used, subject, previous, idempotency, context, end: _, imported_from } =
            EncodedHead::pack(&record.head);
        let mut script = self.invoke_and_tell(&self.scripts.create, session_key);
        if record.head.imported_from.is_some() {
            script.key(self.revoked_key(&session_key.app, session_key.id.partition()));
        }
        script
            .arg((record.head.purge_time() + LATE).millis())
            .arg(&meta[..meta.len() - 4])
            .arg(session_key.id.as_bytes());
        let issued = record.head.imported_from.and_then(|imported_from| imported_from.issued);
        script.arg(issued.map_or(0, Time::millis)).arg("u").arg(used);
        for (field, bytes) in
            [("s", subject), ("p", previous), ("k", idempotency), ("c", context), ("o", imported_from)]
        {
            if !bytes.is_empty() {
                script.arg(field).arg(bytes);
            }
        }
        for (name, value) in record.entries.iter() {
            script.arg(field(name)).arg(value);
        }
        match self.connections.invoke(&script).await? {
            0_u8 => Ok(Created::Occupied),
            1 => Ok(Created::Stored),
            2 => Ok(Created::Revoked),
            _ => Err(Error::Corrupt),
        }
    }

    async fn apply(
        &self,
        session_key: &SessionKey,
        precondition: &Precondition,
        write: &Write,
    ) -> Result<Applied, Error> {
        Ok(match self.connections.invoke(&self.script_of(session_key, precondition, write)).await? {
            Reply::Missing => Applied::Missing,
            Reply::Refused(edit_error) => Applied::Refused(edit_error),
            Reply::Done(done) => Applied::Done(done),
            Reply::Undecided { head, generation } => match judge(&head, generation, precondition) {
                // The script and the judge differ: a defect that the conformance suite would show.
                Ok(()) => return Err(Error::Corrupt),
                Err(denial) => Applied::Denied(denial),
            },
        })
    }

    async fn touch(&self, session_key: &SessionKey, touch: &Touch) -> Result<(), Error> {
        let mut script = self.scripts.touch.key(self.session_key(session_key));
        script.arg(touch.verifier_hash.as_bytes()).arg(touch.used.millis());
        script.arg(subject_or_none(touch.context.as_ref()));
        self.connections.invoke(&script).await
    }

    async fn revoke_app(&self, app: &AppName, now: Time) -> Result<(), Error> {
        for partition in 0..PARTITIONS {
            let mut script = self.scripts.revoke_app.key(self.generation_key(app, partition));
            script.key(self.feed_key(app, partition)).key(self.feed_count_key(app, partition));
            script.key(self.revoked_key(app, partition)).arg(now.millis());
            self.connections.invoke::<()>(&script).await?;
        }
        Ok(())
    }

    async fn scan(&self, app: &AppName, from: &Cursor, limit: usize) -> Result<Page, Error> {
        let session_key = |id| SessionKey { app: app.clone(), id };
        let cursor = <[u8; 8]>::try_from(from.0.as_slice()).map_or(0, u64::from_be_bytes);
        let mut command = redis::cmd("SCAN");
        let pattern = format!("{}:{{??}}:{app}:????????????????????????????????", escape(&self.prefix));
        command.arg(cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(limit.max(10));
        let (next, mut keys): (u64, Vec<String>) = self.connections.query(&command).await?;
        keys.sort_unstable();
        keys.dedup();
        let mut sessions = Vec::with_capacity(keys.len());
        for id in keys.iter().filter_map(|key| SessionId::parse(key.get(key.len().checked_sub(32)?..)?)) {
            if let Some(snapshot) = self.load(&session_key(id)).await? {
                sessions.push((id, snapshot));
            }
        }
        let next = (next != 0).then(|| Cursor(next.to_be_bytes().to_vec()));
        Ok(Page { sessions, next })
    }

    /// Redis expires records by itself.
    async fn sweep(&self, _now: Time) -> Result<usize, Error> {
        Ok(0)
    }

    async fn ping(&self) -> Result<(), Error> {
        self.connections.query(&redis::cmd("PING")).await
    }
}

/// A command with a key and nothing else, in as much memory as it needs.
fn about(command: &str, key: &[u8]) -> Cmd {
    let mut asked = Cmd::with_capacity(2, command.len() + key.len());
    asked.arg(command).arg(key);
    asked
}

/// A prefix as a pattern that matches only itself.
fn escape(prefix: &str) -> String {
    prefix.chars().flat_map(|c| ['\\', c]).collect()
}

/// How many parts the ids of an app are spread over. Final: keys depend on it.
const PARTITIONS: u8 = 64;

/// What the fields of entries begin with.
const ENTRY: &str = "e:";

/// How much later than it may a key expires, so that most saves need not move its expiry: `common.lua` says the same.
const LATE: Duration = Duration::from_secs(60);
