//! A real Redis that speaks TLS on a port of its own, with an authority whose certificates it shows.

use std::path::{Path, PathBuf};

use cloakroom::store::RedisSettings;
use tempfile::TempDir;

use super::authority::{CertificateAuthority, Identity};
use super::ports::free_port;
use super::redis::RedisServer;

/// A Redis on a TLS port. Its Unix socket, which `redis-cli` uses, is not encrypted.
pub(crate) struct TlsRedis {
    pub(crate) redis: RedisServer,
    pub(crate) authority: CertificateAuthority,
    folder: TempDir,
    port: u16,
}

impl TlsRedis {
    /// Starts one with these arguments besides. Its certificate is for `localhost`.
    pub(crate) fn start_with(arguments: &str) -> Self {
        let authority = CertificateAuthority::new();
        let identity = authority.sign("localhost");
        Self::start_as(authority, &identity, arguments)
    }

    /// Starts one that shows this certificate, and accepts client certificates of this authority.
    pub(crate) fn start_as(authority: CertificateAuthority, identity: &Identity, arguments: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        identity.write(&path("server.pem"), &path("server.key"));
        authority.write(&path("ca.pem"));
        let port = free_port();
        let redis = RedisServer::start_with(&format!(
            "--tls-port {port} {} {arguments}",
            tls_files(folder.path()).map(|(name, path)| format!("--{name} {}", path.display())).join(" ")
        ));
        Self { redis, authority, folder, port }
    }

    /// Returns settings that trust its authority.
    pub(crate) fn settings(&self) -> RedisSettings {
        RedisSettings { url: self.url(), ca_file: Some(self.path("ca.pem")), ..Default::default() }
    }

    /// Returns settings that also show a client certificate, in the files `client.pem` and `client.key`.
    pub(crate) fn settings_as(&self, identity: &Identity) -> RedisSettings {
        let (certificate, key) = (self.path("client.pem"), self.path("client.key"));
        identity.write(&certificate, &key);
        RedisSettings { certificate_file: Some(certificate), key_file: Some(key), ..self.settings() }
    }

    pub(crate) fn url(&self) -> String {
        format!("rediss://localhost:{}", self.port)
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// Returns the path of one of its files.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Shows a certificate of another authority from now on, and accepts only client certificates of that one.
    pub(crate) fn use_authority(&mut self, authority: CertificateAuthority) {
        let folder = tempfile::tempdir_in(self.folder.path()).unwrap().keep();
        authority.sign("localhost").write(&folder.join("server.pem"), &folder.join("server.key"));
        authority.write(&folder.join("ca.pem"));
        let files = tls_files(&folder).map(|(name, path)| [name.to_owned(), path.display().to_string()]);
        let mut command = vec!["config", "set"];
        command.extend(files.iter().flatten().map(String::as_str));
        assert_eq!(self.redis.cli(&command), "OK\n");
        self.authority = authority;
    }
}

/// The settings of Redis that name its files, in a folder.
fn tls_files(folder: &Path) -> [(&'static str, PathBuf); 3] {
    [("tls-cert-file", "server.pem"), ("tls-key-file", "server.key"), ("tls-ca-cert-file", "ca.pem")]
        .map(|(setting, name)| (setting, folder.join(name)))
}
