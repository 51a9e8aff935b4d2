//! The index in Redis: one hash for each subject, one field for each session.
//!
//! A subject's hash is not in the slots of its sessions, so no script can change both in one step.
//!
//! A page of a large hash is read by HSCAN, whose cursor counts only for the process that gave it. So a cursor of this
//! index names the process, and with that of another process a listing begins anew.

use super::Redis;
use super::acknowledge::WriteKind;
use super::partitions::Slot;
use super::scripts::Script;
use super::sequence::{Repeat, ScriptCall, Sequence};
use crate::store::encoding::{
    decode_index_entry, decode_revocation, encode_index_entry, encode_revocation, subject_hash,
};
use crate::store::{
    Cursor, Error, INDEX_CLEANUP_MIN, INDEX_PAGE_ENTRIES, INDEX_SAMPLE, Index, IndexEntry, IndexPage, Revocation,
    SubjectRef,
};
use crate::token::SessionId;
use crate::types::{AppName, Time};

impl Redis {
    /// The key of a subject's hash, and its slot.
    fn index_key(&self, subject_ref: &SubjectRef) -> (String, Slot) {
        self.index_key_of(&subject_ref.app, subject_hash(subject_ref))
    }

    pub(super) fn index_key_of(&self, app: &AppName, subject_hash: [u8; 16]) -> (String, Slot) {
        let hash = SessionId::from_bytes(subject_hash);
        (format!("{}:{{{hash}}}:{app}:subject", self.prefix), Slot::of_tag(&hash.digits()))
    }

    /// Begins a call of a script on a subject's hash.
    fn call_on_index<'s>(&self, script: &'s Script, subject_ref: &SubjectRef) -> ScriptCall<'s> {
        let (key, slot) = self.index_key(subject_ref);
        ScriptCall::new(script, slot, &[key.as_bytes()])
    }
}

impl Index for Redis {
    async fn add_to_index(&self, subject_ref: &SubjectRef, entry: &IndexEntry) -> Result<Vec<IndexEntry>, Error> {
        let mut script = self.call_on_index(&self.scripts.add_to_index, subject_ref);
        script.arg(entry.id.as_bytes()).arg(&encode_index_entry(entry)[..]).arg(Time::millis(entry.until));
        script.arg(INDEX_CLEANUP_MIN).arg(INDEX_SAMPLE);
        let mut others = index_entries(&self.write::<Fields>(WriteKind::Save, script).await?)?;
        others.retain(|other| other.id != entry.id);
        Ok(others)
    }

    async fn remove_from_index(&self, subject_ref: &SubjectRef, entry: &IndexEntry) -> Result<(), Error> {
        let mut script = self.call_on_index(&self.scripts.remove_from_index, subject_ref);
        script.arg(entry.id.as_bytes()).arg(&encode_index_entry(entry)[..]);
        self.query(script).await
    }

    async fn remove_session_from_index(&self, subject_ref: &SubjectRef, id: SessionId) -> Result<(), Error> {
        let (key, slot) = self.index_key(subject_ref);
        self.query(Sequence::write(slot, redis::Cmd::hdel(key, id.as_bytes()))).await
    }

    async fn list_index(&self, subject_ref: &SubjectRef, from: &Cursor) -> Result<IndexPage, Error> {
        let from = str::from_utf8(&from.0).unwrap_or_default();
        let (server, cursor) = from.split_once(':').unwrap_or_default();
        let mut script = self.call_on_index(&self.scripts.list_index, subject_ref);
        script.arg(INDEX_PAGE_ENTRIES).arg(server).arg(cursor);
        let sequence = Sequence { repeat: Repeat::IfClosed, ..script.into() };
        let (fields, server, cursor): (Fields, String, u64) = self.query(sequence).await?;
        let next = (cursor != 0).then(|| Cursor(format!("{server}:{cursor}").into_bytes()));
        Ok(IndexPage { entries: index_entries(&fields)?, next })
    }

    async fn has_more_entries(&self, subject_ref: &SubjectRef, count: usize) -> Result<bool, Error> {
        let (key, slot) = self.index_key(subject_ref);
        let fields: usize = self.query(Sequence::read(slot, [redis::Cmd::hlen(key)])).await?;
        Ok(fields > count)
    }

    async fn record_revocation(&self, subject_ref: &SubjectRef, revocation: &Revocation) -> Result<(), Error> {
        let mut script = self.call_on_index(&self.scripts.record_revocation, subject_ref);
        script.arg(REVOCATION).arg(encode_revocation(revocation)).arg(Time::millis(revocation.until));
        self.write(WriteKind::Ending, script).await
    }

    async fn load_revocation(&self, subject_ref: &SubjectRef) -> Result<Option<Revocation>, Error> {
        let (key, slot) = self.index_key(subject_ref);
        let sequence = Sequence::read(slot, [redis::Cmd::hget(key, REVOCATION)]);
        let revocation: Option<Vec<u8>> = self.query(sequence).await?;
        revocation.map(|bytes| decode_revocation(&bytes).ok_or(Error::Corrupt)).transpose()
    }
}

/// Fields and their values.
type Fields = Vec<(Vec<u8>, Vec<u8>)>;

fn index_entries(fields: &Fields) -> Result<Vec<IndexEntry>, Error> {
    let entries = fields.iter().filter(|(field, _)| field != REVOCATION);
    entries.map(|(id, times)| decode_index_entry(id, times).ok_or(Error::Corrupt)).collect()
}

/// The field of the revocation. It cannot be a session's, which has 16 bytes.
pub(super) const REVOCATION: &[u8] = b"revoked";
