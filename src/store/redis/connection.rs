//! Connections to Redis: a few for each worker, which all its calls share, and which reconnect by themselves.
//!
//! Each worker has a runtime of its own. A connection is driven by the runtime that uses it, so that no call goes to
//! another thread and back, and no call depends on another worker.
//!
//! Each operation has a deadline. None is repeated here, because the outcome of a write without an answer is unknown;
//! the caller gets an error.

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

/// The connections of all runtimes.
#[derive(Debug)]
pub(in crate::store) struct Connections {
    client: Client,
    timeout: Duration,
    per_runtime: usize,
    /// As many as there are workers. They are never removed, because no worker ends before the process.
    by_runtime: RwLock<Vec<(runtime::Id, Arc<RuntimeConnections>)>>,
}

/// The connections of one runtime.
#[derive(Debug)]
struct RuntimeConnections {
    managers: Vec<RwLock<ConnectionManager>>,
    next: AtomicUsize,
}

impl Connections {
    /// Prepares connections, each of which is opened at its first use.
    pub(in crate::store) fn new(settings: &Settings) -> Result<Self, RedisError> {
        let info = settings.url.as_str().into_connection_info()?;
        let client = Client::open(info.set_tcp_settings(TcpSettings::default().set_nodelay(true)))?;
        let per_runtime = settings.connections.max(1);
        Ok(Self { client, timeout: settings.timeout, per_runtime, by_runtime: RwLock::default() })
    }

    /// Runs a script.
    pub(in crate::store) async fn invoke<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T, Error> {
        parse(self.run(|mut connection| async move { script.invoke_async(&mut connection).await }).await?)
    }

    /// Sends a command.
    pub(in crate::store) async fn query<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Error> {
        parse(self.run(|mut connection| async move { command.query_async(&mut connection).await }).await?)
    }

    /// Sends several commands at once, and fails if one of them fails.
    pub(in crate::store) async fn pipeline<T: FromRedisValue>(&self, mut pipe: Pipeline) -> Result<T, Error> {
        // Otherwise the library looks for errors inside each answer, and copies all answers for that.
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
        parse(answers.await?)
    }

    /// Runs one operation on one of the connections, within the deadline.
    async fn run<F>(&self, operation: impl FnOnce(ConnectionManager) -> F) -> Result<Value, Error>
    where
        F: Future<Output = Result<Value, RedisError>>,
    {
        let connections = self.of_current_runtime().map_err(store_error)?;
        let number = connections.next.fetch_add(1, Ordering::Relaxed) % connections.managers.len();
        let manager = &connections.managers[number];
        let connection = manager.read().clone();
        match tokio::time::timeout(self.timeout, operation(connection)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                self.replace_if_read_only(manager, &error);
                Err(store_error(error))
            }
            Err(elapsed) => Err(Error::unavailable(elapsed)),
        }
    }

    /// The connections of the current runtime.
    fn of_current_runtime(&self) -> Result<Arc<RuntimeConnections>, RedisError> {
        let current = Handle::current().id();
        let find = |all: &[(runtime::Id, Arc<RuntimeConnections>)]| {
            all.iter().find_map(|(runtime, connections)| (*runtime == current).then(|| Arc::clone(connections)))
        };
        if let Some(connections) = find(&self.by_runtime.read()) {
            return Ok(connections);
        }
        let mut all = self.by_runtime.write();
        if let Some(connections) = find(&all) {
            return Ok(connections);
        }
        let managers = (0..self.per_runtime).map(|_| lazy_connection(&self.client, self.timeout).map(RwLock::new));
        let managers = managers.collect::<Result<_, _>>()?;
        let connections = Arc::new(RuntimeConnections { managers, next: AtomicUsize::new(0) });
        all.push((current, Arc::clone(&connections)));
        Ok(connections)
    }

    /// Replaces a connection after a READONLY error: a demoted primary keeps its connections and refuses writes.
    fn replace_if_read_only(&self, manager: &RwLock<ConnectionManager>, error: &RedisError) {
        if error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly)
            && let Ok(replacement) = lazy_connection(&self.client, self.timeout)
        {
            *manager.write() = replacement;
        }
    }
}

fn lazy_connection(client: &Client, timeout: Duration) -> Result<ConnectionManager, RedisError> {
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(timeout))
        .set_response_timeout(Some(timeout))
        .set_number_of_retries(1)
        .set_min_delay(Duration::from_millis(20))
        .set_max_delay(Duration::from_millis(200))
        .set_pipeline_buffer_size(1024);
    ConnectionManager::new_lazy_with_config(client.clone(), config)
}

/// Reads an answer of Redis as the type that it should have.
fn parse<T: FromRedisValue>(answer: Value) -> Result<T, Error> {
    T::from_redis_value(answer).map_err(|_| Error::Corrupt)
}

fn store_error(error: RedisError) -> Error {
    match error.code() {
        // MISCONF is not this error, although Redis refuses all writes then: it cannot save to its disk, but has room.
        Some("OOM") => Error::Full(Box::new(error)),
        _ => Error::unavailable(error),
    }
}

#[cfg(test)]
mod tests {
    use redis::make_extension_error;

    use super::*;

    #[test]
    fn a_redis_that_cannot_save_to_its_disk_is_not_full() {
        let refused = |code: &str| store_error(make_extension_error(code.to_owned(), None));

        assert!(matches!(refused("OOM"), Error::Full(_)));
        assert!(matches!(refused("MISCONF"), Error::Unavailable(_)));
    }
}
