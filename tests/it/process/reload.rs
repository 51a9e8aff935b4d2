//! Reloading: keys, apps and limits are taken up without a connection lost, or refused as a whole.

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

const QUICK: &str = "[store]\nkind = \"memory\"\n[reload]\npoll_interval = \"20ms\"\n";
const BY_SIGNAL: &str = "[store]\nkind = \"memory\"\n[reload]\npoll_interval = \"0s\"\n";
const SUCCESSFUL: &str = "cloakroom_config_last_reload_successful";
const APPLIED: &str = r#"cloakroom_config_reloads_total{outcome="applied"}"#;
const REFUSED: &str = r#"cloakroom_config_reloads_total{outcome="refused"}"#;
const ACCEPTED: &str = r#"cloakroom_connections_accepted_total{listener="frontends"}"#;

/// A process with a caller that keeps one connection for the whole test.
struct Snapshot {
    process: Process,
    client: SessionServiceClient<Channel>,
}

impl Snapshot {
    async fn start(config: &str, files: &[(&str, &str)]) -> Self {
        let process = Process::start(config, files, &[]).await;
        let client = process.client();
        Self { process, client }
    }

    async fn policy(&self, app: &str) -> Result<GetAppPolicyResponse, Status> {
        let request = GetAppPolicyRequest { app: app.to_owned() };
        Ok(self.client.clone().get_app_policy(request).await?.into_inner())
    }

