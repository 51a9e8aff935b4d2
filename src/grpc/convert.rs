//! Conversions between messages and domain types. An error names the field that cannot be converted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use prost_types::{Duration as WireDuration, Timestamp};

use super::request_error::RequestError;
use super::wire;
use crate::app::{App, Kind as AppKind};
use crate::audit::SessionEnd;
use crate::cookie::{self, CookieChanges, SameSite};
use crate::flask;
use crate::service::{
    AppStats, Credential, CredentialState, Explanation, Header, MigrationStats, NullReason, Outcome, SessionEnds,
    SessionInfo, SessionView,
};
use crate::session::{
    AuthenticationChange, Changes, EndReason, Entries, LifetimeChange, PermanentChange, RequestContext, Subject,
    SubjectChange, SubjectKey, Value, ValueKind, Version,
};
use crate::types::Time;

macro_rules! credentials {
    ($($message:ident),* $(,)?) => {
        $(impl<'r> From<&'r Option<wire::$message::Credential>> for Credential<'r> {
            fn from(credential: &'r Option<wire::$message::Credential>) -> Self {
                match credential {
                    Some(wire::$message::Credential::Token(token)) => Self::Token(token),
                    Some(wire::$message::Credential::CookieHeader(header)) => Self::CookieHeader(header),
                    Some(wire::$message::Credential::Key(key)) => Self::Key(key),
                    None => Self::Absent,
                }
            }
        })*
    };
}

// Each message has a generated oneof of its own.
credentials![
    open_session_request,
    save_session_request,
    rotate_session_request,
    destroy_session_request,
    watch_session_request,
    explain_credential_request,
];

/// Converts the changes of a save, for sessions of this app.
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

/// Converts a value, by the rules for JSON of the app's kind.
fn value(value: wire::Value, app: &App) -> Result<Value, String> {
    match (value.kind, &app.kind) {
        (Some(wire::value::Kind::Json(text)), AppKind::Stored | AppKind::External) => {
            Value::json(text).map_err(|error| error.to_string())
        }
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
        Some(Lifetime::IdleTimeout(duration)) => {
            let idle_timeout = duration_of_at_least(SHORTEST_IDLE_TIMEOUT, &duration);
            idle_timeout.map(LifetimeChange::Idle).ok_or(RequestError::IdleTimeout)
        }
        Some(Lifetime::DeadlineTime(time)) => {
            self::time(&time).map(LifetimeChange::Until).ok_or(RequestError::DeadlineTime)
        }
    }
}

/// Converts a duration of at least `least` and at most 10,000 years, the limit of `google.protobuf.Duration`.
fn duration_of_at_least(least: Duration, duration: &WireDuration) -> Option<Duration> {
    let seconds = u64::try_from(duration.seconds).ok().filter(|seconds| *seconds <= 315_576_000_000)?;
    let duration = Duration::new(seconds, nanos(duration.nanos)?);
    (duration >= least).then_some(duration)
}

/// Converts a time from 1970 to the year 9999, the limit of `google.protobuf.Timestamp`.
fn time(time: &Timestamp) -> Option<Time> {
    let seconds = u64::try_from(time.seconds).ok().filter(|seconds| *seconds <= 253_402_300_799)?;
    Some(Time::from_millis(seconds * 1000 + u64::from(nanos(time.nanos)?) / 1_000_000))
}

fn nanos(nanos: i32) -> Option<u32> {
    u32::try_from(nanos).ok().filter(|nanos| *nanos < 1_000_000_000)
}

/// Converts `max_authenticate_age`.
pub(super) fn authenticate_age(age: Option<WireDuration>) -> Result<Option<Duration>, RequestError> {
    age.map(|age| duration_of_at_least(Duration::from_millis(1), &age).ok_or(RequestError::AuthenticateAge)).transpose()
}

/// Converts `request_age`.
pub(super) fn request_age(age: Option<WireDuration>) -> Result<Option<Duration>, RequestError> {
    age.map(|age| duration_of_at_least(Duration::ZERO, &age).ok_or(RequestError::RequestAge)).transpose()
}

/// Parses an etag; an empty text means none.
pub(super) fn etag(etag: &str) -> Result<Option<Version>, RequestError> {
    if etag.is_empty() { Ok(None) } else { Version::parse(etag).map(Some).ok_or(RequestError::Etag) }
}

/// Checks that a `request_id` is not too long.
pub(super) const fn request_id(request_id: &str) -> Result<&str, RequestError> {
    if request_id.len() > 64 { Err(RequestError::RequestId(request_id.len())) } else { Ok(request_id) }
}

