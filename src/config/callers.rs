//! Builds the callers of a configuration.

use super::secret_files::SecretKind;
use super::sources::Sources;
use super::{ConfigKey, Error, Settings};
use crate::auth::Callers;
use crate::types::SettingError;

/// Builds the callers, and checks that their apps exist and that a listener asks for their certificates.
pub(super) fn build(settings: &Settings, sources: &Sources) -> Result<Callers, Error> {
    let problem = |error: SettingError| sources.problem(error.under("callers"));
    let mut callers = settings.callers.clone();
    let mut problems = Vec::new();
    for (name, caller) in &mut callers {
        let (key, file) = (ConfigKey::new(["callers", name, "token_hashes"]), caller.token_hashes_file.clone());
        let read = sources.read_secrets(&key, file.as_deref(), &mut caller.token_hashes, SecretKind::TokenHash);
        problems.extend(read.err());
        let unknown = caller.named_apps().find(|app| !settings.apps.contains_key(*app));
        let error = unknown.map(|app| SettingError::new("apps", format!("there is no app {app:?}")));
        problems.extend(error.map(|error| problem(error.under(name))));
    }
    Error::unless_none(problems)?;
    let built = Callers::build(&callers).map_err(problem)?;
    let takes_certificates = settings.server.tls.knows_certificates() || settings.admin.tls.knows_certificates();
    match callers.iter().find(|(_, caller)| !caller.certificate_names.is_empty()) {
        Some((name, _)) if !takes_certificates => {
            Err(problem(SettingError::new("certificate_names", NO_CLIENT_CA).under(name)).into())
        }
        _ => Ok(built),
    }
}

const NO_CLIENT_CA: &str = "no listener asks for certificates; set client_ca_file in [server.tls] or [admin.tls]";
