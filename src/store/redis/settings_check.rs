//! Checks the settings of the Redis store, without their files and with them.

use std::net::IpAddr;
use std::time::Duration;

use redis::ConnectionAddr;

use super::connection::endpoint::{self, Endpoint};
use super::connection::files::Files;
use super::settings::sentinel::SentinelSettings;
use super::settings::{Mode, Settings};
use crate::types::{SettingError, Time};

impl Settings {
    /// Checks the values. Reads no file.
    pub fn check(&self) -> Result<(), SettingError> {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':');
        let info = endpoint::check_settings(self)?;
        match (self.mode, info.addr()) {
            (Mode::Standalone, _) | (_, ConnectionAddr::Tcp(..)) => {}
            (Mode::Sentinel, _) => return Err(SettingError::new("url", NO_SOCKET)),
            (Mode::Cluster, _) => return Err(SettingError::new("url", NO_CLUSTER_SOCKET)),
        }
        self.cluster.check(self).map_err(|error| error.under("cluster"))?;
        self.sentinel.check(self).map_err(|error| error.under("sentinel"))?;
        let (key, message) = if !(1..=64).contains(&self.key_prefix.len()) || !self.key_prefix.chars().all(is_allowed) {
            ("key_prefix", "it has to be 1 to 64 letters, digits and _-.:")
        } else if !(Duration::from_millis(10)..=Duration::from_secs(60)).contains(&self.timeout) {
            ("timeout", "it has to be from 10ms to 1m")
        } else if !(1..=64).contains(&self.connections) {
            ("connections", "it has to be from 1 to 64")
        } else if !self.for_endings().is_at_least(self.acknowledge) {
            ("acknowledge_endings", LAXER)
        } else {
            return Ok(());
        };
        Err(SettingError::new(key, message))
    }

    /// Whether the url leads to this machine.
    pub fn is_on_this_machine(&self) -> bool {
        match endpoint::check_settings(self).map(|info| info.addr().clone()) {
            Ok(ConnectionAddr::Unix(_)) => true,
            Ok(ConnectionAddr::Tcp(host, _)) if self.mode == Mode::Standalone => {
                host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
            }
            _ => false,
        }
    }

    /// Reads the files, checks them, and returns when the client certificate expires. `None`: there is none.
    pub fn check_files(&self, now: Time) -> Result<Option<Time>, SettingError> {
        let files = Files::of(self);
        let endpoint = Endpoint::build(self, &files, &files.read()?)?;
        for sentinel in self.sentinel.connections(self) {
            sentinel.check_files(now).map_err(|error| error.under("sentinel"))?;
        }
        Ok(endpoint.tls.and_then(|tls| tls.expire_time(now)))
    }
}

impl SentinelSettings {
    /// Checks the values for this mode.
    fn check(&self, store: &Settings) -> Result<(), SettingError> {
        if store.mode != Mode::Sentinel {
            return if self.urls.is_empty() { Ok(()) } else { Err(SettingError::new("urls", UNUSED)) };
        }
        if !(1..=MAX_SENTINELS).contains(&self.urls.len()) {
            return Err(SettingError::new("urls", NO_URLS));
        }
        if self.service_name.is_empty() {
            return Err(SettingError::new("service_name", NO_NAME));
        }
        for settings in self.connections(store) {
            let info = endpoint::check_settings(&settings).map_err(|error| match error.key.names() {
                [key] if key == "url" => SettingError::new("urls", URL_FORM),
                _ => error,
            })?;
            let login = info.redis_settings();
            if login.username().is_some() || login.password().is_some() || login.db() != 0 {
                return Err(SettingError::new("urls", LOGIN));
            }
            match info.addr() {
                ConnectionAddr::Tcp(_, port) if *port != REDIS_PORT => {}
                _ => return Err(SettingError::new("urls", NO_PORT)),
            }
        }
        Ok(())
    }
}

const LAXER: &str =
    "it has to be acknowledge itself, or stricter: more replicas, or anything if acknowledge is \"primary\"";
const NO_CLUSTER_SOCKET: &str =
    "with mode = \"cluster\" it has to be redis:// or rediss://, with the host and port of a node";
const NO_SOCKET: &str =
    "with mode = \"sentinel\" it has to be redis:// or rediss://, with any host: the Sentinels name it";

/// The port that a url without one means, which is no port of a Sentinel.
const REDIS_PORT: u16 = 6379;

const MAX_SENTINELS: usize = 16;
const UNUSED: &str = "they would not be used; set mode = \"sentinel\" in [store.redis], or leave them out";
const NO_URLS: &str =
    "with mode = \"sentinel\" it has to be a list of 1 to 16 urls, such as [\"redis://10.0.0.1:26379\"]";
const NO_NAME: &str = "it has to be the name that the Sentinels know the primary by, such as \"mymaster\"";
const URL_FORM: &str = "each has to be redis://host:port, or rediss://host:port for TLS";
const LOGIN: &str = "user and password are in username and password_file here, and a Sentinel has no databases";
const NO_PORT: &str = "each has to name the port of the Sentinel, which is usually 26379";
