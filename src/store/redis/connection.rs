//! Connections to Redis: a few, shared by all calls, that mend themselves.
//!
//! Every operation has a deadline. None is repeated here: the outcome of a write that was not
//! answered is unknown, and the caller is told so.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::RwLock;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::io::tcp::TcpSettings;
use redis::{
    Client, Cmd, ErrorKind, FromRedisValue, IntoConnectionInfo as _, Pipeline, RedisError, ScriptInvocation,
    ServerErrorKind,
};
use tokio::runtime::Handle;

use super::settings::Settings;
use crate::store::Error;

/// A few shared connections.
#[derive(Debug)]
pub(in crate::store) struct Connections {
    client: Client,
    managers: Vec<RwLock<ConnectionManager>>,
    next: AtomicUsize,
    timeout: Duration,
    /// Where the connections are driven: they outlive every worker that uses them.
    home: Handle,
}

impl Connections {
    /// Connections that are opened at their first use. Needs a tokio runtime around it, where they live.
    pub(in crate::store) fn new(settings: &Settings) -> Result<Self, RedisError> {
        let info = settings.url.as_str().into_connection_info()?;
        let client = Client::open(info.set_tcp_settings(TcpSettings::default().set_nodelay(true)))?;
        let timeout = settings.timeout;
        let managers = (0..settings.connections.max(1)).map(|_| manager(&client, timeout).map(RwLock::new));
        let managers = managers.collect::<Result<_, _>>()?;
        Ok(Self { client, managers, next: AtomicUsize::new(0), timeout, home: Handle::current() })
    }

    /// Runs a script.
    pub(in crate::store) async fn invoke<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T, Error> {
        self.run(|mut connection| async move { script.invoke_async(&mut connection).await }).await
    }

    /// Sends a command.
    pub(in crate::store) async fn query<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Error> {
        self.run(|mut connection| async move { command.query_async(&mut connection).await }).await
    }

    /// Sends several commands at once.
    pub(in crate::store) async fn pipeline<T: FromRedisValue>(&self, pipe: &Pipeline) -> Result<T, Error> {
        self.run(|mut connection| async move { pipe.query_async(&mut connection).await }).await
    }

    /// Runs one operation on one of the connections, within the deadline.
    async fn run<T, F>(&self, operation: impl FnOnce(ConnectionManager) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, RedisError>>,
    {
        let slot = &self.managers[self.next.fetch_add(1, Ordering::Relaxed) % self.managers.len()];
        let manager = slot.read().clone();
        let mut operation = pin!(operation(manager));
        // The tasks that drive a connection are spawned by whichever call opens it. A worker's runtime ends with the
        // worker, at a drain before the others'.
        let at_home = poll_fn(|cx| {
            let _home = self.home.enter();
            operation.as_mut().poll(cx)
        });
        match tokio::time::timeout(self.timeout, at_home).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                self.mend(slot, &error);
                Err(explain(error))
            }
            Err(elapsed) => Err(Error::unavailable(elapsed)),
        }
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

fn explain(error: RedisError) -> Error {
    match error.code() {
        // MISCONF, too, refuses every write, but for want of a disk to save to: not room for sessions is missing.
        Some("OOM") => Error::Full(Box::new(error)),
        _ if error.kind() == ErrorKind::UnexpectedReturnType => Error::Corrupt,
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
