//! Connections to Redis: a few on each worker, shared by all its calls, that mend themselves.
//!
//! A connection is driven by the runtime that uses it, so that no call crosses to another thread and back, and none
//! ends with a worker that has others' calls on it.
//!
//! Every operation has a deadline. None is repeated here: the outcome of a write that was not
//! answered is unknown, and the caller is told so.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::RwLock;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::io::tcp::TcpSettings;
use redis::{
    Client, Cmd, ErrorKind, FromRedisValue, IntoConnectionInfo as _, Pipeline, RedisError, ScriptInvocation,
    ServerErrorKind, Value,
};
use tokio::runtime::{self, Handle};

use super::settings::Settings;
use crate::store::Error;

/// A few shared connections on each runtime that has asked for one.
#[derive(Debug)]
pub(in crate::store) struct Connections {
    client: Client,
    timeout: Duration,
    /// How many each runtime has.
    each: usize,
    /// They are as many as there are workers, and none ends before the process does.
    by_runtime: RwLock<Vec<(runtime::Id, Arc<Shared>)>>,
}

/// The connections of one runtime.
#[derive(Debug)]
struct Shared {
    managers: Vec<RwLock<ConnectionManager>>,
    next: AtomicUsize,
}

impl Connections {
    /// Connections that are opened at their first use.
    pub(in crate::store) fn new(settings: &Settings) -> Result<Self, RedisError> {
        let info = settings.url.as_str().into_connection_info()?;
        let client = Client::open(info.set_tcp_settings(TcpSettings::default().set_nodelay(true)))?;
        let each = settings.connections.max(1);
        Ok(Self { client, timeout: settings.timeout, each, by_runtime: RwLock::default() })
    }

    /// Runs a script.
    pub(in crate::store) async fn invoke<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T, Error> {
        read(self.run(|mut connection| async move { script.invoke_async(&mut connection).await }).await?)
    }

    /// Sends a command.
    pub(in crate::store) async fn query<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Error> {
        read(self.run(|mut connection| async move { command.query_async(&mut connection).await }).await?)
    }

    /// Sends several commands at once.
    pub(in crate::store) async fn pipeline<T: FromRedisValue>(&self, mut pipe: Pipeline) -> Result<T, Error> {
        // Asked to, the library looks for errors inside of every answer, and copies all of them for that.
        pipe.ignore_errors();
        let pipe = &pipe;
        let answers = self.run(|mut connection| async move {
            let answers: Vec<Value> = pipe.query_async(&mut connection).await?;
            let failed = answers.iter().find_map(|answer| match answer {
                Value::ServerError(error) => Some(error.clone()),
                _ => None,
            });
            failed.map_or(Ok(Value::Array(answers)), |error| Err(error.into()))
        });
        read(answers.await?)
    }

    /// Runs one operation on one of the connections, within the deadline.
    async fn run<F>(&self, operation: impl FnOnce(ConnectionManager) -> F) -> Result<Value, Error>
    where
        F: Future<Output = Result<Value, RedisError>>,
    {
        let shared = self.here().map_err(explain)?;
        let slot = &shared.managers[shared.next.fetch_add(1, Ordering::Relaxed) % shared.managers.len()];
        let manager = slot.read().clone();
        match tokio::time::timeout(self.timeout, operation(manager)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                self.mend(slot, &error);
                Err(explain(error))
            }
            Err(elapsed) => Err(Error::unavailable(elapsed)),
        }
    }

    /// The connections of the runtime that asks.
    fn here(&self) -> Result<Arc<Shared>, RedisError> {
        let here = Handle::current().id();
        let find = |all: &[(runtime::Id, Arc<Shared>)]| {
            all.iter().find_map(|(runtime, shared)| (*runtime == here).then(|| Arc::clone(shared)))
        };
        if let Some(shared) = find(&self.by_runtime.read()) {
            return Ok(shared);
        }
        let mut all = self.by_runtime.write();
        if let Some(shared) = find(&all) {
            return Ok(shared);
        }
        let managers = (0..self.each).map(|_| manager(&self.client, self.timeout).map(RwLock::new));
        let shared = Arc::new(Shared { managers: managers.collect::<Result<_, _>>()?, next: AtomicUsize::new(0) });
        all.push((here, Arc::clone(&shared)));
        Ok(shared)
    }

    /// A primary that was demoted keeps its connections and refuses writes: leave it.
    fn mend(&self, slot: &RwLock<ConnectionManager>, error: &RedisError) {
        if error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly)
            && let Ok(fresh) = manager(&self.client, self.timeout)
        {
            *slot.write() = fresh;
        }
    }
}

fn manager(client: &Client, timeout: Duration) -> Result<ConnectionManager, RedisError> {
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(timeout))
        .set_response_timeout(Some(timeout))
        .set_number_of_retries(1)
        .set_min_delay(Duration::from_millis(20))
        .set_max_delay(Duration::from_millis(200))
        .set_pipeline_buffer_size(1024);
    ConnectionManager::new_lazy_with_config(client.clone(), config)
}

/// What Redis answered, as what it should be.
fn read<T: FromRedisValue>(answer: Value) -> Result<T, Error> {
    T::from_redis_value(answer).map_err(|_| Error::Corrupt)
}

fn explain(error: RedisError) -> Error {
    match error.code() {
        // MISCONF, too, refuses every write, but for want of a disk to save to: not room for sessions is missing.
        Some("OOM") => Error::Full(Box::new(error)),
        _ => Error::unavailable(error),
    }
}

#[cfg(test)]
mod tests {
    use redis::make_extension_error;

    use super::*;

    #[test]
    fn a_redis_that_has_no_disk_to_save_to_is_not_full() {
        let refused = |code: &str| explain(make_extension_error(code.to_owned(), None));

        assert!(matches!(refused("OOM"), Error::Full(_)));
        assert!(matches!(refused("MISCONF"), Error::Unavailable(_)));
    }
}
