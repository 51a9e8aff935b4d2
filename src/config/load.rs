//! Loading: from the sources to settings that can be served.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use config::{Config, ConfigError, File, FileFormat};

use super::default_key::{self, DefaultKey};
use super::document::Document;
use super::environment::{self, Environment, Variable};
use super::reload::ephemeral;
use super::{ConfigKey, Error, Problem, Settings, Source, WatchedFiles, key_file, strict};
use crate::app::{self, App, Apps, MigrationSettings};
use crate::auth::Callers;
use crate::store;
use crate::token::KeyRing;
use crate::types::{AppName, Secret};

/// A configuration without a mistake in it.
#[derive(Debug)]
pub struct Loaded {
    /// What is set.
    pub settings: Settings,
    /// The apps as configured. One without a key has only null sessions.
    pub apps: Apps,
    /// Who may call.
    pub callers: Callers,
    document: Option<Document>,
    variables: Vec<Variable>,
    /// The settings of the apps by name, with what lies in files of its own.
    pub(super) whole: BTreeMap<String, app::Settings>,
    pub(super) files: WatchedFiles,
}

/// Loads `file`, else the file that `CLOAKROOM_CONFIG` names, else `cloakroom.toml` if it is there.
///
/// Variables of the environment come on top. A file that is named has to be there.
pub fn load(file: Option<&Path>) -> Result<Loaded, Error> {
    load_watched(file).0
}

/// As [`load()`], with the files that were read, be the configuration right or wrong.
pub fn load_watched(file: Option<&Path>) -> (Result<Loaded, Error>, WatchedFiles) {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
    let environment = env::vars_os();
    let files = WatchedFiles::default();
    (load_through(&files, file, environment), files)
}

