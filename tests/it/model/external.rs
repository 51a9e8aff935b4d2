//! The same model for an app of kind `external`: random steps by keys, each response compared.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use cloakroom::app::{self, Apps};
use cloakroom::service::{
    Credential, DestroyRequest, NullReason, OpenRequest, Opened, Outcome, SaveRequest, Service, WithEntries,
};
use cloakroom::session::{EndReason, Subject, Version, WriteEffect};
use cloakroom::store::{Cursor, IntoHandle, SessionKey};
use cloakroom::token::SessionId;
use cloakroom::types::{Clock, ManualClock, Time};

use super::RandomSteps;
use super::answer::{Answer, Checked, WriteResult, check_refused, check_view, entries, error_text, same};
use super::expected_session::{ExpectedSession, ExpectedWrite, Operation, State, WriteRequest};
use super::rng::Rng;
use super::simulation::app_name;
use super::steps;

/// A service, the keys of frameworks, and the model that its responses must match.
#[derive(Debug)]
pub(super) struct ExternalSimulation<S> {
    service: Service,
    store: Arc<S>,
    clock: Arc<ManualClock>,
    rng: Rng,
    /// The keys that are in use, each with its session.
    sessions: BTreeMap<String, ExpectedSession>,
    next: u64,
    coverage: BTreeSet<String>,
}

impl<S: IntoHandle> RandomSteps for ExternalSimulation<S> {
    async fn step(&mut self) -> Checked<String> {
        let key = self.any_key();
        let now = self.now();
        let done = match self.rng.below(100) {
            0..25 => self.open(&key).await.map(|()| format!("open {key}")),
            25..70 => {
                let request = self.request(&key);
                let result = self.write(&key, &request).await;
                result.map(|()| format!("{request:?} by {key}")).map_err(|error| format!("{request:?}: {error}"))
            }
            70..78 => {
                let request = WriteRequest { request_id: "again".to_owned(), etag: None, ..self.request(&key) };
                let first = self.write(&key, &request).await;
                let both = match first {
                    Ok(()) => self.write(&key, &request).await,
                    Err(error) => Err(error),
                };
                both.map(|()| format!("{request:?} twice by {key}")).map_err(|error| format!("{request:?}: {error}"))
            }
            78..92 => {
                let ends = self.sessions.values().flat_map(ExpectedSession::ends).collect();
                let to = steps::next_time(&mut self.rng, now, ends);
                self.clock.set(Time::from_millis(to));
                Ok(format!("clock {now} to {to}"))
            }
            92..95 => self.list().await.map(|()| "list".to_owned()),
            95..98 => self.revoke(&key).await,
            98 => self.store.sweep(Time::from_millis(now)).await.map(|_| "sweep".to_owned()).map_err(|e| e.to_string()),
            _ => self.replace_key(&key).await,
        };
        let done = done.map_err(|error| format!("{key} at {now}: {error}"))?;
        let checked = self.any_key();
        self.check_store(&checked).await.map_err(|error| format!("{done}; then {checked} in the store: {error}"))?;
        Ok(format!("{done} at {now}"))
    }

    fn has_happened(&self, case: &str) -> bool {
        self.coverage.iter().any(|covered| covered.starts_with(case))
    }
}

impl<S: IntoHandle> ExternalSimulation<S> {
    pub(super) fn new(settings: &app::Settings, store: Arc<S>, begin: Time, rng: Rng) -> Self {
        let apps: Apps = [settings.build("default").unwrap()].into_iter().collect();
        let clock = Arc::new(ManualClock::new(begin));
        let service = Service::new(apps, Arc::clone(&store).into_handle(), Arc::clone(&clock) as Arc<dyn Clock>);
        Self { service, store, clock, rng, sessions: BTreeMap::new(), next: 0, coverage: BTreeSet::new() }
    }

    fn now(&self) -> u64 {
        self.clock.now().millis()
    }

