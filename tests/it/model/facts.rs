//! Facts: all that has to be true of one session, told in plain maps and numbers.
//!
//! Written from the contract alone; shares no rule with `src/session`. Times and spans are milliseconds.

use std::collections::{BTreeMap, VecDeque};

use cloakroom::service::RotationCause;
use cloakroom::session::{
    AuthenticationChange, Changes, EndReason, LifetimeChange, PermanentChange, SubjectChange, Value, ValueKind,
    WriteEffect,
};

pub(super) const MINUTE: u64 = 60_000;

/// What a session with a subject is granted: without use, and at most.
pub(super) const OWNED: (u64, u64) = (10 * MINUTE, 60 * MINUTE);

/// What a session without a subject is granted.
pub(super) const ANONYMOUS: (u64, u64) = (3 * MINUTE, 20 * MINUTE);

pub(super) const GRACE: u64 = 30_000;
pub(super) const TOMBSTONE_TTL: u64 = 16 * MINUTE;
pub(super) const IDEMPOTENCY_TTL: u64 = 10 * MINUTE;
pub(super) const MAX_ENTRIES: usize = 6;
pub(super) const MAX_BYTES: usize = 1024;

/// What is asked of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Save { changes: Option<Changes>, rotate: bool, keep_empty: bool },
    Rotate(RotationCause),
    Destroy,
}

/// A write with its conditions.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) asked: Asked,
    /// Empty: none.
    pub(super) request: String,
    pub(super) etag: Option<u64>,
}

/// What has to become of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wrote {
    Missing,
    Gone(EndReason),
    Refused(&'static str),
    /// Answered as it was; whether the caller is told the current token.
    Again {
        outcome: WriteEffect,
        told: bool,
    },
    Done {
        outcome: WriteEffect,
        rotated: bool,
    },
    /// A renewal that has happened already.
    Renewed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    New,
    Alive,
    Ended(EndReason),
    Forgotten,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenMatch {
    Current,
    InGrace,
    Previous,
    /// It was current when an older one, in its grace, rotated.
    Replaced,
    Older,
}

#[derive(Clone, Debug)]
struct Previous {
    /// Which token the rotating call showed.
    token: usize,
    /// Which one was current then.
    current: usize,
    grace: u64,
    time: u64,
    by: Option<(String, Asked)>,
}

#[derive(Clone, Debug)]
struct IdempotencyRecord {
    request: String,
    asked: Asked,
    time: u64,
    outcome: WriteEffect,
}

/// One session.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) id: String,
    pub(super) ticket: String,
    /// The second of the ticket's issue.
    pub(super) issued: u64,
    /// All its tokens so far, oldest first: the last is the current one. None: nobody has saved it.
    pub(super) tokens: Vec<String>,
    pub(super) entries: BTreeMap<String, Vec<u8>>,
    pub(super) permanent: Option<bool>,
    pub(super) subject: Option<String>,
    pub(super) authenticated: Option<u64>,
    pub(super) version: u64,
    pub(super) created: u64,
    pub(super) used: u64,
    pub(super) idle: u64,
    pub(super) deadline: u64,
    pub(super) revoked: bool,
    pub(super) end: Option<(EndReason, u64)>,
    previous: Option<Previous>,
    marks: VecDeque<IdempotencyRecord>,
}

impl Facts {
    /// A session of which only a ticket is known.
    pub(super) const fn new(id: String, ticket: String, now: u64) -> Self {
        Self {
            id,
            ticket,
            issued: now / 1000,
            tokens: Vec::new(),
            entries: BTreeMap::new(),
            permanent: None,
            subject: None,
            authenticated: None,
            version: 0,
            created: now,
            used: now,
            idle: ANONYMOUS.0,
            deadline: now + ANONYMOUS.1,
            revoked: false,
            end: None,
            previous: None,
            marks: VecDeque::new(),
        }
    }

    /// When it ends if it is last used at `now`.
    pub(super) fn expires(&self, now: u64) -> u64 {
        self.deadline.min(self.used.max(now) + self.idle)
    }