/// Returns the cookie name that overrides the app's; an empty text means none.
pub(super) fn cookie_name(name: &str) -> Option<&str> {
    Some(name).filter(|name| !name.is_empty())
}

/// Converts what a request changes of its app's cookie.
pub(super) fn cookie<'r>(
    name: &'r str,
    attributes: Option<&'r wire::CookieAttributes>,
) -> Result<CookieChanges<'r>, RequestError> {
    let named = CookieChanges::named(cookie_name(name));
    let Some(wire::CookieAttributes { domain, path, secure, samesite }) = attributes else { return Ok(named) };
    Ok(CookieChanges {
        domain: domain.as_deref(),
        path: path.as_deref(),
        secure: *secure,
        samesite: samesite.as_deref().map(self::samesite).transpose()?,
        ..named
    })
}

fn samesite(text: &str) -> Result<Option<SameSite>, RequestError> {
    let named = |samesite: &SameSite| samesite.as_str() == text;
    match [SameSite::Strict, SameSite::Lax, SameSite::None].into_iter().find(named) {
        None if !text.is_empty() => Err(RequestError::SameSite),
        samesite => Ok(samesite),
    }
}

/// Converts a request's context. Browsers and proxies choose both texts, so they are cut and never refused.
pub(super) fn context(context: Option<wire::RequestContext>) -> Option<RequestContext> {
    let wire::RequestContext { user_agent, remote_address } = context?;
    Some(RequestContext { user_agent: cut(&user_agent, 256), remote_address: cut(&remote_address, 64) })
}

/// Returns a text cut between characters, to at most this many bytes.
fn cut(text: &str, limit: usize) -> Box<str> {
    text[..text.floor_char_boundary(limit)].into()
}

impl From<SessionView> for wire::Session {
    fn from(view: SessionView) -> Self {
        let times = view.times;
        Self {
            id: view.id.map(|id| id.to_string()).unwrap_or_default(),
            token: view.token,
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
            entries: BTreeMap::new(),
        }
    }
}

impl From<SessionInfo> for wire::SessionInfo {
    fn from(info: SessionInfo) -> Self {
        let head = info.record.head;
        let RequestContext { user_agent, remote_address } = head.context.clone();
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
            entries: entries(&info.record.entries),
            end_reason: end_reason(info.end_reason),
            end_time: head.end.map(|end| timestamp(end.time)),
        }
    }
}

impl From<Explanation> for wire::CredentialExplanation {
    fn from(explanation: Explanation) -> Self {
        use wire::CredentialState as State;

        let Explanation { state, key_id, id, end_time, session, other_app } = explanation;
        let (state, reason, rejection) = match state {
            CredentialState::Live => (State::Live, None, ""),
            CredentialState::Superseded => (State::Superseded, Some(EndReason::Superseded), ""),
            CredentialState::Ended(reason) => (State::Ended, Some(reason), ""),
            CredentialState::Unknown => (State::Unknown, None, ""),
            CredentialState::Unused => (State::Unused, None, ""),
            CredentialState::Rejected(rejection) => (State::Rejected, None, rejection),
        };
        Self {
            state: state.into(),
            end_reason: end_reason(reason),
            end_time: end_time.map(timestamp),
            id: id.map(|id| id.to_string()).unwrap_or_default(),
            session: session.map(Into::into),
            rejection: rejection.to_owned(),
            key_id: key_id.map(|id| id.to_string()).unwrap_or_default(),
            other_app: other_app.map(|app| app.to_string()).unwrap_or_default(),
        }
    }
}