    /// A key in use, or a new one.
    fn any_key(&mut self) -> String {
        if self.sessions.len() < KEYS {
            self.next += 1;
            let key = format!("key-of-the-framework-{:06}", self.next);
            self.sessions.insert(key.clone(), ExpectedSession::new_external(self.now()));
            return key;
        }
        let keys: Vec<String> = self.sessions.keys().cloned().collect();
        self.rng.pick(&keys)
    }

    fn request(&mut self, key: &str) -> WriteRequest {
        let (now, version) = (self.now(), self.sessions[key].version);
        let rng = &mut self.rng;
        let operation = match rng.below(20) {
            0 => Operation::Destroy,
            1..3 => Operation::Save { changes: None, rotate: false, keep_empty: false },
            _ => Operation::Save { changes: Some(steps::changes(rng, now)), rotate: false, keep_empty: rng.chance(20) },
        };
        let request_id = if rng.chance(50) { format!("r{}", rng.below(24)) } else { String::new() };
        let has_changes = matches!(&operation, Operation::Save { changes: Some(_), .. });
        let etag = (has_changes && rng.chance(10)).then(|| version + rng.below(2));
        WriteRequest { operation, request_id, etag, age: None }
    }

    /// Begins the session of a key anew, in the model, if the store has forgotten the one before.
    async fn forget(&mut self, key: &str) -> Checked {
        let now = self.now();
        if self.sessions[key].state(now) == State::Forgotten && !self.is_stored(key).await? {
            let id = self.sessions[key].id.clone();
            let mut expected = ExpectedSession::new_external(now);
            expected.id = id;
            self.sessions.insert(key.to_owned(), expected);
        }
        Ok(())
    }

    async fn open(&mut self, key: &str) -> Checked {
        self.forget(key).await?;
        let now = self.now();
        let max_age = self.sessions[key]
            .authenticated
            .map(|time| Duration::from_millis((now.saturating_sub(time) + self.rng.below(3)).max(2) - 1));
        let request = OpenRequest {
            credential: Credential::Key(key.as_bytes()),
            max_authenticate_age: max_age,
            ..OpenRequest::default()
        };
        let opened = self.service.open(request).await.map_err(error_text)?;
        let headers = opened.read_headers.len() + opened.untouched_headers.len();
        same("headers and tokens", (headers, opened.session.token.as_str(), opened.cookie_outdated), (0, "", false))?;
        match self.sessions[key].state(now) {
            State::New | State::Forgotten => self.check_new(key, &opened),
            State::Ended(reason) => {
                self.coverage.insert(format!("opened {reason:?}"));
                same("null", (opened.session.null, opened.end_reason), (Some(NullReason::Gone), Some(reason)))?;
                same("nothing", (opened.session.id, opened.entries.count()), (None, 0))
            }
            State::Alive => {
                self.coverage.insert("opened".to_owned());
                let expected = self.sessions.get_mut(key).ok_or("no such key")?;
                expected.touch(now);
                same("end", (opened.session.null, opened.end_reason), (None, None))?;
                same("entries", entries(&opened), expected.entries.clone())?;
                let authenticated = expected.authenticated.zip(max_age);
                let is_recent = authenticated.is_some_and(|(time, age)| Duration::from_millis(now - time) < age);
                same("recently authenticated", opened.recently_authenticated, is_recent)?;
                check_view(expected, &opened.session, now)
            }
        }
    }

    fn check_new(&mut self, key: &str, opened: &Opened) -> Checked {
        self.coverage.insert("opened nothing".to_owned());
        same(
            "a new session",
            (opened.session.version, opened.session.null, opened.end_reason),
            (Version::NEW, None, None),
        )?;
        same("entries", opened.entries.count(), 0)?;
        let expected = self.sessions.get_mut(key).ok_or("no such key")?;
        let id = opened.session.id.ok_or("no id")?.to_string();
        if expected.id.is_empty() {
            expected.id.clone_from(&id);
        }
        same("id", &expected.id, &id)
    }

