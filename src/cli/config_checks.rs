//! The certificates and connections to Redis that `check` and `doctor` look at besides the text of a configuration.

use super::CliError;
use crate::app::{App, LegacyRedis, MigrationSource};
use crate::config::LoadedConfig;
use crate::store::{FsyncWarning, Handle, LegacyReader, RedisSettings, Settings, SideSettings, StoreKind};
use crate::types::Time;

/// A certificate that the service shows, with its key and what is configured beside it.
pub(super) struct Certificate {
    /// Such as `certificate of [server.tls]`.
    pub(super) name: String,
    /// When it expires; of a chain the earliest. `None`: none is configured.
    pub(super) end: Result<Option<Time>, CliError>,
}

/// Checks the files for TLS of each listener and of each connection to Redis.
pub(super) fn certificates(loaded: &LoadedConfig, now: Time) -> Vec<Certificate> {
    let settings = &loaded.settings;
    let listeners = [("server", &settings.server.tls), ("admin", &settings.admin.tls)];
    let listeners = listeners.into_iter().map(|(table, tls)| Certificate {
        name: format!("certificate of [{table}.tls]"),
        end: tls.check_files(now).map_err(|error| error.under(table).into()),
    });
    let redis = redis_tables(loaded).into_iter().map(|(table, redis)| Certificate {
        name: format!("client certificate of [{table}]"),
        end: redis.check_files(now).map_err(|error| CliError::Failed(format!("{table}.{error}").into())),
    });
    listeners.chain(redis).collect()
}

/// Returns each table that says how to connect to a Redis, by its name.
pub(super) fn redis_tables(loaded: &LoadedConfig) -> Vec<(String, RedisSettings)> {
    let places = loaded.settings.store.places().filter(|(_, place)| place.kind == StoreKind::Redis);
    let own = places.map(|(table, place)| (format!("{table}.redis"), place.redis));
    let sources = legacy_redis(loaded).map(|(app, source, redis)| {
        (format!("apps.{}.migrate.{source}", app.name), RedisSettings::from(&redis.access))
    });
    own.chain(sources).collect()
}

/// A store in Redis.
pub(super) struct RedisStore {
    /// `store`, `store.next` or `store.previous`.
    pub(super) table: &'static str,
    pub(super) settings: RedisSettings,
    /// It connects at its first call.
    pub(super) store: Result<Handle, CliError>,
}

/// Opens the store, and the one that sessions move to or from, as far as they are in Redis.
pub(super) fn redis_stores(loaded: &LoadedConfig) -> Vec<RedisStore> {
    let places = loaded.settings.store.places().filter(|(_, place)| place.kind == StoreKind::Redis);
    let open = |(table, SideSettings { kind, redis, .. })| {
        // Each by itself: a service may have the file of the other one open.
        let alone = Settings { kind, redis, ..Settings::default() };
        RedisStore { table, store: Handle::open(&alone).map_err(CliError::from), settings: alone.redis }
    };
    places.map(open).collect()
}

/// Checks what health checks when the service runs.
pub(super) async fn check_store(store: &Handle) -> Result<(), CliError> {
    store.ping().await.map_err(|error| CliError::Failed(error.into()))?;
    store.check_replicas().await.map_err(|error| CliError::Failed(error.into()))
}

/// Checks that the store and the one that sessions move to or from, if both are in Redis, are not the same keys there.
pub(super) async fn check_places(stores: &[Handle]) -> Result<(), CliError> {
    let [own, other] = stores else { return Ok(()) };
    own.check_is_elsewhere(other).await.map_err(|error| CliError::Failed(error.into()))
}

/// Returns what the log of the service would warn of, of a store that [`check_store()`] has found to work.
pub(super) async fn store_warnings(store: &Handle) -> Result<Vec<FsyncWarning>, CliError> {
    store.fsync_warnings().await.map_err(|error| CliError::Failed(error.into()))
}

/// The Redis of a migration source.
pub(super) struct LegacySource {
    /// Such as `migration source express_session`.
    pub(super) name: String,
    pub(super) app: String,
    /// Whether legacy sessions can be read.
    pub(super) result: Result<(), CliError>,
}

/// Checks whether the legacy sessions of each migration source can be read.
pub(super) async fn check_legacy_sources(loaded: &LoadedConfig) -> Vec<LegacySource> {
    let mut sources = Vec::new();
    for (app, source, redis) in legacy_redis(loaded) {
        let result = check_legacy_source(source, redis).await;
        sources.push(LegacySource { name: format!("migration source {source}"), app: app.name.to_string(), result });
    }
    sources
}

async fn check_legacy_source(source: MigrationSource, redis: &LegacyRedis) -> Result<(), CliError> {
    let reader = LegacyReader::new(source, redis).map_err(|error| CliError::Failed(error.into()))?;
    reader.check().await.map_err(|error| CliError::Failed(error.into()))
}

/// Returns the migration sources of all apps that have a Redis.
fn legacy_redis(loaded: &LoadedConfig) -> impl Iterator<Item = (&App, MigrationSource, &LegacyRedis)> {
    let migrations = loaded.apps.iter().filter_map(|app| Some((&**app, app.migration.as_ref()?)));
    migrations.flat_map(|(app, migration)| {
        migration.sources().filter_map(move |source| Some((app, source, migration.redis(source)?)))
    })
}
