//! The model of one session, in plain maps and numbers.
//!
//! It is written from the contract and shares no code with `src/session`. Times and durations are in milliseconds.

use std::collections::{BTreeMap, VecDeque};

use cloakroom::service::RotationCause;
use cloakroom::session::{
    AuthenticationChange, Changes, EndReason, LifetimeChange, PermanentChange, SubjectChange, Value, ValueKind,
    WriteEffect,
};

pub(super) const MINUTE: u64 = 60_000;

/// Idle and absolute timeout of a session with a subject.
pub(super) const AUTHENTICATED: (u64, u64) = (10 * MINUTE, 60 * MINUTE);

/// Idle and absolute timeout of a session without a subject.
pub(super) const ANONYMOUS: (u64, u64) = (3 * MINUTE, 20 * MINUTE);

pub(super) const GRACE: u64 = 20_000;
/// How long after a rotation a recovery session sets no cookie.
pub(super) const COOKIE_DELAY: u64 = 30_000;
pub(super) const TOMBSTONE_TTL: u64 = 16 * MINUTE;
pub(super) const IDEMPOTENCY_TTL: u64 = 10 * MINUTE;
pub(super) const MAX_ENTRIES: usize = 6;
pub(super) const MAX_BYTES: usize = 1024;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Save { changes: Option<Changes>, rotate: bool, keep_empty: bool },
    Rotate(RotationCause),
    Destroy,
}

#[derive(Clone, Debug)]
pub(super) struct WriteRequest {
    pub(super) operation: Operation,
    /// Empty if there is none.
    pub(super) request_id: String,
    pub(super) etag: Option<u64>,
    /// How old the request of a save is, in milliseconds.
    pub(super) age: Option<u64>,
}

impl WriteRequest {
    /// Whether the request had begun at a time of an end; 0: there was none.
    pub(super) fn began_before(&self, end: u64, now: u64) -> bool {
        self.age.is_some_and(|age| now.saturating_sub(age) < end)
    }

    const fn keeps_empty(&self) -> bool {
        matches!(self.operation, Operation::Save { keep_empty: true, .. })
    }

    /// Whether the save sets `permanent`, which alone is not stored.
    pub(super) fn sets_permanent(&self) -> bool {
        let Operation::Save { changes: Some(changes), .. } = &self.operation else { return false };
        matches!(changes.permanent, PermanentChange::Set(_))
    }

    pub(super) const fn is_unmodified_save(&self) -> bool {
        matches!(self.operation, Operation::Save { changes: None, rotate: false, .. })
    }
}

/// The result that a write must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ExpectedWrite {
    Missing,
    Gone(EndReason),
    Refused(&'static str),
    /// A repeated call; `shows_token` says whether the response has the current token.
    Again {
        outcome: WriteEffect,
        shows_token: bool,
        /// Whether the first call made the rotation whose token is shown.
        by_rotation: bool,
    },
    /// Nothing is written.
    Read,
    Done {
        outcome: WriteEffect,
        rotated: bool,
    },
    /// A renewal by a token that was renewed already.
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
    /// It was the current token when an older one, in its grace, rotated.
    Replaced,
    Older,
}

#[derive(Clone, Debug)]
struct PreviousToken {
    /// The token by which the rotation was requested.
    token: usize,
    /// The token that was current then.
    current: usize,
    grace: u64,
    time: u64,
    by: Option<(String, Operation)>,
}

#[derive(Clone, Debug)]
struct IdempotencyRecord {
    request_id: String,
    operation: Operation,
    time: u64,
    outcome: WriteEffect,
}

#[derive(Clone, Debug)]
pub(super) struct ExpectedSession {
    pub(super) id: String,
    pub(super) ticket: String,
    /// The issue time of the ticket, in seconds.
    pub(super) issued: u64,
    /// All tokens so far, oldest first; the last is the current one. Empty before the first save.
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
    /// Whether a superseded token leads here. Its first token is never shown then, but its creation may rotate.
    pub(super) is_recovery: bool,
    /// Whether a key of a framework leads here. Nothing rotates it, and it does not end when it is emptied.
    is_external: bool,
    previous: Option<PreviousToken>,
    idempotency: VecDeque<IdempotencyRecord>,
}