    async fn write(&mut self, key: &str, request: &WriteRequest) -> Checked {
        self.forget(key).await?;
        let credential = Credential::Key(key.as_bytes());
        let request_id = &*request.request_id;
        let answer = match &request.operation {
            Operation::Save { changes, keep_empty, .. } => {
                let app = self.service.app("").expect("the app is there");
                let save = SaveRequest {
                    credential,
                    changes: changes.clone(),
                    accessed: true,
                    etag: request.etag.map(Version),
                    request_id,
                    keep_empty: *keep_empty,
                    ..SaveRequest::default()
                };
                let saved = self.service.save(&app, save).await;
                saved.map(|saved| Answer::new(saved.outcome, saved.session, saved.headers))
            }
            Operation::Destroy => {
                let destroy = DestroyRequest { credential, request_id, ..DestroyRequest::default() };
                let destroyed = self.service.destroy(destroy).await;
                destroyed.map(|destroyed| Answer::new(destroyed.outcome, None, destroyed.headers))
            }
            Operation::Rotate(_) => return Err("a key is not rotated".to_owned()),
        };
        self.check_write(key, request, answer)
    }

    fn check_write(&mut self, key: &str, request: &WriteRequest, answer: WriteResult) -> Checked {
        let now = self.now();
        let is_destroy = request.operation == Operation::Destroy;
        let expected = self.sessions.get_mut(key).ok_or("no such key")?;
        let state = expected.state(now);
        let write = match state {
            _ if request.is_unmodified_save() => expected.read(0, now),
            State::New if !is_destroy => expected.create(request, now),
            _ => expected.write(0, request, now),
        };
        self.coverage.insert(format!("{write:?}"));
        let expected = self.sessions.get_mut(key).ok_or("no such key")?;
        if let ExpectedWrite::Refused(why) = write {
            return check_refused(answer, why);
        }
        let answer = answer.map_err(error_text)?;
        same("headers", answer.headers.len(), 0)?;
        let outcome = match write {
            ExpectedWrite::Gone(reason) => Outcome::Gone(Some(reason)),
            // The tombstone is still there, or there was nothing to end.
            ExpectedWrite::Missing if is_destroy => Outcome::Gone(None),
            ExpectedWrite::Missing if state == State::Forgotten && !request.is_unmodified_save() => Outcome::Gone(None),
            ExpectedWrite::Missing | ExpectedWrite::Read => Outcome::Unchanged,
            ExpectedWrite::Done { outcome: WriteEffect::Created, .. } => {
                expected.tokens.push(String::new());
                Outcome::Created
            }
            ExpectedWrite::Again { outcome: WriteEffect::Created, .. } => Outcome::Created,
            ExpectedWrite::Done { outcome: WriteEffect::Updated, .. }
            | ExpectedWrite::Again { outcome: WriteEffect::Updated, .. } => Outcome::Updated,
            _ => Outcome::Deleted(expected.end.ok_or("it has not ended")?.0),
        };
        same("outcome", answer.outcome, outcome)?;
        match expected.state(now) {
            State::Alive if !is_destroy => {
                let view = answer.view()?;
                if expected.id.is_empty() {
                    expected.id = view.id.ok_or("no id")?.to_string();
                }
                same("token", view.token.as_str(), "")?;
                check_view(expected, view, now)
            }
            State::New | State::Forgotten if answer.outcome == Outcome::Unchanged => {
                let view = answer.view()?;
                same("a new session", (view.version, view.token.as_str()), (Version::NEW, ""))
            }
            _ => same("no session", answer.session.is_none(), true),
        }
    }

    /// Changes the key of a session, as a framework does at a login: an end, and a save of all entries.
    async fn replace_key(&mut self, key: &str) -> Checked<String> {
        let destroy = WriteRequest { operation: Operation::Destroy, request_id: String::new(), etag: None, age: None };
        self.write(key, &destroy).await?;
        self.sessions.remove(key);
        let next = self.any_key();
        Ok(format!("{key} becomes {next}"))
    }

