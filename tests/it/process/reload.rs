//! Reload: new keys, apps and limits are applied without a lost connection, or refused as a whole.

use cloakroom::grpc::wire::session_service_client::SessionServiceClient;
use cloakroom::grpc::wire::watch_session_request::Credential as Watched;
use cloakroom::grpc::wire::{
    Changes, GetAppPolicyRequest, GetAppPolicyResponse, OpenSessionRequest, Session, WatchEventsRequest,
    WatchSessionRequest,
};
use cloakroom::token::Key;
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::child::{Process, eventually};
use crate::support::calls::{ChangesExt as _, reason, refused, save};

const POLLED: &str = "[store]\nkind = \"memory\"\n[reload]\npoll_interval = \"20ms\"\n";
const BY_SIGNAL: &str = "[store]\nkind = \"memory\"\n[reload]\npoll_interval = \"0s\"\n";
const SUCCESSFUL: &str = "cloakroom_config_last_reload_successful";
const APPLIED: &str = r#"cloakroom_config_reloads_total{outcome="applied"}"#;
const REFUSED: &str = r#"cloakroom_config_reloads_total{outcome="refused"}"#;
const ACCEPTED: &str = r#"cloakroom_connections_accepted_total{listener="frontends"}"#;

/// A process, and a client that uses one connection for the whole test.
struct ConnectedProcess {
    process: Process,
    client: SessionServiceClient<Channel>,
}

impl ConnectedProcess {
    async fn start(config: &str, files: &[(&str, &str)]) -> Self {
        let process = Process::start(config, files, &[]).await;
        let client = process.client();
        Self { process, client }
    }

    async fn policy(&self, app: &str) -> Result<GetAppPolicyResponse, Status> {
        let request = GetAppPolicyRequest { app: app.to_owned() };
        Ok(self.client.clone().get_app_policy(request).await?.into_inner())
    }

    /// Waits until an app's policy satisfies a condition.
    async fn await_policy(&self, app: &str, condition: impl Fn(&GetAppPolicyResponse) -> bool) {
        eventually("a policy", async || self.policy(app).await.ok().filter(&condition)).await;
    }

    async fn stored(&self, app: &str) -> Session {
        let new = OpenSessionRequest { app: app.to_owned(), ..Default::default() };
        let ticket = self.client.clone().open_session(new).await.unwrap().into_inner().session.unwrap().token;
        let save = cloakroom::grpc::wire::SaveSessionRequest {
            app: app.to_owned(),
            ..save(&ticket, Changes::default().set("a", "1"))
        };
        self.client.clone().save_session(save).await.unwrap().into_inner().session.unwrap()
    }

    async fn is_alive(&self, app: &str, token: &str) -> bool {
        let credential = Some(cloakroom::grpc::wire::open_session_request::Credential::Token(token.to_owned()));
        let open = OpenSessionRequest { app: app.to_owned(), credential, ..Default::default() };
        !self.client.clone().open_session(open).await.unwrap().into_inner().session.unwrap().new
    }

    /// Checks that all calls used the first connection.
    async fn assert_one_connection(&self) {
        assert_eq!(self.process.metric(ACCEPTED).await, Some(1.0));
    }
}

fn with_limit(base: &str, most: u32) -> String {
    format!("{base}[apps.default.limits]\nmax_entries = {most}\n")
}

#[tokio::test]
async fn a_changed_file_is_applied_on_existing_connections() {
    let server = ConnectedProcess::start(&with_limit(POLLED, 10), &[]).await;
    server.await_policy("", |policy| policy.max_entries == 10).await;

    for most in 11..15 {
        server.process.replace("cloakroom.toml", &with_limit(POLLED, most));
        server.await_policy("", |policy| policy.max_entries == most).await;
    }

    server.assert_one_connection().await;
    server.process.await_metric(APPLIED, 4.0).await;
    assert_eq!(server.process.await_log_line("the configuration is reloaded").await["apps.changed"], "default");
}

