//! The commands of a connection that waits for acknowledgements, and what it needs before the first of them.

use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, RedisError};
use tokio::time::timeout;

use super::Connection;
use crate::store::redis::acknowledge::Acknowledge;
use crate::store::redis::failure::{Cause, Failure};
use crate::store::redis::scripts::Script;

/// Prepares a new connection for waiting, and checks that Redis lets it wait.
pub(in crate::store::redis) async fn prepare(
    connection: &Connection,
    acknowledge: Acknowledge,
    max_wait: Duration,
) -> Result<(), Failure> {
    let write = waited_write();
    let preparing = async {
        let mut commands = connection.commands();
        write.load().exec_async(&mut commands).await.map_err(Cause::from)?;
        // Asks for nothing that is not so already, if Redis can do it at all.
        let wait = match acknowledge {
            Acknowledge::Primary | Acknowledge::Replicas(_) => wait_command(Acknowledge::Primary, Duration::ZERO),
            Acknowledge::Fsync => wait_command(Acknowledge::Fsync, Duration::ZERO),
        };
        wait.exec_async(&mut commands).await.map_err(|error| explain(&error, acknowledge).unwrap_or(error.into()))
    };
    let prepared = timeout(max_wait, preparing).await.unwrap_or(Err(Cause::NoAnswer(max_wait)));
    prepared.map_err(|cause| Failure { address: Arc::clone(&connection.address), cause })
}

/// Says what an operator has to change.
fn explain(error: &RedisError, acknowledge: Acknowledge) -> Option<Cause> {
    let text = error.detail()?;
    let problem = if text.contains("unknown command") {
        "has no WAITAOF: it takes Redis 7.2 or Valkey 7.2, or newer"
    } else if text.contains("appendonly is disabled") {
        "has no append-only file: set appendonly to yes"
    } else {
        return None;
    };
    Some(Cause::Unsuitable(format!("acknowledge is \"{acknowledge}\", but this Redis {problem}").into()))
}

/// Makes the command that waits at most so long. Zero would mean forever.
pub(in crate::store::redis) fn wait_command(acknowledge: Acknowledge, max_wait: Duration) -> Cmd {
    let mut command = Cmd::new();
    match acknowledge {
        Acknowledge::Primary => command.arg("WAIT").arg(0),
        Acknowledge::Replicas(count) => command.arg("WAIT").arg(count),
        Acknowledge::Fsync => command.arg("WAITAOF").arg(1).arg(0),
    };
    command.arg(u64::try_from(max_wait.as_millis()).unwrap_or(u64::MAX).max(1));
    command
}

pub(in crate::store::redis) fn waited_write() -> Script {
    Script::new(include_str!("../scripts/waited_write.lua").to_owned())
}
