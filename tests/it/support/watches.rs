//! Watches of sessions: how one starts, and how it ends.

use std::time::Duration;

use cloakroom::grpc::wire::{EndReason, WatchSessionRequest, WatchSessionResponse, WatchState, watch_session_request};
use cloakroom::session::{self, Authority, Precondition};
use cloakroom::store::{Applied, SessionKey, Write};
use cloakroom::token::SessionId;
use cloakroom::types::AppName;
use tonic::{Status, Streaming};

use super::TestService;
use super::sessions::millis;

/// A running watch.
#[derive(Debug)]
pub(crate) struct Watch {
    answers: Streaming<WatchSessionResponse>,
    /// The time when the session expires, in milliseconds.
    pub expire_time: u64,
}

impl TestService {
    /// Watches the live session of a token.
    pub(crate) async fn watch(&self, token: &str) -> Watch {
        let mut answers = self.try_watch(watch_token(token)).await.unwrap();
        let first = answers.message().await.unwrap().unwrap();
        assert_eq!((first.state(), first.end_reason()), (WatchState::Alive, EndReason::Unspecified));
        Watch { answers, expire_time: millis(&first.expire_time) }
    }

    /// Watches a credential without a live session; returns the end reason.
    pub(crate) async fn watch_nothing(&self, request: WatchSessionRequest) -> EndReason {
        let answers = self.try_watch(request).await.unwrap();
        Watch { answers, expire_time: 0 }.ended().await
    }

    /// Starts a watch; the call may fail.
    pub(crate) async fn try_watch(
        &self,
        request: WatchSessionRequest,
    ) -> Result<Streaming<WatchSessionResponse>, Status> {
        Ok(self.client.clone().watch_session(request).await?.into_inner())
    }

    /// Ends a session with an administrator's authority.
    pub(crate) async fn end(&self, id: &str, reason: session::EndReason) {
        let precondition = Precondition::unconditional(Authority::Admin, self.now());
        let ended = self.inner.store().apply(&session_key(id), &precondition, &Write::End(reason)).await.unwrap();
        assert!(matches!(ended, Applied::Done(_)), "{ended:?}");
    }
}

impl Watch {
    /// Waits for the end of the session; returns the reason.
    pub(crate) async fn ended(mut self) -> EndReason {
        let last = self.next().await.unwrap().expect("a watch says how it ends");
        assert_eq!((last.state(), last.expire_time), (WatchState::Ended, None));
        assert!(self.next().await.unwrap().is_none(), "an end is the last answer");
        last.end_reason()
    }

    /// Waits for the error that ends the watch.
    pub(crate) async fn failed(mut self) -> Status {
        self.next().await.err().expect("the watch fails")
    }

    async fn next(&mut self) -> Result<Option<WatchSessionResponse>, Status> {
        tokio::time::timeout(TIMEOUT, self.answers.message()).await.expect("a watch ends in time")
    }
}

/// Builds a watch by token.
pub(crate) fn watch_token(token: &str) -> WatchSessionRequest {
    let credential = Some(watch_session_request::Credential::Token(token.to_owned()));
    WatchSessionRequest { credential, ..Default::default() }
}

/// Builds a watch by Cookie header.
pub(crate) fn watch_cookie(header: &str) -> WatchSessionRequest {
    let credential = Some(watch_session_request::Credential::CookieHeader(header.to_owned()));
    WatchSessionRequest { credential, ..Default::default() }
}

/// Returns the key of a session of the app `default`.
pub(crate) fn session_key(id: &str) -> SessionKey {
    SessionKey { app: AppName::parse("default").unwrap(), id: SessionId::parse(id).unwrap() }
}

/// Long enough for the busiest machine; only a failure waits this long.
const TIMEOUT: Duration = Duration::from_secs(60);
