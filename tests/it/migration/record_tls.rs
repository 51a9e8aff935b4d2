//! The sources whose sessions are records in a Redis of their own, where that speaks TLS.

use std::path::PathBuf;
use std::thread;

use serde_json::{Value, json};

use super::*;
use crate::cli::program::{Ended, Program};
use crate::support::authority::{CertificateAuthority, Identity, replace};
use crate::support::tls_redis::TlsRedis;
use crate::{express, scs};

/// A source, and one of its sessions.
pub(super) struct Source {
    pub(super) name: &'static str,
    /// The keys that sign its cookies.
    pub(super) keys: Option<Vec<String>>,
    /// The name of its record.
    pub(super) key: String,
    pub(super) record: Vec<u8>,
    /// The header by which a browser presents it.
    pub(super) cookie_header: String,
    /// When it is valid.
    pub(super) time: Time,
}

pub(super) fn sources() -> [Source; 4] {
    let of_express = express::vectors();
    let express = of_express.sessions.into_iter().find(|vector| vector.name == "max_age").unwrap();
    let scs = scs::vectors().into_iter().find(|vector| vector.name == "plain").unwrap();
    let id = "a".repeat(43);
    let session_key = "a".repeat(32);
    [
        Source {
            name: "flask_session",
            keys: None,
            key: format!("session:{id}"),
            record: br#"{"_user_id": "anna"}"#.to_vec(),
            cookie_header: format!("session={id}"),
            time: crate::support::now(),
        },
        Source {
            name: "django_session",
            keys: None,
            key: format!("django_session:{session_key}"),
            record: br#"{"_auth_user_id": "anna"}"#.to_vec(),
            cookie_header: format!("session={session_key}"),
            time: crate::support::now(),
        },
        Source {
            name: "express_session",
            keys: Some(of_express.meta.secrets),
            record: express.value.into_bytes(),
            key: express.key,
            cookie_header: format!("connect.sid={}", express.cookie),
            time: Time::from_seconds(of_express.meta.now),
        },
        Source {
            name: "scs",
            keys: None,
            key: format!("scs:session:{}", scs.key),
            record: scs.record(),
            cookie_header: format!("session={}", scs.cookie),
            time: scs.deadline().before(DAY / 24),
        },
    ]
}

impl Source {
    /// A service that imports from this source alone, at a Redis with these settings.
    pub(super) async fn service(&self, mut redis: Value) -> TestService {
        if let Some(keys) = &self.keys {
            redis["keys"] = json!(keys);
        }
        let migrate: MigrationSettings = serde_json::from_value(json!({ self.name: redis })).unwrap();
        let until = Some(crate::support::now() + MIGRATION_PERIOD);
        let settings = app::Settings { migrate: MigrationSettings { until, ..migrate }, ..app_settings() };
        let service = TestService::with_apps(StoreKind::Memory, [("default", settings)]).await;
        service.clock.set(self.time);
        service
    }

    /// Runs `cloakroom check --connect` on a configuration with this source.
    fn check(&self, url: &str, ca_file: &str) -> Ended {
        self.check_with(url, ca_file, "")
    }

    fn check_with(&self, url: &str, ca_file: &str, more: &str) -> Ended {
        let keys = if self.keys.is_some() { "keys = [\"secret\"]\n" } else { "" };
        let config = format!(
            "[apps.default.migrate]\nuntil = \"2200-01-31\"\n[apps.default.migrate.{}]\n{keys}url = \"{url}\"\n\
             ca_file = \"{ca_file}\"\n{more}",
            self.name
        );
        Program::new(&["check", "--connect"]).file("cloakroom.toml", &config).run()
    }
}

