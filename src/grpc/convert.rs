//! Conversions: messages to domain types and back. What cannot be converted is said by field.

use std::collections::BTreeMap;
use std::time::Duration;

use prost_types::{Duration as WireDuration, Timestamp};

use super::status::RequestError;
use super::wire;
use crate::app::{App, Kind as AppKind};
use crate::cookie::SameSite;
use crate::flask;
use crate::service::{AppStats, Header, MigrationStats, NullReason, Outcome, SessionInfo, SessionView};
use crate::session::{
    AuthenticationChange, Changes, Context, EndReason, Entries, LifetimeChange, PermanentChange, Subject,
    SubjectChange, Value, ValueKind, Version,
};
use crate::types::Time;

/// The changes that a save of this app's sessions asks for.
pub(super) fn changes(changes: wire::Changes, app: &App) -> Result<Changes, RequestError> {
    let value = |(name, value): (String, wire::Value)| match self::value(value, app) {
        Ok(value) => Ok((name, value)),
        Err(why) => Err(RequestError::Value { name, why }),
    };
    Ok(Changes {
        clear: changes.clear,
        unset: changes.unset,
        set: changes.set.into_iter().map(value).collect::<Result<_, _>>()?,
        increment: changes.increment.into_iter().collect(),
        permanent: changes.permanent.map_or(PermanentChange::Keep, PermanentChange::Set),
        subject: match changes.subject.as_deref() {
            None => SubjectChange::Keep,
            Some("") => SubjectChange::Remove,
            Some(text) => SubjectChange::Set(Subject::parse(text)?),
        },
        authentication: match changes.authenticated {
            true => AuthenticationChange::Now,
            false => AuthenticationChange::Keep,
        },
        lifetime: lifetime(changes.lifetime)?,
    })
}

/// A value, in the JSON of the app's kind.
fn value(value: wire::Value, app: &App) -> Result<Value, String> {
    match (value.kind, &app.kind) {
        (Some(wire::value::Kind::Json(text)), AppKind::Stored) => Value::json(text).map_err(|error| error.to_string()),
        (Some(wire::value::Kind::Json(text)), AppKind::Cookie(_)) => {
            flask::json_value(&text).map_err(|error| error.to_string())
        }
        (Some(wire::value::Kind::Raw(bytes)), _) => Ok(Value::raw(&bytes)),
        (None, _) => Err("a value needs a kind, json or raw".to_owned()),
    }
}

fn lifetime(lifetime: Option<wire::changes::Lifetime>) -> Result<LifetimeChange, RequestError> {
    use wire::changes::Lifetime;

    match lifetime {
        None | Some(Lifetime::DefaultLifetime(false)) => Ok(LifetimeChange::Keep),
        Some(Lifetime::DefaultLifetime(true)) => Ok(LifetimeChange::Default),
        Some(Lifetime::IdleTimeout(span)) => {
            positive_span(&span).map(LifetimeChange::Idle).ok_or(RequestError::Lifetime("idle_timeout"))
        }
        Some(Lifetime::DeadlineTime(time)) => {
            time_of(&time).map(LifetimeChange::Until).ok_or(RequestError::Lifetime("deadline_time"))
        }
    }
}

/// A span of at least a millisecond.
fn positive_span(span: &WireDuration) -> Option<Duration> {
    span_of(span).filter(|span| *span >= Duration::from_millis(1))
}

/// A span that is not negative and that the contract of Duration allows: at most 10,000 years.
fn span_of(span: &WireDuration) -> Option<Duration> {
    let seconds = u64::try_from(span.seconds).ok().filter(|seconds| *seconds <= 315_576_000_000)?;
    Some(Duration::new(seconds, nanos_of(span.nanos)?))
}

/// A time from 1970 on that the contract of Timestamp allows: before the year 10000.
fn time_of(time: &Timestamp) -> Option<Time> {
    let seconds = u64::try_from(time.seconds).ok().filter(|seconds| *seconds <= 253_402_300_799)?;
    Some(Time::from_millis(seconds * 1000 + u64::from(nanos_of(time.nanos)?) / 1_000_000))
}

fn nanos_of(nanos: i32) -> Option<u32> {
    u32::try_from(nanos).ok().filter(|nanos| *nanos < 1_000_000_000)
}

/// How old an authentication may be, if that is asked.
pub(super) fn authenticate_age(span: Option<WireDuration>) -> Result<Option<Duration>, RequestError> {
    span.map(|span| positive_span(&span).ok_or(RequestError::AuthenticateAge)).transpose()
}

