//! Builds the apps of a configuration.

use std::collections::BTreeMap;

use super::secret_files::SecretKind;
use super::sources::Sources;
use super::{ConfigKey, Error, Problem};
use crate::app::{self, App, Apps, FlaskSessionSettings, MigrationSettings};
use crate::store;
use crate::types::SettingError;

/// Builds the apps with these settings. Reads secrets from their files into the settings first.
pub(super) fn build(settings: &mut BTreeMap<String, app::Settings>, sources: &Sources) -> Result<Apps, Error> {
    let (mut apps, mut problems) = (Vec::new(), Vec::new());
    for (name, settings) in settings {
        match build_app(name, settings, sources) {
            Ok(app) => apps.push(app),
            Err(problem) => problems.push(problem),
        }
    }
    Error::unless_none(problems)?;
    Ok(apps.into_iter().collect())
}

fn build_app(name: &str, settings: &mut app::Settings, sources: &Sources) -> Result<App, Problem> {
    read_secrets(&ConfigKey::new(["apps", name]), settings, sources)?;
    let app = check_flask_session(&settings.migrate.flask_session).and_then(|()| settings.build(name));
    app.map_err(|error| sources.problem(error.under(name).under("apps")))
}

fn read_secrets(table: &ConfigKey, settings: &mut app::Settings, sources: &Sources) -> Result<(), Problem> {
    let app::Settings { keys, keys_file, migrate, .. } = settings;
    sources.read_secrets(&table.join("keys"), keys_file.as_deref(), keys, SecretKind::Key)?;
    let MigrationSettings { flask_cookie, flask_session, .. } = migrate;
    let (key, file) = (table.join("migrate.flask_cookie.keys"), flask_cookie.keys_file.as_deref());
    sources.read_secrets(&key, file, &mut flask_cookie.keys, SecretKind::Key)?;
    let (key, file) = (table.join("migrate.flask_session.signer_keys"), flask_session.signer_keys_file.as_deref());
    sources.read_secrets(&key, file, &mut flask_session.signer_keys, SecretKind::Key)?;
    if let Some(file) = &flask_session.url_file {
        flask_session.url = Some(sources.read_url(&table.join("migrate.flask_session.url"), file)?.into());
    }
    Ok(())
}

/// Checks the address and the timeout by the rules of the Redis store, which is a layer above `app`.
fn check_flask_session(settings: &FlaskSessionSettings) -> Result<(), SettingError> {
    let Some(url) = &settings.url else { return Ok(()) };
    let (url, timeout) = (url.expose().to_owned(), settings.timeout);
    let checked = store::RedisSettings { url, timeout, ..Default::default() }.check();
    checked.map_err(|error| error.under("flask_session").under("migrate"))
}
