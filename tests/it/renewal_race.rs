//! A renewal during which a login replaces the token again.

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

/// A store that runs a login before its next load.
struct LoginBeforeLoad {
    store: Arc<Memory>,
    login: Mutex<Option<(Service<Memory>, String)>>,
}

#[tokio::test]
async fn a_renewal_during_a_login_sets_no_superseded_cookie() {
    let apps = || Apps::from_iter([app_settings().build("default").unwrap()]);
    let (apps, store, clock) = (apps(), Arc::new(Memory::new()), Arc::new(ManualClock::new(Time::from_millis(1))));
    let service = Service::new(apps.clone(), Arc::clone(&store), clock.clone());
    let old = stored(&service).await;
    let next = service.rotate(renewal(&old)).await.unwrap().session.unwrap().token;
    let store = LoginBeforeLoad { store, login: Mutex::new(Some((service, next))) };

    let renewed = Service::new(apps, Arc::new(store), clock).rotate(renewal(&old)).await.unwrap();

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

impl Store for LoginBeforeLoad {
    async fn load(&self, key: &SessionKey) -> Result<Option<Snapshot>, Error> {
        let login = self.login.lock().unwrap().take();
        if let Some((service, token)) = login {
            let credential = Credential::Token(&token);
            service.rotate(RotateRequest { credential, ..Default::default() }).await.unwrap();
        }
        self.store.load(key).await
    }

    async fn create(&self, key: &SessionKey, record: &Record) -> Result<Created, Error> {
        self.store.create(key, record).await
    }

    async fn apply(&self, key: &SessionKey, precondition: &Precondition, write: &Write) -> Result<Applied, Error> {
        self.store.apply(key, precondition, write).await
    }

    async fn touch(&self, key: &SessionKey, touch: &Touch) -> Result<(), Error> {
        self.store.touch(key, touch).await
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

impl Index for LoginBeforeLoad {
    async fn enter(&self, subject: &SubjectRef, entry: &IndexEntry) -> Result<Vec<IndexEntry>, Error> {
        self.store.enter(subject, entry).await
    }

    async fn leave(&self, subject: &SubjectRef, entry: &IndexEntry) -> Result<(), Error> {
        self.store.leave(subject, entry).await
    }

    async fn forget(&self, subject: &SubjectRef, id: SessionId) -> Result<(), Error> {
        self.store.forget(subject, id).await
    }

    async fn entries(&self, subject: &SubjectRef) -> Result<Vec<IndexEntry>, Error> {
        self.store.entries(subject).await
    }

    async fn revoke(&self, subject: &SubjectRef, revocation: &Revocation) -> Result<(), Error> {
        self.store.revoke(subject, revocation).await
    }

    async fn revocation(&self, subject: &SubjectRef) -> Result<Option<Revocation>, Error> {
        self.store.revocation(subject).await
    }
}

impl Feed for LoginBeforeLoad {
    async fn latest(&self, app: &AppName) -> Result<Cursor, Error> {
        self.store.latest(app).await
    }

    async fn since(&self, app: &AppName, cursor: &Cursor) -> Result<FeedRead, Error> {
        self.store.since(app, cursor).await
    }
}