    pub(super) fn state(&self, now: u64) -> State {
        if self.tokens.is_empty() {
            return State::New;
        }
        let over = self.end.map_or(self.expires(self.used), |(_, time)| time);
        if now >= over + TOMBSTONE_TTL {
            return State::Forgotten;
        }
        match self.end {
            Some((reason, _)) => State::Ended(reason),
            None if self.revoked => State::Ended(EndReason::Revoked),
            None if now >= self.deadline => State::Ended(EndReason::Absolute),
            None if now >= self.used + self.idle => State::Ended(EndReason::Idle),
            None => State::Alive,
        }
    }

    /// Whether it is that subject's, and lives.
    pub(super) fn is_of(&self, subject: &str, now: u64) -> bool {
        self.state(now) == State::Alive && self.subject.as_deref() == Some(subject)
    }

    pub(super) fn ticket_is_good(&self, now: u64) -> bool {
        now / 1000 - self.issued <= 15 * 60
    }

    /// What a token is to a session that lives.
    pub(super) fn hold(&self, token: usize, now: u64) -> TokenMatch {
        match &self.previous {
            _ if token + 1 == self.tokens.len() => TokenMatch::Current,
            Some(previous) if previous.token == token && now < previous.time + previous.grace => TokenMatch::InGrace,
            Some(previous) if previous.token == token && now < previous.time + IDEMPOTENCY_TTL => TokenMatch::Previous,
            Some(previous) if previous.current == token && now < previous.time + IDEMPOTENCY_TTL => {
                TokenMatch::Replaced
            }
            _ => TokenMatch::Older,
        }
    }

    /// A use that changed nothing is written down if a twentieth of the idle timeout has passed, and 10 s.
    pub(super) fn touch(&mut self, now: u64) {
        if now.saturating_sub(self.used) >= (self.idle / 20).max(10_000) {
            self.used = now;
        }
    }

    /// Times at which something ends, for a clock that likes to stop there.
    pub(super) fn ends(&self) -> Vec<u64> {
        let mut ends = vec![(self.issued + 15 * 60) * 1000 + 1000, self.expires(self.used), self.deadline];
        ends.push(self.end.map_or(self.expires(self.used), |(_, time)| time) + TOMBSTONE_TTL);
        ends.extend(self.previous.iter().flat_map(|previous| [previous.time + GRACE, previous.time + IDEMPOTENCY_TTL]));
        ends.extend(self.marks.iter().map(|mark| mark.time + IDEMPOTENCY_TTL));
        ends
    }

    /// What a write with that token has to do; afterwards it is done.
    pub(super) fn write(&mut self, token: usize, ask: &Ask, now: u64) -> Wrote {
        let reason = match self.state(now) {
            State::New | State::Forgotten => return Wrote::Missing,
            State::Ended(reason) => Some(reason),
            State::Alive => None,
        };
        let seen =
            self.marks.iter().rev().find(|mark| mark.request == ask.request && now < mark.time + IDEMPOTENCY_TTL);
        if let Some(mark) = seen {
            let again = Wrote::Again { outcome: mark.outcome, told: self.tells(token, ask, now) };
            return if mark.asked == ask.asked { again } else { Wrote::Refused("reused") };
        }
        if let Some(reason) = reason {
            return Wrote::Gone(reason);
        }
        match (self.hold(token, now), &ask.asked) {
            (TokenMatch::Current, _)
            | (TokenMatch::InGrace | TokenMatch::Previous | TokenMatch::Replaced, Asked::Destroy) => {}
            (TokenMatch::InGrace, Asked::Rotate(RotationCause::Renewal)) => return Wrote::Renewed,
            (TokenMatch::InGrace, _) => {}
            (TokenMatch::Previous | TokenMatch::Replaced | TokenMatch::Older, _) => {
                return Wrote::Gone(EndReason::Superseded);
            }
        }
        if ask.etag.is_some_and(|etag| etag != self.version) {
            return Wrote::Refused("stale");
        }
        match self.apply(ask, now) {
            Err(why) => Wrote::Refused(why),
            Ok((outcome, grace)) => {
                if let Some(grace) = grace {
                    let by = (!ask.request.is_empty()).then(|| (ask.request.clone(), ask.asked.clone()));
                    let current = self.tokens.len() - 1;
                    self.previous = Some(Previous { token, current, grace, time: now, by });
                }
                self.remember(ask, now, outcome);
                Wrote::Done { outcome, rotated: grace.is_some() }
            }
        }
    }

