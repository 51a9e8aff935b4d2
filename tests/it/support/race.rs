//! Races of two requests for one session, repeated with many sessions.

use std::sync::Arc;

use cloakroom::app;
use cloakroom::grpc::wire::session_service_client::SessionServiceClient;
use cloakroom::grpc::wire::{
    DestroySessionRequest, DestroySessionResponse, RotateSessionRequest, RotateSessionResponse, RotationCause,
    SaveSessionRequest, SaveSessionResponse, destroy_session_request, rotate_session_request,
};
use tokio::task::JoinSet;
use tonic::Status;

use super::connect::Transport;
use super::environment::race_rounds;
use super::sessions::MILLI;
use super::{StoreKind, TestService};

/// One side of a race: a connection of its own, and so another worker thread of the service.
#[derive(Clone)]
pub(crate) struct Side(SessionServiceClient<Transport>);

impl Side {
    pub(crate) async fn save(&self, request: SaveSessionRequest) -> Result<SaveSessionResponse, Status> {
        Ok(self.0.clone().save_session(request).await?.into_inner())
    }

    pub(crate) async fn rotate(&self, token: &str, cause: RotationCause) -> RotateSessionResponse {
        let credential = Some(rotate_session_request::Credential::Token(token.to_owned()));
        let request = RotateSessionRequest { credential, cause: cause.into(), ..Default::default() };
        self.0.clone().rotate_session(request).await.unwrap().into_inner()
    }

    pub(crate) async fn destroy(&self, token: &str) -> DestroySessionResponse {
        let credential = Some(destroy_session_request::Credential::Token(token.to_owned()));
        self.destroy_as(DestroySessionRequest { credential, ..Default::default() }).await
    }

    pub(crate) async fn destroy_as(&self, request: DestroySessionRequest) -> DestroySessionResponse {
        self.0.clone().destroy_session(request).await.unwrap().into_inner()
    }
}

/// One round of a race. The two sides swap from round to round.
#[derive(Clone)]
pub(crate) struct Round {
    pub number: u32,
    pub service: Arc<TestService>,
    pub left: Side,
    pub right: Side,
}

/// Runs a race many times, several rounds at once.
pub(crate) async fn race<F>(store: StoreKind, settings: app::Settings, round: fn(Round) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    race_for(ROUNDS, store, settings, round).await;
}

/// Runs a race this many times, or as often as the environment says.
pub(crate) async fn race_for<F>(rounds: u32, store: StoreKind, settings: app::Settings, round: fn(Round) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    // All rounds log the same subjects in.
    let settings = app::Settings { max_sessions_per_subject: 0, ..settings };
    let service = Arc::new(TestService::with_apps(store, [("default", settings)]).await);
    let sides = [Side(service.another_client().await), Side(service.another_client().await)];
    let (begin, mut running) = (service.now(), JoinSet::new());
    for number in 0..race_rounds(rounds) {
        // As if by the clocks of several replicas: a call may come after another one and have an earlier time.
        service.clock.set(begin + (number % 5) * MILLI);
        let [left, right] = if number % 2 == 0 { [0, 1] } else { [1, 0] }.map(|side: usize| sides[side].clone());
        running.spawn(round(Round { number, service: Arc::clone(&service), left, right }));
        if running.len() >= CONCURRENT_ROUNDS {
            running.join_next().await.unwrap().unwrap();
        }
    }
    running.join_all().await;
}

/// The number of rounds of each race on each store.
const ROUNDS: u32 = 200;

/// Enough to keep both threads busy, so that requests overtake each other.
const CONCURRENT_ROUNDS: usize = 16;
