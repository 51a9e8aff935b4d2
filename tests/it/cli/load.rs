//! The files of `cloakroom seed` under a load generator, which takes them as they are.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use cloakroom::cli::seed::{Plan, Sampling, fill, write};
use cloakroom::types::{Clock as _, SystemClock};
use serde_json::Value;

use super::seed::{apps, store};
use crate::support::tool::tool;
use crate::support::{StoreKind, TestService, app_settings};

#[apply(on_every_store)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_request_of_a_load_is_answered_and_finds_its_session(kind: StoreKind) {
    let folder = tempfile::tempdir().unwrap();
    let (store, settings) = (Arc::new(store(kind, folder.path())), app_settings());
    let (apps, app) = apps(&settings);
    let plan = Plan { count: 40, subjects: 12, ..Plan::default() };
    let seeded = fill(&store, &apps, &plan, SystemClock.now(), |_| ()).await.unwrap();
    write(folder.path(), &app, &seeded, Sampling { requests: 60, exponent: 1.0, seed: 1 }).unwrap();
    let service = TestService::with_store(Arc::into_inner(store).unwrap(), &settings).await;
    assert_eq!(versions(&service).await, 40);

    ghz(&service, "OpenSession", &folder.path().join("open.json")).await;
    ghz(&service, "SaveSession", &folder.path().join("save.json")).await;

    let stats = service.stats("").await;
    assert_eq!((stats.opened, stats.created), (CALLS, 0), "no open found an empty session, and no save began one");
    assert_eq!(versions(&service).await, 40 + CALLS, "every save was written");
}

/// How often the sessions of the service were saved.
async fn versions(service: &TestService) -> u64 {
    service.pages("", 0).await.concat().iter().map(|session| session.etag.parse::<u64>().unwrap()).sum()
}

/// Sends the requests of a file, over and over.
async fn ghz(service: &TestService, method: &str, requests: &Path) {
    let mut command = Command::new(tool("ghz"));
    command.args(["--insecure", "--format", "json", "--concurrency", "8", "--total", &CALLS.to_string()]);
    command.args(["--call", &format!("cloakroom.v1.SessionService/{method}")]).arg("--data-file").arg(requests);
    command.arg(service.address.trim_start_matches("http://"));

    let done = tokio::task::spawn_blocking(move || command.output()).await.unwrap().expect("ghz runs");

    let told = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success(), "{told}");
    let report: Value = serde_json::from_slice(&done.stdout).unwrap();
    let codes = report["statusCodeDistribution"].as_object().unwrap();
    assert_eq!(
        codes.iter().map(|(code, count)| (code.as_str(), count.as_u64())).collect::<Vec<_>>(),
        [("OK", Some(CALLS))]
    );
}

/// More than there are requests in a file, which begins anew then.
const CALLS: u64 = 200;
