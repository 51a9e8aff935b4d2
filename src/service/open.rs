//! Opening: which session a request's cookies name.
//!
//! Never adopts an id, never fails for what a browser sent, never takes a silent store for an empty one.

use std::time::Duration;

use tracing::warn;

use super::credential::{PresentedToken, TokenState};
use super::view::CookieAction;
use super::{AppCall, Credential, Error, Header, NullReason, Service, SessionView};
use crate::session::{Context, Head, Record};
use crate::store::{SessionKey, Touch};
use crate::telemetry::LogThrottle;
use crate::token::{SplitToken, is_ticket, sign_token};
use crate::types::Time;

/// Asks for the session of a request.
#[derive(Clone, Debug, Default)]
pub struct OpenRequest<'r> {
    /// The app; empty means `default`.
    pub app: &'r str,
    /// What the request shows.
    pub credential: Credential<'r>,
    /// Another name for the app's cookie.
    pub cookie_name: Option<&'r str>,
    /// Where the request came from, if the frontend tells.
    pub context: Option<Context>,
    /// How long ago the subject may have authenticated to count as recently authenticated; none: nobody asks.
    pub max_authenticate_age: Option<Duration>,
}

/// The session of a request.
#[derive(Clone, Debug)]
pub struct Opened {
    /// The session, with its entries.
    pub session: SessionView,
    /// To send if the request looks at the session and changes nothing.
    pub read_headers: Vec<Header>,
    /// To send if the request never looks at it.
    pub untouched_headers: Vec<Header>,
    /// Whether the subject authenticated less than the asked time ago; no, if it never did or nobody asks.
    pub recently_authenticated: bool,
}

/// A live session, as it was found.
struct LiveSession<'r> {
    session_key: SessionKey,
    record: Box<Record>,
    token: SplitToken,
    /// Its token, if it was shown and the browser can keep it.
    text: Option<&'r str>,
    cookie_action: CookieAction,
}

impl Opened {
    /// No session that lives: `session` stands in for it.
    const fn without_session(session: SessionView, read_headers: Vec<Header>) -> Self {
        Self { session, read_headers, untouched_headers: Vec::new(), recently_authenticated: false }
    }
}

impl LiveSession<'_> {
    /// Whether its subject authenticated less than `max_age` ago; a session that is asked about at that age is too old.
    fn is_recently_authenticated(&self, max_age: Option<Duration>, now: Time) -> bool {
        let times = max_age.zip(self.record.head.authenticate_time);
        times.is_some_and(|(max_age, authenticated)| now < authenticated + max_age)
    }
}

impl Service {
    /// Opens the session that a request's cookies name, or a new one.
    pub async fn open(&self, open: OpenRequest<'_>) -> Result<Opened, Error> {
        open.credential.check()?;
        let app = self.app(open.app)?;
        if !app.has_keys() {
            let session = SessionView::null(NullReason::NoKey);
            return Ok(Opened::without_session(session, Vec::new()));
        }
        if let Some(call) = self.cookie_call(&app, open.cookie_name)? {
            return call.open(&open);
        }
        let call = self.call(&app, open.cookie_name)?;
        let shown = match open.credential {
            Credential::Absent => Vec::new(),
            Credential::CookieHeader(header) => self.shown(&call, header, open.context.as_ref()).await?,
            // A ticket may be shown again: it is no token, and no attempt to be one.
            Credential::Token(text) if text.is_empty() || is_ticket(text) => Vec::new(),
            Credential::Token(text) => call.token(text).into_iter().collect(),
        };
        let (found, superseded) = match self.find(&call, &shown).await {
            Err(Error::CookiesAmbiguous) => return Ok(ambiguous(&call)),
            found => found?,
        };
        match found {
            Some(found) => {
                let recently_authenticated = found.is_recently_authenticated(open.max_authenticate_age, call.now);
                Ok(Opened { recently_authenticated, ..self.opened(&call, found, open.context).await? })
            }
            None => Ok(empty(&call, superseded)),
        }
    }

