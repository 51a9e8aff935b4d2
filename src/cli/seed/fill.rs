//! Filling a store by the service's own verbs, at the times when they would have been called.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use tokio::task::JoinSet;

use super::Plan;
use super::shape::Shape;
use crate::app::{App, Apps};
use crate::service::{self, Credential, OpenRequest, SaveRequest, Service};
use crate::session::{Changes, Context, Subject, SubjectChange, Value};
use crate::store::Handle;
use crate::types::{ManualClock, Time, duration};

/// A session that is in the store.
#[derive(Debug)]
pub struct Seeded {
    /// Its token, which opens it.
    pub token: String,
    /// How many bytes the value of its largest entry has.
    pub cart_bytes: usize,
}

/// Puts the planned sessions into a store; tells `progress` how many are there.
///
/// Answers them in the order in which they were drawn. After an error some may be there.
pub async fn fill(
    store: &Handle,
    apps: &Apps,
    plan: &Plan,
    now: Time,
    mut progress: impl FnMut(usize),
) -> Result<Vec<Seeded>, FillError> {
    let app = apps.find(&plan.app).ok_or(service::Error::AppUnknown)?;
    let age = age(plan, app)?;
    let mut rng = Rng::with_seed(plan.seed);
    let mut running = JoinSet::new();
    let mut done = Vec::with_capacity(plan.count);
    for number in 0..plan.count {
        if running.len() == CONCURRENCY {
            done.extend(next(&mut running).await?);
            progress(done.len());
        }
        let shape = Shape::draw(plan, app.limits.max_bytes, &mut rng);
        let clock = Arc::new(ManualClock::new(now.before(age.mul_f64(shape.age))));
        let service = Service::new(apps.clone(), store.clone(), Arc::clone(&clock) as _);
        let app = plan.app.clone();
        running.spawn(async move { Ok((number, seed(&service, (&clock, now), &app, shape).await?)) });
    }
    while let Some(seeded) = next(&mut running).await? {
        done.push(seeded);
        progress(done.len());
    }
    done.sort_unstable_by_key(|(number, _)| *number);
    Ok(done.into_iter().map(|(_, seeded)| seeded).collect())
}

type Numbered = (usize, Seeded);

async fn next(running: &mut JoinSet<Result<Numbered, FillError>>) -> Result<Option<Numbered>, FillError> {
    match running.join_next().await {
        None => Ok(None),
        Some(Ok(seeded)) => seeded.map(Some),
        Some(Err(failed)) => std::panic::resume_unwind(failed.into_panic()),
    }
}

/// Begins a session when the clock says, and uses it once more before `now`.
async fn seed(
    service: &Service,
    (clock, now): (&ManualClock, Time),
    app: &str,
    shape: Shape,
) -> Result<Seeded, FillError> {
    use crate::types::Clock as _;

    let context = Context { user_agent: shape.user_agent.into(), remote_address: shape.remote_address.into() };
    let used = clock.now() + now.since(clock.now()).mul_f64(shape.used);
    let cart_bytes = shape.entries.first().map_or(0, |(_, json)| json.len());
    let changes = Changes {
        set: shape.entries.into_iter().map(json_entry).collect(),
        subject: shape.subject.map_or(SubjectChange::Keep, subject),
        ..Changes::default()
    };

    let opened = service.open(OpenRequest { app, ..OpenRequest::default() }).await?;
    let credential = Credential::Token(&opened.session.token);
    let (changes, told) = (Some(changes), Some(context.clone()));
    let saved = service
        .save(&*service.app(app)?, SaveRequest { credential, changes, context: told, ..SaveRequest::default() })
        .await?;
    let token = saved.session.ok_or(FillError::Lost)?.token;

    clock.set(used);
    let credential = Credential::Token(&token);
    let opened =
        service.open(OpenRequest { app, credential, context: Some(context), ..OpenRequest::default() }).await?;
    if opened.session.token == token { Ok(Seeded { token, cart_bytes }) } else { Err(FillError::Lost) }
}

fn json_entry((name, json): (String, String)) -> (String, Value) {
    (name, Value::json(json).expect("a shape's values are JSON"))
}

fn subject(text: String) -> SubjectChange {
    SubjectChange::Set(Subject::parse(&text).expect("a shape's subject is short"))
}

/// The greatest age: a session of that age that was never used again must not be over.
fn age(plan: &Plan, app: &App) -> Result<Duration, FillError> {
    if plan.median_bytes > app.limits.max_bytes {
        return Err(FillError::Size { most: app.limits.max_bytes });
    }
    let most = app.lifetimes.idle_timeout * 9 / 10;
    match plan.age {
        Some(age) if age > most => Err(FillError::Age { most }),
        age => Ok(age.unwrap_or(most)),
    }
}

/// Why a store is not filled.
#[derive(Debug, thiserror::Error)]
pub enum FillError {
    /// Some sessions would be over already.
    #[error("--age: sessions of this app end when they are not used; let them be at most {} old", duration::text(*.most))]
    Age {
        /// The most that can be asked for.
        most: Duration,
    },
    /// Half of the sessions would be too large.
    #[error("--size: sessions of this app have at most {most} bytes; raise its max_session_bytes")]
    Size {
        /// The most that can be asked for.
        most: u32,
    },
    /// Somebody else ended it.
    #[error("a session was ended while the store was filled")]
    Lost,
    /// What the service says.
    #[error(transparent)]
    Service(#[from] service::Error),
}

/// Enough for a group commit, and few enough for any Redis.
const CONCURRENCY: usize = 128;
