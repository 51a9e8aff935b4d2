//! The Sentinels, which know the address of the primary.
//!
//! All of them are asked each time, and their answers are checked: a connection counts only if its server says that it
//! is a primary. Without the majority of Sentinels no failover can begin. So the last primary is used on then, for it
//! need not be down, and a Sentinel that is cut off may name one before it.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use redis::{FromRedisValue as _, Value};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tracing::info;

use super::Connection;
use super::target::{ServerRole, Target};
use crate::store::redis::failure::{Cause, Failure};
use crate::store::redis::server_address::ServerAddress;
use crate::store::redis::settings::Settings;
use crate::types::SettingError;

/// The Sentinels of a service.
pub(in crate::store::redis) struct Sentinels {
    targets: Vec<Arc<Target>>,
    service_name: Arc<str>,
    /// Has one permit, so that one resolution runs at a time, however many connections need one.
    turn: Semaphore,
    last: Mutex<Option<Resolution>>,
    /// The last primary that was connected to.
    known: Mutex<Option<ServerAddress>>,
}

/// The answer of the Sentinels.
#[derive(Clone)]
struct Resolution {
    began: Instant,
    /// Where the primary may be, at least one address.
    addresses: Result<Vec<ServerAddress>, Failure>,
    /// Whether the majority of all Sentinels names the first and only address.
    is_agreed: bool,
}

impl Sentinels {
    pub(in crate::store::redis) fn new(settings: &Settings) -> Result<Self, SettingError> {
        let connections = settings.sentinel.connections(settings);
        let targets =
            connections.iter().map(|settings| Target::new(settings, ServerRole::PrimaryOrReplica).map(Arc::new));
        Ok(Self {
            targets: targets.collect::<Result<_, _>>()?,
            service_name: settings.sentinel.service_name.as_str().into(),
            turn: Semaphore::new(1),
            last: Mutex::default(),
            known: Mutex::default(),
        })
    }

    /// Reads the files of the settings. Blocks on the disk.
    pub(in crate::store::redis) fn read_files(&self) -> Result<(), SettingError> {
        self.targets.iter().try_for_each(|target| target.read_files())
    }

    /// Reads the files again, as [`Target::refresh()`] does.
    pub(in crate::store::redis) async fn refresh(&self) {
        for target in &self.targets {
            target.refresh().await;
        }
    }

    /// Returns the addresses where the primary may be, at least one.
    pub(in crate::store::redis) async fn addresses(&self) -> Result<Vec<ServerAddress>, Failure> {
        self.resolution(Duration::ZERO).await.addresses
    }

    /// Returns the primary that the majority of the Sentinels names, if it is not the server at this address.
    ///
    /// A primary that hung and came back tells nobody that another one has taken its place.
    pub(in crate::store::redis) async fn another_than(
        &self,
        address: &str,
        max_age: Duration,
    ) -> Option<ServerAddress> {
        let Resolution { addresses, is_agreed, .. } = self.resolution(max_age).await;
        let named = addresses.ok()?.into_iter().next().filter(|_| is_agreed)?;
        (named.to_string() != address).then_some(named)
    }

    /// Waits until the majority of the Sentinels names another primary than this one.
    pub(in crate::store::redis) async fn await_another_than(&self, address: &ServerAddress) {
        let address = address.to_string();
        loop {
            sleep(PAUSE).await;
            if self.another_than(&address, PAUSE).await.is_some() {
                return;
            }
        }
    }

    /// Remembers a server that says that it is the primary.
    pub(in crate::store::redis) fn confirm(&self, address: ServerAddress) {
        let before = self.known.lock().replace(address.clone());
        if before.is_some_and(|before| before != address) {
            info!(service = %self.service_name, %address, "Redis has another primary");
        }
    }

    /// Returns the last resolution if it began at most so long ago, or after this call; otherwise asks.
    async fn resolution(&self, max_age: Duration) -> Resolution {
        let called = Instant::now();
        let is_fresh = |last: &Resolution| last.began >= called || called.duration_since(last.began) < max_age;
        let last = || self.last.lock().clone().filter(is_fresh);
        if let Some(last) = last() {
            return last;
        }
        let _turn = self.turn.acquire().await.expect("it is never closed");
        // Another connection may have asked while this one waited.
        if let Some(last) = last() {
            return last;
        }
        let resolution = self.ask_all().await;
        *self.last.lock() = Some(resolution.clone());
        resolution
    }