#[tokio::test]
async fn without_polling_only_a_hangup_reloads() {
    let server = ConnectedProcess::start(&with_limit(BY_SIGNAL, 10), &[]).await;
    server.await_policy("", |policy| policy.max_entries == 10).await;

    server.process.replace("cloakroom.toml", &with_limit(BY_SIGNAL, 11));
    server.process.signal("-HUP");
    server.await_policy("", |policy| policy.max_entries == 11).await;
    server.process.signal("-HUP");
    server.process.await_metric(APPLIED, 2.0).await;

    server.assert_one_connection().await;
}

#[tokio::test]
async fn a_replaced_folder_of_symbolic_links_is_a_change() {
    // Kubernetes mounts a Secret like this: keys is a link into ..data, and ..data is a link that is replaced.
    let (old, new) = (Key::generate(), Key::generate());
    let config = format!("{BY_SIGNAL}[apps.default]\nkeys_file = \"keys\"\n");
    let server = ConnectedProcess::start(&config, &[("keys", &old)]).await;
    let session = server.stored("").await;
    let folder = |name: &str| server.process.path(name);
    for (name, text) in [("one", format!("{old}\n")), ("two", format!("{new}\n{old}\n"))] {
        std::fs::create_dir(folder(name)).unwrap();
        std::fs::write(folder(&format!("{name}/keys")), text).unwrap();
    }
    let link = |to: &str| {
        std::os::unix::fs::symlink(to, folder("..data.new")).unwrap();
        std::fs::rename(folder("..data.new"), folder("..data")).unwrap();
    };
    link("one");
    std::fs::create_dir(folder("mount")).unwrap();
    std::os::unix::fs::symlink("../..data/keys", folder("mount/keys")).unwrap();
    let mounted = format!("{POLLED}[apps.default]\nkeys_file = \"mount/keys\"\n");
    server.process.replace("cloakroom.toml", &mounted);
    server.process.signal("-HUP");
    server.process.await_metric(APPLIED, 1.0).await;

    link("two");

    server.process.await_metric(APPLIED, 2.0).await;
    let token = eventually("the new key's token", async || {
        let open = cloakroom::grpc::wire::open_session_request::Credential::Token(session.token.clone());
        let open = OpenSessionRequest { credential: Some(open), ..Default::default() };
        let token = server.client.clone().open_session(open).await.unwrap().into_inner().session.unwrap().token;
        (token != session.token).then_some(token)
    });
    assert!(server.is_alive("", &token.await).await);
    server.assert_one_connection().await;
}

#[tokio::test]
async fn an_invalid_configuration_is_refused_as_a_whole_with_its_reason() {
    let server = ConnectedProcess::start(&with_limit(POLLED, 10), &[]).await;
    server.await_policy("", |policy| policy.max_entries == 10).await;
    let session = server.stored("").await;

    let wrong = format!("{}[apps.shop]\nidle_timeout = \"1 parsec\"\n", with_limit(POLLED, 11));
    server.process.replace("cloakroom.toml", &wrong);

    server.process.await_metric(REFUSED, 1.0).await;
    assert_eq!(server.process.metric(SUCCESSFUL).await, Some(0.0));
    let line = server.process.await_log_line("is refused").await;
    assert!(line["reasons"].as_str().unwrap().contains("cloakroom.toml:8: apps.shop.idle_timeout"), "{line}");
    assert_eq!(line["level"], "ERROR");
    assert_eq!(server.policy("").await.unwrap().max_entries, 10);
    assert!(server.policy("shop").await.is_err());
    assert!(server.is_alive("", &session.token).await);

    server.process.replace("cloakroom.toml", &with_limit(POLLED, 11));

    server.await_policy("", |policy| policy.max_entries == 11).await;
    server.process.await_metric(SUCCESSFUL, 1.0).await;
    server.assert_one_connection().await;
}