/// As [`load()`], in a given environment.
pub fn load_from(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Loaded, Error> {
    load_through(&WatchedFiles::default(), file, environment)
}

fn load_through(
    files: &WatchedFiles,
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Loaded, Error> {
    let environment = environment.into_iter().collect::<Environment>();
    let (variables, mut problems) = environment::variables(&environment);
    let document = match find(file, &environment, files).map(|path| Document::open(&path, files)).transpose() {
        Ok(document) => document,
        Err(problem) => {
            problems.push(problem);
            None
        }
    };
    problems.extend(document.iter().flat_map(document_problems));
    Error::unless_none(problems)?;

    let mut settings = merged(document.as_ref(), &variables).map_err(unmergeable)?;
    settings.apps.entry(AppName::DEFAULT.to_owned()).or_default();
    let (apps, whole, files) = (Apps::default(), BTreeMap::new(), files.clone());
    let callers = Callers::default();
    let mut loaded = Loaded { settings, apps, callers, document, variables, whole, files };
    loaded.read_redis_url()?;
    loaded.build_apps()?;
    loaded.callers = loaded.build_callers()?;
    loaded.check_tables()?;
    Ok(loaded)
}

impl Loaded {
    /// The configuration file, if there is one.
    pub fn file(&self) -> Option<&Path> {
        self.document.as_ref().map(Document::path)
    }

    /// Where the value of a setting comes from.
    pub fn source_of(&self, key: &ConfigKey) -> Source {
        let variable = self.variables.iter().find(|variable| variable.key == *key);
        let from_environment = variable.map(|variable| Source::Variable(variable.name.clone()));
        let from_file = || self.document.as_ref().and_then(|document| document.source_of(key));
        from_environment.or_else(from_file).unwrap_or(Source::Default)
    }

    /// The apps to serve. The app `default` gets a key, if it has none and the store allows it.
    ///
    /// May create the data folder and the key file in it.
    pub fn apps_to_serve(&self) -> Result<(Apps, DefaultKey), default_key::Error> {
        if self.default_app_has_keys() {
            return Ok((self.apps.clone(), DefaultKey::Configured));
        }
        match self.settings.store.kind {
            store::StoreKind::Embedded => {
                let (ring, origin) = default_key::open(self.settings.data_folder())?;
                self.files.watch(&default_key::path_in(self.settings.data_folder()));
                Ok((self.with_default_keys(ring), origin))
            }
            store::StoreKind::Memory => Ok((self.with_default_keys(ephemeral()), DefaultKey::Ephemeral)),
            store::StoreKind::Redis => Ok((self.apps.clone(), DefaultKey::Missing)),
        }
    }

    /// The apps with the keys that there are by now. Creates nothing.
    pub fn apps_as_served(&self) -> Result<Apps, default_key::Error> {
        let keeps_a_key = !self.default_app_has_keys() && self.settings.store.kind == store::StoreKind::Embedded;
        let kept = if keeps_a_key { default_key::find(self.settings.data_folder())? } else { None };
        Ok(kept.map_or_else(|| self.apps.clone(), |ring| self.with_default_keys(ring)))
    }

    /// An app of kind `cookie` never gets a key by itself: its key is its Flask application's.
    pub(super) fn default_app_has_keys(&self) -> bool {
        self.apps.find(AppName::DEFAULT).is_some_and(|app| app.has_keys() || !matches!(app.kind, app::Kind::Stored))
    }

    pub(super) fn with_default_keys(&self, ring: KeyRing) -> Apps {
        let keyed = |app: &App| match app.name.as_str() {
            AppName::DEFAULT => App { keys: Some(ring.clone()), ..app.clone() },
            _ => app.clone(),
        };
        self.apps.iter().map(|app| keyed(app)).collect()
    }

    /// The address of Redis may hold a password, and so may come in a file of its own.
    fn read_redis_url(&mut self) -> Result<(), Error> {
        let Some(path) = self.settings.store.redis.url_file.clone() else { return Ok(()) };
        self.settings.store.redis.url = self.url_from(&path, &ConfigKey::new(["store", "redis", "url"]))?;
        Ok(())
    }

    /// What the tables of the other floors find wrong with themselves; their messages begin with the key.
    fn check_tables(&self) -> Result<(), Error> {
        let server = self.settings.server.check(&self.callers).map_err(|error| (vec!["server"], error.to_string()));
        let admin = self.settings.admin.check(&self.settings.server, &self.callers);
        let admin = admin.map_err(|error| (vec!["admin"], error.to_string()));
        let redis = self.settings.store.redis.check().map_err(|error| (vec!["store", "redis"], error.to_string()));
        let reload = self.settings.reload.check().map_err(|error| (vec!["reload"], error.to_string()));
        let wrong = [server.err(), admin.err(), redis.err(), reload.err()].into_iter().flatten();
        let problem = |(table, text): (Vec<&str>, String)| {
            let (name, message) = text.split_once(": ").unwrap_or(("", &text));
            let key = ConfigKey::new(table).join(name);
            Problem { source: self.source_of(&key), key, message: message.to_owned() }
        };
        Error::unless_none(wrong.map(problem).collect())
    }

    fn build_apps(&mut self) -> Result<(), Error> {
        let (mut apps, mut whole, mut problems) = (Vec::new(), BTreeMap::new(), Vec::new());
        for (name, settings) in &self.settings.apps {
            let mut settings = settings.clone();
            match self.build_app(name, &mut settings) {
                Ok(app) => apps.push(app),
                Err(problem) => problems.push(problem),
            }
            whole.insert(name.clone(), settings);
        }
        Error::unless_none(problems)?;
        (self.apps, self.whole) = (apps.into_iter().collect(), whole);
        Ok(())
    }

    /// The app of these settings, into which what lies in files is read.
    fn build_app(&self, name: &str, settings: &mut app::Settings) -> Result<App, Problem> {
        let at = ConfigKey::new(["apps", name]);
        if let Some(path) = &settings.keys_file {
            settings.keys = self.keys_from(path, &at.join("keys"), &settings.keys)?;
        }
        self.read_migrate_secrets(&at.join("migrate"), &mut settings.migrate)?;
        settings.build(name).map_err(|error| {
            let blamed = error.keys();
            let keys = blamed.iter().map(|key| at.join(&in_file(key, settings))).collect::<Vec<_>>();
            let set = keys.iter().chain([&at]).map(|key| self.source_of(key)).find(|source| *source != Source::Default);
            let text = error.to_string();
            let message = blamed.first().and_then(|key| text.strip_prefix(key.as_str())?.strip_prefix(": "));
            Problem {
                source: set.unwrap_or(Source::Default),
                message: message.unwrap_or(&text).to_owned(),
                key: keys.into_iter().next().unwrap_or(at),
            }
        })
    }

    /// What an app accepts may lie in files of its own, for all of it is secret.
    fn read_migrate_secrets(&self, at: &ConfigKey, migration: &mut MigrationSettings) -> Result<(), Problem> {
        let MigrationSettings { flask_cookie, flask_session, .. } = migration;
        if let Some(path) = &flask_cookie.keys_file {
            flask_cookie.keys = self.keys_from(path, &at.join("flask_cookie.keys"), &flask_cookie.keys)?;
        }
        let at = at.join("flask_session");
        if let Some(path) = &flask_session.signer_keys_file {
            flask_session.signer_keys = self.keys_from(path, &at.join("signer_keys"), &flask_session.signer_keys)?;
        }
        if let Some(path) = &flask_session.url_file {
            flask_session.url = Some(self.url_from(path, &at.join("url"))?.into());
        }
        let Some(url) = &flask_session.url else { return Ok(()) };
        let (url, timeout) = (url.expose().to_owned(), flask_session.timeout);
        store::RedisSettings { url, timeout, ..Default::default() }.check().map_err(|error| {
            let text = error.to_string();
            let (name, message) = text.split_once(": ").unwrap_or(("", &text));
            let key = at.join(name);
            Problem { source: self.source_of(&key), key, message: message.to_owned() }
        })
    }

    /// The keys in a file, which is named by the setting beside theirs.
    fn keys_from(&self, path: &Path, keys: &ConfigKey, given: &[Secret]) -> Result<Vec<Secret>, Problem> {
        self.secrets_from(path, keys, given, KEY)
    }

    /// The same of any secrets: what each is, and the command that makes one.
    pub(super) fn secrets_from(
        &self,
        path: &Path,
        keys: &ConfigKey,
        given: &[Secret],
        (what, command): (&str, &str),
    ) -> Result<Vec<Secret>, Problem> {
        let keys_file = file_of(keys);
        let problem = |message| Problem { source: self.source_of(&keys_file), key: keys_file.clone(), message };
        if !given.is_empty() {
            let name = keys.names().last().map(String::as_str).unwrap_or_default();
            return Err(problem(format!("{} gives {name} as well; remove one of the two", self.source_of(keys))));
        }
        match key_file::read(path, &self.files) {
            Ok(secrets) if secrets.is_empty() => {
                Err(problem(format!("there is no {what} in {}; `{command}` makes one", path.display())))
            }
            Ok(secrets) => Ok(secrets),
            Err(error) => Err(problem(format!("{} cannot be read: {error}", path.display()))),
        }
    }

    /// The address in a file, which is named by the setting beside its own.
    fn url_from(&self, path: &Path, url: &ConfigKey) -> Result<String, Problem> {
        let url_file = file_of(url);
        let problem = |message| Problem { source: self.source_of(&url_file), key: url_file.clone(), message };
        let source = self.source_of(url);
        if source != Source::Default {
            return Err(problem(format!("{source} gives url as well; remove one of the two")));
        }
        let text = self.files.read(path);
        let text = text.map_err(|error| problem(format!("{} cannot be read: {error}", path.display())))?;
        Ok(text.trim().to_owned())
    }
}

const KEY: (&str, &str) = ("key", "cloakroom keygen");
/// The setting that names a file with another one's value.
fn file_of(key: &ConfigKey) -> ConfigKey {
    let (last, above) = key.names().split_last().expect("a setting has a name");
    ConfigKey::new(above).join(&format!("{last}_file"))
}

/// Of a setting of an app that lies in a file: the one that names the file.
fn in_file(key: &str, settings: &app::Settings) -> String {
    let is_in_file = match key {
        "keys" => settings.keys_file.is_some(),
        "migrate.flask_cookie.keys" => settings.migrate.flask_cookie.keys_file.is_some(),
        "migrate.flask_session.signer_keys" => settings.migrate.flask_session.signer_keys_file.is_some(),
        _ => false,
    };
    if is_in_file { format!("{key}_file") } else { key.to_owned() }
}

fn find(file: Option<&Path>, environment: &Environment, files: &WatchedFiles) -> Option<PathBuf> {
    let named = || environment.get(&OsString::from(FILE_VARIABLE)).filter(|value| !value.is_empty());
    let usual = || {
        // One that is written later counts, too.
        files.watch(Path::new(USUAL_FILE));
        Some(PathBuf::from(USUAL_FILE)).filter(|path| path.exists())
    };
    file.map(Path::to_owned).or_else(|| named().map(PathBuf::from)).or_else(usual)
}

fn document_problems(document: &Document) -> Vec<Problem> {
    let problem = |fault: strict::KeyProblem| {
        let whole = || Source::File { path: document.path().to_owned(), line: None };
        let source = document.source_of(&fault.key).unwrap_or_else(whole);
        Problem { source, key: fault.key, message: fault.message }
    };
    strict::problems(document.tree().clone()).into_iter().map(problem).collect()
}

/// The sources on top of each other. Tables merge, lists replace each other.
fn merged(document: Option<&Document>, variables: &[Variable]) -> Result<Settings, ConfigError> {
    let mut layers = Config::builder();
    if let Some(document) = document {
        layers = layers.add_source(File::from_str(document.text(), FileFormat::Toml));
    }
    for Variable { key, value, .. } in variables {
        layers = layers.set_override(key.names().join("."), layered(value))?;
    }
    layers.build()?.try_deserialize()
}

fn layered(value: &toml::Value) -> config::Value {
    match value {
        toml::Value::Integer(number) => (*number).into(),
        toml::Value::Float(number) => (*number).into(),
        toml::Value::Boolean(truth) => (*truth).into(),
        toml::Value::Array(items) => items.iter().map(layered).collect::<Vec<_>>().into(),
        toml::Value::String(text) => text.clone().into(),
        toml::Value::Datetime(_) | toml::Value::Table(_) => config::ValueKind::Nil.into(),
    }
}

/// Sources that fit the settings each by itself, but not together.
fn unmergeable(error: ConfigError) -> Error {
    let message = format!("file and environment do not fit together: {error}");
    Problem { source: Source::Default, key: ConfigKey::default(), message }.into()
}

const FILE_VARIABLE: &str = "CLOAKROOM_CONFIG";
const USUAL_FILE: &str = "cloakroom.toml";
