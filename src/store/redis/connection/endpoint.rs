//! Where a connection leads, and with what: the address, TLS, the user and the password.

use std::sync::Arc;

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _};

use super::files::{Contents, Files, set};
use super::tls::TlsClient;
use crate::store::redis::server_address::ServerAddress;
use crate::store::redis::settings::{Mode, Settings};
use crate::types::SettingError;

/// The parameters that one connection is opened with. Not printed, because they hold the password.
pub(in crate::store::redis) struct Endpoint {
    pub(in crate::store::redis) info: ConnectionInfo,
    pub(in crate::store::redis) tls: Option<Arc<TlsClient>>,
    /// For logs.
    pub(in crate::store::redis) address: Arc<str>,
}

impl Endpoint {
    /// Builds it of the settings and of what is in their files.
    pub(in crate::store::redis) fn build(
        settings: &Settings,
        files: &Files,
        contents: &Contents,
    ) -> Result<Self, SettingError> {
        let (setting, url) = match &contents.url {
            Some(text) => ("url_file", text_of("url_file", text)?.trim()),
            None => ("url", settings.url.as_str()),
        };
        let (mut info, scheme) = check(settings, setting, url)?;
        if let Some(password) = &contents.password {
            let password = text_of("password_file", password)?.trim_end_matches(['\r', '\n']);
            if password.is_empty() {
                return Err(SettingError::new("password_file", "there is no password in it"));
            }
            let mut login = info.redis_settings().clone().set_password(password);
            if let Some(username) = username(settings) {
                login = login.set_username(username);
            }
            info = info.set_redis_settings(login);
        }
        let tls = (scheme == Scheme::Tls).then(|| TlsClient::build(files, contents).map(Arc::new)).transpose()?;
        let address = address(&info);
        Ok(Self { info, tls, address })
    }

    /// Returns the same for another server.
    pub(in crate::store::redis) fn at(&self, server: &ServerAddress) -> Self {
        let info = self.info.clone().set_addr(ConnectionAddr::Tcp(server.host.clone(), server.port));
        let address = address(&info);
        Self { info, tls: self.tls.clone(), address }
    }

    /// Where it leads; `None` for a Unix socket.
    pub(in crate::store::redis) fn server(&self) -> Option<ServerAddress> {
        match self.info.addr() {
            ConnectionAddr::Tcp(host, port) => Some(ServerAddress { host: host.clone(), port: *port }),
            _ => None,
        }
    }
}

/// How bytes are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Plain,
    Tls,
}

/// Checks a url, and whether the other settings fit it. Returns where it leads.
///
/// The errors are without the library's, which may quote the url.
fn check(settings: &Settings, setting: &str, url: &str) -> Result<(ConnectionInfo, Scheme), SettingError> {
    let error = |message| Err(SettingError::new(setting, message));
    let Some((info, scheme)) = parse(url) else {
        return error(if is_with_fragment(url) { FRAGMENT } else { URL_FORM });
    };
    let login = info.redis_settings();
    if settings.mode == Mode::Cluster && login.db() != 0 {
        return error(NO_DATABASES);
    }
    if set(&settings.password_file).is_some() && (login.username().is_some() || login.password().is_some()) {
        return error(LOGIN_TWICE);
    }
    if login.username().is_some() && login.password().is_none_or(str::is_empty) {
        return error(USER_WITHOUT_PASSWORD);
    }
    if username(settings).is_some() && set(&settings.password_file).is_none() {
        return Err(SettingError::new("username", USER_ALONE));
    }
    let Settings { ca_file, certificate_file, key_file, .. } = settings;
    let tls_files = [("ca_file", ca_file), ("certificate_file", certificate_file), ("key_file", key_file)];
    if scheme == Scheme::Plain
        && let Some((name, _)) = tls_files.into_iter().find(|(_, file)| set(file).is_some())
    {
        return Err(SettingError::new(name, NOT_ENCRYPTED).caused_by(&[setting]));
    }
    match (set(certificate_file), set(key_file)) {
        (Some(_), None) => Err(SettingError::new("key_file", INCOMPLETE).caused_by(&["certificate_file"])),
        (None, Some(_)) => Err(SettingError::new("certificate_file", INCOMPLETE).caused_by(&["key_file"])),
        _ => Ok((info, scheme)),
    }
}

/// Checks the settings without their files.
pub(in crate::store::redis) fn check_settings(settings: &Settings) -> Result<ConnectionInfo, SettingError> {
    check(settings, "url", &settings.url).map(|(info, _)| info)
}

