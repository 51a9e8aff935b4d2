//! Opening: finds the session that a request's cookies name.
//!
//! An open never adopts an id that a browser made up, never fails because of what a browser sent, and never takes a
//! store that does not answer for an empty one.

use std::time::Duration;

use tracing::warn;

use super::call_counts::Found;
use super::credential::{PresentedToken, TokenState};
use super::headers::CookieAction;
use super::recovery::{Recovery, UserRequest};
use super::{AppCall, Credential, Error, Header, NullReason, Service, SessionView};
use crate::cookie::CookieChanges;
use crate::session::{EndReason, Entries, Head, Record, RequestContext};
use crate::store::{SessionKey, Touch};
use crate::telemetry::LogThrottle;
use crate::token::{CookieNote, SplitToken, is_ticket};
use crate::types::Time;

/// A request for the session that a browser's cookies name.
#[derive(Clone, Debug, Default)]
pub struct OpenRequest<'r> {
    /// The app's name; empty means `default`.
    pub app: &'r str,
    pub credential: Credential<'r>,
    /// The changes of the request to the app's cookie.
    pub cookie: CookieChanges<'r>,
    /// Where the request came from; `None`: the frontend did not say.
    pub context: Option<RequestContext>,
    /// The age below which an authentication counts as recent; `None`: the frontend does not ask.
    pub max_authenticate_age: Option<Duration>,
    /// Whether the open is only a look: no use of the session.
    pub no_touch: bool,
    /// How long ago the frontend received the request. If the session of a Cookie header has ended since, by a call, a
    /// save to the new session sets no cookie but for a login. `None`: it does.
    pub request_age: Option<Duration>,
}

impl OpenRequest<'_> {
    /// When the frontend received the request, if its session is that of a cookie; `None`: it did not say.
    fn receive_time(&self, now: Time) -> Option<Time> {
        match self.credential {
            Credential::CookieHeader(_) => self.request_age.map(|age| now.before(age)),
            Credential::Absent | Credential::Token(_) | Credential::Key(_) => None,
        }
    }
}

/// The response to an open.
#[derive(Clone, Debug)]
pub struct Opened {
    /// The session, a new one, or a null session.
    pub session: SessionView,
    pub entries: Entries,
    /// The headers for a response to a request that reads the session and changes nothing.
    pub read_headers: Vec<Header>,
    /// The headers for a response to a request that never looks at the session.
    pub untouched_headers: Vec<Header>,
    /// Whether the browser has another credential of this session than `session.token`, which the response replaces.
    pub cookie_outdated: bool,
    /// Whether the subject authenticated less than `max_authenticate_age` ago; `false` without either.
    pub recently_authenticated: bool,
    /// Why the session of the key has ended, in an app of kind `external`.
    pub end_reason: Option<EndReason>,
}

/// The sessions that the store has for the tokens of a request.
enum SessionLookup<'r> {
    Live(LiveSession<'r>),
    /// No session lives. The request gets a new one, with this token and note.
    New(SplitToken, CookieNote),
    /// Two sessions live.
    Ambiguous,
}

/// A live session, as it was found.
pub(super) struct LiveSession<'r> {
    pub(super) session_key: SessionKey,
    pub(super) record: Box<Record>,
    pub(super) token: SplitToken,
    /// The text of the token, if the browser has it.
    pub(super) text: Option<&'r str>,
    pub(super) note: CookieNote,
}

impl Opened {
    /// The response without a live session: a new or a null session instead.
    pub(super) fn without_live_session(session: SessionView, read_headers: Vec<Header>) -> Self {
        Self {
            session,
            entries: Entries::default(),
            read_headers,
            untouched_headers: Vec::new(),
            cookie_outdated: false,
            recently_authenticated: false,
            end_reason: None,
        }
    }
}

impl Service {
    /// Opens the session that a request's cookies name, or a new one.
    ///
    /// Without a live session it answers a new one with a ticket, and writes nothing. After a superseded token it is
    /// the recovery session, which may be stored already. If a call has ended the session within `request_age`, only a login
    /// in the new one sets a cookie, for the browser may hold that of a later login by now. An app without keys, or cookies
    /// that name two live sessions, get a null session. So does a key whose session has ended, for the service cannot give
    /// the request another one.
    ///
    /// Fails if the app is unknown, the credential of another kind of app, the header longer than 1 MiB, the cookie name
    /// invalid, or if the store does not answer.
    pub async fn open(&self, open: OpenRequest<'_>) -> Result<Opened, Error> {
        let app = self.app(open.app)?;
        open.credential.check(&app)?;
        if !app.has_keys() {
            self.stats.count_null_open(&app.name);
            let session = SessionView::null(NullReason::NoKey);
            return Ok(Opened::without_live_session(session, Vec::new()));
        }
        if let Some(call) = self.begin_cookie_call(&app, open.cookie)? {
            return call.open(&open);
        }
        let call = self.begin_call(&app, open.cookie)?;
        let tokens = match open.credential {
            Credential::Absent => Vec::new(),
            Credential::CookieHeader(header) => self.read_cookie_header(&call, header, open.context.as_ref()).await?,
            // A ticket may be presented again. It is no token, and no failed attempt at one.
            Credential::Token(text) if text.is_empty() || is_ticket(text) => Vec::new(),
            Credential::Token(text) => call.verify_or_count(text).into_iter().collect(),
            // In a box, because an app whose cookies the service makes never does this.
            Credential::Key(key) => return Box::pin(self.open_key(&call, key, open)).await,
        };
        let request = UserRequest { request_id: None, receive_time: open.receive_time(call.now) };
        let found = self.find_session(&call, &tokens, request).await?;
        self.stats.count_open(&app.name, &call.finding);
        match found {
            SessionLookup::Live(session) => self.open_live(&call, session, open).await,
            SessionLookup::New(token, note) => {
                Ok(Opened::without_live_session(call.new_view(token, note), vec![Header::vary()]))
            }
            SessionLookup::Ambiguous => {
                self.stats.count_ambiguous_cookies(&app.name);
                warn!(app = %app.name, "a request's cookies name two live sessions; one may have been planted");
                let session = SessionView::null(NullReason::CookiesAmbiguous);
                Ok(Opened::without_live_session(session, vec![Header::vary()]))
            }
        }
    }

