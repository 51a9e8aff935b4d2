//! Watching: how long a token opens its session, and why no longer.
//!
//! A watch is no use of its session. It looks at the store when it begins and when the hub rings, and at no other
//! time; so it never says anything that an open at that moment would not.

use std::time::Duration;

use tracing::debug;

use super::claim::Standing;
use super::hub::Seat;
use super::{Credential, Error, Service};
use crate::clock::Time;
use crate::session::{EndReason, Head};
use crate::store::{self, Place, Store};
use crate::token::Bearer;

/// Asks for the end of the session of a request.
#[derive(Clone, Debug, Default)]
pub struct Watch<'r> {
    /// The app; empty means `default`.
    pub app: &'r str,
    /// What the request shows.
    pub credential: Credential<'r>,
    /// Another name for the app's cookie.
    pub cookie_name: Option<&'r str>,
}

/// What a watch finds when it begins.
#[derive(Debug)]
pub enum Watched<S: Store> {
    /// The token opens its session.
    Alive(Box<Watching<S>>),
    /// It does not. Without a reason: there is no such session, or it ended too long ago to know.
    Ended(Option<EndReason>),
}

/// A watch that goes on. Dropping it ends it.
#[derive(Debug)]
pub struct Watching<S: Store> {
    service: Service<S>,
    place: Place,
    bearer: Bearer,
    seat: Seat,
    expire_time: Time,
}

/// What one look at the store says.
enum Look {
    Alive { until: Time },
    Ended(Option<EndReason>),
}

impl<S: Store> Service<S> {
    /// Begins to watch the session that a request shows.
    pub async fn watch(&self, watch: Watch<'_>) -> Result<Watched<S>, Error> {
        watch.credential.check()?;
        let app = self.stored_app(watch.app, "WatchSession")?;
        let call = self.call(&app, watch.cookie_name)?;
        let Some(claim) = self.claim(&call, watch.credential).await? else { return Ok(Watched::Ended(None)) };
        let place = call.place(claim.bearer);
        // The seat first, then the look: what happens between the two rings.
        let seat = self.hub.seat(&self.store, &self.clock, &place).ok_or(Error::TooManyWatchers)?;
        let mut watching =
            Watching { service: self.clone(), place, bearer: claim.bearer, seat, expire_time: Time::MAX };
        Ok(match watching.look().await? {
            Look::Ended(reason) => Watched::Ended(reason),
            Look::Alive { until } => {
                watching.expire_time = until;
                watching.seat.expect(until);
                Watched::Alive(Box::new(watching))
            }
        })
    }
}

impl<S: Store> Watching<S> {
    /// When the token stopped to open its session if that was not used, as it stood when the watch began.
    pub const fn expire_time(&self) -> Time {
        self.expire_time
    }

    /// Waits until the token opens its session no longer, and says why.
    ///
    /// A store that does not answer is asked again.
    pub async fn ended(mut self) -> Result<Option<EndReason>, Error> {
        loop {
            self.seat.rung().await;
            self.seat.be_attended(&self.service.store, &self.service.clock, &self.place.app);
            let looked = {
                let _turn = self.seat.turn().await;
                self.look().await
            };
            match looked {
                Ok(Look::Ended(reason)) => return Ok(reason),
                Ok(Look::Alive { until }) => self.seat.expect(until),
                Err(Error::Store(store::Error::Unavailable(source))) => {
                    debug!(error = &*source as &dyn std::error::Error, session.id = %self.place.id, "a watch waits");
                    tokio::time::sleep(RETRY).await;
                    self.seat.ring();
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn look(&self) -> Result<Look, Error> {
        let Self { service, place, bearer: shown, .. } = self;
        // Before the load, so that the deadline is not judged on a later clock than the one it is waited for with.
        let app = service.app(place.app.as_str())?;
        let call = service.call(&app, None)?;
        let kept = service.store.load(place).await?;
        Ok(match call.standing(*shown, kept) {
            Standing::Live { record, bearer } => Look::Alive { until: until(&record.head, bearer == *shown) },
            Standing::Superseded => Look::Ended(Some(EndReason::Superseded)),
            Standing::Dead(reason) => Look::Ended(reason),
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
