//! A service, browsers with its tokens, current and stale, and the model that its responses must match.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use cloakroom::app::Apps;
use cloakroom::service::{
    Credential, DestroyRequest, OpenRequest, Outcome, RotateRequest, RotationCause, SaveRequest, Service, WithEntries,
};
use cloakroom::session::{EndReason, Subject, Version};
use cloakroom::store::{Cursor, IntoHandle, SessionKey};
use cloakroom::token::SessionId;
use cloakroom::types::{AppName, Clock, ManualClock, Time};

use super::RandomSteps;
use super::answer::{Answer, Checked, error_text, same};
use super::expected_session::{COOKIE_DELAY, ExpectedSession, Operation, State, WriteRequest};
use super::rng::Rng;
use super::steps;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HeldToken {
    pub(super) session: u64,
    pub(super) token: PresentedToken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PresentedToken {
    Ticket,
    Token(usize),
}

/// The credential in which a token is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SentAs {
    Token,
    CookieHeader,
}

/// The recovery session that a superseded token leads to, stored or not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recovery {
    pub(super) number: u64,
    /// Whether the last rotation is so long ago that the session sets its own cookie.
    pub(super) sets_cookie: bool,
    /// When the recovery session before it was over by a call; 0: there was none.
    pub(super) ended: u64,
}

#[derive(Debug)]
pub(super) struct Simulation<S> {
    service: Service,
    store: Arc<S>,
    clock: Arc<ManualClock>,
    pub(super) rng: Rng,
    pub(super) sessions: BTreeMap<u64, ExpectedSession>,
    pub(super) browsers: Vec<Option<HeldToken>>,
    /// The recovery session of each superseded token that was shown.
    recoveries: BTreeMap<(u64, usize), u64>,
    next: u64,
    /// The cases that have happened.
    coverage: BTreeSet<String>,
}

impl<S: IntoHandle> RandomSteps for Simulation<S> {
    async fn step(&mut self) -> Checked<String> {
        steps::step(self).await
    }

    fn has_happened(&self, case: &str) -> bool {
        self.coverage.iter().any(|covered| covered.starts_with(case))
    }
}

impl<S: IntoHandle> Simulation<S> {
    pub(super) fn new(apps: Apps, store: Arc<S>, begin: Time, rng: Rng) -> Self {
        let clock = Arc::new(ManualClock::new(begin));
        let service = Service::new(apps, Arc::clone(&store).into_handle(), Arc::clone(&clock) as Arc<dyn Clock>);
        Self {
            service,
            store,
            clock,
            rng,
            sessions: BTreeMap::new(),
            browsers: vec![None; BROWSERS],
            recoveries: BTreeMap::new(),
            next: 0,
            coverage: BTreeSet::new(),
        }
    }

    pub(super) fn now(&self) -> u64 {
        self.clock.now().millis()
    }

    pub(super) fn set_clock(&self, millis: u64) {
        self.clock.set(Time::from_millis(millis));
    }

    /// Removes the sessions that no browser has a token of, and to which no such token leads.
    pub(super) fn drop_unheld_sessions(&mut self) {
        let mut held: BTreeSet<u64> = self.browsers.iter().flatten().map(|held| held.session).collect();
        // A recovery session has a higher number than the session of its token.
        for ((session, _), recovery) in &self.recoveries {
            if held.contains(session) {
                held.insert(*recovery);
            }
        }
        self.sessions.retain(|number, _| held.contains(number));
        self.recoveries.retain(|(session, _), _| held.contains(session));
    }