    /// Ends a session, all of a subject, or all of the app.
    async fn revoke(&mut self, key: &str) -> Checked<String> {
        let now = self.now();
        match self.rng.below(10) {
            0 => {
                self.service.revoke_app("").await.map_err(error_text)?;
                self.sessions.values_mut().for_each(|expected| expected.revoked = true);
                Ok("revoke app".to_owned())
            }
            1..5 => {
                let subject = self.rng.pick(&SUBJECTS);
                let named = Subject::parse(subject).unwrap();
                let revoked = self.service.revoke_subject("", &named, None).await.map_err(error_text)?;
                let expected = self.sessions.values_mut().filter(|expected| expected.belongs_to(subject, now));
                let expected: u32 =
                    expected.map(|expected| expected.end_with(EndReason::Revoked, now)).map(|()| 1).sum();
                same("revoked", revoked, expected)?;
                Ok(format!("revoke {subject}"))
            }
            _ => {
                let expected = self.sessions.get_mut(key).ok_or("no such key")?;
                let Some(id) = SessionId::parse(&expected.id) else { return Ok("revoke nothing".to_owned()) };
                let outcome = self.service.revoke_session("", id).await.map_err(error_text)?;
                match expected.state(now) {
                    State::Alive => {
                        expected.end_with(EndReason::Revoked, now);
                        same("outcome", outcome, Outcome::Deleted(EndReason::Revoked))?;
                    }
                    State::Ended(reason) => same("outcome", outcome, Outcome::Gone(Some(reason)))?,
                    State::New | State::Forgotten => same("outcome", outcome, Outcome::Gone(None))?,
                }
                Ok(format!("revoke {key}"))
            }
        }
    }

    /// Checks that a list has every live session of a subject, and no other.
    async fn list(&mut self) -> Checked {
        let subject = self.rng.pick(&SUBJECTS);
        let named = Subject::parse(subject).unwrap();
        let page =
            self.service.list_subject("", &named, &Cursor::default(), WithEntries::No).await.map_err(error_text)?;
        let listed: BTreeSet<String> = page.sessions.iter().map(|session| session.id.to_string()).collect();
        let now = self.now();
        let expected = self.sessions.values().filter(|expected| expected.belongs_to(subject, now));
        same("listed", listed, expected.map(|expected| expected.id.clone()).collect())
    }

    async fn is_stored(&self, key: &str) -> Checked<bool> {
        let Some(id) = SessionId::parse(&self.sessions[key].id) else { return Ok(false) };
        let stored = self.store.load(&SessionKey { app: app_name(), id }).await.map_err(|error| error.to_string())?;
        Ok(stored.is_some())
    }

    /// Checks that the store has what was acknowledged, and that no ended session is alive there.
    async fn check_store(&self, key: &str) -> Checked {
        let expected = &self.sessions[key];
        match expected.state(self.now()) {
            State::New => same("stored", self.is_stored(key).await?, false),
            State::Forgotten => Ok(()),
            State::Ended(_) => same("stored", self.is_stored(key).await?, true),
            State::Alive => {
                let id = SessionId::parse(&expected.id).ok_or("no id")?;
                let stored = self.store.load(&SessionKey { app: app_name(), id }).await.map_err(|e| e.to_string())?;
                let record = stored.ok_or("it is lost")?.record;
                let entries: BTreeMap<String, Vec<u8>> =
                    record.entries.iter().map(|(name, stored)| (name.to_owned(), stored.to_vec())).collect();
                same("entries", &entries, &expected.entries)?;
                same("version", record.head.version.0, expected.version)?;
                same("deadline", record.head.deadline_time.millis(), expected.deadline)
            }
        }
    }
}

/// How many keys are in use at a time.
const KEYS: usize = 8;

const SUBJECTS: [&str; 2] = ["anna", "bert"];
