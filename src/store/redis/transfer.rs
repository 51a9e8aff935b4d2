//! What exports and imports need of the Redis store.

use redis::Pipeline;

use super::acknowledge::WriteKind;
use super::arguments::entry_field;
use super::index::REVOCATION;
use super::scripts::EXPIRY_STEP;
use super::{PARTITIONS, Redis, escape, key_command};
use crate::session::Generation;
use crate::store::encoding::{EncodedHead, HEAD_FIELDS, decode_revocation, encode_revocation};
use crate::store::transfer::{AppRevocationState, ImportedSession, RevocationPage, SubjectRevocation, decide};
use crate::store::{AppRevocation, Cursor, Decision, Error, ImportMode, Snapshot, Store as _, Transfer};
use crate::token::SessionId;
use crate::types::{AppName, Time};

impl Transfer for Redis {
    async fn load_app_revocation(&self, app: &AppName) -> Result<AppRevocationState, Error> {
        let (mut count, mut times) = (0, Vec::new());
        for partition in 0..PARTITIONS {
            let mut command = redis::cmd("MGET");
            command.arg(self.generation_key(app, partition)).arg(self.revocation_time_key(app, partition));
            let (generation, time): (Option<u32>, Option<u64>) = self.connections.query(&command).await?;
            count += u64::from(generation.unwrap_or_default());
            if generation.is_some() || time.is_some() {
                times.push(time.map(Time::from_millis));
            }
        }
        // Where the time of one partition is unknown, that of the last revocation is.
        let time = times.into_iter().collect::<Option<Vec<Time>>>().and_then(|times| times.into_iter().max());
        Ok(AppRevocationState { count, time })
    }

    async fn restore_app_revocation(&self, app: &AppName, time: Time) -> Result<(), Error> {
        for partition in 0..PARTITIONS {
            let mut script = self.scripts.restore_app_revocation.key(self.generation_key(app, partition));
            script.key(self.revocation_time_key(app, partition)).arg(time.millis());
            self.write::<()>(WriteKind::Save, &script).await?;
        }
        Ok(())
    }

    async fn list_revocations(&self, from: &Cursor) -> Result<RevocationPage, Error> {
        let cursor = <[u8; 8]>::try_from(from.0.as_slice()).map_or(0, u64::from_be_bytes);
        let pattern = format!("{}:{{????????????????????????????????}}:*:subject", escape(&self.prefix));
        let mut command = redis::cmd("SCAN");
        command.arg(cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(PAGE);
        let (next, keys): (u64, Vec<String>) = self.connections.query(&command).await?;
        let mut page = RevocationPage { revocations: Vec::new(), next: None };
        for key in keys {
            let Some((subject_hash, app)) = self.decode_index_key(&key) else { continue };
            let bytes: Option<Vec<u8>> = self.connections.query(&redis::Cmd::hget(&key, REVOCATION)).await?;
            if let Some(bytes) = bytes {
                let revocation = decode_revocation(&bytes).ok_or(Error::Corrupt)?;
                page.revocations.push(SubjectRevocation { app: Some(app), subject_hash, revocation });
            }
        }
        page.next = (next != 0).then(|| Cursor(next.to_be_bytes().to_vec()));
        Ok(page)
    }

    async fn restore_revocation(&self, imported: &SubjectRevocation, apps: &[AppName]) -> Result<(), Error> {
        let SubjectRevocation { app, subject_hash, revocation } = imported;
        for app in app.as_ref().map_or(apps, std::slice::from_ref) {
            let mut script = self.scripts.restore_revocation.key(self.index_key_of(app, *subject_hash));
            script.arg(REVOCATION).arg(encode_revocation(revocation)).arg(Time::millis(revocation.until));
            self.write::<()>(WriteKind::Save, &script).await?;
        }
        Ok(())
    }

    async fn restore(&self, imported: &ImportedSession, mode: ImportMode) -> Result<Decision, Error> {
        for _ in 0..MAX_ATTEMPTS {
            let (stored, revocation) = self.load_for_restore(imported).await?;
            let decision = decide(stored.as_ref(), revocation, &imported.record, imported.export_time);
            let is_write = decision == Decision::Write && mode == ImportMode::Write;
            if !is_write || self.write_restored(imported, stored.as_ref(), revocation).await? {
                return Ok(decision);
            }
        }
        Err(Error::unavailable("a session changes again and again while it is imported"))
    }
}

impl Redis {
    async fn load_for_restore(&self, imported: &ImportedSession) -> Result<(Option<Snapshot>, AppRevocation), Error> {
        let app = &imported.session_key.app;
        let partition = imported.session_key.id.partition();
        let stored = self.load(&imported.session_key).await?;
        let mut pipe = Pipeline::with_capacity(2);
        pipe.add_command(key_command("GET", &self.generation_key(app, partition)));
        pipe.add_command(key_command("GET", &self.revocation_time_key(app, partition)));
        let (generation, time): (Option<u32>, Option<u64>) = self.connections.pipeline(pipe).await?;
        let generation = Generation(generation.unwrap_or_default());
        Ok((stored, AppRevocation { generation, time: time.map(Time::from_millis) }))
    }

    /// Writes the session if what was read is still there. Returns whether it was.
    async fn write_restored(
        &self,
        imported: &ImportedSession,
        stored: Option<&Snapshot>,
        revocation: AppRevocation,
    ) -> Result<bool, Error> {
        let EncodedHead([stored_meta, stored_access_time, .., stored_end, _]) =
            stored.map(|snapshot| EncodedHead::encode(&snapshot.record.head)).unwrap_or_default();
        let session_key = &imported.session_key;
        let mut script = self.invoke(&self.scripts.restore, session_key);
        script.key(self.revocation_time_key(&session_key.app, session_key.id.partition()));
        script.arg(stored_meta).arg(stored_access_time).arg(stored_end).arg(revocation.generation.0);
        script.arg(revocation.time.map(|time| time.millis().to_string()).unwrap_or_default());
        let EncodedHead([meta, parts @ ..]) = EncodedHead::encode(&imported.record.head);
        script.arg((imported.record.head.purge_time() + EXPIRY_STEP).millis()).arg(&meta[..meta.len() - 4]);
        for (field, bytes) in HEAD_FIELDS[1..].iter().zip(parts).filter(|(_, bytes)| !bytes.is_empty()) {
            script.arg(&[*field]).arg(bytes);
        }
        for (name, value) in imported.record.entries.iter() {
            script.arg(entry_field(name)).arg(value);
        }
        self.write(WriteKind::Save, &script).await
    }

    /// Reads the key of a subject's index.
    fn decode_index_key(&self, key: &str) -> Option<([u8; 16], AppName)> {
        let (hash, rest) = key.strip_prefix(&self.prefix)?.strip_prefix(":{")?.split_once("}:")?;
        let app = AppName::parse(rest.strip_suffix(":subject")?).ok()?;
        Some((*SessionId::parse(hash)?.as_bytes(), app))
    }
}

/// About how many keys one SCAN looks at.
const PAGE: usize = 1000;

/// How often a session that the service writes meanwhile is tried.
const MAX_ATTEMPTS: usize = 100;