    /// What a first save has to do; afterwards it is done.
    pub(super) fn create(&mut self, ask: &Ask, now: u64) -> Wrote {
        let is_first = ask.etag.is_none_or(|etag| etag == 0);
        let mut created = Self::new(self.id.clone(), self.ticket.clone(), now);
        created.issued = self.issued;
        let applied = match &ask.asked {
            Asked::Save { changes: Some(_), .. } if is_first => created.apply(ask, now),
            _ if is_first => return Wrote::Missing,
            _ => return Wrote::Refused("stale"),
        };
        match applied {
            Err(why) => Wrote::Refused(why),
            Ok((WriteEffect::Deleted, _)) => Wrote::Missing,
            Ok(_) => {
                created.remember(ask, now, WriteEffect::Created);
                *self = created;
                Wrote::Done { outcome: WriteEffect::Created, rotated: false }
            }
        }
    }

    /// Whether a repeated call is told the current token.
    fn tells(&self, token: usize, ask: &Ask, now: u64) -> bool {
        let did_it = |previous: &Previous| {
            previous.by.as_ref().is_some_and(|(request, asked)| *request == ask.request && *asked == ask.asked)
        };
        match self.hold(token, now) {
            TokenMatch::Current | TokenMatch::InGrace => true,
            TokenMatch::Previous => self.previous.as_ref().is_some_and(did_it),
            TokenMatch::Replaced | TokenMatch::Older => false,
        }
    }

    fn remember(&mut self, ask: &Ask, time: u64, outcome: WriteEffect) {
        if !ask.request.is_empty() {
            self.marks.push_back(IdempotencyRecord {
                request: ask.request.clone(),
                asked: ask.asked.clone(),
                time,
                outcome,
            });
            self.marks.drain(..self.marks.len().saturating_sub(16));
        }
    }