/// An etag; empty: none.
pub(super) fn etag(etag: &str) -> Result<Option<Version>, RequestError> {
    if etag.is_empty() { Ok(None) } else { Version::parse(etag).map(Some).ok_or(RequestError::Etag) }
}

/// A `request_id` that is not too long.
pub(super) const fn request_id(request_id: &str) -> Result<&str, RequestError> {
    if request_id.len() > 64 { Err(RequestError::RequestId(request_id.len())) } else { Ok(request_id) }
}

/// A name that overrides the app's; empty: none.
pub(super) fn cookie_name(name: &str) -> Option<&str> {
    Some(name).filter(|name| !name.is_empty())
}

/// A request's context, its user agent cut to 256 bytes.
pub(super) fn context(context: Option<wire::RequestContext>) -> Result<Option<Context>, RequestError> {
    let Some(wire::RequestContext { user_agent, remote_address }) = context else { return Ok(None) };
    if remote_address.len() > 64 {
        return Err(RequestError::Context(remote_address.len()));
    }
    let cut = user_agent.floor_char_boundary(256);
    Ok(Some(Context { user_agent: user_agent[..cut].into(), remote_address: remote_address.into() }))
}

impl From<SessionView> for wire::Session {
    fn from(view: SessionView) -> Self {
        let times = view.times;
        Self {
            id: view.id.map(|id| id.to_string()).unwrap_or_default(),
            token: view.token,
            entries: wire_entries(&view.entries),
            permanent: view.permanent,
            new: view.version == Version::NEW && view.null.is_none(),
            etag: view.id.map(|_| view.version.to_string()).unwrap_or_default(),
            subject: view.subject.map(|subject| subject.as_str().to_owned()).unwrap_or_default(),
            create_time: times.and_then(|times| times.create_time).map(timestamp),
            access_time: times.map(|times| timestamp(times.access_time)),
            authenticate_time: times.and_then(|times| times.authenticate_time).map(timestamp),
            expire_time: times.map(|times| timestamp(times.expire_time)),
            idle_timeout: times.map(|times| wire_duration(times.idle_timeout)),
            null_session: view.null.map(null_session),
        }
    }
}

impl From<SessionInfo> for wire::SessionInfo {
    fn from(info: SessionInfo) -> Self {
        let (head, end_reason) = (info.record.head, info.end_reason.map_or(wire::EndReason::Unspecified, end_reason));
        let Context { user_agent, remote_address } = head.context.clone();
        Self {
            id: info.id.to_string(),
            subject: head.subject.as_ref().map(|subject| subject.as_str().to_owned()).unwrap_or_default(),
            permanent: head.permanent,
            etag: head.version.to_string(),
            create_time: Some(timestamp(head.create_time)),
            access_time: Some(timestamp(head.access_time)),
            authenticate_time: head.authenticate_time.map(timestamp),
            expire_time: Some(timestamp(head.expire_time(head.access_time))),
            context: Some(wire::RequestContext {
                user_agent: user_agent.into_string(),
                remote_address: remote_address.into_string(),
            }),
            entry_count: head.entry_count,
            entry_bytes: head.entry_bytes,
            entries: wire_entries(&info.record.entries),
            end_reason: end_reason.into(),
            end_time: head.end.map(|end| timestamp(end.time)),
        }
    }
}

