//! Apps of kind `external`: their framework makes the id of a session, as a key, and the cookie.
//!
//! A key differs from a token in what an open finds where no session lives; all else is as for a ticket. Nothing here
//! signs or sets anything.

use super::call_counts::Found;
use super::credential::TokenState;
use super::open::LiveSession;
use super::{AppCall, Error, NullReason, OpenRequest, Opened, Service, SessionView};
use crate::token::{CookieNote, SplitToken};

impl Service {
    /// Opens the session of a key, a new one that the first save stores, or a null session after the end of its session.
    pub(super) async fn open_key(
        &self,
        call: &AppCall<'_>,
        key: &[u8],
        open: OpenRequest<'_>,
    ) -> Result<Opened, Error> {
        let token = SplitToken::of_key(&call.app.name, key);
        let session_key = call.session_key(token);
        let state = call.token_state(token, self.store.load(&session_key).await?);
        match &state {
            TokenState::Live { .. } => call.finding.note(Found::Live),
            // Every new session begins with such a key.
            TokenState::Gone(None) => {}
            TokenState::Gone(reason) => call.finding.note(Found::ended(*reason)),
            TokenState::Superseded(_, reason) => call.finding.note(Found::ended(Some(*reason))),
        }
        self.stats.count_open(&call.app.name, &call.finding);
        match state {
            TokenState::Live { record, token } => {
                let session = LiveSession { session_key, record, token, text: None, note: CookieNote::None };
                self.open_live(call, session, open).await
            }
            TokenState::Gone(None) => {
                Ok(Opened::without_live_session(call.new_view(token, CookieNote::None), Vec::new()))
            }
            TokenState::Gone(Some(reason)) | TokenState::Superseded(_, reason) => {
                let opened = Opened::without_live_session(SessionView::null(NullReason::Gone), Vec::new());
                Ok(Opened { end_reason: Some(reason), ..opened })
            }
        }
    }
}
