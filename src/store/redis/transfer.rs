//! The operations that exports and imports need of the Redis store.

use super::acknowledge::WriteKind;
use super::answer::{parse_one, parse_several};
use super::index::REVOCATION;
use super::partitions::{Partition, all_slots};
use super::scan::{ScannedKeys, escape};
use super::scripts::EXPIRY_STEP;
use super::sequence::{ScriptCall, Sequence};
use super::{Redis, arguments, key_command};
use crate::session::Generation;
use crate::store::encoding::{EncodedHead, decode_revocation, encode_revocation};
use crate::store::transfer::{
    AppRevocationState, ExportPage, ImportedSession, RevocationPage, SubjectRevocation, decide,
};
use crate::store::{
    AppRevocation, Cursor, Decision, Error, ExportSource, ImportMode, ImportTarget, Index as _, Snapshot, Store as _,
};
use crate::token::SessionId;
use crate::types::{AppName, Time};

impl ExportSource for Redis {
    async fn load_app_revocation(&self, app: &AppName) -> Result<AppRevocationState, Error> {
        let sequences: Vec<_> = self.partitions.all().map(|it| self.revocation_sequence(app, it)).collect();
        let (mut count, mut times) = (0, Vec::new());
        for result in self.router().await?.all(&sequences).await {
            let (generation, time): (Option<u32>, Option<u64>) = parse_several(result?)?;
            count += u64::from(generation.unwrap_or_default());
            if generation.is_some() || time.is_some() {
                times.push(time.map(Time::from_millis));
            }
        }
        // Where the time of one partition is unknown, that of the last revocation is.
        let time = times.into_iter().collect::<Option<Vec<Time>>>().and_then(|times| times.into_iter().max());
        Ok(AppRevocationState { count, time })
    }

    async fn export_page(&self, app: &AppName, from: &Cursor, limit: usize) -> Result<ExportPage, Error> {
        self.scan_app(app, from, limit).await
    }

    async fn list_revocations(&self, from: &Cursor) -> Result<RevocationPage, Error> {
        let pattern = format!("{}:{{????????????????????????????????}}:*:subject", escape(&self.prefix));
        let scanned = ScannedKeys { pattern, slots: all_slots() };
        let (keys, next) = self.scan_servers(&scanned, from, PAGE).await?;
        let subjects: Vec<_> = keys.iter().filter_map(|key| self.decode_index_key(key)).collect();
        let read = |(subject_hash, app): &([u8; 16], AppName)| {
            let (key, slot) = self.index_key_of(app, *subject_hash);
            Sequence::read(slot, [redis::Cmd::hget(key, REVOCATION)])
        };
        let sequences: Vec<_> = subjects.iter().map(read).collect();
        let mut page = RevocationPage { next, ..RevocationPage::default() };
        for ((subject_hash, app), result) in subjects.into_iter().zip(self.router().await?.all(&sequences).await) {
            match result.map_err(Error::from).and_then(parse_one::<Option<Vec<u8>>>) {
                Ok(None) => {}
                Ok(Some(bytes)) => match decode_revocation(&bytes) {
                    Some(revocation) => {
                        page.revocations.push(SubjectRevocation { app: Some(app), subject_hash, revocation });
                    }
                    None => page.corrupt.push((Some(app), subject_hash)),
                },
                Err(Error::Corrupt) => page.corrupt.push((Some(app), subject_hash)),
                Err(error) => return Err(error),
            }
        }
        Ok(page)
    }
}

impl ImportTarget for Redis {
    async fn restore_app_revocation(&self, app: &AppName, time: Time) -> Result<(), Error> {
        let restore = |partition| {
            let keys = [self.generation_key(app, partition), self.revocation_time_key(app, partition)];
            let keys = keys.each_ref().map(Vec::as_slice);
            let slot = self.partitions.slot(partition);
            let mut script = ScriptCall::new(&self.scripts.restore_app_revocation, slot, &keys);
            script.arg(time.millis());
            script.into()
        };
        let sequences: Vec<Sequence<'_>> = self.partitions.all().map(restore).collect();
        let results = self.write_all(WriteKind::Save, &sequences).await?;
        results.into_iter().try_for_each(|result| result.map(drop)).map_err(Error::from)
    }

    async fn restore_revocation(&self, imported: &SubjectRevocation, apps: &[AppName]) -> Result<(), Error> {
        let SubjectRevocation { app, subject_hash, revocation } = imported;
        for app in app.as_ref().map_or(apps, std::slice::from_ref) {
            let (key, slot) = self.index_key_of(app, *subject_hash);
            let mut script = ScriptCall::new(&self.scripts.restore_revocation, slot, &[key.as_bytes()]);
            script.arg(REVOCATION).arg(encode_revocation(revocation)).arg(Time::millis(revocation.until));
            self.write::<()>(WriteKind::Save, script).await?;
        }
        Ok(())
    }

    async fn restore(&self, imported: &ImportedSession, mode: ImportMode) -> Result<Decision, Error> {
        for attempt in 0..MAX_ATTEMPTS {
            let (stored, revocation) = self.load_for_restore(imported).await?;
            let decision = decide(stored.as_ref(), revocation, &imported.record, imported.export_time);
            if decision != Decision::Write || mode == ImportMode::DryRun {
                return Ok(decision);
            }
            if attempt == 0
                && let Some((subject_ref, entry)) = &imported.index_entry
            {
                self.add_to_index(subject_ref, entry).await?;
            }
            if self.write_restored(imported, stored.as_ref(), revocation).await? {
                return Ok(decision);
            }
        }
        Err(Error::unavailable("a session changes again and again while it is imported"))
    }
}

impl Redis {
    async fn load_for_restore(&self, imported: &ImportedSession) -> Result<(Option<Snapshot>, AppRevocation), Error> {
        let session_key = &imported.session_key;
        let stored = self.load(session_key).await?;
        let sequence = self.revocation_sequence(&session_key.app, self.partitions.of(&session_key.id));
        let (generation, time): (Option<u32>, Option<u64>) =
            self.router_to(sequence.slot).await?.query_several(sequence).await?;
        let generation = Generation(generation.unwrap_or_default());
        Ok((stored, AppRevocation { generation, time: time.map(Time::from_millis) }))
    }

    /// Prepares the reading of an app's generation in a partition, and of the time when it was raised last.
    fn revocation_sequence(&self, app: &AppName, partition: Partition) -> Sequence<'static> {
        let keys = [self.generation_key(app, partition), self.revocation_time_key(app, partition)];
        // One by one: while their slot is being moved, the keys may be at two nodes.
        Sequence::read(self.partitions.slot(partition), keys.map(|key| key_command("GET", &key)))
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
        let (app, partition) = (&session_key.app, self.partitions.of(&session_key.id));
        let keys = [
            self.record_key(session_key),
            self.generation_key(app, partition),
            self.revocation_time_key(app, partition),
        ];
        let keys = keys.each_ref().map(Vec::as_slice);
        let mut script = ScriptCall::new(&self.scripts.restore, self.partitions.slot(partition), &keys);
        script.arg(stored_meta).arg(stored_access_time).arg(stored_end).arg(revocation.generation.0);
        script.arg(revocation.time.map(|time| time.millis().to_string()).unwrap_or_default());
        let EncodedHead([meta, parts @ ..]) = EncodedHead::encode(&imported.record.head);
        script.arg((imported.record.head.purge_time() + EXPIRY_STEP).millis()).arg(&meta[..meta.len() - 4]);
        arguments::push_fields(&mut script.command, parts, &imported.record.entries);
        self.write(WriteKind::Save, script).await
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
