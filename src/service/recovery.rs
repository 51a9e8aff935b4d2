//! Recovery: the session that a superseded token leads to, so that a lost answer locks nobody out.
//!
//! A browser may never have got the answer with its new token, and goes on with the old one. That token opens its
//! session no more. It leads to an anonymous session of its own, which begins empty: the recovery session. Every request
//! that shows the old token finds the same one, so a login form can keep its CSRF token there.
//!
//! The new token may also be on its way. For 30 seconds after a rotation, a save in the recovery session sets no cookie,
//! unless it rotates as a login does. The browser does not need one, for its old token leads there.

use std::time::Duration;

use super::credential::{PresentedToken, ResolvedCredential, SupersededToken, TokenState};
use super::{AppCall, Error, Service};
use crate::session::{self, Record};
use crate::store::Snapshot;
use crate::token::{CookieNote, SplitToken};
use crate::types::Time;

/// The session that a superseded token leads to.
#[derive(Debug)]
pub(super) struct Recovery {
    pub(super) token: SplitToken,
    /// `None`: it is not stored yet.
    pub(super) record: Option<Box<Record>>,
    pub(super) note: CookieNote,
    /// When the recovery session before it was over; `None`: there was none, or no call ended it.
    pub(super) end_time: Option<Time>,
}

/// The request of a user in which a call begins anew.
#[derive(Clone, Copy)]
pub(super) struct UserRequest {
    /// The id of the call; `None`: it has none.
    pub(super) request_id: Option<[u8; 8]>,
    /// When the frontend received the request; `None`: it did not say.
    pub(super) receive_time: Option<Time>,
}

impl UserRequest {
    /// Whether a session that ended at this time ended after the request was received.
    pub(super) fn is_overtaken(self, end_time: Option<Time>) -> bool {
        self.receive_time.zip(end_time).is_some_and(|(received, ended)| received < ended)
    }
}

/// The state of one of the recovery sessions of a token.
enum RecoveryState {
    /// It is live, or not stored yet.
    Usable(Recovery),
    /// A login has replaced its token, or it has ended. Each time is `None` if that did not happen.
    Over { rotate_time: Option<Time>, end_time: Option<Time> },
}

