//! The index in Redis: one hash a subject, a field a session.
//!
//! It lies in a slot of its own, so it is entered before a session gets its subject and left after.

use super::Redis;
use crate::clock::Time;
use crate::store::packed::{owner_hash, pack_entry, pack_revocation, unpack_entry, unpack_revocation};
use crate::store::{Entry, Error, FEW, GLIMPSE, Index, Owner, Revocation};
use crate::token::Id;

impl Redis {
    fn index_key(&self, owner: &Owner) -> String {
        let hash = Id::from_bytes(owner_hash(owner));
        format!("{}:{{{hash}}}:{}:subject", self.prefix, owner.app)
    }
}

impl Index for Redis {
    async fn enter(&self, owner: &Owner, entry: &Entry) -> Result<Vec<Entry>, Error> {
        let mut script = self.scripts.enter.key(self.index_key(owner));
        script.arg(entry.id.as_bytes()).arg(&pack_entry(entry)).arg(Time::millis(entry.until));
        script.arg(FEW).arg(GLIMPSE);
        let mut others = read(&self.connections.invoke::<Fields>(&script).await?)?;
        others.retain(|other| other.id != entry.id);
        Ok(others)
    }

    async fn leave(&self, owner: &Owner, entry: &Entry) -> Result<(), Error> {
        let mut script = self.scripts.leave.key(self.index_key(owner));
        script.arg(entry.id.as_bytes()).arg(&pack_entry(entry));
        self.connections.invoke(&script).await
    }

    async fn forget(&self, owner: &Owner, id: Id) -> Result<(), Error> {
        let command = redis::Cmd::hdel(self.index_key(owner), id.as_bytes());
        self.connections.query(&command).await
    }

    async fn entries(&self, owner: &Owner) -> Result<Vec<Entry>, Error> {
        let command = redis::Cmd::hgetall(self.index_key(owner));
        read(&self.connections.query::<Fields>(&command).await?)
    }

    async fn revoke(&self, owner: &Owner, revocation: &Revocation) -> Result<(), Error> {
        let mut script = self.scripts.enter.key(self.index_key(owner));
        script.arg(REVOCATION).arg(pack_revocation(revocation)).arg(Time::millis(revocation.until));
        // Whatever else the subject has is few: nothing is to be answered.
        script.arg(u32::MAX).arg(0);
        self.connections.invoke::<Fields>(&script).await.map(drop)
    }

    async fn revocation(&self, owner: &Owner) -> Result<Option<Revocation>, Error> {
        let command = redis::Cmd::hget(self.index_key(owner), REVOCATION);
        let kept: Option<Vec<u8>> = self.connections.query(&command).await?;
        kept.map(|bytes| unpack_revocation(&bytes).ok_or(Error::Corrupt)).transpose()
    }
}

/// Each with its value.
type Fields = Vec<(Vec<u8>, Vec<u8>)>;

fn read(fields: &Fields) -> Result<Vec<Entry>, Error> {
    let entries = fields.iter().filter(|(field, _)| field != REVOCATION);
    entries.map(|(id, times)| unpack_entry(id, times).ok_or(Error::Corrupt)).collect()
}

/// A field beside the sessions, whose fields have 16 bytes.
const REVOCATION: &[u8] = b"revoked";
