//! The world: a service, browsers that keep tokens of it, stale ones too, and the facts that its answers have to fit.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use cloakroom::app::{AppName, Apps};
use cloakroom::clock::{Clock, ManualClock, Time};
use cloakroom::service::{
    Credential, Destroy, Error, Fate, Header, NullReason, Open, Opened, Rotate, RotationCause, Save, Service, View,
};
use cloakroom::session::{Outcome, Refusal, Version};
use cloakroom::store::{Place, Store};
use cloakroom::token::Id;

use super::dice::Dice;
use super::facts::{Ask, Asked, Facts, Hold, State, Wrote};
use super::steps;

/// What went wrong, if something did.
pub(super) type Checked<T = ()> = Result<T, String>;

/// Which token of which session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) session: u64,
    pub(super) shown: Shown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
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
    service: Service<S>,
    store: Arc<S>,
    clock: Arc<ManualClock>,
    pub(super) dice: Dice,
    pub(super) sessions: BTreeMap<u64, Facts>,
    pub(super) browsers: Vec<Option<Held>>,
    next: u64,
    /// How often each thing was met: a story in which something never happens proves nothing of it.
    pub(super) met: BTreeMap<String, u64>,
}

/// What an answer shows of a session.
enum Shows<'v> {
    Nothing,
    /// One that no store knows, begun by this very call or (with a number) before.
    New(&'v View, Option<u64>),
    /// One that is stored, with its current token or (false) without.
    Stored(&'v View, u64, bool),
}

impl<S: Store> World<S> {
    pub(super) fn new(apps: Apps, store: Arc<S>, begin: Time, dice: Dice) -> Self {
        let clock = Arc::new(ManualClock::new(begin));
        let service = Service::new(apps, Arc::clone(&store), Arc::clone(&clock) as Arc<dyn Clock>);
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
            Shown::Ticket => facts.ticket.clone(),
            Shown::Token(token) => facts.tokens[token].clone(),
        }
    }

    /// Opens with the tokens of these browsers, all in one header.
    pub(super) async fn open(&mut self, by: usize, held: &[Held], how: How, max_age: Option<u64>) -> Checked {
        let now = self.now();
        let texts: Vec<String> = held.iter().map(|held| self.text(*held)).collect();
        let header = texts.iter().map(|text| format!("session={text}")).collect::<Vec<_>>().join("; ");
        let credential = match (&*texts, how) {
            ([], _) => Credential::None,
            ([text], How::Bare) => Credential::Token(text),
            _ => Credential::CookieHeader(&header),
        };
        let max_authenticate_age = max_age.map(Duration::from_millis);
        let opened = self.service.open(Open { credential, max_authenticate_age, ..Open::default() }).await;
        let opened = opened.map_err(|error| format!("an open fails: {error}"))?;
        self.check_open(by, held, max_age, (&opened, now))
    }

    fn check_open(&mut self, by: usize, held: &[Held], max_age: Option<u64>, (opened, now): (&Opened, u64)) -> Checked {
        // A ticket is valid in no cookie, and opens nothing.
        let tokens = held.iter().filter_map(|held| match held.shown {
            Shown::Token(token) => Some((held.session, token)),
            Shown::Ticket => None,
        });
        let (mut live, mut dead) = (Vec::new(), Vec::new());
        for (session, token) in tokens {
            let facts = &self.sessions[&session];
            if facts.state(now) != State::Alive {
                continue;
            }
            match facts.hold(token, now) {
                Hold::Current | Hold::InGrace => live.push(session),
                Hold::Previous | Hold::Older => dead.push(facts.tokens[token].clone()),
            }
        }
        live.sort_unstable();
        live.dedup();
        match (&*live, &*dead) {
            ([], []) => self.meet("opened nothing"),
            ([], _) => self.meet("opened by an older token"),
            ([_], _) => self.meet("opened"),
            _ => self.meet("opened two"),
        }
        let view = &opened.session;
        let recent = |facts: &Facts| max_age.zip(facts.authenticated).is_some_and(|(age, time)| now < time + age);
        match *live {
            [] => {
                same("recently authenticated", opened.recently_authenticated, false)?;
                match dead.first() {
                    None => self.check(by, &Shows::New(view, None), now),
                    Some(dead) => {
                        same("the dead token stays", &view.token, dead)?;
                        same("an empty session", (view.version, view.entries.count()), (Version::NEW, 0))
                    }
                }
            }
            [session] => {
                let facts = self.sessions.get_mut(&session).ok_or("no facts")?;
                facts.touch(now);
                same("entries", entries(view), facts.entries.clone())?;
                same("recently authenticated", opened.recently_authenticated, recent(facts))?;
                self.check(by, &Shows::Stored(view, session, true), now)
            }
            _ => same("a null session", view.null, Some(NullReason::CookiesAmbiguous)),
        }
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
        let held = held.filter(|held| how == How::Bare || held.shown != Shown::Ticket);
        let request_id = &*ask.request;
        match &ask.asked {
            Asked::Save { changes, rotate, keep_empty } => {
                let saved = self.service.save(Save {
                    credential,
                    changes: changes.clone(),
                    accessed: true,
                    etag: ask.etag.map(Version),
                    request_id,
                    rotate: *rotate,
                    keep_empty: *keep_empty,
                    ..Save::default()
                });
                let answer = saved.await.map(|saved| Answer::new(saved.fate, saved.session, saved.headers));
                self.check_save(by, (held, how), ask, answer)
            }
            Asked::Rotate(cause) => {
                let rotate = Rotate { credential, cause: *cause, request_id, ..Rotate::default() };
                let saved = self.service.rotate(rotate).await;
                let answer = saved.map(|saved| Answer::new(saved.fate, saved.session, saved.headers));
                self.check_rotation(by, held, ask, answer)
            }
            Asked::Destroy => {
                let destroyed = self.service.destroy(Destroy { credential, request_id, ..Destroy::default() }).await;
                let answer = destroyed.map(|destroyed| Answer::new(destroyed.fate, None, destroyed.headers));
                self.check_destruction(by, held, ask, answer)
            }
        }
    }

    fn check_save(&mut self, by: usize, (held, how): (Option<Held>, How), ask: &Ask, answer: Answered) -> Checked {
        let now = self.now();
        let Some(held) = held else { return self.check_first_save(by, None, ask, answer) };
        let facts = self.sessions.get_mut(&held.session).ok_or("no facts")?;
        let token = match held.shown {
            Shown::Ticket if !facts.ticket_is_good(now) => return refused(answer, "token"),
            Shown::Ticket if facts.state(now) == State::New => {
                return self.check_first_save(by, Some(held.session), ask, answer);
            }
            Shown::Ticket => 0,
            Shown::Token(token) => token,
        };
        if let Asked::Save { changes: None, rotate: false, .. } = ask.asked {
            return self.check_look(by, (held, how), token, answer);
        }
        match facts.write(token, ask, now) {
            Wrote::Missing if how == How::Cookie => self.check_first_save(by, None, ask, answer),
            wrote => self.check_written(by, held.session, wrote, answer),
        }
    }

    /// A save without changes only looks.
    fn check_look(&mut self, by: usize, (held, how): (Held, How), token: usize, answer: Answered) -> Checked {
        let now = self.now();
        let answer = answer.map_err(|error| format!("refused: {error}"))?;
        let facts = self.sessions.get_mut(&held.session).ok_or("no facts")?;
        match (facts.state(now), facts.hold(token, now)) {
            (State::Alive, Hold::Current | Hold::InGrace) => {
                facts.touch(now);
                same("fate", answer.fate, Fate::Unchanged)?;
                self.check(by, &Shows::Stored(answer.view()?, held.session, true), now)
            }
            (State::Alive, _) => self.check_gone(by, &answer, Some(cloakroom::session::EndReason::Superseded)),
            (State::Ended(reason), _) => self.check_gone(by, &answer, Some(reason)),
            (State::New | State::Forgotten, _) if how == How::Cookie => {
                same("fate", answer.fate, Fate::Unchanged)?;
                self.check(by, &Shows::New(answer.view()?, None), now)
            }
            (State::New | State::Forgotten, _) => self.check_gone(by, &answer, None),
        }
    }

    /// A save to a ticket (with a number), or without any session: nothing is stored yet.
    fn check_first_save(&mut self, by: usize, ticket: Option<u64>, ask: &Ask, answer: Answered) -> Checked {
        let now = self.now();
        let mut facts = match ticket {
            Some(number) => self.sessions[&number].clone(),
            None => Facts::new(String::new(), String::new(), now),
        };
        let only_looks = matches!(ask.asked, Asked::Save { changes: None, rotate: false, .. });
        let wrote = if only_looks { Wrote::Missing } else { facts.create(ask, now) };
        match wrote {
            Wrote::Refused(why) => refused(answer, why),
            Wrote::Missing if matches!(ask.asked, Asked::Save { changes: None, .. }) => {
                let answer = answer.map_err(|error| format!("refused: {error}"))?;
                same("fate", answer.fate, Fate::Unchanged)?;
                self.check(by, &Shows::New(answer.view()?, ticket), now)
            }
            Wrote::Missing => {
                let answer = answer.map_err(|error| format!("refused: {error}"))?;
                same("fate", answer.fate, Fate::Deleted(cloakroom::session::EndReason::Emptied))?;
                answer.deletes_the_cookie()?;
                self.check(by, &Shows::Nothing, now)
            }
            wrote => {
                let number = ticket.unwrap_or_else(|| self.number());
                if ticket.is_none() {
                    let view = answer.as_ref().ok().and_then(|answer| answer.session.as_ref());
                    facts.id = view.and_then(|view| view.id).map(|id| id.to_string()).unwrap_or_default();
                }
                self.sessions.insert(number, facts);
                self.check_written(by, number, wrote, answer)
            }
        }
    }

    fn check_rotation(&mut self, by: usize, held: Option<Held>, ask: &Ask, answer: Answered) -> Checked {
        let now = self.now();
        let Some(held) = held else { return self.check_gone(by, &answer.map_err(text)?, None) };
        let facts = self.sessions.get_mut(&held.session).ok_or("no facts")?;
        let token = match held.shown {
            Shown::Ticket if !facts.ticket_is_good(now) => return refused(answer, "token"),
            Shown::Ticket if facts.state(now) == State::New => {
                let answer = answer.map_err(text)?;
                same("fate", answer.fate, Fate::Unchanged)?;
                return self.check(by, &Shows::New(answer.view()?, Some(held.session)), now);
            }
            Shown::Ticket => 0,
            Shown::Token(token) => token,
        };
        let wrote = facts.write(token, ask, now);
        self.check_written(by, held.session, wrote, answer)
    }

    fn check_destruction(&mut self, by: usize, held: Option<Held>, ask: &Ask, answer: Answered) -> Checked {
        let now = self.now();
        let Some(held) = held else { return same("fate", answer.map_err(text)?.fate, Fate::Gone(None)) };
        let facts = self.sessions.get_mut(&held.session).ok_or("no facts")?;
        let token = match held.shown {
            Shown::Ticket if !facts.ticket_is_good(now) => return refused(answer, "token"),
            Shown::Ticket => 0,
            Shown::Token(token) => token,
        };
        let fate = match facts.write(token, ask, now) {
            Wrote::Refused(why) => return refused(answer, why),
            Wrote::Missing => Fate::Gone(None),
            Wrote::Gone(reason) => Fate::Gone(Some(reason)),
            _ => Fate::Deleted(facts.end.ok_or("it has not ended")?.0),
        };
        let answer = answer.map_err(text)?;
        same("fate", answer.fate, fate)?;
        match fate {
            Fate::Gone(Some(cloakroom::session::EndReason::Superseded)) => same("headers", answer.headers.len(), 0),
            _ => {
                self.browsers[by] = None;
                answer.deletes_the_cookie()
            }
        }
    }

    fn check_written(&mut self, by: usize, number: u64, wrote: Wrote, answer: Answered) -> Checked {
        let now = self.now();
        self.meet(&format!("{wrote:?}"));
        let facts = self.sessions.get_mut(&number).ok_or("no facts")?;
        let (outcome, told) = match wrote {
            Wrote::Refused(why) => return refused(answer, why),
            Wrote::Missing => return self.check_gone(by, &answer.map_err(text)?, None),
            Wrote::Gone(reason) => return self.check_gone(by, &answer.map_err(text)?, Some(reason)),
            Wrote::Again { outcome, told } => (outcome, told),
            Wrote::Renewed => (Outcome::Updated, true),
            Wrote::Done { outcome, rotated } => {
                if rotated || outcome == Outcome::Created {
                    // A new token is whatever the answer says, as long as it never was one before.
                    let view = answer.as_ref().map_err(|error| format!("refused: {error}"))?.view()?;
                    let token = view.token.clone();
                    same("a fresh token", (token.starts_with("v1."), facts.tokens.contains(&token)), (true, false))?;
                    facts.tokens.push(token);
                }
                (outcome, true)
            }
        };
        let answer = answer.map_err(text)?;
        let fate = match outcome {
            Outcome::Unchanged => Fate::Unchanged,
            Outcome::Created => Fate::Created,
            Outcome::Updated => Fate::Updated,
            Outcome::Deleted => Fate::Deleted(facts.end.ok_or("it has not ended")?.0),
        };
        same("fate", answer.fate, fate)?;
        match fate {
            Fate::Deleted(_) => {
                answer.deletes_the_cookie()?;
                self.check(by, &Shows::Nothing, now)
            }
            _ if facts.state(now) == State::Alive => self.check(by, &Shows::Stored(answer.view()?, number, told), now),
            _ => self.check(by, &Shows::Nothing, now),
        }
    }

    fn check_gone(&mut self, by: usize, answer: &Answer, reason: Option<cloakroom::session::EndReason>) -> Checked {
        same("fate", answer.fate, Fate::Gone(reason))?;
        same("no session", answer.session.is_none(), true)?;
        same("no cookie", answer.cookies().len(), 0)?;
        self.check(by, &Shows::Nothing, self.now())
    }

    /// Whether what is shown is true; then the browser takes it in, or its answer is lost on the way.
    fn check(&mut self, by: usize, shows: &Shows<'_>, now: u64) -> Checked {
        let taken = match *shows {
            Shows::Nothing => return Ok(()),
            Shows::New(view, number) => {
                same("a new session", (view.version, view.null, view.entries.count()), (Version::NEW, None, 0))?;
                same("a ticket", view.token.starts_with("t1."), true)?;
                let id = view.id.ok_or("no id")?.to_string();
                let number = number.unwrap_or_else(|| self.number());
                let facts = self.sessions.entry(number).or_insert_with(|| Facts::new(id.clone(), String::new(), now));
                same("id", &facts.id, &id)?;
                (facts.ticket, facts.issued) = (view.token.clone(), now / 1000);
                let times = view.times.ok_or("no times")?;
                let fresh = Facts::new(id, String::new(), now);
                same("its end", times.expire_time.millis(), fresh.expires(now))?;
                Held { session: number, shown: Shown::Ticket }
            }
            Shows::Stored(view, session, told) => {
                let facts = &self.sessions[&session];
                check_view(facts, view, now)?;
                let token = if told { facts.tokens.last().cloned().unwrap_or_default() } else { String::new() };
                same("token", &view.token, &token)?;
                if !told {
                    return Ok(());
                }
                Held { session, shown: Shown::Token(facts.tokens.len() - 1) }
            }
        };
        if self.dice.chance(85) {
            self.browsers[by] = Some(taken);
        }
        Ok(())
    }

    /// Whether the store keeps what was acknowledged, and nothing alive that has ended.
    pub(super) async fn check_store(&self, number: u64) -> Checked {
        let (now, facts) = (self.now(), &self.sessions[&number]);
        let id = Id::parse(&facts.id).ok_or("no id")?;
        let kept = self.store.load(&Place { app: app_name(), id }).await.map_err(|error| error.to_string())?;
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

    pub(super) async fn sweep(&self) -> Checked {
        let swept = self.store.sweep(Time::from_millis(self.now())).await;
        swept.map(drop).map_err(|error| error.to_string())
    }

    pub(super) async fn step(&mut self) -> Checked<String> {
        steps::step(self).await
    }

    fn meet(&mut self, what: &str) {
        *self.met.entry(what.to_owned()).or_default() += 1;
    }

    const fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

/// The answer to a write.
struct Answer {
    fate: Fate,
    session: Option<View>,
    headers: Vec<Header>,
}

type Answered = Result<Answer, Error>;

impl Answer {
    const fn new(fate: Fate, session: Option<View>, headers: Vec<Header>) -> Self {
        Self { fate, session, headers }
    }

    fn view(&self) -> Checked<&View> {
        self.session.as_ref().ok_or_else(|| "the answer has no session".to_owned())
    }

    fn cookies(&self) -> Vec<&str> {
        self.headers.iter().filter(|header| header.name == "Set-Cookie").map(|header| &*header.value).collect()
    }

    fn deletes_the_cookie(&self) -> Checked {
        match *self.cookies() {
            [cookie] if cookie.contains("Max-Age=0") => Ok(()),
            ref other => Err(format!("the cookie is not deleted: {other:?}")),
        }
    }
}

fn check_view(facts: &Facts, view: &View, now: u64) -> Checked {
    same("id", view.id.map(|id| id.to_string()), Some(facts.id.clone()))?;
    same("version", view.version.0, facts.version)?;
    same("permanent", view.permanent, facts.permanent)?;
    same("subject", view.subject.as_ref().map(|subject| subject.as_str().to_owned()), facts.subject.clone())?;
    let times = view.times.ok_or("no times")?;
    same("authenticated", times.authenticate_time.map(Time::millis), facts.authenticated)?;
    same("created", times.create_time.map(Time::millis), Some(facts.created))?;
    same("used", times.access_time.millis(), facts.used.max(now))?;
    same("idle timeout", times.idle_timeout, Duration::from_millis(facts.idle))?;
    same("its end", times.expire_time.millis(), facts.expires(now))
}

fn entries(view: &View) -> BTreeMap<String, Vec<u8>> {
    view.entries.iter().map(|(name, kept)| (name.to_owned(), kept.to_vec())).collect()
}

fn refused(answer: Answered, why: &str) -> Checked {
    let error = answer.err().ok_or_else(|| format!("it has to be refused: {why}"))?;
    let said = match &error {
        Error::TokenInvalid(_) => "token",
        Error::EtagMismatch => "stale",
        Error::RequestIdReused => "reused",
        Error::Refused { refusal: Refusal::NoSubject, .. } => "nobody",
        Error::Refused { refusal: Refusal::NotACounter { .. }, .. } => "no counter",
        Error::Refused { refusal: Refusal::TooManyEntries { .. }, .. } => "too many",
        Error::Refused { refusal: Refusal::TooLarge { .. }, .. } => "too large",
        other => return Err(format!("it fails: {other}")),
    };
    same("refused for", said, why)
}

fn same<T: PartialEq + Debug>(what: &str, is: T, has_to_be: T) -> Checked {
    if is == has_to_be { Ok(()) } else { Err(format!("{what}: is {is:?}, has to be {has_to_be:?}")) }
}

#[expect(clippy::needless_pass_by_value, reason = "it is for map_err")]
fn text(error: Error) -> String {
    format!("refused: {error}")
}

fn app_name() -> AppName {
    AppName::parse(AppName::DEFAULT).unwrap()
}

/// How many browsers there are.
pub(super) const BROWSERS: usize = 10;

/// The causes of a rotation.
pub(super) const CAUSES: [RotationCause; 2] = [RotationCause::Privilege, RotationCause::Renewal];
