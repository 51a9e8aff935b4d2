//! The query, and what the first replica that can tell finds in the store.

use tonic::{Code, Response};

use super::replica::{Replica, first_answer};
use crate::cli::CliError;
use crate::cli::input::without_field_name;
use crate::cli::sessions::admin::{AdminClient, CallError, reason};
use crate::grpc::wire::explain_credential_request::Credential;
use crate::grpc::wire::list_session_ends_request::Wanted;
use crate::grpc::wire::{
    CredentialExplanation, CredentialState, EndReason, ExplainCredentialRequest, GetSessionRequest, GetSessionResponse,
    ListSessionsRequest, SessionInfo,
};
use crate::token::SessionId;

pub(super) enum Query {
    Credential(ExplainCredentialRequest),
    Session(SessionId),
    Subject(String),
}

/// The findings in the store.
pub(super) enum Findings {
    /// One for each cookie of a header, else one.
    Sessions(Vec<CredentialExplanation>),
    Subject {
        subject: String,
        live: Vec<SessionInfo>,
        /// Whether there are more than these.
        more: bool,
    },
}

impl Query {
    /// Reads the id of a session, a token, a ticket or a `Cookie` header.
    pub(super) fn parse(app: &str, text: &str, cookie_name: Option<&str>) -> Self {
        if let Some(id) = SessionId::parse(text) {
            return Self::Session(id);
        }
        let credential = match without_field_name(text) {
            header if header.contains('=') => Credential::CookieHeader(header.to_owned()),
            token => Credential::Token(token.to_owned()),
        };
        let cookie_name = cookie_name.unwrap_or_default().to_owned();
        Self::Credential(ExplainCredentialRequest { app: app.to_owned(), credential: Some(credential), cookie_name })
    }

    /// Takes the whole text as the key of a session.
    pub(super) fn key(app: &str, text: &str) -> Self {
        let credential = Some(Credential::Key(text.into()));
        Self::Credential(ExplainCredentialRequest { app: app.to_owned(), credential, ..Default::default() })
    }

    /// Asks the replicas, which have the same store. Fails if none of them can tell.
    pub(super) async fn ask(&self, app: &str, replicas: &[Replica]) -> Result<Findings, CliError> {
        let app = || app.to_owned();
        match self {
            Self::Credential(request) => {
                let explain = async |admin: &AdminClient| {
                    admin.call(async |mut client| client.explain_credential(request.clone()).await).await
                };
                Ok(Findings::Sessions(first_answer(replicas, explain).await?.explanations))
            }
            Self::Session(id) => {
                let request = GetSessionRequest { app: app(), id: id.to_string(), with_entries: false };
                let get = async |admin: &AdminClient| get_session(admin, request.clone()).await;
                let session = first_answer(replicas, get).await?;
                Ok(Findings::Sessions(vec![explanation(&id.to_string(), session)]))
            }
            Self::Subject(subject) => {
                let (page_size, subject) = (MAX_LIVE_SESSIONS, subject.clone());
                let request =
                    ListSessionsRequest { app: app(), subject: subject.clone(), page_size, ..Default::default() };
                let list = async |admin: &AdminClient| {
                    admin.call(async |mut client| client.list_sessions(request.clone()).await).await
                };
                let page = first_answer(replicas, list).await?;
                Ok(Findings::Subject { subject, live: page.sessions, more: !page.next_page_token.is_empty() })
            }
        }
    }

    /// Returns what is known without the store; `None` if the query needs the store.
    pub(super) fn without_store(&self) -> Option<Findings> {
        match self {
            Self::Credential(_) => None,
            Self::Session(id) => {
                let (id, state) = (id.to_string(), CredentialState::Unspecified.into());
                Some(Findings::Sessions(vec![CredentialExplanation { id, state, ..Default::default() }]))
            }
            Self::Subject(subject) => {
                Some(Findings::Subject { subject: subject.clone(), live: Vec::new(), more: false })
            }
        }
    }
}

impl Findings {
    /// Returns whose ends are wanted from the audit logs, each once.
    pub(super) fn wanted(&self) -> Vec<Wanted> {
        match self {
            Self::Subject { subject, .. } => vec![Wanted::Subject(subject.clone())],
            Self::Sessions(explanations) => {
                let mut ids = Vec::new();
                for id in explanations.iter().map(|explanation| &explanation.id) {
                    if !id.is_empty() && !ids.contains(&id) {
                        ids.push(id);
                    }
                }
                ids.into_iter().map(|id| Wanted::Id(id.clone())).collect()
            }
        }
    }
}

/// Gets a session. `None`: the store does not know it.
async fn get_session(admin: &AdminClient, request: GetSessionRequest) -> Result<Option<SessionInfo>, CallError> {
    let response = admin.call(async |mut client| match client.get_session(request).await {
        Err(status) if status.code() == Code::NotFound && reason(&status) == "SESSION_UNKNOWN" => {
            Ok(Response::new(GetSessionResponse::default()))
        }
        answered => answered,
    });
    Ok(response.await?.session)
}

/// The explanation of a session that was asked for by its id.
fn explanation(id: &str, session: Option<SessionInfo>) -> CredentialExplanation {
    let reason = session.as_ref().map_or(EndReason::Unspecified, SessionInfo::end_reason);
    let state = match &session {
        None => CredentialState::Unknown,
        Some(_) if reason == EndReason::Unspecified => CredentialState::Live,
        Some(_) => CredentialState::Ended,
    };
    let end_time = session.as_ref().and_then(|session| match state {
        CredentialState::Ended => session.end_time,
        _ => session.expire_time,
    });
    CredentialExplanation {
        state: state.into(),
        end_reason: reason.into(),
        end_time,
        id: id.to_owned(),
        session,
        ..Default::default()
    }
}

const MAX_LIVE_SESSIONS: i32 = 100;
