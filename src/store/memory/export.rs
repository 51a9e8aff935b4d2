//! The operations that exports need of the memory store.

use super::Memory;
use crate::store::transfer::{AppRevocationState, ExportPage, RevocationPage};
use crate::store::{Cursor, Error, ExportSource, Page, Store as _};
use crate::types::AppName;

impl ExportSource for Memory {
    async fn load_app_revocation(&self, app: &AppName) -> Result<AppRevocationState, Error> {
        Ok(self.revocations.read().get(app).copied().unwrap_or_default().into())
    }

    async fn export_page(&self, app: &AppName, from: &Cursor, limit: usize) -> Result<ExportPage, Error> {
        let Page { sessions, next } = self.scan(app, from, limit).await?;
        Ok(ExportPage { sessions: sessions.into_iter().map(|(id, snapshot)| (id, Some(snapshot))).collect(), next })
    }

    async fn list_revocations(&self, from: &Cursor) -> Result<RevocationPage, Error> {
        Ok(self.index.list_revocations(from))
    }
}
