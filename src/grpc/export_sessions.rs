//! ExportSessions: the stream of an export, in parts.

use bytes::Bytes;
use futures_util::stream;
use tonic::Status;
use tonic::codegen::BoxStream;

use super::audit::AuditRecord;
use super::stream::next_permitted;
use super::wire;
use crate::auth::StreamPermit;
use crate::service::{Service, SessionExport};
use crate::store::{ExportPart, SessionKey};

/// Begins an export. The store is read only as fast as the stream is.
pub(super) fn export_sessions(
    service: &Service,
    permit: StreamPermit,
    audit: AuditRecord,
    request: &wire::ExportSessionsRequest,
) -> Result<BoxStream<wire::ExportSessionsResponse>, Status> {
    let export = ExportStream { export: service.export(&request.apps)?, rest: Bytes::new(), audit };
    Ok(Box::pin(stream::try_unfold((export, permit), next_response)))
}

async fn next_response(
    (mut export, mut permit): (ExportStream, StreamPermit),
) -> Result<Option<(wire::ExportSessionsResponse, (ExportStream, StreamPermit))>, Status> {
    let response = next_permitted(&mut permit, export.next()).await?;
    Ok(response.map(|response| (response, (export, permit))))
}

/// An export, and what is left of its last block.
struct ExportStream {
    export: SessionExport,
    rest: Bytes,
    audit: AuditRecord,
}

impl ExportStream {
    /// Returns the next response; one without data shows that the export goes on.
    async fn next(&mut self) -> Result<Option<wire::ExportSessionsResponse>, Status> {
        let mut response = wire::ExportSessionsResponse::default();
        if self.rest.is_empty() {
            let Some(part) = self.export.next().await? else { return Ok(None) };
            let ExportPart { bytes, corrupt_sessions, corrupt_revocations } = part;
            self.rest = bytes.into();
            self.audit.note_count(self.export.sessions());
            response.corrupt_sessions = corrupt_sessions.iter().map(corrupt_session).collect();
            response.corrupt_revocations = u32::try_from(corrupt_revocations).unwrap_or(u32::MAX);
        }
        response.session_count = self.export.sessions();
        response.data = self.rest.split_to(self.rest.len().min(MAX_DATA)).into();
        Ok(Some(response))
    }
}

fn corrupt_session(SessionKey { app, id }: &SessionKey) -> wire::CorruptSession {
    wire::CorruptSession { app: app.to_string(), id: id.to_string() }
}

/// The most bytes of the file in one response.
const MAX_DATA: usize = 64 * 1024;