#[tokio::test]
async fn a_refusal_logs_no_secret() {
    let keys = format!("{POLLED}[apps.default]\nkeys_file = \"keys\"\n");
    let server = ConnectedProcess::start(&keys, &[("keys", &Key::generate())]).await;
    let wrong = [
        ("keys", "mark-no-key\n".to_owned()),
        ("keys", "bWFyay1zaG9ydA\n".to_owned()),
        ("cloakroom.toml", format!("{POLLED}[apps.default]\nkeys = [\"mark-listed\"]\n")),
        ("cloakroom.toml", format!("{POLLED}[apps.default]\nkeys = \"mark-as-text\"\n")),
        ("cloakroom.toml", format!("{POLLED}[apps.default]\nkeys = [\"mark-unclosed\n")),
        ("cloakroom.toml", format!("{POLLED}[store.redis]\nurl = \"redis://:mark-password@host:port\"\n")),
    ];

    for (number, (name, text)) in (1_u8..).zip(wrong) {
        server.process.replace(name, &text);
        server.process.await_metric(REFUSED, f64::from(number)).await;
    }

    let output = server.process.await_output("is refused", 6).await;
    assert!(!output.contains("mark") && !output.contains("bWFyay1zaG9ydA"), "{output}");
}

#[tokio::test]
async fn a_missing_file_is_refused() {
    let key = Key::generate();
    let server =
        ConnectedProcess::start(&format!("{POLLED}[apps.default]\nkeys_file = \"keys\"\n"), &[("keys", &key)]).await;
    let session = server.stored("").await;
    let cases = [("keys", "keys cannot be read"), ("cloakroom.toml", "the file cannot be read")];

    for (number, (name, reason)) in (1_u8..).zip(cases) {
        let text = std::fs::read_to_string(server.process.path(name)).unwrap();
        std::fs::remove_file(server.process.path(name)).unwrap();
        server.process.await_metric(REFUSED, f64::from(number)).await;
        server.process.await_output(reason, 1).await;
        assert!(server.is_alive("", &session.token).await);
        server.process.replace(name, &text);
        server.process.await_metric(SUCCESSFUL, 1.0).await;
    }

    assert!(server.is_alive("", &session.token).await);
    server.assert_one_connection().await;
}

#[tokio::test]
async fn a_file_that_can_be_read_only_once_is_refused() {
    let config = format!("{BY_SIGNAL}[apps.default]\nkeys = [\"{}\"]\n[apps.shop]\n", Key::generate());
    let server = ConnectedProcess::start(&config, &[]).await;
    let session = server.stored("").await;
    let path = server.process.path("cloakroom.toml");
    std::fs::remove_file(&path).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());

    server.process.signal("-HUP");

    server.process.await_metric(REFUSED, 1.0).await;
    server.process.await_output("can be read only once", 1).await;
    assert!(server.is_alive("", &session.token).await);
    assert!(server.policy("shop").await.is_ok());
}

#[tokio::test]
async fn a_pipe_in_place_of_a_file_of_secrets_is_refused() {
    let caller = "[callers.shop]\nroles = [\"frontend\"]\napps = [\"default\"]\ntoken_hashes_file = \"hashes\"\n";
    let config = format!("{BY_SIGNAL}[apps.default]\nkeys_file = \"keys\"\n{caller}");
    let hash = cloakroom::auth::TokenHash::of(b"token").to_string();
    let process = Process::start(&config, &[("keys", &Key::generate()), ("hashes", &hash)], &[]).await;

    for (name, times) in [("keys", 1), ("hashes", 2)] {
        let kept = std::fs::read_to_string(process.path(name)).unwrap();
        std::fs::remove_file(process.path(name)).unwrap();
        let made = std::process::Command::new("mkfifo").arg(process.path(name)).status().unwrap();
        assert!(made.success());

        process.signal("-HUP");

        process.await_output(&format!("{name} cannot be read: it is a pipe"), 1).await;
        process.await_output("is refused; the old one stays in force", times).await;
        process.replace(name, &kept);
        process.signal("-HUP");
        process.await_output("the configuration is reloaded", times).await;
    }
}