    /// Waits until an app's policy is right.
    async fn until(&self, app: &str, is_right: impl Fn(&GetAppPolicyResponse) -> bool) {
        eventually("a policy", async || self.policy(app).await.ok().filter(&is_right)).await;
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

    /// All went over the connection of the beginning.
    async fn has_one_connection(&self) {
        assert_eq!(self.process.metric(ACCEPTED).await, Some(1.0));
    }
}

fn with_limit(base: &str, most: u32) -> String {
    format!("{base}[apps.default.limits]\nmax_entries = {most}\n")
}

#[tokio::test]
async fn a_changed_file_is_taken_up_on_the_connections_that_are_there() {
    let kept = Snapshot::start(&with_limit(QUICK, 10), &[]).await;
    kept.until("", |policy| policy.max_entries == 10).await;

    for most in 11..15 {
        kept.process.replace("cloakroom.toml", &with_limit(QUICK, most));
        kept.until("", |policy| policy.max_entries == most).await;
    }

    kept.has_one_connection().await;
    kept.process.until_metric(APPLIED, 4.0).await;
    assert_eq!(kept.process.logged("the configuration is reloaded").await["apps.changed"], "default");
}

#[tokio::test]
async fn a_hangup_reloads_at_once_and_alone_where_nobody_looks() {
    let kept = Snapshot::start(&with_limit(BY_SIGNAL, 10), &[]).await;
    kept.until("", |policy| policy.max_entries == 10).await;

    kept.process.replace("cloakroom.toml", &with_limit(BY_SIGNAL, 11));
    kept.process.signal("-HUP");
    kept.until("", |policy| policy.max_entries == 11).await;
    kept.process.signal("-HUP");
    kept.process.until_metric(APPLIED, 2.0).await;

    kept.has_one_connection().await;
}

#[tokio::test]
async fn a_folder_of_links_that_is_swapped_is_a_change() {
    // As Kubernetes mounts a Secret: keys is a link into ..data, which is a link that is replaced.
    let (old, new) = (Key::generate(), Key::generate());
    let config = format!("{BY_SIGNAL}[apps.default]\nkeys_file = \"keys\"\n");
    let kept = Snapshot::start(&config, &[("keys", &old)]).await;
    let session = kept.stored("").await;
    let folder = |name: &str| kept.process.path(name);
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
    let mounted = format!("{QUICK}[apps.default]\nkeys_file = \"mount/keys\"\n");
    kept.process.replace("cloakroom.toml", &mounted);
    kept.process.signal("-HUP");
    kept.process.until_metric(APPLIED, 1.0).await;

    link("two");

    kept.process.until_metric(APPLIED, 2.0).await;
    let token = eventually("the new key's token", async || {
        let open = cloakroom::grpc::wire::open_session_request::Credential::Token(session.token.clone());
        let open = OpenSessionRequest { credential: Some(open), ..Default::default() };
        let token = kept.client.clone().open_session(open).await.unwrap().into_inner().session.unwrap().token;
        (token != session.token).then_some(token)
    });
    assert!(kept.is_alive("", &token.await).await);
    kept.has_one_connection().await;
}

#[tokio::test]
async fn a_wrong_configuration_is_refused_as_a_whole_with_its_reason() {
    let kept = Snapshot::start(&with_limit(QUICK, 10), &[]).await;
    kept.until("", |policy| policy.max_entries == 10).await;
    let session = kept.stored("").await;

    let wrong = format!("{}[apps.shop]\nidle_timeout = \"1 parsec\"\n", with_limit(QUICK, 11));
    kept.process.replace("cloakroom.toml", &wrong);

    kept.process.until_metric(REFUSED, 1.0).await;
    assert_eq!(kept.process.metric(SUCCESSFUL).await, Some(0.0));
    let told = kept.process.logged("is refused").await;
    assert!(told["reasons"].as_str().unwrap().contains("cloakroom.toml:8: apps.shop.idle_timeout"), "{told}");
    assert_eq!(told["level"], "ERROR");
    assert_eq!(kept.policy("").await.unwrap().max_entries, 10);
    assert!(kept.policy("shop").await.is_err());
    assert!(kept.is_alive("", &session.token).await);

    kept.process.replace("cloakroom.toml", &with_limit(QUICK, 11));

    kept.until("", |policy| policy.max_entries == 11).await;
    kept.process.until_metric(SUCCESSFUL, 1.0).await;
    kept.has_one_connection().await;
}

#[tokio::test]
async fn a_refusal_repeats_no_secret() {
    let keys = format!("{QUICK}[apps.default]\nkeys_file = \"keys\"\n");
    let kept = Snapshot::start(&keys, &[("keys", &Key::generate())]).await;
    let wrong = [
        ("keys", "mark-no-key\n".to_owned()),
        ("keys", "bWFyay1zaG9ydA\n".to_owned()),
        ("cloakroom.toml", format!("{QUICK}[apps.default]\nkeys = [\"mark-listed\"]\n")),
        ("cloakroom.toml", format!("{QUICK}[apps.default]\nkeys = \"mark-as-text\"\n")),
        ("cloakroom.toml", format!("{QUICK}[apps.default]\nkeys = [\"mark-unclosed\n")),
        ("cloakroom.toml", format!("{QUICK}[store.redis]\nurl = \"redis://:mark-password@host:port\"\n")),
    ];

    for (number, (name, text)) in (1_u8..).zip(wrong) {
        kept.process.replace(name, &text);
        kept.process.until_metric(REFUSED, f64::from(number)).await;
    }

    let said = kept.process.has_said("is refused", 6).await;
    assert!(!said.contains("mark") && !said.contains("bWFyay1zaG9ydA"), "{said}");
}

#[tokio::test]
async fn what_is_gone_is_refused() {
    let key = Key::generate();
    let kept = Snapshot::start(&format!("{QUICK}[apps.default]\nkeys_file = \"keys\"\n"), &[("keys", &key)]).await;
    let session = kept.stored("").await;
    let cases = [("keys", "keys cannot be read"), ("cloakroom.toml", "the file cannot be read")];

    for (number, (name, reason)) in (1_u8..).zip(cases) {
        let text = std::fs::read_to_string(kept.process.path(name)).unwrap();
        std::fs::remove_file(kept.process.path(name)).unwrap();
        kept.process.until_metric(REFUSED, f64::from(number)).await;
        kept.process.has_said(reason, 1).await;
        assert!(kept.is_alive("", &session.token).await);
        kept.process.replace(name, &text);
        kept.process.until_metric(SUCCESSFUL, 1.0).await;
    }

    assert!(kept.is_alive("", &session.token).await);
    kept.has_one_connection().await;
}

#[tokio::test]
async fn apps_come_and_go_and_keep_what_is_stored() {
    let key = Key::generate();
    let shop = format!("{QUICK}[apps.shop]\nkeys_file = \"keys\"\n");
    let kept = Snapshot::start(QUICK, &[("keys", &key)]).await;
    let unknown = reason(&refused(kept.policy("shop").await));

    kept.process.replace("cloakroom.toml", &shop);
    kept.until("shop", |policy| policy.null_session.is_none()).await;
    let session = kept.stored("shop").await;
    let credential = Some(Watched::Token(session.token.clone()));
    let watch = WatchSessionRequest { app: "shop".to_owned(), credential, ..Default::default() };
    let mut watch = kept.client.clone().watch_session(watch).await.unwrap().into_inner();
    assert!(watch.message().await.unwrap().is_some(), "it is alive");
    let events = WatchEventsRequest { app: "shop".to_owned(), ..Default::default() };
    let mut events = kept.process.admin().watch_events(events).await.unwrap().into_inner();
    assert!(events.message().await.unwrap().is_some(), "it has begun");

    kept.process.replace("cloakroom.toml", QUICK);
    let gone = eventually("the end of the app", async || kept.policy("shop").await.err()).await;
    assert_eq!(reason(&gone), unknown, "as any unknown app");
    assert_eq!(reason(&refused(watch.message().await)), unknown);
    assert_eq!(reason(&refused(events.message().await)), unknown);

    kept.process.replace("cloakroom.toml", &shop);
    kept.until("shop", |policy| policy.null_session.is_none()).await;
    assert!(kept.is_alive("shop", &session.token).await, "its data stayed");
    let created = r#"cloakroom_sessions_created_total{app="shop"}"#;
    assert_eq!(kept.process.metric(created).await, Some(1.0), "and its counters");
    kept.has_one_connection().await;
}

#[tokio::test]
async fn what_needs_a_restart_is_named_and_the_rest_is_taken_up() {
    let kept = Snapshot::start(&with_limit(QUICK, 10), &[]).await;
    let session = kept.stored("").await;
    let other = "[store]\nkind = \"redis\"\n[server]\nworkers = 3\n[reload]\npoll_interval = \"20ms\"\n";

    kept.process.replace("cloakroom.toml", &with_limit(other, 11));
    kept.until("", |policy| policy.max_entries == 11).await;

    let told = kept.process.logged("need a restart").await;
    assert_eq!(told["settings"], "server.workers, store.kind");
    kept.process.replace("cloakroom.toml", &with_limit(other, 12));
    kept.until("", |policy| policy.max_entries == 12).await;
    assert!(kept.is_alive("", &session.token).await, "the store and its key are the old ones");
    kept.has_one_connection().await;
}

#[tokio::test]
async fn the_key_of_one_process_alone_outlives_its_reloads() {
    let kept = Snapshot::start(&with_limit(QUICK, 10), &[]).await;
    let session = kept.stored("").await;

    kept.process.replace("cloakroom.toml", &with_limit(QUICK, 11));
    kept.until("", |policy| policy.max_entries == 11).await;

    assert!(kept.is_alive("", &session.token).await);
}

#[tokio::test]
async fn the_key_that_the_service_keeps_is_reloaded_and_never_made_anew() {
    let quick = "[reload]\npoll_interval = \"20ms\"\n";
    let kept = Snapshot::start(quick, &[]).await;
    let session = kept.stored("").await;
    let path = kept.process.path("data/default.key");
    let text = std::fs::read_to_string(&path).unwrap();

    std::fs::remove_file(&path).unwrap();
    kept.process.until_metric(REFUSED, 1.0).await;
    assert!(kept.process.logged("is refused").await["reasons"].as_str().unwrap().contains("default.key"));
    assert!(!path.exists() && kept.is_alive("", &session.token).await);

    // Open to its owner alone before it is there.
    let owner_only = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    let newer = kept.process.path("newer.key");
    std::fs::write(&newer, format!("{}\n{text}", Key::generate())).unwrap();
    std::fs::set_permissions(&newer, owner_only).unwrap();
    std::fs::rename(newer, &path).unwrap();
    kept.process.until_metric(SUCCESSFUL, 1.0).await;

    let open = cloakroom::grpc::wire::open_session_request::Credential::Token(session.token.clone());
    let open = OpenSessionRequest { credential: Some(open), ..Default::default() };
    let opened = kept.client.clone().open_session(open).await.unwrap().into_inner().session.unwrap();
    assert!(!opened.new && opened.token != session.token, "issued anew under the new key");
    assert_eq!(reason(&refused(kept.policy("nobodys").await)).0, Code::NotFound);
    kept.has_one_connection().await;
}