impl From<AppStats> for wire::GetStatsResponse {
    fn from(stats: AppStats) -> Self {
        let ended = stats.ended.into_iter().filter(|(_, count)| *count > 0);
        Self {
            start_time: Some(timestamp(stats.start_time)),
            opened: stats.opened,
            created: stats.created,
            ended: ended.map(|(reason, count)| (reason.as_str().to_owned(), count)).collect(),
            live: stats.live_count.and_then(|count| count.live),
            live_anonymous: stats.live_count.and_then(|count| count.live_anonymous),
            scan_time: stats.live_count.map(|count| timestamp(count.time)),
            migrations: stats.migrations.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<MigrationStats> for wire::MigrationStats {
    fn from(stats: MigrationStats) -> Self {
        let refused = stats.refused.into_iter().filter(|(_, count)| *count > 0);
        Self {
            source: stats.source.to_string(),
            until: Some(timestamp(stats.until)),
            imported: stats.imported,
            found: stats.found,
            refused: refused.map(|(reason, count)| (reason.as_str().to_owned(), count)).collect(),
            last_import_time: stats.last_import.map(timestamp),
        }
    }
}

pub(super) fn entries(entries: &Entries) -> BTreeMap<String, wire::Value> {
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

/// Returns the number of a `wire::Outcome`.
pub(super) fn outcome(outcome: Outcome) -> i32 {
    let outcome = match outcome {
        Outcome::Unchanged => wire::Outcome::Unchanged,
        Outcome::Created => wire::Outcome::Created,
        Outcome::Updated => wire::Outcome::Updated,
        Outcome::Deleted(_) => wire::Outcome::Deleted,
        Outcome::Gone(_) => wire::Outcome::Gone,
    };
    outcome.into()
}

/// Returns the number of a `wire::EndReason`.
pub(super) fn end_reason(reason: Option<EndReason>) -> i32 {
    let reason = match reason {
        None | Some(EndReason::Moved | EndReason::Arriving) => wire::EndReason::Unspecified,
        Some(EndReason::Destroyed) => wire::EndReason::Destroyed,
        Some(EndReason::Emptied) => wire::EndReason::Emptied,
        Some(EndReason::Revoked) => wire::EndReason::Revoked,
        Some(EndReason::Superseded) => wire::EndReason::Superseded,
        Some(EndReason::Idle) => wire::EndReason::Idle,
        Some(EndReason::Absolute) => wire::EndReason::Absolute,
        Some(EndReason::Evicted) => wire::EndReason::Evicted,
    };
    reason.into()
}

impl From<SessionEnds> for wire::ListSessionEndsResponse {
    fn from(SessionEnds { found, lost }: SessionEnds) -> Self {
        Self {
            ends: found.ends.into_iter().map(Into::into).collect(),
            begin_time: found.begin_time.map(timestamp),
            lost: Some(lost),
        }
    }
}

impl From<SessionEnd> for wire::SessionEnd {
    fn from(end: SessionEnd) -> Self {
        Self {
            time: Some(timestamp(end.time)),
            id: end.id.map(|id| id.to_string()).unwrap_or_default(),
            subject: end.subject.map(|subject| subject.as_str().to_owned()).unwrap_or_default(),
            reason: end_reason(Some(end.reason)),
            create_time: end.create_time.map(timestamp),
            access_time: end.access_time.map(timestamp),
            caller: end.caller,
            rpc: end.rpc,
            call_id: end.call_id,
        }
    }
}

pub(super) fn policy(app: &App) -> wire::GetAppPolicyResponse {
    let cookie = app.cookie.attributes();
    wire::GetAppPolicyResponse {
        app: app.name.to_string(),
        kind: match app.kind {
            AppKind::Stored => wire::AppKind::Stored.into(),
            AppKind::External => wire::AppKind::External.into(),
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
        subject_key: app.subject_key.as_ref().map(SubjectKey::as_str).unwrap_or_default().to_owned(),
        anonymous_idle_timeout: Some(wire_duration(app.anonymous_lifetimes.idle_timeout)),
        anonymous_absolute_timeout: Some(wire_duration(app.anonymous_lifetimes.absolute_timeout)),
        null_session: (!app.has_keys()).then(|| null_session(NullReason::NoKey)),
        legacy_cookie_names: legacy_cookie_names(app),
    }
}

/// Returns the names of the cookies that the app's migration sources read, but for the app's own.
fn legacy_cookie_names(app: &App) -> Vec<String> {
    let Some(migration) = &app.migration else { return Vec::new() };
    let names = migration.sources().filter_map(|source| migration.cookie_name(source)).map(cookie::Name::as_str);
    let other: BTreeSet<&str> = names.filter(|name| *name != app.cookie.attributes().name.as_str()).collect();
    other.into_iter().map(str::to_owned).collect()
}

pub(super) fn timestamp(time: Time) -> Timestamp {
    let millis = i64::try_from(time.millis()).unwrap_or(i64::MAX);
    let nanos = i32::try_from(millis % 1000).unwrap_or_default() * 1_000_000;
    Timestamp { seconds: millis / 1000, nanos }
}

fn wire_duration(duration: Duration) -> WireDuration {
    let seconds = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    WireDuration { seconds, nanos: i32::try_from(duration.subsec_nanos()).unwrap_or_default() }
}

// Below this, a session could end between two requests of one page.
const SHORTEST_IDLE_TIMEOUT: Duration = Duration::from_secs(1);
