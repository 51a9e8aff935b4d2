//! The world: a service, browsers that keep tokens of it, stale ones too, and the facts that its answers have to fit.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use cloakroom::app::Apps;
use cloakroom::service::{
    Credential, DestroyRequest, OpenRequest, Outcome, RotateRequest, RotationCause, SaveRequest, Service, WithEntries,
};
use cloakroom::session::{EndReason, Subject, Version};
use cloakroom::store::{SessionKey, Store};
use cloakroom::token::SessionId;
use cloakroom::types::{AppName, Clock, ManualClock, Time};

use super::answer::{Answer, Checked, same, text};
use super::dice::Dice;
use super::facts::{Ask, Asked, Facts, State};
use super::steps;

/// Which token of which session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) session: u64,
    pub(super) shown: PresentedToken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PresentedToken {
    Ticket,
    Token(usize),
}

/// How a token is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    Bare,
    Cookie,
}

#[derive(Debug)]
pub(super) struct World<S> {
    service: Service,
    store: Arc<S>,
    clock: Arc<ManualClock>,
    pub(super) dice: Dice,
    pub(super) sessions: BTreeMap<u64, Facts>,
    pub(super) browsers: Vec<Option<Held>>,
    next: u64,
    /// How often each thing was met: a story in which something never happens proves nothing of it.
    pub(super) met: BTreeMap<String, u64>,
}

impl<S: Store> World<S> {
    pub(super) fn new(apps: Apps, store: Arc<S>, begin: Time, dice: Dice) -> Self {
        let clock = Arc::new(ManualClock::new(begin));
        let service = Service::new(apps, Arc::clone(&store).into_handle(), Arc::clone(&clock) as Arc<dyn Clock>);
        Self {
            service,
            store,
            clock,
            dice,
            sessions: BTreeMap::new(),
            browsers: vec![None; BROWSERS],
            next: 0,
            met: BTreeMap::new(),
        }
    }

    pub(super) fn now(&self) -> u64 {
        self.clock.now().millis()
    }

    pub(super) fn set_clock(&self, millis: u64) {
        self.clock.set(Time::from_millis(millis));
    }

    /// Forgets the sessions that no browser remembers.
    pub(super) fn tidy(&mut self) {
        let browsers = &self.browsers;
        self.sessions.retain(|number, _| browsers.iter().flatten().any(|held| held.session == *number));
    }

    fn text(&self, held: Held) -> String {
        let facts = &self.sessions[&held.session];
        match held.shown {
            PresentedToken::Ticket => facts.ticket.clone(),
            PresentedToken::Token(token) => facts.tokens[token].clone(),
        }
    }

    /// Opens with the tokens of these browsers, all in one header.
    pub(super) async fn open(&mut self, by: usize, held: &[Held], how: How, max_age: Option<u64>) -> Checked {
        let now = self.now();
        let texts: Vec<String> = held.iter().map(|held| self.text(*held)).collect();
        let header = texts.iter().map(|text| format!("session={text}")).collect::<Vec<_>>().join("; ");
        let credential = match (&*texts, how) {
            ([], _) => Credential::Absent,
            ([text], How::Bare) => Credential::Token(text),
            _ => Credential::CookieHeader(&header),
        };
        let max_authenticate_age = max_age.map(Duration::from_millis);
        let opened =
            self.service.open(OpenRequest { credential, max_authenticate_age, ..OpenRequest::default() }).await;
        let opened = opened.map_err(|error| format!("an open fails: {error}"))?;
        self.check_open(by, held, max_age, (&opened, now))
    }

    /// Saves, rotates or destroys with a browser's token, or as a request without one.
    pub(super) async fn write(&mut self, by: usize, held: Option<Held>, how: How, ask: &Ask) -> Checked {
        let text = held.map(|held| self.text(held));
        let header = text.as_ref().map(|text| format!("session={text}")).unwrap_or_default();
        let credential = match (&text, how) {
            (Some(text), How::Bare) => Credential::Token(text),
            _ => Credential::CookieHeader(&header),
        };
        // In a cookie a ticket is no token of anything.
        let held = held.filter(|held| how == How::Bare || held.shown != PresentedToken::Ticket);
        let request_id = &*ask.request;
        match &ask.asked {
            Asked::Save { changes, rotate, keep_empty } => {
                let app = self.service.app("").expect("the app is there");
                let saved = self.service.save(
                    &app,
                    SaveRequest {
                        credential,
                        changes: changes.clone(),
                        accessed: true,
                        etag: ask.etag.map(Version),
                        request_id,
                        rotate: *rotate,
                        keep_empty: *keep_empty,
                        ..SaveRequest::default()
                    },
                );
                let answer = saved.await.map(|saved| Answer::new(saved.outcome, saved.session, saved.headers));
                self.check_save(by, (held, how), ask, answer)
            }
            Asked::Rotate(cause) => {
                let rotate = RotateRequest { credential, cause: *cause, request_id, ..RotateRequest::default() };
                let saved = self.service.rotate(rotate).await;
                let answer = saved.map(|saved| Answer::new(saved.outcome, saved.session, saved.headers));
                self.check_rotation(by, held, ask, answer)
            }
            Asked::Destroy => {
                let destroyed =
                    self.service.destroy(DestroyRequest { credential, request_id, ..DestroyRequest::default() }).await;
                let answer = destroyed.map(|destroyed| Answer::new(destroyed.outcome, None, destroyed.headers));
                self.check_destruction(by, held, ask, answer)
            }
        }
    }