    /// Finds the one live session of the tokens, and without one the recovery session of a superseded token.
    async fn find_session<'r>(
        &self,
        call: &AppCall<'_>,
        tokens: &[PresentedToken<'r>],
        request: UserRequest,
    ) -> Result<SessionLookup<'r>, Error> {
        let (mut live, mut superseded): (Option<LiveSession<'r>>, _) = (None, Vec::new());
        for presented in tokens {
            let session_key = call.session_key(presented.token);
            let snapshot = self.store.load(&session_key).await?;
            let (record, token) = match call.token_state(presented.token, snapshot) {
                TokenState::Live { record, token } => (record, token),
                TokenState::Superseded(token, reason) => {
                    call.finding.note(Found::ended(Some(reason)));
                    superseded.push(token);
                    continue;
                }
                TokenState::Gone(reason) => {
                    call.finding.note(Found::ended(reason));
                    continue;
                }
            };
            call.finding.note(Found::Live);
            let note = if token == presented.token { presented.note } else { CookieNote::Set };
            match &live {
                Some(other) if other.session_key != session_key => {
                    call.finding.note(Found::Ambiguous);
                    return Ok(SessionLookup::Ambiguous);
                }
                // Of two tokens of one session, the one that the browser can keep.
                Some(other) if other.note == CookieNote::None => {}
                _ => {
                    let text = presented.text.filter(|_| note == CookieNote::None);
                    live = Some(LiveSession { session_key, record, token, text, note });
                }
            }
        }
        if let Some(session) = live {
            return Ok(SessionLookup::Live(session));
        }
        // In a box, because nearly no open does this.
        let is_overtaken = request.receive_time.is_some_and(|received| received < call.now)
            && Box::pin(self.is_overtaken(call, tokens, request)).await?;
        let mut new = None;
        for superseded in superseded {
            // In a box, because nearly no open does this.
            let Recovery { token, record, note, end_time } =
                Box::pin(self.find_recovery(call, superseded, None)).await?;
            let note = if is_overtaken || request.is_overtaken(end_time) { CookieNote::Keep } else { note };
            if let Some(record) = record {
                let session_key = call.session_key(token);
                return Ok(SessionLookup::Live(LiveSession { session_key, record, token, text: None, note }));
            }
            new.get_or_insert((token, note));
        }
        let (token, note) = new.unwrap_or_else(|| {
            let note = if is_overtaken { CookieNote::Keep } else { CookieNote::None };
            (SplitToken::random(), note)
        });
        Ok(SessionLookup::New(token, note))
    }

    pub(super) async fn open_live(
        &self,
        call: &AppCall<'_>,
        session: LiveSession<'_>,
        open: OpenRequest<'_>,
    ) -> Result<Opened, Error> {
        let LiveSession { session_key, record, token, text, note } = session;
        let Record { head, entries } = *record;
        self.stats.count_opened(&call.app.name);
        let used = if open.no_touch { head.access_time } else { call.now };
        if !open.no_touch && head.touch_is_due(call.now) {
            self.touch(call, &session_key, &head, open.context).await;
        }

        // A token has one spelling: signing it again, which takes as long as checking it, would give the same.
        let token = match text {
            Some(text) => text.to_owned(),
            // No header sets it, so it can have the note.
            None if note == CookieNote::Keep => call.sign(token, note),
            None => call.sign(token, CookieNote::None),
        };
        let session = call.view(session_key.id, &head, token, used);
        let refresh = call.app.should_set_cookie(false, session.permanent == Some(true));
        let cookie_action = match note {
            CookieNote::Keep => CookieAction::Keep,
            CookieNote::None if !refresh => CookieAction::Keep,
            CookieNote::None | CookieNote::Set => CookieAction::Set,
        };
        let authentication = open.max_authenticate_age.zip(head.authenticate_time);
        Ok(Opened {
            read_headers: call.headers(&session, cookie_action, true)?,
            untouched_headers: call.headers(&session, cookie_action, false)?,
            cookie_outdated: note == CookieNote::Set,
            recently_authenticated: authentication.is_some_and(|(max_age, time)| call.now < time + max_age),
            end_reason: None,
            session,
            entries,
        })
    }

    /// Records a use of the session that is due.
    ///
    /// A failure is logged, no more: the session only ends earlier by at most the time between two touches.
    pub(super) async fn touch(
        &self,
        call: &AppCall<'_>,
        session_key: &SessionKey,
        head: &Head,
        context: Option<RequestContext>,
    ) {
        let touch = Touch { verifier_hash: head.verifier_hash, used: call.now, context };
        // In a box, because nineteen of twenty opens do not need so large a future.
        if let Err(error) = Box::pin(self.store.touch(session_key, &touch)).await
            && let Some(uses) = FAILED_TOUCHES.count()
        {
            warn!(error = &error as &dyn std::error::Error, uses, session.id = %session_key.id, "could not store a touch");
        }
    }
}

/// Limits the log lines about touches that failed: a full Redis can still read, so every open meets the failure.
static FAILED_TOUCHES: LogThrottle = LogThrottle::new();