    /// The outcome, and the grace of the token that was replaced, if one was.
    fn apply(&mut self, ask: &Ask, now: u64) -> Result<(WriteEffect, Option<u64>), &'static str> {
        match &ask.asked {
            Asked::Destroy => {
                self.bury(EndReason::Destroyed, now);
                Ok((WriteEffect::Deleted, None))
            }
            Asked::Rotate(cause) => {
                self.used = self.used.max(now);
                Ok((WriteEffect::Updated, Some(if *cause == RotationCause::Renewal { GRACE } else { 0 })))
            }
            Asked::Save { changes, rotate, keep_empty } => {
                let Some(changes) = changes else {
                    self.used = self.used.max(now);
                    return Ok((WriteEffect::Updated, rotate.then_some(0)));
                };
                let privileged = self.change(changes, now)?;
                if self.entries.is_empty() && self.permanent.is_none() && !keep_empty {
                    self.bury(EndReason::Emptied, now);
                    return Ok((WriteEffect::Deleted, None));
                }
                self.used = self.used.max(now);
                Ok((WriteEffect::Updated, (privileged || *rotate).then_some(0)))
            }
        }
    }

    pub(super) fn bury(&mut self, reason: EndReason, now: u64) {
        self.end = Some((reason, now));
        self.entries.clear();
        self.subject = None;
    }

    /// Whether it is a change of what the user may do.
    fn change(&mut self, changes: &Changes, now: u64) -> Result<bool, &'static str> {
        let subject = match &changes.subject {
            SubjectChange::Set(subject) => Some(subject.as_str().to_owned()),
            SubjectChange::Keep if !changes.clear => self.subject.clone(),
            SubjectChange::Keep | SubjectChange::Remove => None,
        };
        let again = changes.authentication == AuthenticationChange::Now;
        if again && subject.is_none() {
            return Err("nobody");
        }
        let wiped = changes.clear || (self.subject.is_some() && subject.is_some() && self.subject != subject);
        self.entries = self.entries_after(changes, wiped)?;
        if wiped {
            (self.permanent, self.authenticated) = (None, None);
        }
        match changes.permanent {
            PermanentChange::Keep => {}
            PermanentChange::Set(permanent) => self.permanent = Some(permanent),
            PermanentChange::Unset => self.permanent = None,
        }
        match changes.subject {
            SubjectChange::Set(_) => self.authenticated = Some(now),
            SubjectChange::Remove => self.authenticated = None,
            SubjectChange::Keep if again => self.authenticated = Some(now),
            SubjectChange::Keep => {}
        }
        self.version += 1;
        self.live(changes.lifetime, subject.is_some(), now);
        let privileged = changes.clear || again || self.subject != subject;
        self.subject = subject;
        Ok(privileged)
    }

    fn entries_after(&self, changes: &Changes, wiped: bool) -> Result<BTreeMap<String, Vec<u8>>, &'static str> {
        let mut entries = if wiped { BTreeMap::new() } else { self.entries.clone() };
        for (name, delta) in &changes.increment {
            let before = entries.get(name).map_or(Some(0), |kept| number(kept));
            let after = before.and_then(|before| before.checked_add(*delta)).ok_or("no counter")?;
            entries.insert(name.clone(), after.to_string().into_bytes());
        }
        changes.unset.iter().for_each(|name| drop(entries.remove(name)));
        for (name, value) in &changes.set {
            entries.insert(name.clone(), Value::stored(value).to_vec());
        }
        let bytes = |entries: &BTreeMap<String, Vec<u8>>| -> usize {
            entries.iter().map(|(name, kept)| name.len() + kept.len()).sum()
        };
        if entries.len() > MAX_ENTRIES && entries.len() > self.entries.len() {
            return Err("too many");
        }
        if bytes(&entries) > MAX_BYTES && bytes(&entries) > bytes(&self.entries) {
            return Err("too large");
        }
        Ok(entries)
    }

    /// The deadlines after a save: as it asks, as its first subject grants, as the loss of it leaves them.
    fn live(&mut self, asked: LifetimeChange, is_owned: bool, now: u64) {
        let asked = match asked {
            LifetimeChange::Keep => None,
            LifetimeChange::Default => Some((OWNED.0, self.created + OWNED.1)),
            LifetimeChange::Idle(span) => {
                let span = u64::try_from(span.as_millis()).unwrap();
                Some((span.min(OWNED.0), self.created + OWNED.1))
            }
            LifetimeChange::Until(time) => Some((OWNED.1, time.millis().min(self.created + OWNED.1))),
        };
        let was_owned = self.subject.is_some();
        let (idle, deadline) = match (was_owned, is_owned, asked) {
            (false, true, None) => (OWNED.0, self.created + OWNED.1),
            (_, true, Some(asked)) => asked,
            (true, true, None) | (false, false, None) => return,
            (true, false, asked) => {
                let (idle, deadline) = asked.unwrap_or((self.idle, self.deadline));
                (idle.min(ANONYMOUS.0), deadline.min(now + ANONYMOUS.1))
            }
            (false, false, Some((idle, deadline))) => {
                let latest = self.deadline.max(self.created + ANONYMOUS.1);
                (idle.min(ANONYMOUS.0), deadline.min(latest))
            }
        };
        (self.idle, self.deadline) = (idle, deadline.max(now));
    }
}

/// A decimal number in its one spelling.
fn number(kept: &[u8]) -> Option<i64> {
    let Some(ValueKind::Json(text)) = ValueKind::decode(kept) else { return None };
    text.parse::<i64>().ok().filter(|number| number.to_string() == text)
}
