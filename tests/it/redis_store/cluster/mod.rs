//! The mode `cluster`: redirections, failures of nodes, and slots that are moved.

mod counters;
mod faults;
mod layout;
mod moves;
mod redirections;
mod scripted;

use std::sync::Arc;
use std::time::Duration;

use cloakroom::store::{Handle, Redis, RedisSettings};

use crate::support::{TestService, app_settings, patient};

/// Starts a service on a store with these settings.
async fn service_on(settings: RedisSettings) -> Arc<TestService> {
    let store = Handle::from(Redis::new(&settings).unwrap());
    Arc::new(TestService::on_store(store, [("default", app_settings())], patient()).await)
}

/// The time after which a node counts as failed, where none should.
const CALM: Duration = Duration::from_secs(60);
