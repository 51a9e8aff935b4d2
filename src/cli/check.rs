//! `cloakroom check`: checks the configuration, and prints the settings that result from it.

use clap::Args;
use humantime::format_rfc3339_seconds;
use tokio::runtime;

use super::{CliError, ConfigFile, banner, output};
use crate::app::{App, LegacyRedis, MigrationSource};
use crate::config::LoadedConfig;
use crate::store::{self, Handle, LegacyReader, RedisSettings, StoreKind};
use crate::types::{Clock as _, SystemClock, Time};

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// Connect to Redis as well, as a store and as a migration source, and fail if the service could not work with it
    #[arg(long)]
    connect: bool,
    #[command(flatten)]
    config: ConfigFile,
}

impl CheckArgs {
    pub(super) fn run(&self) -> Result<(), CliError> {
        let loaded = self.config.load()?;
        let settings = &loaded.settings;
        let now = SystemClock.now();
        let mut comments = match loaded.file() {
            Some(path) => format!("# From {} and the environment. Secrets are left out.\n", path.display()),
            None => "# From the environment alone: there is no file. Secrets are left out.\n".to_owned(),
        };
        let mut note_expiry = |certificate: &str, end: Option<Time>| {
            if let Some(end) = end {
                let verb = if end > now { "expires" } else { "has expired" };
                comments += &format!("# The {certificate} {verb}: {}.\n", format_rfc3339_seconds(end.into()));
            }
        };
        for (table, tls) in [("server", &settings.server.tls), ("admin", &settings.admin.tls)] {
            note_expiry(&format!("certificate of [{table}.tls]"), tls.check_files(now)?);
        }
        for (table, redis) in redis_tables(&loaded) {
            let end = redis.check_files(now).map_err(|error| CliError::Failed(format!("{table}.{error}").into()))?;
            note_expiry(&format!("client certificate of [{table}]"), end);
        }
        if self.connect {
            comments += &connect(&loaded)?;
        }
        output::print(&format!("{comments}\n{}", loaded.effective()))?;
        for app in loaded.keyless_apps() {
            let how = banner::how_to_get_key(app);
            output::print_note(&format!("warning: app {} has no key and so no sessions; {how}", app.name));
        }
        Ok(())
    }
}

/// Returns each table that says how to connect to a Redis, by its name.
fn redis_tables(loaded: &LoadedConfig) -> Vec<(String, RedisSettings)> {
    let store = &loaded.settings.store;
    let own = (store.kind == StoreKind::Redis).then(|| ("store.redis".to_owned(), store.redis.clone()));
    let sources = legacy_redis(loaded).map(|(app, source, redis)| {
        (format!("apps.{}.migrate.{source}", app.name), RedisSettings::from(&redis.access))
    });
    own.into_iter().chain(sources).collect()
}

/// Checks what health checks when the service runs, and whether legacy sessions can be read. Returns comments.
fn connect(loaded: &LoadedConfig) -> Result<String, CliError> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let failed = |error: store::Error| CliError::Failed(error.into());
    let mut comments = String::new();
    if loaded.settings.store.kind == StoreKind::Redis {
        let store = Handle::open(&loaded.settings.store)?;
        runtime.block_on(store.ping()).map_err(failed)?;
        runtime.block_on(store.check_replicas()).map_err(failed)?;
        comments += "# Redis answers, and the service can work with it.\n";
    } else {
        comments += "# The store is a part of the service: there is nothing to connect to.\n";
    }
    for (app, source, redis) in legacy_redis(loaded) {
        let reader = LegacyReader::new(source, redis).map_err(|error| CliError::Failed(error.into()))?;
        runtime.block_on(reader.check()).map_err(failed)?;
        comments += &format!("# The Redis of the migration source {source} answers the app {}.\n", app.name);
    }
    Ok(comments)
}

/// Returns the migration sources of all apps that have a Redis.
fn legacy_redis(loaded: &LoadedConfig) -> impl Iterator<Item = (&App, MigrationSource, &LegacyRedis)> {
    let migrations = loaded.apps.iter().filter_map(|app| Some((&**app, app.migration.as_ref()?)));
    migrations.flat_map(|(app, migration)| {
        migration.sources().filter_map(move |source| Some((app, source, migration.redis(source)?)))
    })
}
