//! Watching: reports when and why a token no longer opens its session.
//!
//! A watch is no use of its session. It loads the session when it begins and when the watch registry notifies it, and
//! at no other time. So it never reports anything that an open at that moment would not find.

use std::time::Duration;

use tracing::debug;

use super::credential::TokenState;
use super::watch_registry::Subscription;
use super::{Credential, Error, Service};
use crate::cookie::CookieChanges;
use crate::session::{EndReason, Head};
use crate::store::{self, SessionKey};
use crate::token::SplitToken;
use crate::types::Time;

/// A request to watch the session that a credential names.
#[derive(Clone, Debug, Default)]
pub struct WatchRequest<'r> {
    /// The app's name; empty means `default`.
    pub app: &'r str,
    pub credential: Credential<'r>,
    /// Overrides the name of the app's cookie.
    pub cookie_name: Option<&'r str>,
}

/// The state that a watch finds when it begins.
#[derive(Debug)]
pub enum WatchStart {
    /// The token opens its session.
    Alive(Box<SessionWatch>),
    /// It does not. Without a reason: there is no such session, or the store does not remember its end.
    Ended(Option<EndReason>),
}

/// A running watch. Dropping it ends it.
#[derive(Debug)]
pub struct SessionWatch {
    service: Service,
    session_key: SessionKey,
    token: SplitToken,
    subscription: Subscription,
    expire_time: Time,
}

/// The state that a load of the watched session finds.
enum Check {
    Alive { until: Time },
    Ended(Option<EndReason>),
}

impl Service {
    /// Begins to watch the session that a request's credential names.
    ///
    /// Fails without a credential, with a token that does not verify, in an app of kind `cookie`, with
    /// [`Error::TooManyWatchers`] beyond 10,000 watchers of an app, and if the store does not answer.
    pub async fn watch(&self, watch: WatchRequest<'_>) -> Result<WatchStart, Error> {
        let app = self.stored_app(watch.app, "WatchSession")?;
        watch.credential.check(&app)?;
        let call = self.begin_call(&app, CookieChanges::named(watch.cookie_name))?;
        let Some(credential) = self.resolve_credential(&call, watch.credential, "").await? else {
            return Ok(WatchStart::Ended(None));
        };
        let session_key = call.session_key(credential.token);
        // It subscribes before the first check, so that it is notified of a change between the two.
        let subscription =
            self.watch_registry.subscribe(&self.store, &self.clock, &session_key).ok_or(Error::TooManyWatchers)?;
        let mut watch = SessionWatch {
            service: self.clone(),
            session_key,
            token: credential.token,
            subscription,
            expire_time: Time::MAX,
        };
        Ok(match watch.check().await? {
            Check::Ended(reason) => WatchStart::Ended(reason),
            Check::Alive { until } => {
                watch.expire_time = until;
                watch.subscription.notify_at(until);
                WatchStart::Alive(Box::new(watch))
            }
        })
    }
}

impl SessionWatch {
    /// Returns when the token no longer opens its session if the session is not used again, as of the watch's begin.
    pub const fn expire_time(&self) -> Time {
        self.expire_time
    }

    /// Waits until the token no longer opens its session. Returns the reason, if the store remembers it.
    ///
    /// While the store does not answer, it tries again every half second. Fails if the app is removed or loses its
    /// keys, and if the record in the store is corrupt.
    pub async fn ended(mut self) -> Result<Option<EndReason>, Error> {
        loop {
            self.subscription.notified().await;
            self.subscription.ensure_poller(&self.service.store, &self.service.clock, &self.session_key.app);
            let checked = {
                let node = self.service.store.node_number(&self.session_key);
                let _permit = self.subscription.acquire_permit(node).await;
                self.check().await
            };
            match checked {
                Ok(Check::Ended(reason)) => return Ok(reason),
                Ok(Check::Alive { until }) => self.subscription.notify_at(until),
                Err(Error::Store(store::Error::Unavailable(source) | store::Error::Refused(source))) => {
                    debug!(error = &*source as &dyn std::error::Error, session.id = %self.session_key.id, "a watch waits");
                    tokio::time::sleep(RETRY_DELAY).await;
                    self.subscription.notify();
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn check(&self) -> Result<Check, Error> {
        let Self { service, session_key, token: watched, .. } = self;
        // The call reads the clock before the load, so that a deadline is not judged by a later time.
        let app = service.app(session_key.app.as_str())?;
        let call = service.begin_call(&app, CookieChanges::default())?;
        let snapshot = service.store.load(session_key).await?;
        Ok(match call.token_state(*watched, snapshot) {
            TokenState::Live { record, token } => Check::Alive { until: until(&record.head, token == *watched) },
            TokenState::Superseded(_, reason) => Check::Ended(Some(reason)),
            TokenState::Gone(reason) => Check::Ended(reason),
        })
    }
}

/// When a token no longer opens its session: at the session's end, or at the end of the token's grace.
fn until(head: &Head, is_current: bool) -> Time {
    let expire_time = head.expire_time(head.access_time);
    let grace_end = head.previous.as_ref().filter(|_| !is_current).map(|previous| previous.grace_end());
    grace_end.map_or(expire_time, |grace_end| grace_end.min(expire_time))
}

/// How long a watch waits after the store did not answer.
const RETRY_DELAY: Duration = Duration::from_millis(500);