    /// The one live session among the cookies, and failing that a token that was replaced.
    async fn find<'r>(
        &self,
        call: &AppCall<'_>,
        shown: &[PresentedToken<'r>],
    ) -> Result<(Option<LiveSession<'r>>, Option<SplitToken>), Error> {
        let (mut found, mut superseded): (Option<LiveSession<'r>>, Option<SplitToken>) = (None, None);
        for shown in shown {
            let (session_key, token_state) = self.look(call, shown.token).await?;
            let (record, token) = match token_state {
                TokenState::Live { record, token } => (record, token),
                TokenState::Superseded => {
                    superseded.get_or_insert(shown.token);
                    continue;
                }
                TokenState::Dead(_) => continue,
            };
            let cookie_action = if token == shown.token { shown.cookie_action } else { CookieAction::Set };
            match &found {
                Some(other) if other.session_key != session_key => return Err(Error::CookiesAmbiguous),
                // Of two tokens of one session the one that the browser can keep.
                Some(other) if other.cookie_action == CookieAction::Keep => {}
                _ => {
                    let text = shown.text.filter(|_| cookie_action == CookieAction::Keep);
                    found = Some(LiveSession { session_key, record, token, text, cookie_action });
                }
            }
        }
        Ok((found, superseded))
    }

    async fn opened(
        &self,
        call: &AppCall<'_>,
        found: LiveSession<'_>,
        context: Option<Context>,
    ) -> Result<Opened, Error> {
        let LiveSession { session_key, record, token, text, cookie_action } = found;
        let Record { head, entries } = *record;
        self.stats.opened(&call.app.name);
        self.touch_if_due(call, &session_key, &head, context).await;

        // A token has one spelling: signing it again, which takes as long as checking it, would give the same.
        let token = text.map_or_else(|| sign_token(call.keys, &call.app.name, token), str::to_owned);
        let session = SessionView { token, entries, ..call.view(session_key.id, &head, None) };
        let refresh = call.app.should_set_cookie(false, session.permanent == Some(true));
        let cookie_action = if refresh { CookieAction::Set } else { cookie_action };
        let read_headers = call.headers(&session, cookie_action, true)?;
        let untouched_headers = call.headers(&session, cookie_action, false)?;
        Ok(Opened { session, read_headers, untouched_headers, recently_authenticated: false })
    }

    /// Writes down that a session is used, if that is due. A failure costs at most one threshold of its life.
    pub(super) async fn touch_if_due(
        &self,
        call: &AppCall<'_>,
        session_key: &SessionKey,
        head: &Head,
        context: Option<Context>,
    ) {
        if head.touch_is_due(call.now) {
            // In a box, because nineteen of twenty opens have nothing of so large a future.
            Box::pin(self.touch(call, session_key, head, context)).await;
        }
    }

    async fn touch(&self, call: &AppCall<'_>, session_key: &SessionKey, head: &Head, context: Option<Context>) {
        let touch = Touch { verifier_hash: head.verifier_hash, used: call.now, context };
        if let Err(error) = self.store.touch(session_key, &touch).await
            && let Some(uses) = FAILED_TOUCHES.count()
        {
            warn!(error = &error as &dyn std::error::Error, uses, session.id = %session_key.id, "could not write down a use");
        }
    }
}

/// No session: a new one with a ticket, or one that keeps a dead token, so that a write with it is GONE
/// instead of a second session whose cookie would overwrite the first one's. Its id is never that of the
/// session that lives: an app may keep things by it.
fn empty(call: &AppCall<'_>, superseded: Option<SplitToken>) -> Opened {
    let new = call.new_view(SplitToken::random());
    let session = match superseded {
        None => new,
        Some(dead) => SessionView { token: sign_token(call.keys, &call.app.name, dead), ..new },
    };
    Opened::without_session(session, vec![Header::vary()])
}

fn ambiguous(call: &AppCall<'_>) -> Opened {
    call.stats.suspicious(&call.app.name);
    warn!(app = %call.app.name, "a request's cookies name two live sessions; one may have been planted");
    Opened::without_session(SessionView::null(NullReason::CookiesAmbiguous), vec![Header::vary()])
}

/// Uses that could not be written down: a Redis that is full still reads, so every open meets it.
static FAILED_TOUCHES: LogThrottle = LogThrottle::new();
