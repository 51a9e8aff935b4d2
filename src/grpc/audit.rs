//! The audit line of a call of AdminService: who called, for which app and session, and how it ended.
//!
//! The server writes one for every such call, also for a call that never reaches its RPC, and another one at the end of
//! a stream. The RPC notes what the call is about. A subject is never noted, because it is personal data. Nor is text
//! that a caller can choose freely.

use std::sync::Arc;

use parking_lot::Mutex;
use tonic::Request;
use tracing::info;

use super::ADMIN_SERVICE;
use crate::auth::Caller;
use crate::service::Outcome;
use crate::telemetry::LogThrottle;
use crate::token::SessionId;
use crate::types::AppName;

/// The known facts about an audited call. Clones are the same record; one is in the extensions of the request.
#[derive(Clone, Debug, Default)]
pub struct AuditRecord(Arc<Mutex<Notes>>);

#[derive(Debug, Default)]
struct Notes {
    /// `None`: no configured caller.
    caller: Option<String>,
    /// `None`: the call named no app that exists, or was refused before that was known.
    app: Option<AppName>,
    session_id: Option<SessionId>,
    /// How many sessions the call listed, ended, exported or moved.
    sessions: Option<u64>,
    /// Whether the response has entries of sessions.
    with_entries: bool,
    outcome: Option<&'static str>,
    stream_stage: StreamStage,
}

/// The stage of a call's stream that the next log line is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum StreamStage {
    /// The call has no stream.
    #[default]
    None,
    Begin,
    End,
}

impl StreamStage {
    const fn message(self) -> &'static str {
        match self {
            Self::None | Self::Begin => "a call of AdminService",
            Self::End => "a stream of AdminService ended",
        }
    }
}

impl AuditRecord {
    /// Begins the record of a call; `None`: calls of this RPC are not audited.
    pub fn of_call(rpc: &str) -> Option<Self> {
        rpc.split_once('/').is_some_and(|(service, _)| service == ADMIN_SERVICE).then(Self::default)
    }

    /// Returns the record of a request.
    pub(super) fn of_request<R>(request: &Request<R>) -> Self {
        request.extensions().get().cloned().unwrap_or_default()
    }

    /// Notes who calls.
    pub fn note_caller(&self, caller: &Caller) {
        let is_known = !matches!(caller, Caller::Unauthenticated);
        self.0.lock().caller = is_known.then(|| caller.to_string());
    }

    pub(super) fn note_app(&self, app: &AppName) {
        self.0.lock().app = Some(app.clone());
    }

    pub(super) fn note_session(&self, id: SessionId) {
        self.0.lock().session_id = Some(id);
    }

    pub(super) fn note_count(&self, sessions: u64) {
        self.0.lock().sessions = Some(sessions);
    }

    /// Notes that the call is answered by a stream, whose end has a line of its own.
    pub(super) fn note_stream(&self) {
        self.0.lock().stream_stage = StreamStage::Begin;
    }

    pub(super) fn note_entries(&self, with_entries: bool) {
        self.0.lock().with_entries = with_entries;
    }

    pub(super) fn note_outcome(&self, outcome: Outcome) {
        self.0.lock().outcome = Some(outcome.as_str());
    }

    /// Writes a line, with the code of the call and the reason of a failure. Returns whether it is that of a stream's
    /// begin, so that the end gets another one.
    pub fn log(&self, code: &'static str, reason: Option<&str>) -> bool {
        static UNAUTHENTICATED: LogThrottle = LogThrottle::new();
        let mut notes = self.0.lock();
        let Notes { caller, app, session_id, sessions, with_entries, outcome, stream_stage } = &*notes;
        // Callers make as many calls as they need. Anybody else could fill the log.
        let calls = if caller.is_some() { Some(1) } else { UNAUTHENTICATED.count() };
        let Some(calls) = calls else { return false };
        info!(
            target: "cloakroom::audit",
            caller = caller.as_deref().unwrap_or("unknown"),
            calls = (calls > 1).then_some(calls),
            app = app.as_ref().map(AppName::as_str),
            session.id = session_id.map(|id| id.to_string()),
            sessions,
            entries = with_entries.then_some(true),
            outcome,
            call.code = code,
            reason,
            "{}",
            stream_stage.message()
        );
        std::mem::replace(&mut notes.stream_stage, StreamStage::End) == StreamStage::Begin
    }
}
