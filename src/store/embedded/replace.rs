//! The operation that moves between stores need of the embedded store.

use super::Embedded;
use super::log::WritePurpose;
use super::rows::{RowsError, Table};
use super::tables::{Tables, app_revocation, key, load};
use crate::store::replace::{RecordReplacement, Replace};
use crate::store::{Error, SessionKey, Snapshot};

impl Replace for Embedded {
    async fn replace(
        &self,
        session_key: &SessionKey,
        read: Option<&Snapshot>,
        replacement: RecordReplacement,
    ) -> Result<bool, Error> {
        let (session_key, read) = (session_key.clone(), read.cloned());
        // What takes the place of a record is no larger than that, but for copies.
        let purpose = match &replacement {
            RecordReplacement::Nothing => WritePurpose::Ending,
            RecordReplacement::Record(_) if read.is_some() => WritePurpose::Ending,
            RecordReplacement::Record(_) | RecordReplacement::Copy(_) => WritePurpose::Ordinary,
        };
        let replace = move |tables: &mut Tables<'_>| {
            let is_unchanged = load(&tables.view(), &session_key)? == read;
            if is_unchanged {
                tables.replace(&session_key, replacement)?;
            }
            Ok(is_unchanged)
        };
        self.writer.write(purpose, replace).await
    }
}

impl Tables<'_> {
    fn replace(&mut self, session_key: &SessionKey, replacement: RecordReplacement) -> Result<(), RowsError> {
        let row = key(session_key);
        let record = match replacement {
            RecordReplacement::Nothing => {
                self.remove(Table::Sessions, &row);
                return Ok(());
            }
            RecordReplacement::Record(record) => record,
            RecordReplacement::Copy(mut record) => {
                record.head.generation = app_revocation(&self.view(), &session_key.app)?.generation;
                record
            }
        };
        self.write_record(&row, &record);
        self.schedule_purge(&row, &record.head);
        Ok(())
    }
}
