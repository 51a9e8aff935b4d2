//! A caller under load: it knows two replicas, and repeats what was UNAVAILABLE at the other one.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use cloakroom::grpc::wire::session_service_client::SessionServiceClient;
use cloakroom::grpc::wire::{Changes, OpenSessionRequest, Outcome, SaveSessionRequest, Session};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::child::Process;
use crate::support::calls::{ChangesExt as _, json_entries, open_cookie, save};

/// Callers that go on until they are told to stop.
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    seen: Arc<Seen>,
    callers: JoinSet<()>,
}

/// What all callers have seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Calls that were answered.
    pub(super) answered: AtomicU64,
    /// Attempts that were UNAVAILABLE, and were made again.
    pub(super) repeated: AtomicU64,
}

/// What a restart may do to a call that is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Restart {
    /// Nothing: it is finished and answered, or was never begun.
    Orderly,
    /// It may be lost, done or not.
    Kill,
}

/// One caller, with one session.
struct Caller {
    clients: [SessionServiceClient<Channel>; 2],
    at: usize,
    restart: Restart,
    seen: Arc<Seen>,
}

impl Load {
    /// So many callers; a few of them at a time share a connection to each replica, as the requests of a frontend do.
    pub(super) fn start(replicas: &[Process; 2], callers: usize, restart: Restart) -> Self {
        let (stop, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(Seen::default()));
        let mut load = Self { stop, seen, callers: JoinSet::new() };
        let frontends = callers.div_ceil(CALLERS_OF_A_FRONTEND);
        let clients: Vec<_> = (0..frontends).map(|_| [replicas[0].client(), replicas[1].client()]).collect();
        for number in 0..callers {
            let clients = clients[number / CALLERS_OF_A_FRONTEND].clone();
            let caller = Caller { clients, at: number % 2, restart, seen: Arc::clone(&load.seen) };
            load.callers.spawn(caller.increment_until(Arc::clone(&load.stop)));
        }
        load
    }

    /// Waits until so many more calls were answered: whatever was changed before, the callers have met it.
    pub(super) async fn more(&self, calls: u64) {
        let enough = self.answered() + calls;
        super::child::eventually("answered calls", async || (self.answered() >= enough).then_some(())).await;
    }

    fn answered(&self) -> u64 {
        self.seen.answered.load(Ordering::Relaxed)
    }

    /// Stops the callers, each of which fails if one of its calls did, or one of its increments is missing or doubled.
    pub(super) async fn stop(self) -> Arc<Seen> {
        self.stop.store(true, Ordering::Relaxed);
        self.callers.join_all().await;
        self.seen
    }
}

impl Caller {
    /// A browser that never logs out: each request opens its session, looks at the counter and moves it by one.
    async fn increment_until(mut self, stop: Arc<AtomicBool>) {
        let new = self.open(OpenSessionRequest::default()).await;
        let mut cookie = self.increment(&new.token, 0).await;
        let mut acknowledged = 1;
        while !stop.load(Ordering::Relaxed) {
            let session = self.open_cookie(&cookie, acknowledged).await;
            cookie = self.increment(&session.token, acknowledged).await;
            acknowledged += 1;
        }
        self.open_cookie(&cookie, acknowledged).await;
    }

    /// Opens by cookie; the session is there, with the counter at `count`.
    async fn open_cookie(&mut self, cookie: &str, count: u64) -> Session {
        let session = self.open(open_cookie(&format!("session={cookie}"))).await;
        assert!(!session.new, "a logout");
        assert_eq!(json_entries(session.clone()).get("n"), Some(&count.to_string()), "increments lost or doubled");
        session
    }

    async fn open(&mut self, request: OpenSessionRequest) -> Session {
        loop {
            match self.clients[self.at].open_session(request.clone()).await {
                Ok(answer) => {
                    self.seen.answered.fetch_add(1, Ordering::Relaxed);
                    return answer.into_inner().session.unwrap();
                }
                Err(status) => self.turn_from(status).await,
            }
        }
    }

    /// Adds one to `count`; answers the token that the browser has then.
    async fn increment(&mut self, token: &str, count: u64) -> String {
        let request_id = cloakroom::types::random::bytes::<16>().iter().map(|byte| format!("{byte:02x}")).collect();
        let request = SaveSessionRequest { request_id, ..save(token, Changes::default().increment("n", 1)) };
        loop {
            match self.clients[self.at].save_session(request.clone()).await {
                Ok(answer) => {
                    self.seen.answered.fetch_add(1, Ordering::Relaxed);
                    let saved = answer.into_inner();
                    let was_saved = matches!(saved.outcome(), Outcome::Created | Outcome::Updated);
                    assert!(was_saved, "{:?}", saved.outcome());
                    assert_eq!(saved.counters["n"].unsigned_abs(), count + 1, "increments lost or doubled");
                    return saved.session.unwrap().token;
                }
                Err(status) => self.turn_from(status).await,
            }
            if self.restart == Restart::Orderly && count > 0 {
                // What was done has been answered: nothing of this save is there yet.
                self.open_cookie(token, count).await;
            }
        }
    }

    /// Goes on at the other replica after an answer that may be asked for again.
    async fn turn_from(&mut self, status: Status) {
        assert!(status.code() == Code::Unavailable || is_of_the_connection(&status), "a call failed: {status:?}");
        self.seen.repeated.fetch_add(1, Ordering::Relaxed);
        self.at = 1 - self.at;
        sleep(PAUSE).await;
    }
}

/// Whether the connection failed, and not the call: other libraries say UNAVAILABLE then.
fn is_of_the_connection(status: &Status) -> bool {
    status.source().is_some_and(|cause| cause.is::<tonic::transport::Error>())
}

const CALLERS_OF_A_FRONTEND: usize = 4;

/// Between two attempts, as any client leaves it.
const PAUSE: Duration = Duration::from_millis(2);