impl Service {
    /// Returns the credential of the session that a dead cookie gets: the recovery session of its token, or a new one.
    /// `None`: it gets none, because a call has ended its session since the request began. The browser may hold the cookie
    /// of a login by now, and the user who began the request may have logged out.
    ///
    /// A save that is repeated with its `request_id` gets the recovery session in which it was done, also if it was a
    /// login there.
    pub(super) async fn begin_anew(
        &self,
        call: &AppCall<'_>,
        token: SplitToken,
        request: UserRequest,
    ) -> Result<Option<ResolvedCredential<'static>>, Error> {
        let snapshot = self.store.load(&call.session_key(token)).await?;
        if request.is_overtaken(call.end_time(token, snapshot.as_ref())) {
            return Ok(None);
        }
        let TokenState::Superseded(superseded, _) = call.token_state(token, snapshot) else {
            return Ok(Some(ResolvedCredential::ticket(SplitToken::random(), CookieNote::None)));
        };
        let Recovery { token, note, end_time, .. } = self.find_recovery(call, superseded, request.request_id).await?;
        Ok((!request.is_overtaken(end_time)).then(|| ResolvedCredential::ticket(token, note)))
    }

    /// Whether a call has ended the session of one of these tokens since the request began, or replaced the token.
    pub(super) async fn is_overtaken(
        &self,
        call: &AppCall<'_>,
        tokens: &[PresentedToken<'_>],
        request: UserRequest,
    ) -> Result<bool, Error> {
        for presented in tokens {
            let snapshot = self.store.load(&call.session_key(presented.token)).await?;
            if request.is_overtaken(call.end_time(presented.token, snapshot.as_ref())) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Returns the credential of a token's recovery session; `None` if the token is not superseded.
    pub(super) async fn recovery_credential(
        &self,
        call: &AppCall<'_>,
        token: SplitToken,
    ) -> Result<Option<ResolvedCredential<'static>>, Error> {
        let snapshot = self.store.load(&call.session_key(token)).await?;
        let TokenState::Superseded(superseded, _) = call.token_state(token, snapshot) else { return Ok(None) };
        let Recovery { token, note, .. } = self.find_recovery(call, superseded, None).await?;
        Ok(Some(ResolvedCredential::ticket(token, note)))
    }

    /// Finds the recovery session of a superseded token.
    ///
    /// Recovery sessions are numbered, and each token is derived from the one before. A login in one of them replaces its
    /// token, and it may end. Then it is over, and the next one takes its place. After the first
    /// [`MAX_RECOVERIES_IN_TURN`], the search doubles the number until a session is not over, and then halves the gap, so
    /// that it costs few loads however many logins lost their answers. After [`MAX_RECOVERIES`] it is a session that no
    /// other request finds, and that sets its cookie at once.
    pub(super) async fn find_recovery(
        &self,
        call: &AppCall<'_>,
        superseded: SupersededToken,
        request_id: Option<[u8; 8]>,
    ) -> Result<Recovery, Error> {
        let SupersededToken { mut token, mut rotate_time } = superseded;
        // `token` is that of session number `over`, or the superseded one itself.
        let (mut over, mut found, mut last_end) = (0, None::<(usize, Recovery)>, None);
        loop {
            let number = match &found {
                None if over == MAX_RECOVERIES => {
                    let (token, note) = (SplitToken::random(), CookieNote::None);
                    return Ok(Recovery { token, record: None, note, end_time: last_end });
                }
                None if over < MAX_RECOVERIES_IN_TURN => over + 1,
                None => 2 * over,
                Some((number, _)) => over + (number - over) / 2,
            };
            if let Some((_, recovery)) = found.take_if(|_| number == over) {
                return Ok(Recovery { note: call.recovery_note(rotate_time), end_time: last_end, ..recovery });
            }
            let next = (over..number).fold(token, |token, _| token.recovery(&call.app.name));
            let snapshot = self.store.load(&call.session_key(next)).await?;
            match call.recovery_state(next, snapshot, request_id) {
                RecoveryState::Usable(recovery) => found = Some((number, recovery)),
                RecoveryState::Over { rotate_time: time, end_time } => {
                    (over, token, rotate_time) = (number, next, rotate_time.max(time.unwrap_or(rotate_time)));
                    last_end = last_end.max(end_time);
                }
            }
        }
    }
}

impl AppCall<'_> {
    fn recovery_state(
        &self,
        token: SplitToken,
        snapshot: Option<Snapshot>,
        request_id: Option<[u8; 8]>,
    ) -> RecoveryState {
        let usable =
            |token, record| RecoveryState::Usable(Recovery { token, record, note: CookieNote::None, end_time: None });
        let Some(snapshot) = snapshot else { return usable(token, None) };
        let calls = &snapshot.record.head.idempotency;
        if request_id.is_some_and(|request_id| calls.find(&request_id, self.now).is_some()) {
            return usable(token, Some(Box::new(snapshot.record)));
        }
        let end_time = self.end_time(token, Some(&snapshot));
        match self.token_state(token, Some(snapshot)) {
            TokenState::Live { record, token } => usable(token, Some(record)),
            TokenState::Superseded(SupersededToken { rotate_time, .. }, _) => {
                RecoveryState::Over { rotate_time: Some(rotate_time), end_time }
            }
            TokenState::Gone(_) => RecoveryState::Over { rotate_time: None, end_time },
        }
    }

    /// When a call ended the session of this token, or replaced the token; `None`: none has, or the store does not know.
    fn end_time(&self, token: SplitToken, snapshot: Option<&Snapshot>) -> Option<Time> {
        session::end_time(&snapshot?.record.head, token.verifier_hash(&self.app.name), self.now)
    }

    fn recovery_note(&self, rotate_time: Time) -> CookieNote {
        if self.now < rotate_time + COOKIE_DELAY { CookieNote::Keep } else { CookieNote::Set }
    }
}

/// How long after a rotation its cookie may still be on its way to the browser.
const COOKIE_DELAY: Duration = Duration::from_secs(30);

/// How many recovery sessions of a token are looked at one after the other.
const MAX_RECOVERIES_IN_TURN: usize = 8;

/// How many recovery sessions of a token may be over. A power of two; bounds the work of an open.
const MAX_RECOVERIES: usize = 256;
