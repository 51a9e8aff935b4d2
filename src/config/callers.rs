//! The callers of a configuration: what lies in files of its own is read, and what they name is looked for.

use super::{ConfigKey, Error, Loaded, Problem};
use crate::auth::{CallerError, Callers};

impl Loaded {
    /// Callers, whose hashes may lie in files of their own.
    pub(super) fn build_callers(&self) -> Result<Callers, Error> {
        let mut callers = self.settings.callers.clone();
        let mut problems = Vec::new();
        for (name, caller) in &mut callers {
            let at = ConfigKey::new(["callers", name]);
            if let Some(path) = &caller.token_hashes_file {
                match self.secrets_from(path, &at.join("token_hashes"), &caller.token_hashes, HASH) {
                    Ok(hashes) => caller.token_hashes = hashes,
                    Err(problem) => problems.push(problem),
                }
            }
            let unknown = caller.named_apps().find(|app| self.apps.find(app).is_none());
            problems.extend(unknown.map(|app| self.problem(at.join("apps"), format!("there is no app {app:?}"))));
        }
        Error::unless_none(problems)?;
        let built = Callers::build(&callers).map_err(|CallerError { name, key, message }| {
            let in_file = key == "token_hashes" && callers.get(&name).is_some_and(|of| of.token_hashes_file.is_some());
            let key = ConfigKey::new(["callers", &name]).join(if in_file { "token_hashes_file" } else { key });
            self.problem(key, message)
        })?;
        let listeners = [&self.settings.server.tls, &self.settings.admin.tls];
        let named = callers.iter().find(|(_, caller)| !caller.certificate_names.is_empty());
        match named {
            Some((name, _)) if !listeners.iter().any(|tls| tls.knows_certificates()) => {
                let key = ConfigKey::new(["callers", name]).join("certificate_names");
                Err(self.problem(key, NO_CLIENT_CA.to_owned()).into())
            }
            _ => Ok(built),
        }
    }

    fn problem(&self, key: ConfigKey, message: String) -> Problem {
        Problem { source: self.source_of(&key), key, message }
    }
}

const HASH: (&str, &str) = ("hash", "cloakroom caller-token");
const NO_CLIENT_CA: &str = "no listener asks for certificates; set client_ca_file in [server.tls] or [admin.tls]";
