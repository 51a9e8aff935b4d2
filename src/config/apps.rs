//! Builds the apps of a configuration.

use std::collections::BTreeMap;

use super::secret_files::SecretKind;
use super::sources::Sources;
use super::{ConfigKey, Error, Problem};
use crate::app::{self, App, Apps, KindSetting, MigrationSettings, MigrationSource};
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
    let app = check_legacy_redis(&settings.migrate).and_then(|()| settings.build(name));
    app.map_err(|error| sources.problem(error.under(name).under("apps")))
}

fn read_secrets(table: &ConfigKey, settings: &mut app::Settings, sources: &Sources) -> Result<(), Problem> {
    let app::Settings { kind, keys, keys_file, migrate, .. } = settings;
    let key_kind = if *kind == KindSetting::Cookie { SecretKind::FrameworkKey } else { SecretKind::Key };
    sources.read_secrets(&table.join("keys"), keys_file.as_deref(), keys, key_kind)?;
    let MigrationSettings { flask_cookie, flask_session, django_cookie, django_session, express_session, scs, .. } =
        migrate;
    let keys = [
        ("flask_cookie.keys", &flask_cookie.keys_file, &mut flask_cookie.keys),
        ("flask_session.signer_keys", &flask_session.signer_keys_file, &mut flask_session.signer_keys),
        ("django_cookie.keys", &django_cookie.keys_file, &mut django_cookie.keys),
        ("django_session.keys", &django_session.keys_file, &mut django_session.keys),
        ("express_session.keys", &express_session.keys_file, &mut express_session.keys),
    ];
    let migrate = table.join("migrate");
    for (key, file, keys) in keys {
        sources.read_secrets(&migrate.join(key), file.as_deref(), keys, SecretKind::FrameworkKey)?;
    }
    let urls = [
        ("flask_session.url", &flask_session.url_file, &mut flask_session.url),
        ("django_session.url", &django_session.url_file, &mut django_session.url),
        ("express_session.url", &express_session.url_file, &mut express_session.url),
        ("scs.url", &scs.url_file, &mut scs.url),
    ];
    for (key, file, url) in urls {
        if let Some(file) = file {
            *url = Some(sources.read_url(&migrate.join(key), file)?.into());
        }
    }
    Ok(())
}

/// Checks how to connect to Redis by the rules of the Redis store, which is a layer above `app`.
fn check_legacy_redis(
    MigrationSettings { flask_session, django_session, express_session, scs, .. }: &MigrationSettings,
) -> Result<(), SettingError> {
    let sources = [
        (MigrationSource::FlaskSession, flask_session.redis()),
        (MigrationSource::DjangoSession, django_session.redis()),
        (MigrationSource::ExpressSession, express_session.redis()),
        (MigrationSource::Scs, scs.redis()),
    ];
    for (source, access) in sources {
        let Some(access) = access else { continue };
        let checked = store::RedisSettings::from(&access).check();
        checked.map_err(|error| error.under(source.as_str()).under("migrate"))?;
    }
    Ok(())
}
