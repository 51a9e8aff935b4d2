//! The operations that exports and imports need of the embedded store.

use std::ops::Bound;

use super::Embedded;
use super::index::HASH_BYTES;
use super::log::WritePurpose;
use super::rows::{RowsError, Table, View};
use super::tables::{Tables, app_revocation, key, load, scan};
use crate::store::encoding::decode_revocation;
use crate::store::transfer::{
    AppRevocationState, ExportPage, ImportedSession, RevocationPage, SubjectRevocation, decide,
};
use crate::store::{AppRevocation, Cursor, Decision, Error, ExportSource, ImportMode, ImportTarget};
use crate::types::{AppName, Time};

impl ExportSource for Embedded {
    async fn load_app_revocation(&self, app: &AppName) -> Result<AppRevocationState, Error> {
        self.shared.read(|view| app_revocation(view, app)).map(Into::into)
    }

    async fn export_page(&self, app: &AppName, from: &Cursor, limit: usize) -> Result<ExportPage, Error> {
        self.shared.read(|view| scan(view, app, from, limit))
    }

    async fn list_revocations(&self, from: &Cursor) -> Result<RevocationPage, Error> {
        self.shared.read(|view| list_revocations(view, from))
    }
}

impl ImportTarget for Embedded {
    async fn restore_app_revocation(&self, app: &AppName, time: Time) -> Result<(), Error> {
        let app = app.clone();
        self.writer.write(WritePurpose::Ordinary, move |tables| tables.restore_app_revocation(&app, time)).await
    }

    async fn restore_revocation(&self, revocation: &SubjectRevocation, _apps: &[AppName]) -> Result<(), Error> {
        let revocation = revocation.clone();
        self.writer.write(WritePurpose::Ordinary, move |tables| tables.restore_revocation(&revocation)).await
    }

    async fn restore(&self, imported: &ImportedSession, mode: ImportMode) -> Result<Decision, Error> {
        if mode == ImportMode::DryRun {
            return self.shared.read(|view| decide_in(view, imported));
        }
        let imported = imported.clone();
        self.writer.write(WritePurpose::Ordinary, move |tables| tables.restore(&imported)).await
    }
}

impl Tables<'_> {
    fn restore_app_revocation(&mut self, app: &AppName, time: Time) -> Result<(), RowsError> {
        let stored = app_revocation(&self.view(), app)?;
        if stored.time.is_some() || !stored.has_happened() {
            self.write_app_revocation(app, AppRevocation { time: stored.time.max(Some(time)), ..stored });
        }
        Ok(())
    }

    fn restore_revocation(&mut self, imported: &SubjectRevocation) -> Result<(), RowsError> {
        let key = imported.subject_hash;
        let stored = self.get(Table::Index, &key)?.and_then(|bytes| decode_revocation(&bytes));
        if stored.is_none_or(|stored| stored.time < imported.revocation.time) {
            self.replace_revocation(&key, &imported.revocation)?;
        }
        Ok(())
    }

    fn restore(&mut self, imported: &ImportedSession) -> Result<Decision, RowsError> {
        let decision = decide_in(&self.view(), imported)?;
        if decision == Decision::Write {
            if let Some((subject_ref, entry)) = &imported.index_entry {
                self.add_to_index(subject_ref, entry)?;
            }
            let key = key(&imported.session_key);
            let mut record = imported.record.clone();
            record.head.generation = app_revocation(&self.view(), &imported.session_key.app)?.generation;
            self.write_record(&key, &record);
            self.schedule_purge(&key, &record.head);
        }
        Ok(decision)
    }
}

fn decide_in(view: &View<'_>, imported: &ImportedSession) -> Result<Decision, RowsError> {
    let revocation = app_revocation(view, &imported.session_key.app)?;
    let stored = load(view, &imported.session_key)?;
    Ok(decide(stored.as_ref(), revocation, &imported.record, imported.export_time))
}

/// Reads rows of the index, where revocations are those with the hash alone as their key.
fn list_revocations(view: &View<'_>, from: &Cursor) -> Result<RevocationPage, RowsError> {
    let mut page = RevocationPage::default();
    let rows = view.range(Table::Index, (Bound::Included(from.0.as_slice()), Bound::Unbounded))?;
    for (number, row) in rows.enumerate() {
        let (key, bytes) = row?;
        if number == PAGE {
            page.next = Some(Cursor(key.into_owned()));
            break;
        }
        if let Ok(subject_hash) = <[u8; HASH_BYTES]>::try_from(&*key) {
            // The hash is of app and subject, so the app is unknown here.
            match decode_revocation(&bytes) {
                Some(revocation) => {
                    page.revocations.push(SubjectRevocation { app: None, subject_hash, revocation });
                }
                None => page.corrupt.push((None, subject_hash)),
            }
        }
    }
    Ok(page)
}

/// How many rows one call reads, so that no write waits for long.
const PAGE: usize = 1000;