    /// Finds the recovery session of a token; `None` if it is not superseded. For a save that is repeated it is the one in
    /// which the save was done.
    async fn recovery(&mut self, held: HeldToken, request_id: &str) -> Checked<Option<Recovery>> {
        let PresentedToken::Token(token) = held.token else { return Ok(None) };
        let now = self.now();
        let Some(mut rotated) = self.sessions[&held.session].superseded(token, now) else { return Ok(None) };
        let (mut key, mut ended) = ((held.session, token), 0);
        for _ in 0..MAX_RECOVERIES {
            let Some(number) = self.recoveries.get(&key).copied() else {
                let number = self.new_recovery(now);
                self.recoveries.insert(key, number);
                return Ok(Some(Recovery { number, sets_cookie: now >= rotated + COOKIE_DELAY, ended }));
            };
            let expected = &self.sessions[&number];
            let is_next = match expected.state(now) {
                _ if expected.has_done(request_id, now) => false,
                State::New => false,
                // Until it is purged, its record is in the way.
                State::Forgotten => self.is_stored(number).await?,
                State::Alive | State::Ended(_) => {
                    rotated = rotated.max(expected.superseded(0, now).unwrap_or_default());
                    expected.state(now) != State::Alive || expected.superseded(0, now).is_some()
                }
            };
            if !is_next {
                if expected.state(now) == State::Forgotten {
                    self.begin_again(number, now);
                }
                return Ok(Some(Recovery { number, sets_cookie: now >= rotated + COOKIE_DELAY, ended }));
            }
            ended = ended.max(expected.end_time(0, now));
            self.cover("a recovery session after another");
            key = (number, 0);
        }
        Ok(Some(Recovery { number: self.new_recovery(now), sets_cookie: now >= rotated + COOKIE_DELAY, ended }))
    }

    /// Begins a recovery session anew whose tombstone is purged. The browsers lose the tokens of the earlier one.
    fn begin_again(&mut self, number: u64, now: u64) {
        let id = self.sessions[&number].id.clone();
        self.sessions.insert(number, ExpectedSession::new_recovery(id, now));
        // The first token is derived from the superseded one, so it is the same again.
        self.recoveries.retain(|(session, token), _| *session != number || *token == 0);
        for held in self.browsers.iter_mut().filter(|held| held.is_some_and(|held| held.session == number)) {
            *held = None;
        }
    }

    fn new_recovery(&mut self, now: u64) -> u64 {
        let number = self.number();
        self.sessions.insert(number, ExpectedSession::new_recovery(String::new(), now));
        number
    }

    async fn is_stored(&self, number: u64) -> Checked<bool> {
        let id = SessionId::parse(&self.sessions[&number].id).ok_or("no id")?;
        let stored = self.store.load(&SessionKey { app: app_name(), id }).await.map_err(|error| error.to_string())?;
        Ok(stored.is_some())
    }

    fn has_token(&self, held: HeldToken) -> bool {
        match held.token {
            PresentedToken::Ticket => true,
            PresentedToken::Token(token) => token < self.sessions[&held.session].tokens.len(),
        }
    }

    fn token_of(&self, held: HeldToken) -> String {
        let expected = &self.sessions[&held.session];
        match held.token {
            PresentedToken::Ticket => expected.ticket.clone(),
            PresentedToken::Token(token) => expected.tokens[token].clone(),
        }
    }

    /// Opens by these tokens, all in one header.
    pub(super) async fn open(
        &mut self,
        browser: usize,
        held: &[HeldToken],
        sent_as: SentAs,
        (max_age, age): (Option<u64>, Option<u64>),
    ) -> Checked {
        let now = self.now();
        let mut recoveries = Vec::new();
        for held in held {
            recoveries.extend(self.recovery(*held, "").await?);
        }
        // One of them may belong to a session that began again just now.
        let held: Vec<HeldToken> = held.iter().copied().filter(|held| self.has_token(*held)).collect();
        let tokens: Vec<String> = held.iter().map(|held| self.token_of(*held)).collect();
        let header = tokens.iter().map(|token| format!("session={token}")).collect::<Vec<_>>().join("; ");
        let credential = match (&*tokens, sent_as) {
            ([], _) => Credential::Absent,
            ([token], SentAs::Token) => Credential::Token(token),
            _ => Credential::CookieHeader(&header),
        };
        let max_authenticate_age = max_age.map(Duration::from_millis);
        // Without a header, no session of a cookie may have ended meanwhile.
        let began =
            age.filter(|_| matches!(credential, Credential::CookieHeader(_))).map(|age| now.saturating_sub(age));
        let request_age = age.map(Duration::from_millis);
        let request = OpenRequest { credential, max_authenticate_age, request_age, ..OpenRequest::default() };
        let opened = self.service.open(request).await;
        let opened = opened.map_err(|error| format!("an open fails: {error}"))?;
        self.check_open(browser, (&held, &mut recoveries), (max_age, began), (&opened, now))
    }

