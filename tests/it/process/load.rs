//! A load of concurrent callers by gRPC and by Connect, each of which repeats UNAVAILABLE calls at the other of two
//! replicas.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use cloakroom::grpc::wire::session_service_client::SessionServiceClient;
use cloakroom::grpc::wire::{
    Changes, OpenSessionRequest, OpenSessionResponse, Outcome, SaveSessionRequest, SaveSessionResponse, Session,
};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tonic::transport::Channel;
use tonic::{Code, Response, Status};

use super::child::Process;
use super::connect_client::ConnectClient;
use crate::support::calls::{ChangesExt as _, json_entries, open_cookie, save};

/// Callers that run until they are stopped.
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    stats: Arc<LoadStats>,
    callers: JoinSet<()>,
}

/// Counts of all callers.
#[derive(Debug, Default)]
pub(super) struct LoadStats {
    /// Successful calls.
    pub(super) answered: AtomicU64,
    /// Attempts that were UNAVAILABLE and were repeated.
    pub(super) repeated: AtomicU64,
}

/// The effect of a restart on a call without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Restart {
    /// None: the call was not applied.
    Orderly,
    /// The call may have been applied.
    Kill,
}

/// A client of one replica.
enum Client {
    Grpc(SessionServiceClient<Channel>),
    Connect(ConnectClient),
}

/// A caller with a session of its own.
struct Caller {
    clients: [Client; 2],
    current: usize,
    restart: Restart,
    stats: Arc<LoadStats>,
}

impl Load {
    /// Starts `callers`, half of them by each protocol. By gRPC a few of them share a connection to each replica, as the
    /// requests of a frontend do.
    pub(super) fn start(replicas: [&Process; 2], callers: usize, restart: Restart) -> Self {
        let (stop, stats) = (Arc::new(AtomicBool::new(false)), Arc::new(LoadStats::default()));
        let mut load = Self { stop, stats, callers: JoinSet::new() };
        let frontends = callers.div_ceil(CALLERS_PER_FRONTEND);
        let clients: Vec<_> = (0..frontends).map(|_| [replicas[0].client(), replicas[1].client()]).collect();
        for number in 0..callers {
            let clients = match number / 2 % 2 {
                0 => clients[number / CALLERS_PER_FRONTEND].clone().map(Client::Grpc),
                _ => [0, 1].map(|replica: usize| Client::Connect(ConnectClient::new(replicas[replica].listen()))),
            };
            let caller = Caller { clients, current: number % 2, restart, stats: Arc::clone(&load.stats) };
            load.callers.spawn(caller.increment_until(Arc::clone(&load.stop)));
        }
        load
    }

    /// Waits for this many more successful calls, after which all callers have met an earlier change.
    pub(super) async fn await_calls(&self, calls: u64) {
        let enough = self.answered() + calls;
        super::child::eventually("answered calls", async || (self.answered() >= enough).then_some(())).await;
    }

    fn answered(&self) -> u64 {
        self.stats.answered.load(Ordering::Relaxed)
    }

    /// Stops the callers; panics if one of them had a failed call, or a lost or doubled increment.
    pub(super) async fn stop(self) -> Arc<LoadStats> {
        self.stop.store(true, Ordering::Relaxed);
        self.callers.join_all().await;
        self.stats
    }
}

impl Client {
    async fn open_session(&mut self, request: OpenSessionRequest) -> Result<OpenSessionResponse, Status> {
        match self {
            Self::Grpc(client) => client.open_session(request).await.map(Response::into_inner),
            Self::Connect(client) => client.call("OpenSession", &request).await,
        }
    }

    async fn save_session(&mut self, request: SaveSessionRequest) -> Result<SaveSessionResponse, Status> {
        match self {
            Self::Grpc(client) => client.save_session(request).await.map(Response::into_inner),
            Self::Connect(client) => client.call("SaveSession", &request).await,
        }
    }
}

impl Caller {
    /// Opens the session, checks the counter and increments it, until `stop` is set.
    async fn increment_until(mut self, stop: Arc<AtomicBool>) {
        let new = self.open(OpenSessionRequest::default()).await;
        let mut cookie = self.increment(&new.token, 0).await;
        let mut count = 1;
        while !stop.load(Ordering::Relaxed) {
            let session = self.open_cookie(&cookie, count).await;
            cookie = self.increment(&session.token, count).await;
            count += 1;
        }
        self.open_cookie(&cookie, count).await;
    }

    /// Opens the cookie; checks that the session exists and that its counter is `count`.
    async fn open_cookie(&mut self, cookie: &str, count: u64) -> Session {
        let session = self.open(open_cookie(&format!("session={cookie}"))).await;
        assert!(!session.new, "the session is lost");
        assert_eq!(json_entries(session.clone()).get("n"), Some(&count.to_string()), "increments lost or doubled");
        session
    }

    async fn open(&mut self, request: OpenSessionRequest) -> Session {
        loop {
            match self.clients[self.current].open_session(request.clone()).await {
                Ok(answer) => {
                    self.stats.answered.fetch_add(1, Ordering::Relaxed);
                    return answer.session.unwrap();
                }
                Err(status) => self.switch_replica(status).await,
            }
        }
    }

    /// Increments the counter from `count`; returns the token after it.
    async fn increment(&mut self, token: &str, count: u64) -> String {
        let request_id = cloakroom::types::random::bytes::<16>().iter().map(|byte| format!("{byte:02x}")).collect();
        let request = SaveSessionRequest { request_id, ..save(token, Changes::default().increment("n", 1)) };
        loop {
            match self.clients[self.current].save_session(request.clone()).await {
                Ok(saved) => {
                    self.stats.answered.fetch_add(1, Ordering::Relaxed);
                    let was_saved = matches!(saved.outcome(), Outcome::Created | Outcome::Updated);
                    assert!(was_saved, "{:?}", saved.outcome());
                    assert_eq!(saved.counters["n"].unsigned_abs(), count + 1, "increments lost or doubled");
                    return saved.session.unwrap().token;
                }
                Err(status) => self.switch_replica(status).await,
            }
            if self.restart == Restart::Orderly && count > 0 {
                // An orderly restart answers every applied save, so this one was not applied.
                self.open_cookie(token, count).await;
            }
        }
    }

    /// Switches to the other replica after an error that may be repeated; panics at any other error.
    async fn switch_replica(&mut self, status: Status) {
        assert!(status.code() == Code::Unavailable || is_connection_error(&status), "a call failed: {status:?}");
        self.stats.repeated.fetch_add(1, Ordering::Relaxed);
        self.current = 1 - self.current;
        sleep(PAUSE).await;
    }
}

/// Tells whether the connection failed, for which other libraries answer UNAVAILABLE.
fn is_connection_error(status: &Status) -> bool {
    status.source().is_some_and(|cause| cause.is::<tonic::transport::Error>())
}

const CALLERS_PER_FRONTEND: usize = 4;

/// The pause between two attempts.
const PAUSE: Duration = Duration::from_millis(2);
