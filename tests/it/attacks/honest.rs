//! An honest caller: opens a session of the attacked service and of the other one, in turns, and measures both.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use cloakroom::grpc::wire::session_service_client::SessionServiceClient;
use http::Uri;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::runtime::Builder;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use crate::support::authority::TlsClient;
use crate::support::calls::open_cookie;

/// A service to call.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) address: SocketAddr,
    /// The certificate authority of a service with TLS, in PEM.
    pub(super) authority: Option<Arc<str>>,
}

impl Target {
    /// Returns a client that connects when it is used.
    pub(super) fn client(&self) -> SessionServiceClient<Channel> {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address)).unwrap();
        let Some(authority) = self.authority.clone() else {
            return SessionServiceClient::new(endpoint.connect_lazy());
        };
        let address = self.address;
        let connector = service_fn(move |_: Uri| {
            let authority = Arc::clone(&authority);
            async move { TlsClient::trusting(&authority).connect(address).await.map(TokioIo::new) }
        });
        SessionServiceClient::new(endpoint.connect_with_connector_lazy(connector))
    }
}

/// A running caller. It has a thread of its own, so that it measures the service and not the test.
pub(super) struct Honest {
    stop: CancellationToken,
    measured: Arc<Mutex<Measured>>,
    thread: Option<JoinHandle<()>>,
}

/// What the caller saw.
#[derive(Debug, Default)]
pub(super) struct Measured {
    pub(super) attacked: Vec<Duration>,
    pub(super) control: Vec<Duration>,
    pub(super) errors: Vec<String>,
}

impl Measured {
    fn add(&mut self, attacked: Result<Duration, String>, control: Result<Duration, String>) {
        match attacked {
            Ok(time) => self.attacked.push(time),
            Err(error) => self.errors.push(error),
        }
        self.control.extend(control);
    }
}

impl Honest {
    /// Starts a caller of the attacked service and of the other one, with the cookie of a session in each.
    pub(super) fn start(attacked: (Target, String), control: (Target, String)) -> Self {
        let (stop, measured) = (CancellationToken::new(), Arc::<Mutex<Measured>>::default());
        let (stopped, results) = (stop.clone(), Arc::clone(&measured));
        let thread = thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(stopped.run_until_cancelled(async {
                let (attacked_client, control_client) = (attacked.0.client(), control.0.client());
                loop {
                    let time = open(&attacked_client, &attacked.1).await;
                    let control_time = open(&control_client, &control.1).await;
                    results.lock().add(time, control_time);
                    sleep(Duration::from_millis(1)).await;
                }
            }));
        });
        Self { stop, measured, thread: Some(thread) }
    }

    /// Returns what it saw since the last time.
    pub(super) fn take(&self) -> Measured {
        std::mem::take(&mut self.measured.lock())
    }
}

impl Drop for Honest {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn open(client: &SessionServiceClient<Channel>, cookie: &str) -> Result<Duration, String> {
    let (mut client, begin) = (client.clone(), Instant::now());
    match timeout(Duration::from_secs(10), client.open_session(open_cookie(cookie))).await {
        Ok(Ok(answer)) if answer.get_ref().session.as_ref().is_some_and(|session| !session.new) => Ok(begin.elapsed()),
        Ok(Ok(_)) => Err("the session is lost".to_owned()),
        Ok(Err(status)) => Err(format!("{status:?}")),
        Err(_) => Err("no answer within 10 s".to_owned()),
    }
}

/// Returns the time that 99 of 100 calls did not exceed.
pub(super) fn p99(times: &[Duration]) -> Duration {
    let mut times = times.to_vec();
    times.sort_unstable();
    times.get(times.len() * 99 / 100).copied().unwrap_or_default()
}
