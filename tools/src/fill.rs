//! Fills a store through the service, with sessions that were created and used in the past.

use std::sync::Arc;
use std::time::Duration;

use cloakroom::app::{App, Apps};
use cloakroom::service::{self, Credential, OpenRequest, SaveRequest, Service};
use cloakroom::session::{Changes, RequestContext, Subject, SubjectChange, Value};
use cloakroom::store::Handle;
use cloakroom::types::{Clock as _, ManualClock, Time, duration};
use fastrand::Rng;
use tokio::task::JoinSet;

use super::Plan;
use super::sample::SampleSession;

/// A session in the store.
#[derive(Debug)]
pub struct StoredSession {
    /// The token that opens it.
    pub token: String,
    /// The length of the JSON text of its largest entry.
    pub cart_bytes: usize,
}

/// Creates the planned sessions in a store. Calls `progress` with the number of sessions created so far.
///
/// Returns them in the order in which they were drawn. After an error, some sessions may be in the store.
pub async fn fill(
    store: &Handle,
    apps: &Apps,
    plan: &Plan,
    now: Time,
    mut progress: impl FnMut(usize),
) -> Result<Vec<StoredSession>, FillError> {
    let app = apps.find(&plan.app).ok_or(service::Error::AppUnknown)?;
    let max_age = max_age(plan, app)?;
    let mut rng = Rng::with_seed(plan.seed);
    let mut running = JoinSet::new();
    let mut created = Vec::with_capacity(plan.count);
    for number in 0..plan.count {
        if running.len() == CONCURRENCY {
            created.extend(join_next(&mut running).await?);
            progress(created.len());
        }
        let sample = SampleSession::draw(plan, app.limits.max_bytes, &mut rng);
        let clock = Arc::new(ManualClock::new(now.before(max_age.mul_f64(sample.age))));
        let service = Service::new(apps.clone(), store.clone(), Arc::clone(&clock) as _);
        let app = plan.app.clone();
        running.spawn(async move { Ok((number, create(&service, (&clock, now), &app, sample).await?)) });
    }
    while let Some(numbered) = join_next(&mut running).await? {
        created.push(numbered);
        progress(created.len());
    }
    created.sort_unstable_by_key(|(number, _)| *number);
    Ok(created.into_iter().map(|(_, session)| session).collect())
}

type Numbered = (usize, StoredSession);

async fn join_next(running: &mut JoinSet<Result<Numbered, FillError>>) -> Result<Option<Numbered>, FillError> {
    match running.join_next().await {
        None => Ok(None),
        Some(Ok(created)) => created.map(Some),
        Some(Err(failed)) => std::panic::resume_unwind(failed.into_panic()),
    }
}

/// Creates a session at the time of the clock, and uses it once more before `now`.
async fn create(
    service: &Service,
    (clock, now): (&ManualClock, Time),
    app: &str,
    sample: SampleSession,
) -> Result<StoredSession, FillError> {
    let context = RequestContext { user_agent: sample.user_agent.into(), remote_address: sample.remote_address.into() };
    let access_time = clock.now() + now.since(clock.now()).mul_f64(sample.last_use);
    let cart_bytes = sample.entries.first().map_or(0, |(_, json)| json.len());
    let changes = Changes {
        set: sample.entries.into_iter().map(json_entry).collect(),
        subject: sample.subject.map_or(SubjectChange::Keep, subject),
        ..Changes::default()
    };

    let opened = service.open(OpenRequest { app, ..OpenRequest::default() }).await?;
    let save = SaveRequest {
        credential: Credential::Token(&opened.session.token),
        changes: Some(changes),
        context: Some(context.clone()),
        ..SaveRequest::default()
    };
    let token = service.save(&*service.app(app)?, save).await?.session.ok_or(FillError::Lost)?.token;

    clock.set(access_time);
    let credential = Credential::Token(&token);
    let opened =
        service.open(OpenRequest { app, credential, context: Some(context), ..OpenRequest::default() }).await?;
    if opened.session.token == token { Ok(StoredSession { token, cart_bytes }) } else { Err(FillError::Lost) }
}

fn json_entry((name, json): (String, String)) -> (String, Value) {
    (name, Value::json(json).expect("the values of a sample are JSON"))
}

fn subject(text: String) -> SubjectChange {
    SubjectChange::Set(Subject::parse(&text).expect("the subject of a sample is short"))
}

/// Returns the age of the oldest session: young enough to be alive although it was never used again.
fn max_age(plan: &Plan, app: &App) -> Result<Duration, FillError> {
    if plan.median_bytes > app.limits.max_bytes {
        return Err(FillError::Size { most: app.limits.max_bytes });
    }
    let most = app.lifetimes.idle_timeout * 9 / 10;
    match plan.age {
        Some(age) if age > most => Err(FillError::Age { most }),
        age => Ok(age.unwrap_or(most)),
    }
}

/// Why a store cannot be filled.
#[derive(Debug, thiserror::Error)]
pub enum FillError {
    /// Some sessions would have ended already.
    #[error("--age: sessions of this app end when they are not used; let them be at most {} old", duration::text(*.most))]
    Age {
        /// The greatest age that is allowed.
        most: Duration,
    },
    /// Half of the sessions would be too large.
    #[error("--size: sessions of this app have at most {most} bytes; raise its max_session_bytes")]
    Size {
        /// The greatest size that is allowed, in bytes.
        most: u32,
    },
    /// Another process ended a session.
    #[error("a session was ended while the store was filled")]
    Lost,
    /// The service refused a call.
    #[error(transparent)]
    Service(#[from] service::Error),
}

/// The number of sessions that are created at once: enough for a group commit, and not too many for a small Redis.
const CONCURRENCY: usize = 128;
