//! Exports from a running service: whole, while it is in use, and never of use when they are not whole.

use std::net::SocketAddr;

use cloakroom::app;
use cloakroom::grpc::wire::{ExportSessionsRequest, ExportSessionsResponse};
use cloakroom::session::{Entries, Record};
use cloakroom::store::{Handle, Reader};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tonic::{Code, Status, Streaming};

use super::moves::assert_same;
use super::place::{Kind, OTHERS, Place, create, fill, with_other_app};
use crate::conformance::fixtures::{app as app_name, key_in, record};
use crate::process::child::{eventually, with_timeout};
use crate::support::calls::{reason, refused};
use crate::support::connect::Protocol;
use crate::support::{StoreKind, TestService, app_settings};

/// A service with the apps `default` and `other`.
async fn service(store: StoreKind) -> TestService {
    TestService::with_apps(store, [("default", app_settings()), ("other", app_settings())]).await
}

pub(super) async fn begin(service: &TestService, apps: &[&str]) -> Result<Streaming<ExportSessionsResponse>, Status> {
    let apps = apps.iter().map(|app| (*app).to_owned()).collect();
    Ok(service.admin.clone().export_sessions(ExportSessionsRequest { apps }).await?.into_inner())
}

/// Reads a stream until it has so many bytes of the file, or to its end. Returns them, and the last number of sessions.
pub(super) async fn read(
    responses: &mut Streaming<ExportSessionsResponse>,
    bytes: usize,
) -> Result<(Vec<u8>, u64), Status> {
    let (mut file, mut sessions) = (Vec::new(), 0);
    while file.len() < bytes
        && let Some(response) = with_timeout(responses.message()).await?
    {
        assert!(response.data.len() <= 64 * 1024, "{} bytes", response.data.len());
        file.extend(response.data);
        sessions = response.session_count;
    }
    Ok((file, sessions))
}

/// Creates sessions of 60 KB in the app `other`, which are together more than any connection buffers.
pub(super) async fn fill_much(store: &Handle) {
    for number in LARGE_SESSIONS {
        create(store, &key_in("other", number), &large_record()).await;
    }
}

pub(super) fn large_record() -> Record {
    let mut record = record();
    record.entries = Entries::pack([("a", [b'1'; 60_000].as_slice())]);
    (record.head.entry_count, record.head.entry_bytes) = (record.entries.count(), record.entries.bytes());
    record
}

/// The numbers of the sessions that [`fill_much`] creates.
pub(super) const LARGE_SESSIONS: std::ops::Range<u32> = 1000..1400;

#[apply(on_every_store)]
async fn a_running_service_exports_what_every_store_imports(store: StoreKind) {
    let mut service = service(store).await;
    fill(&service.store).await;

    let mut file = Vec::new();
    for protocol in Protocol::ALL {
        service.use_protocol(protocol).await;
        let (bytes, sessions) = read(&mut begin(&service, &[]).await.unwrap(), usize::MAX).await.unwrap();
        assert_eq!(sessions, OTHERS.len() as u64 + 4, "{protocol:?}");
        assert_eq!(Reader::new(bytes.as_slice()).unwrap().check_all().unwrap()[&app_name("other")], 250);
        file = bytes;
    }

    for kind in [Kind::Embedded, Kind::Redis] {
        let target = Place::new(kind);
        let path = target.folder.path().join("export");
        std::fs::write(&path, &file).unwrap();
        with_other_app(&target).import(&path);
        assert_same(&service.store, &target.open()).await;
    }
}

#[apply(on_every_store)]
async fn the_program_exports_from_a_running_service_into_a_file(store: StoreKind) {
    let service = service(store).await;
    fill(&service.store).await;
    let target = Place::new(Kind::Embedded);
    let address = service.admin_address.trim_start_matches("http://");

    let whole = target.run_beside(&["export", "whole", "--address", address]).await;
    let one = target.run_beside(&["export", "one", "--address", address, "--app", "other"]).await;
    let unknown = target.run_beside(&["export", "unknown", "--address", address, "--app", "shop"]).await;

    assert!(whole.code == Some(0) && whole.stderr.starts_with("254 sessions exported, "), "{whole:?}");
    assert!(one.code == Some(0) && one.stderr.starts_with("250 sessions exported, "), "{one:?}");
    assert!(unknown.code == Some(1) && unknown.stderr.contains("(APP_UNKNOWN)"), "{unknown:?}");
    assert!(!target.folder.path().join("unknown").exists());
    with_other_app(&target).import(&target.folder.path().join("whole"));
    assert_same(&service.store, &target.open()).await;
}