    async fn ask_all(&self) -> Resolution {
        let began = Instant::now();
        let mut asking = JoinSet::new();
        for target in &self.targets {
            asking.spawn(ask(Arc::clone(target), Arc::clone(&self.service_name)));
        }
        let (mut votes, mut failure) = (Vec::<(ServerAddress, usize)>::new(), None);
        while let Some(answer) = asking.join_next().await {
            match answer {
                Ok(Ok(Some(address))) => match votes.iter_mut().find(|(other, _)| *other == address) {
                    Some((_, count)) => *count += 1,
                    None => votes.push((address, 1)),
                },
                Ok(Err(error)) => failure = Some(error),
                Ok(Ok(None)) | Err(_) => {}
            }
            // A Sentinel that hangs, perhaps with the machine of the primary, is not waited for.
            if votes.iter().any(|(_, count)| 2 * count > self.targets.len()) {
                break;
            }
        }
        let (addresses, is_agreed) = candidates(votes, self.known.lock().as_ref(), self.targets.len());
        let addresses = if addresses.is_empty() { Err(self.failure(failure)) } else { Ok(addresses) };
        Resolution { began, addresses, is_agreed }
    }

    fn failure(&self, failure: Option<Failure>) -> Failure {
        let cause = match failure {
            Some(failure) => Cause::NoSentinel(Arc::new(failure)),
            None => Cause::UnknownService,
        };
        Failure { address: Arc::clone(&self.service_name), cause }
    }
}

/// Returns where the primary may be, and whether the majority of all Sentinels names it.
///
/// Only at the start, with no majority and no last primary, there is more than one address. Later, a server that the
/// minority names is no alternative to one that cannot be reached: it may be a former primary that came back.
fn candidates(
    mut votes: Vec<(ServerAddress, usize)>,
    known: Option<&ServerAddress>,
    sentinels: usize,
) -> (Vec<ServerAddress>, bool) {
    votes.sort_by_key(|(_, count)| Reverse(*count));
    match (votes.first(), known) {
        (Some((named, count)), _) if 2 * count > sentinels => (vec![named.clone()], true),
        (_, Some(known)) => (vec![known.clone()], false),
        (_, None) => (votes.into_iter().map(|(address, _)| address).collect(), false),
    }
}

/// Asks one Sentinel for the address of the primary. `None`: it does not know the service.
async fn ask(target: Arc<Target>, service_name: Arc<str>) -> Result<Option<ServerAddress>, Failure> {
    let asking = async {
        let endpoint = target.endpoint().await;
        let endpoint = endpoint.as_ref().as_ref().map_err(Clone::clone)?;
        let connection = Connection::open(endpoint, 0, target.timeout).await?;
        let mut command = redis::cmd("SENTINEL");
        command.arg("GET-MASTER-ADDR-BY-NAME").arg(&*service_name);
        let failure = |cause| Failure { address: Arc::clone(&endpoint.address), cause };
        match connection.commands().send_packed_command(&command).await {
            Ok(Value::ServerError(error)) => Err(failure(redis::RedisError::from(error).into())),
            Ok(value) => Ok(Option::<(String, u16)>::from_redis_value(value).ok().flatten()),
            Err(error) => Err(failure(error.into())),
        }
    };
    let answer = timeout(target.timeout, asking).await.unwrap_or_else(|_| Err(target.not_connected()));
    Ok(answer?.map(|(host, port)| ServerAddress { host, port }))
}

/// How often they are asked while a primary does not answer.
const PAUSE: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;

    fn server(port: u16) -> ServerAddress {
        ServerAddress { host: "10.0.0.1".to_owned(), port }
    }

    #[test]
    fn the_majority_decides_and_without_one_the_last_primary_stays() {
        // The votes for the ports 1 and 2, the port of the last primary, the expected ports, whether there is a majority.
        let table = [
            ([3, 0], None, vec![1], true),
            ([1, 2], Some(1), vec![2], true),
            ([1, 1], Some(2), vec![2], false),
            ([1, 1], None, vec![1, 2], false),
            ([0, 1], None, vec![2], false),
            ([0, 0], Some(3), vec![3], false),
            ([0, 0], None, vec![], false),
        ];

        for (counts, known, expected, expected_agreement) in table {
            let votes = [1, 2].map(server).into_iter().zip(counts).filter(|(_, count)| *count > 0).collect();
            let (addresses, is_agreed) = candidates(votes, known.map(server).as_ref(), 3);
            let ports: Vec<u16> = addresses.iter().map(|address| address.port).collect();
            assert_eq!((ports, is_agreed), (expected, expected_agreement), "{counts:?} {known:?}");
        }
    }
}