impl ExpectedSession {
    /// A session that is not saved yet.
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
            is_recovery: false,
            is_external: false,
            previous: None,
            idempotency: VecDeque::new(),
        }
    }

    /// A session that a superseded token leads to, and that is not saved yet.
    pub(super) const fn new_recovery(id: String, now: u64) -> Self {
        let mut recovery = Self::new(id, String::new(), now);
        recovery.is_recovery = true;
        recovery
    }

    /// A session of a key that is not saved yet.
    pub(super) const fn new_external(now: u64) -> Self {
        let mut external = Self::new(String::new(), String::new(), now);
        external.is_external = true;
        external
    }

    /// The time when it expires if its last use is at `now`.
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

    /// Whether it is alive and has this subject.
    pub(super) fn belongs_to(&self, subject: &str, now: u64) -> bool {
        self.state(now) == State::Alive && self.subject.as_deref() == Some(subject)
    }

    pub(super) fn ticket_is_good(&self, now: u64) -> bool {
        now / 1000 - self.issued <= 15 * 60
    }

    /// Compares a token with those of a live session.
    pub(super) fn match_token(&self, token: usize, now: u64) -> TokenMatch {
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

    /// Whether a token was replaced, and the time of the last rotation. The session may have ended since.
    pub(super) fn superseded(&self, token: usize, now: u64) -> Option<u64> {
        let is_known = matches!(self.state(now), State::Alive | State::Ended(_));
        let opened_until_the_end = matches!(self.match_token(token, now), TokenMatch::Current | TokenMatch::InGrace);
        (is_known && !opened_until_the_end).then(|| self.previous.as_ref().map_or(self.created, |last| last.time))
    }

    /// A use without changes is written if a twentieth of the idle timeout has passed.
    pub(super) fn touch(&mut self, now: u64) {
        if now.saturating_sub(self.used) * 20 >= self.idle {
            self.used = now;
        }
    }

    /// Times at which something expires; the clock is often moved to one of them.
    pub(super) fn ends(&self) -> Vec<u64> {
        let mut ends = vec![(self.issued + 15 * 60) * 1000 + 1000, self.expires(self.used), self.deadline];
        ends.push(self.end.map_or(self.expires(self.used), |(_, time)| time) + TOMBSTONE_TTL);
        let of_rotation = |previous: &PreviousToken| {
            [previous.time + GRACE, previous.time + COOKIE_DELAY, previous.time + IDEMPOTENCY_TTL]
        };
        ends.extend(self.previous.iter().flat_map(of_rotation));
        ends.extend(self.idempotency.iter().map(|record| record.time + IDEMPOTENCY_TTL));
        ends
    }

    fn find_call(&self, request_id: &str, now: u64) -> Option<&IdempotencyRecord> {
        let mut newest_first = self.idempotency.iter().rev();
        newest_first.find(|record| record.request_id == request_id && now < record.time + IDEMPOTENCY_TTL)
    }

    /// Whether a call with this `request_id` is remembered.
    pub(super) fn has_done(&self, request_id: &str, now: u64) -> bool {
        self.find_call(request_id, now).is_some()
    }

    /// Applies a write by that token and returns the result that it must have.
    pub(super) fn write(&mut self, token: usize, request: &WriteRequest, now: u64) -> ExpectedWrite {
        let reason = match self.state(now) {
            State::New | State::Forgotten => return ExpectedWrite::Missing,
            State::Ended(reason) => Some(reason),
            State::Alive => None,
        };
        if let Some(record) = self.find_call(&request.request_id, now) {
            let shows_token = self.shows_token(token, request, now);
            let by_rotation = shows_token && self.match_token(token, now) != TokenMatch::Current;
            let again = ExpectedWrite::Again { outcome: record.outcome, shows_token, by_rotation };
            return if record.operation == request.operation { again } else { ExpectedWrite::Refused("reused") };
        }
        if let Some(reason) = reason {
            return ExpectedWrite::Gone(reason);
        }
        let in_grace = self.previous.as_ref().is_some_and(|previous| now < previous.time + previous.grace);
        match (self.match_token(token, now), &request.operation) {
            (TokenMatch::Current | TokenMatch::InGrace, Operation::Rotate(RotationCause::Renewal)) if in_grace => {
                self.touch(now);
                return ExpectedWrite::Renewed;
            }
            (TokenMatch::Current, _)
            | (TokenMatch::InGrace | TokenMatch::Previous | TokenMatch::Replaced, Operation::Destroy) => {}
            (TokenMatch::InGrace, _) => {}
            (TokenMatch::Previous | TokenMatch::Replaced | TokenMatch::Older, _) => {
                return ExpectedWrite::Gone(EndReason::Superseded);
            }
        }
        if request.etag.is_some_and(|etag| etag != self.version) {
            return ExpectedWrite::Refused("stale");
        }
        match self.apply(request, now) {
            Err(reason) => ExpectedWrite::Refused(reason),
            Ok((outcome, grace)) => {
                if let Some(grace) = grace {
                    self.replace_token(token, grace, request, now);
                }
                self.record(request, now, outcome);
                ExpectedWrite::Done { outcome, rotated: grace.is_some() }
            }
        }
    }

    /// When a call ended the session or replaced the token; 0 if it opens the session, or only time has ended it.
    pub(super) fn end_time(&self, token: usize, now: u64) -> u64 {
        if matches!(self.state(now), State::New | State::Forgotten) {
            return 0;
        }
        let previous = self.previous.as_ref();
        let replaced = match self.match_token(token, now) {
            TokenMatch::Current | TokenMatch::InGrace => u64::MAX,
            TokenMatch::Previous => previous.map_or(u64::MAX, |last| last.time + last.grace),
            TokenMatch::Replaced | TokenMatch::Older => previous.map_or(self.created, |last| last.time),
        };
        let end = replaced.min(self.end.map_or(u64::MAX, |(_, time)| time));
        if end == u64::MAX { 0 } else { end }
    }

    /// Reads by that token, as a save without changes does, and returns the result that it must have.
    pub(super) fn read(&mut self, token: usize, now: u64) -> ExpectedWrite {
        match (self.state(now), self.match_token(token, now)) {
            (State::New | State::Forgotten, _) => ExpectedWrite::Missing,
            (State::Ended(reason), _) => ExpectedWrite::Gone(reason),
            (State::Alive, TokenMatch::Current | TokenMatch::InGrace) => {
                self.touch(now);
                ExpectedWrite::Read
            }
            (State::Alive, _) => ExpectedWrite::Gone(EndReason::Superseded),
        }
    }

    /// Applies a first save and returns the result that it must have.
    pub(super) fn create(&mut self, request: &WriteRequest, now: u64) -> ExpectedWrite {
        let is_first = request.etag.is_none_or(|etag| etag == 0);
        let mut created = Self::new(self.id.clone(), self.ticket.clone(), now);
        (created.issued, created.is_recovery) = (self.issued, self.is_recovery);
        created.is_external = self.is_external;
        let applied = match &request.operation {
            Operation::Save { changes: Some(_), .. } if is_first => created.apply(request, now),
            _ if is_first => return ExpectedWrite::Missing,
            _ => return ExpectedWrite::Refused("stale"),
        };
        match applied {
            Err(reason) => ExpectedWrite::Refused(reason),
            Ok((WriteEffect::Deleted, _)) => ExpectedWrite::Missing,
            Ok(_) if created.has_no_content() && !request.keeps_empty() => ExpectedWrite::Missing,
            Ok((_, rotation)) => {
                created.record(request, now, WriteEffect::Created);
                let rotated = created.is_recovery && rotation.is_some();
                if rotated {
                    created.tokens.push(String::new());
                    created.replace_token(0, 0, request, now);
                }
                *self = created;
                ExpectedWrite::Done { outcome: WriteEffect::Created, rotated }
            }
        }
    }

    fn replace_token(&mut self, token: usize, grace: u64, request: &WriteRequest, time: u64) {
        let by = (!request.request_id.is_empty()).then(|| (request.request_id.clone(), request.operation.clone()));
        let current = self.tokens.len() - 1;
        self.previous = Some(PreviousToken { token, current, grace, time, by });
    }

    /// Whether there is nothing to store, apart from `permanent`.
    fn has_no_content(&self) -> bool {
        self.entries.is_empty() && self.subject.is_none()
    }

    /// Whether the response to a repeated call has the current token.
    fn shows_token(&self, token: usize, request: &WriteRequest, now: u64) -> bool {
        let did_it = |previous: &PreviousToken| {
            previous
                .by
                .as_ref()
                .is_some_and(|(id, operation)| *id == request.request_id && *operation == request.operation)
        };
        match self.match_token(token, now) {
            TokenMatch::Current | TokenMatch::InGrace => true,
            TokenMatch::Previous => self.previous.as_ref().is_some_and(did_it),
            TokenMatch::Replaced | TokenMatch::Older => false,
        }
    }

    fn record(&mut self, request: &WriteRequest, time: u64, outcome: WriteEffect) {
        if !request.request_id.is_empty() {
            self.idempotency.push_back(IdempotencyRecord {
                request_id: request.request_id.clone(),
                operation: request.operation.clone(),
                time,
                outcome,
            });
            self.idempotency.drain(..self.idempotency.len().saturating_sub(16));
        }
    }

    /// Returns the effect, and the grace of the replaced token if there is one.
    fn apply(&mut self, request: &WriteRequest, now: u64) -> Result<(WriteEffect, Option<u64>), &'static str> {
        match &request.operation {
            Operation::Destroy => {
                self.end_with(EndReason::Destroyed, now);
                Ok((WriteEffect::Deleted, None))
            }
            Operation::Rotate(cause) => {
                self.used = self.used.max(now);
                Ok((WriteEffect::Updated, Some(if *cause == RotationCause::Renewal { GRACE } else { 0 })))
            }
            Operation::Save { changes, rotate, keep_empty } => {
                let Some(changes) = changes else {
                    self.used = self.used.max(now);
                    return Ok((WriteEffect::Updated, rotate.then_some(0)));
                };
                let privileged = self.change(changes, now)?;
                let ends_empty = !keep_empty && !self.is_external;
                if self.has_no_content() && self.permanent.is_none() && ends_empty {
                    self.end_with(EndReason::Emptied, now);
                    return Ok((WriteEffect::Deleted, None));
                }
                self.used = self.used.max(now);
                let rotates = (privileged || *rotate) && !self.is_external;
                Ok((WriteEffect::Updated, rotates.then_some(0)))
            }
        }
    }

    pub(super) fn end_with(&mut self, reason: EndReason, now: u64) {
        self.end = Some((reason, now));
        self.entries.clear();
        self.subject = None;
    }

    /// Returns whether it is a change of privilege.
    fn change(&mut self, changes: &Changes, now: u64) -> Result<bool, &'static str> {
        let subject = match &changes.subject {
            SubjectChange::Set(subject) => Some(subject.as_str().to_owned()),
            SubjectChange::Keep if !changes.clear => self.subject.clone(),
            SubjectChange::Keep | SubjectChange::Remove => None,
        };
        let again = changes.authentication == AuthenticationChange::Now;
        if again && subject.is_none() {
            return Err("no subject");
        }
        let cleared = changes.clear || (self.subject.is_some() && subject.is_some() && self.subject != subject);
        self.entries = self.entries_after(changes, cleared)?;
        if cleared {
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
        let lifetime = match changes.lifetime {
            LifetimeChange::Keep if cleared => LifetimeChange::Default,
            lifetime => lifetime,
        };
        self.set_deadlines(lifetime, subject.is_some(), now);
        let privileged = changes.clear || again || self.subject != subject;
        self.subject = subject;
        Ok(privileged)
    }

    fn entries_after(&self, changes: &Changes, cleared: bool) -> Result<BTreeMap<String, Vec<u8>>, &'static str> {
        let mut entries = if cleared { BTreeMap::new() } else { self.entries.clone() };
        for (name, delta) in &changes.increment {
            let before = entries.get(name).map_or(Some(0), |stored| number(stored));
            let after = before.and_then(|before| before.checked_add(*delta)).ok_or("no counter")?;
            entries.insert(name.clone(), after.to_string().into_bytes());
        }
        changes.unset.iter().for_each(|name| drop(entries.remove(name)));
        for (name, value) in &changes.set {
            entries.insert(name.clone(), Value::stored(value).to_vec());
        }
        let bytes = |entries: &BTreeMap<String, Vec<u8>>| -> usize {
            entries.iter().map(|(name, stored)| name.len() + stored.len()).sum()
        };
        if entries.len() > MAX_ENTRIES && entries.len() > self.entries.len() {
            return Err("too many");
        }
        if bytes(&entries) > MAX_BYTES && bytes(&entries) > bytes(&self.entries) {
            return Err("too large");
        }
        Ok(entries)
    }

    /// Sets the deadlines after a save, by its lifetime, a login or a logout.
    fn set_deadlines(&mut self, lifetime: LifetimeChange, is_owned: bool, now: u64) {
        let lifetime = match lifetime {
            LifetimeChange::Keep => None,
            LifetimeChange::Default => Some((AUTHENTICATED.0, self.created + AUTHENTICATED.1)),
            LifetimeChange::Idle(span) => {
                let span = u64::try_from(span.as_millis()).unwrap();
                Some((span.min(AUTHENTICATED.0), self.created + AUTHENTICATED.1))
            }
            LifetimeChange::Until(time) => Some((AUTHENTICATED.1, time.millis().min(self.created + AUTHENTICATED.1))),
        };
        let was_owned = self.subject.is_some();
        let (idle, deadline) = match (was_owned, is_owned, lifetime) {
            (false, true, None) => (AUTHENTICATED.0, self.created + AUTHENTICATED.1),
            (_, true, Some(lifetime)) => lifetime,
            (true, true, None) | (false, false, None) => return,
            (true, false, lifetime) => {
                let (idle, deadline) = lifetime.unwrap_or((self.idle, self.deadline));
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

/// Parses a decimal number without leading zeros or a plus sign.
fn number(stored: &[u8]) -> Option<i64> {
    let Some(ValueKind::Json(text)) = ValueKind::decode(stored) else { return None };
    text.parse::<i64>().ok().filter(|number| number.to_string() == text)
}
