//! Two services, of which one is attacked, and what is demanded of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cloakroom::grpc::wire::session_service_client::SessionServiceClient;
use cloakroom::grpc::wire::{Changes, OpenSessionRequest};
use parking_lot::Mutex;
use prost::Message as _;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};
use tonic::transport::Channel;

use super::flood::{Flood, Material, Route, RunningFlood};
use super::honest::{Honest, Measured, Target, p99};
use crate::cli::program::Program;
use crate::process::child::{Process, eventually};
use crate::support::authority::CertificateAuthority;
use crate::support::calls::{ChangesExt as _, open_cookie, save};

/// The attacked service, an unattacked one, and a caller of both.
pub(super) struct Scene {
    attacked: Process,
    listener: Listener,
    honest: Honest,
    material: Material,
    memory_before: f64,
    /// How many times slower than the other service it was, in each flood.
    ratios: Mutex<Vec<f64>>,
    _control: Process,
}

/// The listener that is attacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listener {
    /// That of the honest caller. The attackers have the caller's address.
    Frontends,
    /// That of the pages. The attackers have another address than the probes.
    Operators,
}

impl Listener {
    const fn label(self) -> &'static str {
        match self {
            Self::Frontends => "frontends",
            Self::Operators => "operators",
        }
    }
}

impl Scene {
    /// Starts services without TLS and without callers: every program may call them.
    pub(super) async fn start(listener: Listener) -> Self {
        Self::start_as(listener, CONFIG, &[], None).await
    }

    /// Starts services whose callers use TLS.
    pub(super) async fn start_with_tls() -> Self {
        let authority = CertificateAuthority::new();
        let identity = authority.sign("localhost");
        let files = [("tls.crt", identity.certificate.as_str()), ("tls.key", &identity.key)];
        let config = format!("{CONFIG}[server.tls]\ncertificate_file = 'tls.crt'\nkey_file = 'tls.key'\n");
        Self::start_as(Listener::Frontends, &config, &files, Some(authority.pem().into())).await
    }

    async fn start_as(listener: Listener, config: &str, files: &[(&str, &str)], authority: Option<Arc<str>>) -> Self {
        let (attacked, control) = (Process::start(config, files, &[]).await, Process::start(config, files, &[]).await);
        let target = |process: &Process| Target { address: process.listen(), authority: authority.clone() };
        let (target, control_target) = (target(&attacked), target(&control));
        let (client, control_client) = (target.client(), control_target.client());
        let (cookie, control_cookie) = (stored(&client, 100).await, stored(&control_client, 100).await);
        let large = open_cookie(&stored(&client, 60_000).await).encode_to_vec();
        let prefix = u32::try_from(large.len()).unwrap().to_be_bytes();
        let material = Material { large_open: [&[0], prefix.as_slice(), &large].concat() };
        let honest = Honest::start((target, cookie), (control_target, control_cookie));
        // The first calls are slower, and take memory that is kept.
        sleep(Duration::from_millis(500)).await;
        let memory_before = memory(&attacked).await.expect("it answers");
        honest.take();
        Self { attacked, listener, honest, material, memory_before, ratios: Mutex::default(), _control: control }
    }

    /// Lets a flood last for this time, and again if the caller was slow, for a slow machine is no fault. Returns what was
    /// wrong.
    pub(super) async fn endure(&self, flood: &Flood, length: Duration, most_ratio: f64) -> Vec<String> {
        let mut ratio = f64::INFINITY;
        for _ in 0..ROUNDS {
            let (round, faults) = self.endure_once(flood, length).await;
            ratio = ratio.min(round);
            if !faults.is_empty() {
                return faults;
            }
            if ratio <= most_ratio {
                break;
            }
        }
        self.ratios.lock().push(ratio);
        let is_slow = ratio > most_ratio;
        is_slow.then(|| format!("{}: the caller waited {ratio:.1} times as long", flood.name)).into_iter().collect()
    }

