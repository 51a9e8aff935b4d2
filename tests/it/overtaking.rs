//! Calls that another one overtakes between their two steps.

use std::sync::{Arc, Mutex};

use cloakroom::app::Apps;
use cloakroom::service::{Credential, Outcome, RotateRequest, RotationCause, SaveRequest, Service};
use cloakroom::session::{Changes, EndReason, Precondition, Record, Value};
use cloakroom::store::{
    Applied, Created, Cursor, Error, Feed, FeedRead, Index, IndexEntry, Memory, Page, Revocation, SessionKey, Snapshot,
    Store, SubjectRef, Touch, Write,
};
use cloakroom::token::SessionId;
use cloakroom::types::{AppName, ManualClock, Time};

use crate::support::app_settings;

/// A store in which this token is replaced right before the next look.
struct Overtaken {
    store: Arc<Memory>,
    login: Mutex<Option<(Service<Memory>, String)>>,
}

#[tokio::test]
async fn a_renewal_that_a_login_overtakes_gives_no_dead_cookie() {
    let apps = || Apps::from_iter([app_settings().build("default").unwrap()]);
    let (apps, store, clock) = (apps(), Arc::new(Memory::new()), Arc::new(ManualClock::new(Time::from_millis(1))));
    let service = Service::new(apps.clone(), Arc::clone(&store), clock.clone());
    let old = stored(&service).await;
    let next = service.rotate(renewal(&old)).await.unwrap().session.unwrap().token;
    let overtaken = Overtaken { store, login: Mutex::new(Some((service, next))) };

    let renewed = Service::new(apps, Arc::new(overtaken), clock).rotate(renewal(&old)).await.unwrap();

    assert_eq!(renewed.outcome, Outcome::Gone(Some(EndReason::Superseded)));
    assert!(renewed.session.is_none() && renewed.headers.is_empty());
}

async fn stored(service: &Service<Memory>) -> String {
    let ticket = service.open(Default::default()).await.unwrap().session.token;
    let set = [("a".to_owned(), Value::counter(1))].into();
    let changes = Some(Changes { set, ..Default::default() });
    let saved =
        service.save(SaveRequest { credential: Credential::Token(&ticket), changes, ..Default::default() }).await;
    saved.unwrap().session.unwrap().token
}

fn renewal(token: &str) -> RotateRequest<'_> {
    RotateRequest { credential: Credential::Token(token), cause: RotationCause::Renewal, ..Default::default() }
}

impl Store for Overtaken {
    async fn load(&self, place: &SessionKey) -> Result<Option<Snapshot>, Error> {
        let login = self.login.lock().unwrap().take();
        if let Some((service, token)) = login {
            let credential = Credential::Token(&token);
            service.rotate(RotateRequest { credential, ..Default::default() }).await.unwrap();
        }
        self.store.load(place).await
    }

    async fn create(&self, place: &SessionKey, record: &Record) -> Result<Created, Error> {
        self.store.create(place, record).await
    }

    async fn apply(&self, place: &SessionKey, precondition: &Precondition, write: &Write) -> Result<Applied, Error> {
        self.store.apply(place, precondition, write).await
    }

    async fn touch(&self, place: &SessionKey, touch: &Touch) -> Result<(), Error> {
        self.store.touch(place, touch).await
    }

    async fn revoke_app(&self, app: &AppName, now: Time) -> Result<(), Error> {
        self.store.revoke_app(app, now).await
    }

    async fn scan(&self, app: &AppName, from: &Cursor, limit: usize) -> Result<Page, Error> {
        self.store.scan(app, from, limit).await
    }

    async fn sweep(&self, now: Time) -> Result<usize, Error> {
        self.store.sweep(now).await
    }

    async fn ping(&self) -> Result<(), Error> {
        self.store.ping().await
    }
}

impl Index for Overtaken {
    async fn enter(&self, owner: &SubjectRef, entry: &IndexEntry) -> Result<Vec<IndexEntry>, Error> {
        self.store.enter(owner, entry).await
    }

    async fn leave(&self, owner: &SubjectRef, entry: &IndexEntry) -> Result<(), Error> {
        self.store.leave(owner, entry).await
    }

    async fn forget(&self, owner: &SubjectRef, id: SessionId) -> Result<(), Error> {
        self.store.forget(owner, id).await
    }

    async fn entries(&self, owner: &SubjectRef) -> Result<Vec<IndexEntry>, Error> {
        self.store.entries(owner).await
    }

    async fn revoke(&self, owner: &SubjectRef, revocation: &Revocation) -> Result<(), Error> {
        self.store.revoke(owner, revocation).await
    }

    async fn revocation(&self, owner: &SubjectRef) -> Result<Option<Revocation>, Error> {
        self.store.revocation(owner).await
    }
}

impl Feed for Overtaken {
    async fn latest(&self, app: &AppName) -> Result<Cursor, Error> {
        self.store.latest(app).await
    }

    async fn since(&self, app: &AppName, cursor: &Cursor) -> Result<FeedRead, Error> {
        self.store.since(app, cursor).await
    }
}