impl From<AppStats> for wire::GetStatsResponse {
    fn from(numbers: AppStats) -> Self {
        let ended = numbers.ended.into_iter().filter(|(_, count)| *count > 0);
        Self {
            start_time: Some(timestamp(numbers.start_time)),
            opened: numbers.opened,
            created: numbers.created,
            ended: ended.map(|(reason, count)| (reason.as_str().to_owned(), count)).collect(),
            live: numbers.live_count.map_or(0, |census| census.live),
            live_anonymous: numbers.live_count.map_or(0, |census| census.live_anonymous),
            scan_time: numbers.live_count.map(|census| timestamp(census.time)),
            migrations: numbers.migrations.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<MigrationStats> for wire::MigrationStats {
    fn from(numbers: MigrationStats) -> Self {
        let refused = numbers.refused.into_iter().filter(|(_, count)| *count > 0);
        Self {
            source: numbers.source.to_string(),
            until: Some(timestamp(numbers.until)),
            imported: numbers.imported,
            found: numbers.found,
            refused: refused.map(|(why, count)| (why.as_str().to_owned(), count)).collect(),
            last_import_time: numbers.last_import.map(timestamp),
        }
    }
}

fn wire_entries(entries: &Entries) -> BTreeMap<String, wire::Value> {
    entries.iter().filter_map(|(name, stored)| Some((name.to_owned(), wire_value(stored)?))).collect()
}

fn wire_value(stored: &[u8]) -> Option<wire::Value> {
    let kind = match ValueKind::decode(stored)? {
        ValueKind::Json(text) => wire::value::Kind::Json(text.to_owned()),
        ValueKind::Raw(bytes) => wire::value::Kind::Raw(bytes.to_vec()),
    };
    Some(wire::Value { kind: Some(kind) })
}

pub(super) fn null_session(reason: NullReason) -> wire::NullSession {
    wire::NullSession { reason: reason.as_str().to_owned(), message: reason.message().to_owned() }
}

pub(super) fn headers(headers: Vec<Header>) -> Vec<wire::Header> {
    headers.into_iter().map(|Header { name, value }| wire::Header { name: name.to_owned(), value }).collect()
}

/// Outcome and reason of what became of a session.
pub(super) const fn outcome(outcome: Outcome) -> (wire::Outcome, wire::EndReason) {
    let none = wire::EndReason::Unspecified;
    match outcome {
        Outcome::Unchanged => (wire::Outcome::Unchanged, none),
        Outcome::Created => (wire::Outcome::Created, none),
        Outcome::Updated => (wire::Outcome::Updated, none),
        Outcome::Deleted(reason) => (wire::Outcome::Deleted, end_reason(reason)),
        Outcome::Gone(Some(reason)) => (wire::Outcome::Gone, end_reason(reason)),
        Outcome::Gone(None) => (wire::Outcome::Gone, none),
    }
}

pub(super) const fn end_reason(reason: EndReason) -> wire::EndReason {
    match reason {
        EndReason::Destroyed => wire::EndReason::Destroyed,
        EndReason::Emptied => wire::EndReason::Emptied,
        EndReason::Revoked => wire::EndReason::Revoked,
        EndReason::Superseded => wire::EndReason::Superseded,
        EndReason::Idle => wire::EndReason::Idle,
        EndReason::Absolute => wire::EndReason::Absolute,
        EndReason::Evicted => wire::EndReason::Evicted,
    }
}

pub(super) fn policy(app: &App) -> wire::GetAppPolicyResponse {
    let cookie = app.cookie.attributes();
    wire::GetAppPolicyResponse {
        app: app.name.to_string(),
        kind: match app.kind {
            AppKind::Stored => wire::AppKind::Stored.into(),
            AppKind::Cookie(_) => wire::AppKind::Cookie.into(),
        },
        cookie_name: cookie.name.as_str().to_owned(),
        cookie_domain: cookie.domain.clone().unwrap_or_default(),
        cookie_path: cookie.path.clone(),
        cookie_httponly: cookie.httponly,
        cookie_secure: cookie.secure,
        cookie_samesite: cookie.samesite.map(SameSite::as_str).unwrap_or_default().to_owned(),
        cookie_partitioned: cookie.partitioned,
        pickle_based: false,
        refresh_each_request: app.refresh_each_request,
        idle_timeout: Some(wire_duration(app.lifetimes.idle_timeout)),
        absolute_timeout: Some(wire_duration(app.lifetimes.absolute_timeout)),
        rotation_grace: Some(wire_duration(app.rotation_grace)),
        max_entries: app.limits.max_entries,
        max_session_bytes: app.limits.max_bytes,
        subject_key: app.subject_key.as_deref().unwrap_or_default().to_owned(),
        anonymous_idle_timeout: Some(wire_duration(app.anonymous_lifetimes.idle_timeout)),
        anonymous_absolute_timeout: Some(wire_duration(app.anonymous_lifetimes.absolute_timeout)),
        null_session: (!app.has_keys()).then(|| null_session(NullReason::NoKey)),
    }
}

pub(super) fn timestamp(time: Time) -> Timestamp {
    let millis = i64::try_from(time.millis()).unwrap_or(i64::MAX);
    let nanos = i32::try_from(millis % 1000).unwrap_or_default() * 1_000_000;
    Timestamp { seconds: millis / 1000, nanos }
}

fn wire_duration(span: Duration) -> WireDuration {
    let seconds = i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
    WireDuration { seconds, nanos: i32::try_from(span.subsec_nanos()).unwrap_or_default() }
}