    /// When calls ended the session of a token or replaced the token, and the same for its recovery sessions; 0 if none has.
    pub(super) fn end_times(&self, held: HeldToken) -> Vec<u64> {
        let (now, mut ends) = (self.now(), Vec::new());
        let PresentedToken::Token(token) = held.token else { return vec![0] };
        let mut next = Some((held.session, token));
        while let Some((session, token)) = next.filter(|_| ends.len() <= MAX_RECOVERIES) {
            ends.push(self.sessions[&session].end_time(token, now));
            next = self.recoveries.get(&(session, token)).map(|recovery| (*recovery, 0));
        }
        ends
    }

    /// Saves, rotates or destroys by this token, or without one.
    pub(super) async fn write(
        &mut self,
        browser: usize,
        held: Option<HeldToken>,
        sent_as: SentAs,
        request: &WriteRequest,
    ) -> Checked {
        let token = held.map(|held| self.token_of(held));
        let header = token.as_ref().map(|token| format!("session={token}")).unwrap_or_default();
        let credential = match (&token, sent_as) {
            (Some(token), SentAs::Token) => Credential::Token(token),
            _ => Credential::CookieHeader(&header),
        };
        // A ticket is not valid in a cookie.
        let held = held.filter(|held| sent_as == SentAs::Token || held.token != PresentedToken::Ticket);
        let recovery = match held.filter(|_| sent_as == SentAs::CookieHeader) {
            Some(held) => {
                let is_repeatable =
                    matches!(request.operation, Operation::Save { .. }) && !request.is_unmodified_save();
                self.recovery(held, if is_repeatable { &request.request_id } else { "" }).await?
            }
            None => None,
        };
        let request_id = &*request.request_id;
        match &request.operation {
            Operation::Save { changes, rotate, keep_empty } => {
                let app = self.service.app("").expect("the app is there");
                let saved = self.service.save(
                    &app,
                    SaveRequest {
                        credential,
                        changes: changes.clone(),
                        accessed: true,
                        etag: request.etag.map(Version),
                        request_id,
                        rotate: *rotate,
                        keep_empty: *keep_empty,
                        request_age: request.age.map(Duration::from_millis),
                        ..SaveRequest::default()
                    },
                );
                let answer = saved.await.map(|saved| Answer::new(saved.outcome, saved.session, saved.headers));
                self.check_save(browser, (held, sent_as, recovery), request, answer)
            }
            Operation::Rotate(cause) => {
                let rotate = RotateRequest { credential, cause: *cause, request_id, ..RotateRequest::default() };
                let saved = self.service.rotate(rotate).await;
                let answer = saved.map(|saved| Answer::new(saved.outcome, saved.session, saved.headers));
                self.check_rotation(browser, held, request, answer)
            }
            Operation::Destroy => {
                let destroyed =
                    self.service.destroy(DestroyRequest { credential, request_id, ..DestroyRequest::default() }).await;
                let answer = destroyed.map(|destroyed| Answer::new(destroyed.outcome, None, destroyed.headers));
                self.check_destruction(browser, (held, recovery), request, answer)
            }
        }
    }

    /// Checks that the store has what was acknowledged, and that no ended session is alive there.
    pub(super) async fn check_store(&self, number: u64) -> Checked {
        let (now, expected) = (self.now(), &self.sessions[&number]);
        let id = SessionId::parse(&expected.id).ok_or("no id")?;
        let stored = self.store.load(&SessionKey { app: app_name(), id }).await.map_err(|error| error.to_string())?;
        match expected.state(now) {
            State::New => same("nothing is stored", stored.is_some(), false),
            State::Forgotten => Ok(()),
            State::Ended(_) => {
                let record = stored.ok_or("its tombstone is purged too soon")?.record;
                same("end", record.head.end.map(|end| end.reason), expected.end.map(|(reason, _)| reason))
            }
            State::Alive => {
                let record = stored.ok_or("it is lost")?.record;
                let entries: BTreeMap<String, Vec<u8>> =
                    record.entries.iter().map(|(name, stored)| (name.to_owned(), stored.to_vec())).collect();
                same("stored entries", &entries, &expected.entries)?;
                let head = record.head;
                same("stored access time", head.access_time.millis(), expected.used)?;
                same("stored deadline", head.deadline_time.millis(), expected.deadline)?;
                same("stored version", head.version.0, expected.version)
            }
        }
    }