    /// Whether the store keeps what was acknowledged, and nothing alive that has ended.
    pub(super) async fn check_store(&self, number: u64) -> Checked {
        let (now, facts) = (self.now(), &self.sessions[&number]);
        let id = SessionId::parse(&facts.id).ok_or("no id")?;
        let kept = self.store.load(&SessionKey { app: app_name(), id }).await.map_err(|error| error.to_string())?;
        match facts.state(now) {
            State::New => same("nothing is kept", kept.is_some(), false),
            State::Forgotten => Ok(()),
            State::Ended(_) => {
                let record = kept.ok_or("its end is forgotten too soon")?.record;
                same("its end", record.head.end.map(|end| end.reason), facts.end.map(|(reason, _)| reason))
            }
            State::Alive => {
                let record = kept.ok_or("it is lost")?.record;
                let entries: BTreeMap<String, Vec<u8>> =
                    record.entries.iter().map(|(name, kept)| (name.to_owned(), kept.to_vec())).collect();
                same("kept entries", &entries, &facts.entries)?;
                let head = record.head;
                same("kept use", head.access_time.millis(), facts.used)?;
                same("kept deadline", head.deadline_time.millis(), facts.deadline)?;
                same("kept version", head.version.0, facts.version)
            }
        }
    }

    pub(super) async fn revoke_app(&mut self) -> Checked {
        let now = Time::from_millis(self.now());
        self.store.revoke_app(&app_name(), now).await.map_err(|error| error.to_string())?;
        self.sessions.values_mut().for_each(|facts| facts.revoked = true);
        Ok(())
    }

    /// Ends a session by its id, as an operator does.
    pub(super) async fn revoke(&mut self, number: u64) -> Checked {
        let now = self.now();
        let facts = self.sessions.get_mut(&number).ok_or("no facts")?;
        // What was never stored may have shown no id.
        let Some(id) = SessionId::parse(&facts.id) else { return Ok(()) };
        let outcome = self.service.revoke_session("", id).await.map_err(text)?;
        match facts.state(now) {
            State::Alive => {
                facts.bury(EndReason::Revoked, now);
                same("fate", outcome, Outcome::Deleted(EndReason::Revoked))
            }
            State::Ended(reason) => same("fate", outcome, Outcome::Gone(Some(reason))),
            State::New | State::Forgotten => same("fate", outcome, Outcome::Gone(None)),
        }
    }

    /// Ends the sessions of a subject, those too of which no browser knows any more, but for one perhaps.
    pub(super) async fn revoke_subject(&mut self, subject: &str, except: Option<u64>) -> Checked {
        let now = self.now();
        let except = except.and_then(|number| SessionId::parse(&self.sessions.get(&number)?.id));
        let revoked = self.service.revoke_subject("", &owner(subject), except).await.map_err(text)?;
        let mut covered = 0;
        for facts in self.sessions.values_mut().filter(|facts| facts.is_of(subject, now)) {
            if SessionId::parse(&facts.id) != except {
                facts.bury(EndReason::Revoked, now);
                covered += 1;
            }
        }
        if revoked < covered { Err(format!("{revoked} were ended, and there were {covered}")) } else { Ok(()) }
    }

    /// Whether a listing names every session of a subject that lives, and none that does not.
    pub(super) async fn list(&self, subject: &str) -> Checked {
        let now = self.now();
        let listed = self.service.list_subject("", &owner(subject), WithEntries::No).await.map_err(text)?;
        let used: Vec<Time> = listed.iter().map(|session| session.record.head.access_time).collect();
        same("newest use first", used.is_sorted_by(|one, next| one >= next), true)?;
        let listed: BTreeSet<String> = listed.iter().map(|session| session.id.to_string()).collect();
        for facts in self.sessions.values().filter(|facts| !facts.id.is_empty()) {
            same(&format!("{} is listed", facts.id), listed.contains(&facts.id), facts.is_of(subject, now))?;
        }
        Ok(())
    }

    pub(super) async fn sweep(&self) -> Checked {
        let swept = self.store.sweep(Time::from_millis(self.now())).await;
        swept.map(drop).map_err(|error| error.to_string())
    }

    pub(super) async fn step(&mut self) -> Checked<String> {
        steps::step(self).await
    }

    pub(super) fn meet(&mut self, what: &str) {
        *self.met.entry(what.to_owned()).or_default() += 1;
    }

    pub(super) const fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

fn owner(subject: &str) -> Subject {
    Subject::parse(subject).unwrap()
}

fn app_name() -> AppName {
    AppName::parse(AppName::DEFAULT).unwrap()
}

/// How many browsers there are.
pub(super) const BROWSERS: usize = 10;

/// The causes of a rotation.
pub(super) const CAUSES: [RotationCause; 2] = [RotationCause::Privilege, RotationCause::Renewal];
