//! MigrateStore: the stream of what a move has done.

use futures_util::stream;
use tonic::Status;
use tonic::codegen::BoxStream;

use super::audit::AuditRecord;
use super::stream::next_permitted;
use super::wire;
use crate::auth::StreamPermit;
use crate::service::{Service, StoreMigration};
use crate::store::{MoveMode, MoveReport, SkipReason};

/// Begins a move. It goes on only as fast as the stream is read.
pub(super) fn migrate_store(
    service: &Service,
    permit: StreamPermit,
    audit: AuditRecord,
    request: &wire::MigrateStoreRequest,
) -> Result<BoxStream<wire::MigrateStoreResponse>, Status> {
    let mode = if request.dry_run { MoveMode::DryRun } else { MoveMode::Write };
    let migration = MigrationStream { migration: service.migrate_store(mode)?, audit, mode };
    Ok(Box::pin(stream::try_unfold((migration, permit), next_response)))
}

async fn next_response(
    (mut migration, mut permit): (MigrationStream, StreamPermit),
) -> Result<Option<(wire::MigrateStoreResponse, (MigrationStream, StreamPermit))>, Status> {
    let response = next_permitted(&mut permit, migration.next()).await?;
    Ok(response.map(|response| (response, (migration, permit))))
}

struct MigrationStream {
    migration: StoreMigration,
    audit: AuditRecord,
    mode: MoveMode,
}

impl MigrationStream {
    async fn next(&mut self) -> Result<Option<wire::MigrateStoreResponse>, Status> {
        let report = self.migration.next().await?;
        if let (Some(report), MoveMode::Write) = (report, self.mode) {
            self.audit.note_count(report.live);
        }
        Ok(report.map(Into::into))
    }
}

impl From<&MoveReport> for wire::MigrateStoreResponse {
    fn from(report: &MoveReport) -> Self {
        let skipped = |reason| report.skipped.get(&reason).copied().unwrap_or_default();
        Self {
            live_count: report.live,
            ended_count: report.ended,
            expired_count: report.expired,
            revocation_count: report.revocations,
            left_count: report.left,
            corrupt_count: skipped(SkipReason::Corrupt),
            duplicate_count: skipped(SkipReason::InBoth),
            busy_count: skipped(SkipReason::Busy),
            complete: report.is_complete,
        }
    }
}
