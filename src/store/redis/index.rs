//! The index in Redis: one hash a subject, a field a session.
//!
//! It lies in a slot of its own, so it is entered before a session gets its subject and left after.

use super::Redis;
use crate::store::encoding::{pack_entry, pack_revocation, subject_hash, unpack_entry, unpack_revocation};
use crate::store::{Error, INDEX_CLEANUP_MIN, INDEX_SAMPLE, Index, IndexEntry, Revocation, SubjectRef};
use crate::token::SessionId;
use crate::types::Time;

impl Redis {
    fn index_key(&self, subject_ref: &SubjectRef) -> String {
        let hash = SessionId::from_bytes(subject_hash(subject_ref));
        format!("{}:{{{hash}}}:{}:subject", self.prefix, subject_ref.app)
    }
}

impl Index for Redis {
    async fn add_to_index(&self, subject_ref: &SubjectRef, entry: &IndexEntry) -> Result<Vec<IndexEntry>, Error> {
        let mut script = self.scripts.enter.key(self.index_key(subject_ref));
        script.arg(entry.id.as_bytes()).arg(&pack_entry(entry)).arg(Time::millis(entry.until));
        script.arg(INDEX_CLEANUP_MIN).arg(INDEX_SAMPLE);
        let mut others = read(&self.connections.invoke::<Fields>(&script).await?)?;
        others.retain(|other| other.id != entry.id);
        Ok(others)
    }

    async fn remove_from_index(&self, subject_ref: &SubjectRef, entry: &IndexEntry) -> Result<(), Error> {
        let mut script = self.scripts.leave.key(self.index_key(subject_ref));
        script.arg(entry.id.as_bytes()).arg(&pack_entry(entry));
        self.connections.invoke(&script).await
    }

    async fn remove_session_from_index(&self, subject_ref: &SubjectRef, id: SessionId) -> Result<(), Error> {
        let command = redis::Cmd::hdel(self.index_key(subject_ref), id.as_bytes());
        self.connections.query(&command).await
    }

    async fn list_index(&self, subject_ref: &SubjectRef) -> Result<Vec<IndexEntry>, Error> {
        let command = redis::Cmd::hgetall(self.index_key(subject_ref));
        read(&self.connections.query::<Fields>(&command).await?)
    }

    async fn record_revocation(&self, subject_ref: &SubjectRef, revocation: &Revocation) -> Result<(), Error> {
        let mut script = self.scripts.enter.key(self.index_key(subject_ref));
        script.arg(REVOCATION).arg(pack_revocation(revocation)).arg(Time::millis(revocation.until));
        // Whatever else the subject has is few: nothing is to be answered.
        script.arg(u32::MAX).arg(0);
        self.connections.invoke::<Fields>(&script).await.map(drop)
    }

    async fn load_revocation(&self, subject_ref: &SubjectRef) -> Result<Option<Revocation>, Error> {
        let command = redis::Cmd::hget(self.index_key(subject_ref), REVOCATION);
        let snapshot: Option<Vec<u8>> = self.connections.query(&command).await?;
        snapshot.map(|bytes| unpack_revocation(&bytes).ok_or(Error::Corrupt)).transpose()
    }
}

/// Each with its value.
type Fields = Vec<(Vec<u8>, Vec<u8>)>;

fn read(fields: &Fields) -> Result<Vec<IndexEntry>, Error> {
    let entries = fields.iter().filter(|(field, _)| field != REVOCATION);
    entries.map(|(id, times)| unpack_entry(id, times).ok_or(Error::Corrupt)).collect()
}

/// A field beside the sessions, whose fields have 16 bytes.
const REVOCATION: &[u8] = b"revoked";