#[tokio::test]
async fn an_app_can_be_removed_and_added_again_with_its_data() {
    let key = Key::generate();
    let shop = format!("{POLLED}[apps.shop]\nkeys_file = \"keys\"\n");
    let server = ConnectedProcess::start(POLLED, &[("keys", &key)]).await;
    let unknown = reason(&refused(server.policy("shop").await));

    server.process.replace("cloakroom.toml", &shop);
    server.await_policy("shop", |policy| policy.null_session.is_none()).await;
    let session = server.stored("shop").await;
    let credential = Some(Watched::Token(session.token.clone()));
    let watch = WatchSessionRequest { app: "shop".to_owned(), credential, ..Default::default() };
    let mut watch = server.client.clone().watch_session(watch).await.unwrap().into_inner();
    assert!(watch.message().await.unwrap().is_some(), "the watch has started");
    let events = WatchEventsRequest { app: "shop".to_owned(), ..Default::default() };
    let mut events = server.process.admin().watch_events(events).await.unwrap().into_inner();
    assert!(events.message().await.unwrap().is_some(), "the stream has started");

    server.process.replace("cloakroom.toml", POLLED);
    let gone = eventually("the end of the app", async || server.policy("shop").await.err()).await;
    assert_eq!(reason(&gone), unknown, "it is unknown like any other app");
    assert_eq!(reason(&refused(watch.message().await)), unknown);
    assert_eq!(reason(&refused(events.message().await)), unknown);

    server.process.replace("cloakroom.toml", &shop);
    server.await_policy("shop", |policy| policy.null_session.is_none()).await;
    assert!(server.is_alive("shop", &session.token).await, "its data is still stored");
    let created = r#"cloakroom_sessions_created_total{app="shop"}"#;
    assert_eq!(server.process.metric(created).await, Some(1.0), "its counters go on");
    server.assert_one_connection().await;
}

#[tokio::test]
async fn settings_that_need_a_restart_are_named_and_the_rest_is_applied() {
    let server = ConnectedProcess::start(&with_limit(POLLED, 10), &[]).await;
    let session = server.stored("").await;
    let other = "[store]\nkind = \"redis\"\n[server]\nworkers = 3\n[reload]\npoll_interval = \"20ms\"\n";

    server.process.replace("cloakroom.toml", &with_limit(other, 11));
    server.await_policy("", |policy| policy.max_entries == 11).await;

    let line = server.process.await_log_line("need a restart").await;
    assert_eq!(line["settings"], "server.workers, store.kind");
    server.process.replace("cloakroom.toml", &with_limit(other, 12));
    server.await_policy("", |policy| policy.max_entries == 12).await;
    assert!(server.is_alive("", &session.token).await, "the store and the key are unchanged");
    server.assert_one_connection().await;
}

#[tokio::test]
async fn the_key_of_a_single_process_survives_reloads() {
    let server = ConnectedProcess::start(&with_limit(POLLED, 10), &[]).await;
    let session = server.stored("").await;

    server.process.replace("cloakroom.toml", &with_limit(POLLED, 11));
    server.await_policy("", |policy| policy.max_entries == 11).await;

    assert!(server.is_alive("", &session.token).await);
}

#[tokio::test]
async fn the_generated_key_file_is_reloaded_and_never_generated_again() {
    let polled = "[reload]\npoll_interval = \"20ms\"\n";
    let server = ConnectedProcess::start(polled, &[]).await;
    let session = server.stored("").await;
    let path = server.process.path("data/default.key");
    let text = std::fs::read_to_string(&path).unwrap();

    std::fs::remove_file(&path).unwrap();
    server.process.await_metric(REFUSED, 1.0).await;
    assert!(server.process.await_log_line("is refused").await["reasons"].as_str().unwrap().contains("default.key"));
    assert!(!path.exists() && server.is_alive("", &session.token).await);
    std::fs::write(&path, "no key\n").unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    server.process.await_metric(REFUSED, 2.0).await;
    server.process.await_output("no file of keys; restore it, or remove it, which logs everybody out: ", 1).await;

    // Only its owner may read the file, from the moment it exists.
    let owner_only = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    let newer = server.process.path("newer.key");
    std::fs::write(&newer, format!("{}\n{text}", Key::generate())).unwrap();
    std::fs::set_permissions(&newer, owner_only).unwrap();
    std::fs::rename(newer, &path).unwrap();
    server.process.await_metric(SUCCESSFUL, 1.0).await;

    let open = cloakroom::grpc::wire::open_session_request::Credential::Token(session.token.clone());
    let open = OpenSessionRequest { credential: Some(open), ..Default::default() };
    let opened = server.client.clone().open_session(open).await.unwrap().into_inner().session.unwrap();
    assert!(!opened.new && opened.token != session.token, "it is reissued with the new key");
    assert_eq!(reason(&refused(server.policy("unknown").await)).0, Code::NotFound);
    server.assert_one_connection().await;
}