    pub(super) async fn revoke_app(&mut self) -> Checked {
        let now = Time::from_millis(self.now());
        self.store.revoke_app(&app_name(), now).await.map_err(|error| error.to_string())?;
        self.sessions.values_mut().for_each(|expected| expected.revoked = true);
        Ok(())
    }

    /// Revokes a session by its id, as an operator does.
    pub(super) async fn revoke(&mut self, number: u64) -> Checked {
        let now = self.now();
        let expected = self.sessions.get_mut(&number).ok_or("no such session")?;
        // A session that was never stored may have no id.
        let Some(id) = SessionId::parse(&expected.id) else { return Ok(()) };
        let outcome = self.service.revoke_session("", id).await.map_err(error_text)?;
        match expected.state(now) {
            State::Alive => {
                expected.end_with(EndReason::Revoked, now);
                same("outcome", outcome, Outcome::Deleted(EndReason::Revoked))
            }
            State::Ended(reason) => same("outcome", outcome, Outcome::Gone(Some(reason))),
            State::New | State::Forgotten => same("outcome", outcome, Outcome::Gone(None)),
        }
    }

    /// Revokes the sessions of a subject, also those that no browser has a token of, except one if it is given.
    pub(super) async fn revoke_subject(&mut self, subject: &str, except: Option<u64>) -> Checked {
        let now = self.now();
        let except = except.and_then(|number| SessionId::parse(&self.sessions.get(&number)?.id));
        let revoked = self.service.revoke_subject("", &subject_named(subject), except).await.map_err(error_text)?;
        let mut expected_count = 0;
        for expected in self.sessions.values_mut().filter(|expected| expected.belongs_to(subject, now)) {
            if SessionId::parse(&expected.id) != except {
                expected.end_with(EndReason::Revoked, now);
                expected_count += 1;
            }
        }
        if revoked < expected_count {
            Err(format!("{revoked} were revoked, at least {expected_count} must be"))
        } else {
            Ok(())
        }
    }

    /// Checks that a list has every live session of the subject, and no other.
    pub(super) async fn list(&self, subject: &str) -> Checked {
        let now = self.now();
        let (named, from) = (subject_named(subject), Cursor::default());
        let listed = self.service.list_subject("", &named, &from, WithEntries::No).await.map_err(error_text)?.sessions;
        let used: Vec<Time> = listed.iter().map(|session| session.record.head.access_time).collect();
        same("last used first", used.is_sorted_by(|one, next| one >= next), true)?;
        let listed: BTreeSet<String> = listed.iter().map(|session| session.id.to_string()).collect();
        for expected in self.sessions.values().filter(|expected| !expected.id.is_empty()) {
            same(
                &format!("{} is listed", expected.id),
                listed.contains(&expected.id),
                expected.belongs_to(subject, now),
            )?;
        }
        Ok(())
    }

    pub(super) async fn sweep(&self) -> Checked {
        let swept = self.store.sweep(Time::from_millis(self.now())).await;
        swept.map(drop).map_err(|error| error.to_string())
    }

    pub(super) fn cover(&mut self, what: &str) {
        self.coverage.insert(what.to_owned());
    }

    pub(super) const fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

fn subject_named(subject: &str) -> Subject {
    Subject::parse(subject).unwrap()
}

pub(super) fn app_name() -> AppName {
    AppName::parse(AppName::DEFAULT).unwrap()
}

/// How many recovery sessions in a row are looked at.
const MAX_RECOVERIES: usize = 8;

pub(super) const BROWSERS: usize = 10;

pub(super) const CAUSES: [RotationCause; 2] = [RotationCause::Privilege, RotationCause::Renewal];
