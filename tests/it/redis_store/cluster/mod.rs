//! The mode `cluster`: redirections, failures of nodes, and slots that are moved.

mod acknowledge;
mod announced;
mod atomic_moves;
mod changes;
mod circles;
mod faults;
mod feed;
mod identity;
mod killed_connections;
mod layout;
mod metrics;
mod moves;
mod nodes;
mod nowhere;
mod other_cluster;
mod redirections;
mod revocations;
mod scan_versions;
mod scans;
mod scripted;
mod seeds;
mod tls_names;
mod untouched;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use cloakroom::grpc::wire::Session;
use cloakroom::store::{Handle, Redis, RedisSettings};

use crate::support::{TestService, app_settings, long_timeouts};

/// Starts a service on a store with these settings.
async fn service_on(settings: RedisSettings) -> Arc<TestService> {
    let store = Handle::from(Redis::new(&settings).unwrap());
    Arc::new(TestService::on_store(store, [("default", app_settings())], long_timeouts()).await)
}

/// Creates a session that is at this primary of three.
async fn session_at(service: &TestService, primary: u16) -> Session {
    loop {
        let token = service.stored(&[("a", "1")]).await;
        let session = service.session(&token).await;
        let partition = u16::from_str_radix(&session.id[..4], 16).unwrap() >> 6;
        if partitions(primary).contains(&partition) {
            return Session { token, ..session };
        }
    }
}

/// The partitions that are surely at this primary of three.
const fn partitions(primary: u16) -> Range<u16> {
    1024 * primary / 3 + 1..1024 * (primary + 1) / 3 - 1
}

/// The time after which a node counts as failed, where none should.
const CALM: Duration = Duration::from_secs(60);