#[tokio::test]
async fn a_record_of_each_source_is_imported_by_tls_with_a_user_and_a_client_certificate() {
    let server = TlsRedis::start_with("--tls-auth-clients yes");
    replace(&server.path("password"), "secret\n");
    let redis = server.settings_as(&server.authority.sign("cloakroom"));
    let file = |path: Option<PathBuf>| path.unwrap();
    let settings = json!({
        "url": redis.url,
        "username": "reader",
        "password_file": server.path("password"),
        "ca_file": file(redis.ca_file),
        "certificate_file": file(redis.certificate_file),
        "key_file": file(redis.key_file),
        "timeout": "20s",
    });

    for source in sources() {
        server.redis.set_bytes(&source.key, &source.record);
        let user = ["acl", "setuser", "reader", "reset", "on", ">secret", "+getrange", "+pttl"];
        let its_record = format!("~{}", source.key);
        assert_eq!(server.redis.cli(&[&user[..], &[its_record.as_str()]].concat()), "OK\n");
        let service = source.service(settings.clone()).await;

        let opened = service.open(open_cookie(&source.cookie_header)).await;

        assert!(!opened.session.unwrap().new, "{}", source.name);
        assert_eq!(service.migration(source.name).await.imported, 1, "{}", source.name);
    }
}

#[test]
fn a_source_refuses_a_redis_with_a_certificate_of_another_authority_or_for_another_name() {
    let server = TlsRedis::start_with("--tls-auth-clients no");
    CertificateAuthority::named("another one").write(&server.path("foreign.pem"));
    let own = server.path("ca.pem").display().to_string();
    let foreign = server.path("foreign.pem").display().to_string();
    let of_another_name = format!("rediss://127.0.0.1:{}", server.port());

    let check = |source: &Source| {
        let name = source.name;
        let works = source.check(&server.url(), &own);
        let answers = format!("# The Redis of the migration source {name} answers the app default.");
        assert!(works.code == Some(0) && works.stdout.contains(&answers), "{works:?}");

        let refused = [
            (source.check(&server.url(), &foreign), "is signed by no authority in "),
            (source.check(&of_another_name, &own), "is not for 127.0.0.1, the host of this address"),
        ];
        for (refused, why) in refused {
            let told = format!("the Redis of the migration source {name}: Redis at ");
            assert!(refused.code == Some(1) && refused.stderr.contains(&told), "{refused:?}");
            assert!(refused.stderr.contains(&format!("TLS: the certificate of Redis {why}")), "{refused:?}");
        }

        let missing = source.check(&server.url(), "missing.pem");
        let setting = format!("apps.default.migrate.{name}.ca_file: missing.pem: it cannot be read: ");
        assert!(missing.code == Some(1) && missing.stderr.contains(&setting), "{missing:?}");
    };
    let sources = sources();
    thread::scope(|scope| sources.iter().for_each(|source| _ = scope.spawn(|| check(source))));
}

#[test]
fn a_source_tells_a_wrong_client_certificate_password_and_right_apart() {
    let server = TlsRedis::start_with("--tls-auth-clients yes");
    let (url, ca_file) = (server.url(), server.path("ca.pem").display().to_string());
    let user = ["acl", "setuser", "reader", "reset", "on", ">secret", "~*", "+getrange"];
    assert_eq!(server.redis.cli(&user), "OK\n");
    let client = |name: &str, identity: Identity| {
        let [certificate, key] = ["pem", "key"].map(|ending| server.path(&format!("{name}.{ending}")));
        identity.write(&certificate, &key);
        format!("certificate_file = \"{}\"\nkey_file = \"{}\"\n", certificate.display(), key.display())
    };
    let good = client("good", server.authority.sign("cloakroom"));
    let expired = client("expired", server.authority.sign_until("cloakroom", 2001));
    let as_reader = |password: &str| {
        let file = server.path(password);
        replace(&file, password);
        format!("{good}username = \"reader\"\npassword_file = \"{}\"\n", file.display())
    };
    let table = [
        (String::new(), "TLS: Redis asks for a client certificate; set certificate_file and key_file"),
        (expired, "has expired"),
        (as_reader("wrong"), "WRONGPASS"),
        (as_reader("secret"), "pttl"),
    ];

    let check = |source: &Source| {
        for (lines, why) in &table {
            let refused = source.check_with(&url, &ca_file, lines);
            let told = format!("the Redis of the migration source {}: Redis at ", source.name);
            assert!(refused.code == Some(1) && refused.stderr.contains(&told), "{refused:?}");
            assert!(refused.stderr.contains(why), "{why}: {refused:?}");
        }
    };
    let sources = sources();
    thread::scope(|scope| sources.iter().for_each(|source| _ = scope.spawn(|| check(source))));
}