#[apply(on_every_store)]
async fn an_export_fails_if_an_app_that_it_has_is_revoked(store: StoreKind) {
    let service = service(store).await;
    fill(&service.store).await;
    fill_much(&service.store).await;

    // The sessions of `default` are the first ones of the file.
    for app in ["default", "other"] {
        let mut responses = begin(&service, &[]).await.unwrap();
        read(&mut responses, 1 << 20).await.unwrap();
        service.revoke_app(app).await;
        let status = refused(read(&mut responses, usize::MAX).await);

        assert_eq!(reason(&status), (Code::Aborted, "APP_REVOKED".to_owned()));
        assert!(status.message().contains(&format!("the app {app} were revoked")), "{}", status.message());
    }
    let mut of_default = begin(&service, &["default"]).await.unwrap();
    assert!(read(&mut of_default, usize::MAX).await.is_ok(), "a later export has the revocation");
}

#[apply(on_every_store)]
async fn no_write_waits_for_the_reader_of_an_export(store: StoreKind) {
    let service = service(store).await;
    fill_much(&service.store).await;
    let mut responses = begin(&service, &[]).await.unwrap();
    let (mut file, _) = read(&mut responses, 1).await.unwrap();

    // Nobody reads the export meanwhile. The writes are more than the log of the embedded store takes.
    with_timeout(async {
        for number in LARGE_SESSIONS {
            create(&service.store, &key_in("default", number), &large_record()).await;
        }
        let token = service.stored(&[("a", "1")]).await;
        service.destroy(&token).await;
    })
    .await;

    file.extend(read(&mut responses, usize::MAX).await.unwrap().0);
    let apps = Reader::new(file.as_slice()).unwrap().check_all().unwrap();
    assert_eq!(apps[&app_name("other")], LARGE_SESSIONS.len() as u64);
}

#[tokio::test]
async fn a_third_export_waits_until_another_has_ended() {
    let service = service(StoreKind::Memory).await;
    fill_much(&service.store).await;
    let mut running = Vec::new();
    for _ in 0..2 {
        running.push(begin(&service, &[]).await.unwrap());
    }

    let status = refused(begin(&service, &[]).await);

    assert_eq!(reason(&status), (Code::ResourceExhausted, "OVERLOADED".to_owned()));
    assert!(status.message().contains("exports"), "{}", status.message());
    running.pop();
    eventually("the end of an export", async || begin(&service, &[]).await.ok()).await;
}

#[tokio::test]
async fn a_stop_ends_an_export() {
    for protocol in Protocol::ALL {
        let mut service = service(StoreKind::Memory).await;
        service.use_protocol(protocol).await;
        fill_much(&service.store).await;
        let mut responses = begin(&service, &[]).await.unwrap();
        read(&mut responses, 1).await.unwrap();

        service.stop();
        let status = refused(read(&mut responses, usize::MAX).await);

        assert_eq!(reason(&status), (Code::Unavailable, "GOING_AWAY".to_owned()), "{protocol:?}");
    }
}

#[tokio::test]
async fn an_app_of_kind_cookie_has_nothing_to_export() {
    let cookie = app::Settings { kind: app::KindSetting::Cookie, ..app_settings() };
    let service = TestService::with_apps(StoreKind::Memory, [("default", app_settings()), ("flask", cookie)]).await;

    let named = refused(begin(&service, &["default", "flask"]).await);
    let all = read(&mut begin(&service, &[]).await.unwrap(), usize::MAX).await.unwrap();

    assert_eq!(reason(&named), (Code::FailedPrecondition, "NOT_IN_COOKIE_KIND".to_owned()));
    assert!(Reader::new(all.0.as_slice()).unwrap().check_all().is_ok());
}

#[tokio::test]
async fn a_stream_that_is_cut_leaves_no_file() {
    let service = service(StoreKind::Memory).await;
    fill_much(&service.store).await;
    let target = Place::new(Kind::Embedded);
    let proxy = cutting_proxy(service.admin_address.trim_start_matches("http://").parse().unwrap()).await;

    let ended = target.run_beside(&["export", "file", "--address", &proxy.to_string()]).await;

    assert!(ended.code == Some(1) && ended.stderr.contains("the export did not finish"), "{ended:?}");
    assert_eq!(std::fs::read_dir(target.folder.path()).unwrap().count(), 0, "the temporary file is gone too");
}

/// Starts a proxy that ends its first connection after a MiB from the service.
async fn cutting_proxy(service: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (client, _) = listener.accept().await.unwrap();
        let (mut from_client, mut to_client) = client.into_split();
        let (from_service, mut to_service) = TcpStream::connect(service).await.unwrap().into_split();
        let mut first = from_service.take(1 << 20);
        tokio::select! {
            _ = tokio::io::copy(&mut from_client, &mut to_service) => {}
            _ = tokio::io::copy(&mut first, &mut to_client) => {}
        }
        let _ = to_client.shutdown().await;
    });
    address
}
