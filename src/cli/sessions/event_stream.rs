//! The events of an app, from one connection after the other.
//!
//! The service ends each connection after `max_connection_age`, and when it stops. The stream then goes on after the last
//! cursor on another connection, so that no event is lost.

use std::mem;
use std::time::Duration;

use tokio::time::sleep;
use tonic::Streaming;

use super::CommandContext;
use super::admin::CallError;
use crate::cli::{CliError, output};
use crate::grpc::wire::{WatchEventsRequest, WatchEventsResponse};

/// The events of an app.
pub(super) struct EventStream<'c> {
    context: &'c CommandContext,
    /// `None`: it has to be opened again.
    batches: Option<Streaming<WatchEventsResponse>>,
    /// The cursor of the last batch. Empty: from now on.
    cursor: String,
    outage: Outage,
}

impl<'c> EventStream<'c> {
    /// Begins after a cursor. An empty cursor is now. Fails if nobody answers.
    pub(super) async fn open(context: &'c CommandContext, cursor: &str) -> Result<Self, CallError> {
        let batches = Some(open(context, cursor).await?);
        Ok(Self { context, batches, cursor: cursor.to_owned(), outage: Outage::default() })
    }

    /// Waits for the next batch, until somebody answers. May be dropped and called again, and loses no batch.
    pub(super) async fn next(&mut self) -> Result<WatchEventsResponse, CliError> {
        loop {
            match self.try_next().await {
                Ok(Some(batch)) => {
                    self.outage = Outage::default();
                    self.cursor.clone_from(&batch.cursor);
                    return Ok(batch);
                }
                Ok(None) => return Err("the service has ended the stream; watch again".into()),
                Err(error) if error.may_go_on() => {
                    self.batches = None;
                    self.outage.wait(&error).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Returns the cursor of the last batch.
    pub(super) fn cursor(&self) -> &str {
        &self.cursor
    }

    async fn try_next(&mut self) -> Result<Option<WatchEventsResponse>, CallError> {
        let batches = match &mut self.batches {
            Some(batches) => batches,
            none => none.insert(open(self.context, &self.cursor).await?),
        };
        self.context.admin.next(batches).await
    }
}

async fn open(context: &CommandContext, cursor: &str) -> Result<Streaming<WatchEventsResponse>, CallError> {
    let request = WatchEventsRequest { app: context.app.clone(), cursor: cursor.to_owned() };
    context.admin.call(async |mut client| client.watch_events(request).await).await
}

/// A time in which nobody answers. It is noted once.
#[derive(Debug, Default)]
pub(super) struct Outage {
    is_noted: bool,
}

impl Outage {
    /// Waits before the next try. That a connection has ended in order is not noted.
    pub(super) async fn wait(&mut self, error: &CallError) {
        if !error.is_going_away() && !mem::replace(&mut self.is_noted, true) {
            output::print_note(&format!("{error}; trying again until somebody answers"));
        }
        sleep(RETRY_DELAY).await;
    }
}

const RETRY_DELAY: Duration = Duration::from_millis(500);
