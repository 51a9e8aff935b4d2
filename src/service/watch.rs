//! Watching: how long a token opens its session, and why no longer.
//!
//! A watch is no use of its session. It looks at the store when it begins and when the hub rings, and at no other
//! time; so it never says anything that an open at that moment would not.

use std::time::Duration;

use tracing::debug;

use super::credential::TokenState;
use super::watch_registry::Subscription;
use super::{Credential, Error, Service};
use crate::session::{EndReason, Head};
use crate::store::{self, SessionKey};
use crate::token::SplitToken;
use crate::types::Time;

/// Asks for the end of the session of a request.
#[derive(Clone, Debug, Default)]
pub struct WatchRequest<'r> {
    /// The app; empty means `default`.
    pub app: &'r str,
    /// What the request shows.
    pub credential: Credential<'r>,
    /// Another name for the app's cookie.
    pub cookie_name: Option<&'r str>,
}

/// What a watch finds when it begins.
#[derive(Debug)]
pub enum WatchStart {
    /// The token opens its session.
    Alive(Box<SessionWatch>),
    /// It does not. Without a reason: there is no such session, or it ended too long ago to know.
    Ended(Option<EndReason>),
}

/// A watch that goes on. Dropping it ends it.
#[derive(Debug)]
pub struct SessionWatch {
    service: Service,
    session_key: SessionKey,
    token: SplitToken,
    subscription: Subscription,
    expire_time: Time,
}

/// What one look at the store says.
enum Look {
    Alive { until: Time },
    Ended(Option<EndReason>),
}

impl Service {
    /// Begins to watch the session that a request shows.
    pub async fn watch(&self, watch: WatchRequest<'_>) -> Result<WatchStart, Error> {
        watch.credential.check()?;
        let app = self.stored_app(watch.app, "WatchSession")?;
        let call = self.call(&app, watch.cookie_name)?;
        let Some(claim) = self.claim(&call, watch.credential).await? else { return Ok(WatchStart::Ended(None)) };
        let session_key = call.session_key(claim.token);
        // The seat first, then the look: what happens between the two rings.
        let subscription =
            self.watch_registry.subscription(&self.store, &self.clock, &session_key).ok_or(Error::TooManyWatchers)?;
        let mut watching = SessionWatch {
            service: self.clone(),
            session_key,
            token: claim.token,
            subscription,
            expire_time: Time::MAX,
        };
        Ok(match watching.look().await? {
            Look::Ended(reason) => WatchStart::Ended(reason),
            Look::Alive { until } => {
                watching.expire_time = until;
                watching.subscription.notify_at(until);
                WatchStart::Alive(Box::new(watching))
            }
        })
    }
}

impl SessionWatch {
    /// When the token stopped to open its session if that was not used, as it stood when the watch began.
    pub const fn expire_time(&self) -> Time {
        self.expire_time
    }

    /// Waits until the token opens its session no longer, and says why.
    ///
    /// A store that does not answer is asked again.
    pub async fn ended(mut self) -> Result<Option<EndReason>, Error> {
        loop {
            self.subscription.notified().await;
            self.subscription.ensure_poller(&self.service.store, &self.service.clock, &self.session_key.app);
            let looked = {
                let _turn = self.subscription.permit().await;
                self.look().await
            };
            match looked {
                Ok(Look::Ended(reason)) => return Ok(reason),
                Ok(Look::Alive { until }) => self.subscription.notify_at(until),
                Err(Error::Store(store::Error::Unavailable(source))) => {
                    debug!(error = &*source as &dyn std::error::Error, session.id = %self.session_key.id, "a watch waits");
                    tokio::time::sleep(RETRY).await;
                    self.subscription.notify();
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn look(&self) -> Result<Look, Error> {
        let Self { service, session_key, token: shown, .. } = self;
        // Before the load, so that the deadline is not judged on a later clock than the one it is waited for with.
        let app = service.app(session_key.app.as_str())?;
        let call = service.call(&app, None)?;
        let snapshot = service.store.load(session_key).await?;
        Ok(match call.token_state(*shown, snapshot) {
            TokenState::Live { record, token } => Look::Alive { until: until(&record.head, token == *shown) },
            TokenState::Superseded => Look::Ended(Some(EndReason::Superseded)),
            TokenState::Dead(reason) => Look::Ended(reason),
        })
    }
}

/// When a token stops to open its session: with it, or with the grace of the token's own renewal.
fn until(head: &Head, is_current: bool) -> Time {
    let expire_time = head.expire_time(head.access_time);
    let grace_end = head.previous.as_ref().filter(|_| !is_current).map(|previous| previous.grace_end());
    grace_end.map_or(expire_time, |grace_end| grace_end.min(expire_time))
}

/// How long a watch that found the store silent leaves it alone.
const RETRY: Duration = Duration::from_millis(500);
