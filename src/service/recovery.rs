//! Recovery: the session that a superseded token leads to, so that a lost answer locks nobody out.
//!
//! A browser may never have got the answer with its new token, and goes on with the old one. That token opens its
//! session no more. It leads to an anonymous session of its own, which begins empty: the recovery session. Every request
//! that shows the old token finds the same one, so a login form can keep its CSRF token there.
//!
//! The new token may also be on its way. For 30 seconds after a rotation, a save in the recovery session sets no cookie,
//! unless it rotates as a login does. The browser does not need one, for its old token leads there.

use std::time::Duration;

use super::credential::{ResolvedCredential, TokenState};
use super::{AppCall, Error, Service};
use crate::session::Record;
use crate::token::{CookieNote, SplitToken};
use crate::types::Time;

/// A token that another one has replaced.
#[derive(Clone, Copy, Debug)]
pub(super) struct SupersededToken {
    pub(super) token: SplitToken,
    /// When its session's token was replaced for the last time.
    pub(super) rotate_time: Time,
}

/// The session that a superseded token leads to.
#[derive(Debug)]
pub(super) struct Recovery {
    pub(super) token: SplitToken,
    /// `None`: it is not stored yet.
    pub(super) record: Option<Box<Record>>,
    pub(super) note: CookieNote,
}

impl Service {
    /// Returns the credential of the session that a dead cookie gets: the recovery session of its token, or a new one.
    pub(super) async fn begin_anew(&self, call: &AppCall<'_>, token: SplitToken) -> Result<ResolvedCredential, Error> {
        let recovery = self.recovery_credential(call, token).await?;
        Ok(recovery.unwrap_or_else(|| ResolvedCredential::ticket(SplitToken::random(), CookieNote::None)))
    }

    /// Returns the credential of a token's recovery session; `None` if the token is not superseded.
    pub(super) async fn recovery_credential(
        &self,
        call: &AppCall<'_>,
        token: SplitToken,
    ) -> Result<Option<ResolvedCredential>, Error> {
        let snapshot = self.store.load(&call.session_key(token)).await?;
        let TokenState::Superseded(superseded, _) = call.token_state(token, snapshot) else { return Ok(None) };
        let Recovery { token, note, .. } = self.find_recovery(call, superseded).await?;
        Ok(Some(ResolvedCredential::ticket(token, note)))
    }

    /// Finds the recovery session of a superseded token.
    ///
    /// A recovery session may have ended, or a login in it may have replaced its token as well. The next one then takes
    /// its place. After [`MAX_RECOVERIES`] of them it is a session that no other request finds.
    pub(super) async fn find_recovery(
        &self,
        call: &AppCall<'_>,
        superseded: SupersededToken,
    ) -> Result<Recovery, Error> {
        let SupersededToken { mut token, mut rotate_time } = superseded;
        for _ in 0..MAX_RECOVERIES {
            token = token.recovery(&call.app.name);
            let Some(snapshot) = self.store.load(&call.session_key(token)).await? else {
                return Ok(Recovery { token, record: None, note: call.recovery_note(rotate_time) });
            };
            match call.token_state(token, Some(snapshot)) {
                TokenState::Live { record, token } => {
                    return Ok(Recovery { token, record: Some(record), note: call.recovery_note(rotate_time) });
                }
                TokenState::Superseded(superseded, _) => rotate_time = rotate_time.max(superseded.rotate_time),
                TokenState::Gone(_) => {}
            }
        }
        Ok(Recovery { token: SplitToken::random(), record: None, note: call.recovery_note(rotate_time) })
    }
}

impl AppCall<'_> {
    fn recovery_note(&self, rotate_time: Time) -> CookieNote {
        if self.now < rotate_time + COOKIE_DELAY { CookieNote::Keep } else { CookieNote::Set }
    }
}

/// How long after a rotation its cookie may still be on its way to the browser.
const COOKIE_DELAY: Duration = Duration::from_secs(30);

/// How many recovery sessions in a row may end or be replaced. Bounds the loads of an open.
const MAX_RECOVERIES: usize = 8;