    /// Returns how many times longer the caller waited than at the other service, and what was wrong besides.
    #[expect(clippy::print_stdout, reason = "the figures of each flood are worth reading")]
    async fn endure_once(&self, flood: &Flood, length: Duration) -> (f64, Vec<String>) {
        self.honest.take();
        let running = RunningFlood::start(*flood, self.route(), self.material.clone());
        running.has_begun().await;
        let healthchecks = spawn_blocking({
            let address = self.attacked.admin_address().to_string();
            move || HEALTHCHECKS.map(|options| healthcheck(&address, options))
        });
        let (begin, mut most_memory, mut unhealthy) = (Instant::now(), 0_f64, 0);
        while begin.elapsed() < length {
            let ready = timeout(Duration::from_secs(5), self.attacked.page("/readyz")).await;
            unhealthy += usize::from(!ready.is_ok_and(|page| page.starts_with("HTTP/1.1 200 ")));
            let Some(memory) = memory(&self.attacked).await else {
                unhealthy += 1;
                continue;
            };
            most_memory = most_memory.max(memory);
            sleep(Duration::from_millis(50)).await;
        }
        let healthchecks = healthchecks.await.unwrap();
        let Measured { attacked, control, errors } = self.honest.take();
        let connections = running.stop();

        let (waited, waited_elsewhere) = (p99(&attacked), p99(&control));
        let grown = (most_memory - self.memory_before) / MIB;
        println!(
            "{}: {} calls, p99 {waited:?} beside {waited_elsewhere:?}, {grown:.0} MiB more",
            flood.name,
            attacked.len()
        );
        let mut faults: Vec<String> = errors.into_iter().take(3).collect();
        faults.extend((connections == 0).then(|| "there was no attack: no connection was made".to_owned()));
        faults.extend((unhealthy > 0).then(|| format!("/readyz or /metrics failed {unhealthy} times")));
        faults.extend(healthchecks.into_iter().filter_map(Result::err));
        faults.extend((grown > MOST_GROWTH).then(|| format!("it used {grown:.0} MiB more")));
        let ratio = match attacked.is_empty() {
            true => f64::INFINITY,
            false => waited.saturating_sub(TOLERANCE).as_secs_f64() / waited_elsewhere.as_secs_f64(),
        };
        (ratio, faults.into_iter().map(|fault| format!("{}: {fault}", flood.name)).collect())
    }

    fn route(&self) -> Route {
        match self.listener {
            Listener::Frontends => Route { to: self.attacked.listen(), from: None },
            Listener::Operators => Route { to: self.attacked.admin_address(), from: Some(([127, 0, 0, 2], 0).into()) },
        }
    }

    /// Checks what is left after all floods.
    #[expect(clippy::print_stdout, reason = "the figures of all floods are worth reading")]
    pub(super) async fn after_all(&self) -> Option<String> {
        eventually("the end of all connections but one", async || {
            let name = format!(r#"cloakroom_connections{{listener="{}"}}"#, self.listener.label());
            let open = self.attacked.metric(&name).await;
            open.filter(|open| *open <= 3.0)
        })
        .await;
        let mut ratios = self.ratios.lock().clone();
        ratios.sort_unstable_by(f64::total_cmp);
        let median = ratios.get(ratios.len() / 2).copied().unwrap_or_default();
        let left = (memory(&self.attacked).await.expect("it answers") - self.memory_before) / MIB;
        println!("{left:.0} MiB are left, the caller waited {median:.2} times as long in the median");
        // The heap keeps the most that it ever had, so no less than that can be asked for.
        (left > MOST_GROWTH).then(|| format!("{left:.0} MiB are left"))
    }
}

/// Stores a session with one entry of this size; returns the Cookie header that opens it.
async fn stored(client: &SessionServiceClient<Channel>, bytes: usize) -> String {
    let mut client = client.clone();
    let ticket = client.open_session(OpenSessionRequest::default()).await.unwrap().into_inner().session.unwrap().token;
    let changes = Changes::default().set("entry", &format!("\"{}\"", "x".repeat(bytes)));
    let saved = client.save_session(save(&ticket, changes)).await.unwrap().into_inner();
    format!("session={}", saved.session.unwrap().token)
}

/// Runs `cloakroom healthcheck` with these options.
fn healthcheck(address: &str, options: &[&str]) -> Result<(), String> {
    let ended = Program::new(&[&["healthcheck", "--timeout", "10s", "--address", address], options].concat()).run();
    if ended.code == Some(0) { Ok(()) } else { Err(format!("healthcheck {options:?} failed: {}", ended.stderr)) }
}

/// Gets the memory that a process uses, in bytes. `None`: it does not answer.
async fn memory(process: &Process) -> Option<f64> {
    timeout(Duration::from_secs(5), process.metric("process_resident_memory_bytes")).await.ok().flatten()
}

const CONFIG: &str = "[store]\nkind = \"memory\"\n[log]\nlevel = \"warn\"\n";
const MIB: f64 = 1024.0 * 1024.0;
const MOST_GROWTH: f64 = 64.0;

/// The options of `cloakroom healthcheck` in the manifests, and none.
const HEALTHCHECKS: [&[&str]; 3] = [&[], &["--live"], &["--readable"]];

/// How often a flood is tried.
const ROUNDS: usize = 4;

/// What does not count: two processors are shared by two services that are not optimized, the attackers, the caller, and
/// perhaps by other tests, so that each waits for its turn.
const TOLERANCE: Duration = Duration::from_millis(20);
