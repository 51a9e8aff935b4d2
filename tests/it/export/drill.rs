//! A restore drill: what a backup of a running service brings back, and who may take one.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use cloakroom::auth::TokenHash;
use cloakroom::grpc::wire::session_service_client::SessionServiceClient;
use cloakroom::grpc::wire::{
    Changes, DestroySessionRequest, OpenSessionRequest, Outcome, Session, destroy_session_request,
};
use cloakroom::token::Key;
use tokio::task::JoinSet;
use tonic::transport::Channel;

use crate::process::child::{Process, eventually};
use crate::support::calls::{ChangesExt as _, json_entries, open_cookie, save};

/// A frontend of a process.
struct Frontend(SessionServiceClient<Channel>);

impl Frontend {
    /// Stores a session with this entry; returns its token.
    async fn store(&mut self, number: usize) -> String {
        let ticket =
            self.0.open_session(OpenSessionRequest::default()).await.unwrap().into_inner().session.unwrap().token;
        let changes = Changes::default().set("number", &number.to_string()).increment("n", 1).subject("anna");
        self.save(&ticket, changes).await.token
    }

    async fn save(&mut self, token: &str, changes: Changes) -> Session {
        let saved = self.0.save_session(save(token, changes)).await.unwrap().into_inner();
        assert!(matches!(saved.outcome(), Outcome::Created | Outcome::Updated), "{:?}", saved.outcome());
        saved.session.unwrap()
    }

    async fn open(&mut self, token: &str) -> Session {
        self.0.open_session(open_cookie(&format!("session={token}"))).await.unwrap().into_inner().session.unwrap()
    }

    async fn log_out(&mut self, token: &str) {
        let credential = Some(destroy_session_request::Credential::Token(token.to_owned()));
        let request = DestroySessionRequest { credential, ..Default::default() };
        self.0.destroy_session(request).await.unwrap();
    }
}

/// Sessions that are saved again and again until they are stopped.
struct Load {
    stop: Arc<AtomicBool>,
    /// For each session: its token, and how many of its saves were answered.
    sessions: Vec<(String, Arc<AtomicU64>)>,
    writers: JoinSet<()>,
}

impl Load {
    async fn start(process: &Process) -> Self {
        let mut load = Self { stop: Arc::default(), sessions: Vec::new(), writers: JoinSet::new() };
        for number in 0..8 {
            let mut frontend = Frontend(process.client());
            let (token, answered) = (frontend.store(number).await, Arc::new(AtomicU64::new(1)));
            load.sessions.push((token.clone(), Arc::clone(&answered)));
            let stop = Arc::clone(&load.stop);
            load.writers.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    frontend.save(&token, Changes::default().increment("n", 1)).await;
                    answered.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        load
    }

    fn answered(&self) -> Vec<u64> {
        self.sessions.iter().map(|(_, answered)| answered.load(Ordering::SeqCst)).collect()
    }

    /// Waits until each session was saved again.
    async fn await_saves(&self) {
        let before = self.answered();
        let is_done = || self.answered().iter().zip(&before).all(|(now, before)| now > before);
        eventually("a save of each session", async || is_done().then_some(())).await;
    }

    async fn stop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.writers.join_next().await {
            ended.unwrap();
        }
    }
}

/// Runs the program in the folder of a process.
async fn run(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cloakroom"));
    command.args(arguments).env_clear().envs(environment.iter().copied()).current_dir(folder);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

#[tokio::test]
async fn a_restored_backup_has_every_session_from_before_it_and_none_that_had_ended() {
    let config = format!("[store]\nkind = 'embedded'\n[apps.default]\nkeys = ['{}']\n", Key::generate());
    let mut process = Process::start(&config, &[], &[]).await;
    let folder = process.path("");
    let mut frontend = Frontend(process.client());
    let (mut stored, mut logged_out) = (Vec::new(), Vec::new());
    for number in 0..300 {
        stored.push(frontend.store(number).await);
    }
    for number in 0..20 {
        let token = frontend.store(number).await;
        frontend.log_out(&token).await;
        logged_out.push(token);
    }
    let mut load = Load::start(&process).await;
    load.await_saves().await;
    let before = load.answered();

    // The backup, while all sessions of the load are written.
    let address = process.admin_address().to_string();
    let exported = run(&folder, &["export", "backup", "--address", &address], &[]).await;
    assert!(exported.status.success(), "{}", String::from_utf8_lossy(&exported.stderr));
    load.await_saves().await;
    load.stop().await;
    let after = load.answered();
    process.signal("-TERM");
    assert!(process.await_exit().await.success());

    // The disk is lost: a new folder, the same keys.
    std::fs::rename(process.path("data"), process.path("lost")).unwrap();
    let imported = run(&folder, &["import", "backup"], &[]).await;
    assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
    process.start_again().await;

    let mut frontend = Frontend(process.client());
    for (number, token) in stored.iter().enumerate() {
        let session = frontend.open(token).await;
        assert!(!session.new && session.subject == "anna", "{number}");
        assert_eq!(json_entries(session)["number"], number.to_string());
    }
    for token in &logged_out {
        assert!(frontend.open(token).await.new, "it was logged out before the backup");
    }
    for (number, (token, _)) in load.sessions.iter().enumerate() {
        let count: u64 = json_entries(frontend.open(token).await)["n"].parse().unwrap();
        assert!((before[number]..=after[number]).contains(&count), "{count} of {before:?} to {after:?}");
    }
    // The index is restored too: a logout everywhere ends all of them.
    let revoke = ["sessions", "revoke-subject", "anna", "--address", &address];
    assert!(run(&folder, &revoke, &[]).await.status.success());
    for token in stored.iter().chain(load.sessions.iter().map(|(token, _)| token)) {
        assert!(frontend.open(token).await.new);
    }
}

#[tokio::test]
async fn only_a_caller_with_the_role_backup_exports() {
    let caller = |name: &str, role: &str| {
        let hash = TokenHash::of(name.as_bytes());
        format!("[callers.{name}]\nroles = ['{role}']\napps = ['*']\ntoken_hashes = ['{hash}']\n")
    };
    let callers = [caller("desk", "admin"), caller("reader", "viewer"), caller("nightly", "backup")].concat();
    let config = format!("[store]\nkind = 'memory'\n[apps.default]\n{callers}");
    let process = Process::start(&config, &[("token", "nightly\n")], &[]).await;
    let (folder, address) = (process.path(""), process.admin_address().to_string());

    for name in ["desk", "reader"] {
        let refused =
            run(&folder, &["export", "file", "--address", &address], &[("CLOAKROOM_CALLER_TOKEN", name)]).await;
        let said = String::from_utf8(refused.stderr).unwrap();
        assert!(refused.status.code() == Some(1) && said.contains("(ROLE_MISSING)"), "{said}");
    }
    assert!(!process.path("file").exists());
    let exported = run(&folder, &["export", "file", "--address", &address, "--token-file", "token"], &[]).await;
    let stats = run(&folder, &["sessions", "stats", "--address", &address, "--token-file", "token"], &[]).await;

    assert!(exported.status.success(), "{}", String::from_utf8_lossy(&exported.stderr));
    assert!(process.path("file").exists());
    assert!(String::from_utf8(stats.stderr).unwrap().contains("(ROLE_MISSING)"), "it may do nothing else");
}