/// Reads a url.
///
/// The library reads `rediss://` only with its own TLS, and then allows one that checks no certificate.
fn parse(url: &str) -> Option<(ConnectionInfo, Scheme)> {
    let (plain, scheme) = match url.split_once("://")? {
        ("rediss", rest) if !is_with_fragment(url) => (format!("redis://{rest}"), Scheme::Tls),
        ("rediss" | "valkeys", _) => return None,
        _ => (url.to_owned(), Scheme::Plain),
    };
    Some((plain.into_connection_info().ok()?, scheme))
}

fn is_with_fragment(url: &str) -> bool {
    url.starts_with("rediss://") && url.contains('#')
}

/// Writes an address for logs: without user, password and database.
pub(in crate::store::redis) fn address(info: &ConnectionInfo) -> Arc<str> {
    match info.addr() {
        ConnectionAddr::Tcp(host, port) => ServerAddress { host: host.clone(), port: *port }.to_string().into(),
        ConnectionAddr::Unix(path) => path.display().to_string().into(),
        _ => "an unknown address".into(),
    }
}

/// Returns the name of the user. An empty one counts as unset.
fn username(settings: &Settings) -> Option<&str> {
    settings.username.as_deref().filter(|name| !name.is_empty())
}

fn text_of<'b>(setting: &str, bytes: &'b [u8]) -> Result<&'b str, SettingError> {
    std::str::from_utf8(bytes).map_err(|_| SettingError::new(setting, "it is not UTF-8 text"))
}

const URL_FORM: &str = "it has to be redis://[user:password@]host[:port][/database], the same with rediss:// for TLS, or \
                        redis+unix:///path";
const FRAGMENT: &str = "a url of TLS has no `#`: the certificate and the name in it are always checked; write a # in a \
                        password as %23";
const NO_DATABASES: &str = "a Redis Cluster has no databases: leave out the number at the end of the url, and give each \
                            service a key_prefix of its own";
const LOGIN_TWICE: &str = "it holds a user or a password, and password_file gives one as well; remove one of the two";
const USER_ALONE: &str = "a user needs a password; name its file in password_file";
const USER_WITHOUT_PASSWORD: &str = "it names a user without a password, and Redis would take the service for the user \
                                     `default`; write redis://user:password@host, or use username and password_file";
const NOT_ENCRYPTED: &str = "the url is not one of TLS, so it would not be used; let the url begin with rediss://";
const INCOMPLETE: &str = "a client certificate needs certificate_file and key_file";

#[cfg(test)]
mod tests {
    use super::*;

    fn info(url: &str) -> Option<(String, Scheme)> {
        parse(url).map(|(info, scheme)| (address(&info).to_string(), scheme))
    }

    #[test]
    fn a_url_says_by_its_scheme_whether_bytes_are_encrypted() {
        let table = [
            ("redis://host", Some(("host:6379", Scheme::Plain))),
            ("rediss://user:word@host:1/2", Some(("host:1", Scheme::Tls))),
            ("rediss://[::1]", Some(("[::1]:6379", Scheme::Tls))),
            ("redis+unix:///run/redis.sock", Some(("/run/redis.sock", Scheme::Plain))),
            ("rediss://host/#insecure", None),
            ("valkeys://host/#insecure", None),
            ("REDISS://host", None),
            ("http://host", None),
            ("host", None),
        ];

        for (url, expected) in table {
            assert_eq!(info(url), expected.map(|(address, scheme)| (address.to_owned(), scheme)), "{url}");
        }
    }

    #[test]
    fn a_user_in_a_url_needs_a_password_there() {
        let problem = |setting, url: &str| {
            let checked = check(&Settings::default(), setting, url);
            checked.map(drop).map_err(|error| error.to_string())
        };
        for url in ["redis://:word@host", "rediss://user:word@host", "redis+unix:///socket?user=name&pass=word"] {
            assert_eq!(problem("url", url), Ok(()), "{url}");
        }

        for url in [
            "redis://user@host",
            "redis://user:@host",
            "rediss://user@host/1",
            "redis+unix:///socket?user=name",
            "redis+unix:///socket?user=name&pass=",
        ] {
            for setting in ["url", "url_file"] {
                let problem = problem(setting, url).expect_err(url);
                assert!(problem.contains(setting) && problem.contains("a user without a password"), "{url}: {problem}");
            }
        }
    }
}
