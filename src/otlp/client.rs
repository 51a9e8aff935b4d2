//! The client of one collector: connects when it exports, and again after each failure.

use std::fmt;
use std::time::Duration;

use http::uri::PathAndQuery;
use prost::Message;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::collector::{Collector, CollectorConnection};
use super::collector_settings::CollectorSettings;
use super::export_failure::ExportFailure;
use crate::types::SettingError;

/// A client of a collector.
pub(super) struct Client {
    settings: CollectorSettings,
    /// `None` before the first export, and after one that failed or was the last on its connection.
    connection: Option<CollectorConnection>,
    /// Reads the files. A disk that hangs keeps one thread waiting, and not one for each export.
    opening: Option<JoinHandle<Result<Option<Collector>, SettingError>>>,
}

impl Client {
    /// Reads the files and checks them. `None`: there is no collector.
    ///
    /// It reads them again for each connection.
    pub(super) fn open(settings: CollectorSettings) -> Result<Option<Self>, SettingError> {
        let collector = Collector::open(&settings)?;
        Ok(collector.map(|_| Self { settings, connection: None, opening: None }))
    }

    pub(super) fn endpoint(&self) -> &str {
        &self.settings.endpoint
    }

    /// Warns if the headers would cross the network unencrypted.
    pub(super) fn warn_of_exposed_headers(&self) {
        if self.settings.exposes_headers() {
            let table = self.settings.table;
            warn!(
                "the headers for the collector of {table} are not encrypted on their way; set an endpoint with https"
            );
        }
    }

    /// Makes these calls one after another, all of them within the timeout of an export. The first failure ends it.
    pub(super) async fn export<Q, R>(&mut self, path: PathAndQuery, requests: Vec<Q>) -> Result<Vec<R>, ExportFailure>
    where
        Q: Message + 'static,
        R: Message + Default + 'static,
    {
        timeout(self.settings.timeout, self.call_all(path, requests)).await.unwrap_or(Err(ExportFailure::TimedOut))
    }

    async fn call_all<Q, R>(&mut self, path: PathAndQuery, requests: Vec<Q>) -> Result<Vec<R>, ExportFailure>
    where
        Q: Message + 'static,
        R: Message + Default + 'static,
    {
        // It is put back only if all calls succeed.
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let mut responses = Vec::with_capacity(requests.len());
        for request in requests {
            responses.push(connection.call(path.clone(), request).await.map_err(ExportFailure::Refused)?);
        }
        self.connection = Some(connection);
        Ok(responses)
    }

    /// Reads the files again, which may have changed, and connects.
    async fn connect(&mut self) -> Result<CollectorConnection, ExportFailure> {
        let Self { settings, opening, .. } = self;
        let open = || {
            let settings = settings.clone();
            spawn_blocking(move || Collector::open(&settings))
        };
        let opened = opening.get_or_insert_with(open).await.expect("reading the files does not panic");
        *opening = None;
        let wrong = |error: SettingError| ExportFailure::Settings(error.under(settings.table));
        let collector = opened.map_err(wrong)?.expect("the endpoint does not change");
        collector.connect(settings.timeout).await.map_err(ExportFailure::NotConnected)
    }

    /// Closes the connection. A network may forget one that is idle for long, and say so to neither side.
    pub(super) fn disconnect(&mut self) {
        self.connection = None;
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("endpoint", &self.settings.endpoint).finish_non_exhaustive()
    }
}

/// Waits until a stop has given an exporter its time for what is left.
pub(super) async fn flush_over(stop: &CancellationToken) {
    stop.cancelled().await;
    sleep(FLUSH_TIMEOUT).await;
}

/// How much a collector that is slow or down may delay a stop.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);
