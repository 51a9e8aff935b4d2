//! The audit log: what AdminService lists of it, and what is in its files.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use cloakroom::app;
use cloakroom::grpc::wire::list_session_ends_request::Wanted;
use cloakroom::grpc::wire::{
    Changes, EndReason, ListSessionEndsRequest, ListSessionEndsResponse, OpenSessionRequest, RevokeSessionRequest,
    RevokeSubjectRequest, RotationCause, SessionEnd,
};
use cloakroom::store::{Redis, RedisSettings};
use tonic::{Code, Request};

use crate::process::child::eventually;
use crate::support::calls::{ChangesExt as _, reason, refused, save};
use crate::support::connect::Protocol;
use crate::support::policy::{open_in, save_in};
use crate::support::redis::RedisServer;
use crate::support::sessions::{MINUTE, millis};
use crate::support::{StoreKind, TestService, app_settings, long_timeouts};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

async fn start(store: StoreKind) -> TestService {
    let settings = app::Settings { max_sessions_per_subject: 2, ..app_settings() };
    TestService::with_audit_log(store, [("default", settings.clone()), ("other", settings)]).await
}

fn id(id: &str) -> Wanted {
    Wanted::Id(id.to_owned())
}

fn subject(subject: &str) -> Wanted {
    Wanted::Subject(subject.to_owned())
}

fn reasons(ends: &[SessionEnd]) -> Vec<EndReason> {
    ends.iter().map(SessionEnd::reason).collect()
}

/// Returns the names and the contents of the files of the log, the oldest first.
fn files(service: &TestService) -> Vec<(String, String)> {
    let entries = fs::read_dir(service.audit_folder()).unwrap().map(|entry| entry.unwrap());
    let mut files: Vec<_> = entries
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap()))
        .collect();
    files.sort();
    files
}

async fn await_ends(service: &TestService, app: &str, wanted: Wanted, count: usize) -> ListSessionEndsResponse {
    eventually("the ends", async || {
        let found = service.try_list_ends(app, wanted.clone()).await.unwrap();
        (found.ends.len() >= count).then_some(found)
    })
    .await
}

#[apply(on_every_store)]
async fn a_logout_is_in_the_audit_log_with_its_session_and_its_call(store: StoreKind) {
    let service = start(store).await;
    let session = service.logged_in("ann").await;
    service.advance(2 * DAY);
    service.session(&session.token).await;
    let used = service.millis();
    service.advance(MINUTE);

    let credential = cloakroom::grpc::wire::destroy_session_request::Credential::Token(session.token.clone());
    let mut request = Request::new(cloakroom::grpc::wire::DestroySessionRequest {
        credential: Some(credential),
        ..Default::default()
    });
    request.metadata_mut().insert("x-request-id", "ticket-4711".parse().unwrap());
    service.client.clone().destroy_session(request).await.unwrap();

    let ends = service.ends_of(&session.id, 1).await;
    let [end] = &ends[..] else { panic!("one end was expected, not {}", ends.len()) };
    assert_eq!((end.id.as_str(), end.subject.as_str(), end.reason()), (&*session.id, "ann", EndReason::Destroyed));
    assert_eq!((end.caller.as_str(), end.call_id.as_str()), ("trusted", "ticket-4711"));
    assert_eq!(end.rpc, "cloakroom.v1.SessionService/DestroySession");
    assert_eq!(millis(&end.time), service.millis());
    assert_eq!(millis(&end.create_time), millis(&session.create_time));
    assert_eq!(millis(&end.access_time), used);
}

#[tokio::test]
async fn an_end_whose_caller_went_away_meanwhile_is_in_the_audit_log() {
    let redis = RedisServer::start();
    let settings = RedisSettings { url: redis.url(), timeout: MINUTE, ..Default::default() };
    let store = Redis::new(&settings).unwrap().into();
    let first = TestService::on_store(store, [("default", app_settings())], long_timeouts()).await;
    let service = first.another_process_with_audit_log().await;
    let session = service.logged_in("ann").await;

    redis.signal("-STOP");
    let mut admin = service.admin.clone();
    let mut request = Request::new(RevokeSessionRequest { id: session.id.clone(), ..Default::default() });
    request.set_timeout(Duration::from_millis(500));
    let left = refused(admin.revoke_session(request).await);
    redis.signal("-CONT");

    assert!(matches!(left.code(), Code::DeadlineExceeded | Code::Cancelled), "{left}");
    let ends = service.ends_of(&session.id, 1).await;
    assert_eq!((reasons(&ends), &*ends[0].rpc), (vec![EndReason::Revoked], "cloakroom.v1.AdminService/RevokeSession"));
}

#[apply(on_every_store)]
async fn each_end_that_a_call_makes_has_its_reason_in_the_audit_log(store: StoreKind) {
    let service = start(store).await;
    let emptied = service.stored(&[("a", "1")]).await;
    let emptied_id = service.session(&emptied).await.id;
    service.save(save(&emptied, Changes::default().unset("a"))).await;
    let revoked = service.logged_in("ann").await;
    service.revoke(&revoked.id).await;
    service.revoke(&revoked.id).await;
    let evicted = service.logged_in("bob").await;
    service.advance(MINUTE);
    let (second, third) = (service.logged_in("bob").await, service.logged_in("bob").await);
    service.advance(MINUTE);
    assert_eq!(service.revoke_subject("bob", &third.id).await, 1);
    service.advance(MINUTE);
    let anonymous = service.stored(&[("cart", "1")]).await;
    let login_id = service.session(&anonymous).await.id;
    let token = service.log_in(&anonymous, "eve").await;
    service.advance(MINUTE);
    service.rotate(&token, RotationCause::Renewal, "").await;
    service.advance(MINUTE);
    service.revoke_app("").await;

    let whole_app = EndReason::Revoked;
    for (of, expected) in [
        (&emptied_id, vec![whole_app, EndReason::Emptied]),
        (&revoked.id, vec![whole_app, EndReason::Revoked]),
        (&evicted.id, vec![whole_app, EndReason::Evicted]),
        (&second.id, vec![whole_app, EndReason::Revoked]),
        (&third.id, vec![whole_app]),
        (&login_id, vec![whole_app, EndReason::Superseded, EndReason::Superseded]),
    ] {
        let ends = service.ends_of(of, expected.len()).await;
        assert_eq!(reasons(&ends), expected);
        assert_eq!((ends[0].id.as_str(), ends[0].rpc.as_str()), ("", "cloakroom.v1.AdminService/RevokeApp"));
    }
    let of_login = service.ends_of(&login_id, 3).await;
    let rpcs = [2, 1].map(|index: usize| (of_login[index].rpc.as_str(), of_login[index].subject.as_str()));
    assert_eq!(
        rpcs,
        [("cloakroom.v1.SessionService/SaveSession", "eve"), ("cloakroom.v1.SessionService/RotateSession", "eve")]
    );
    assert_eq!(service.ends_of(&evicted.id, 2).await[1].rpc, "cloakroom.v1.SessionService/SaveSession");
    assert_eq!(service.ends_of(&second.id, 2).await[1].rpc, "cloakroom.v1.AdminService/RevokeSubject");
}

#[tokio::test]
async fn every_protocol_lists_the_same_ends_by_session_and_by_subject() {
    let mut service = start(StoreKind::Memory).await;
    let (first, second) = (service.logged_in("ann").await, service.logged_in("ann").await);
    service.destroy(&first.token).await;
    service.advance(MINUTE);
    service.destroy(&second.token).await;
    let expected = await_ends(&service, "", subject("ann"), 2).await;
    assert_eq!(expected.ends.iter().map(|end| &end.id).collect::<Vec<_>>(), [&second.id, &first.id]);
    assert_eq!((expected.begin_time, expected.lost), (expected.ends[1].time, Some(0)));

    for protocol in Protocol::ALL {
        service.use_protocol(protocol).await;
        assert!(service.try_list_ends("", subject("ann")).await.unwrap() == expected, "{protocol:?}");
        let of_first = service.try_list_ends("default", id(&first.id)).await.unwrap();
        assert!(of_first.ends == expected.ends[1..], "{protocol:?}");
        let none = service.try_list_ends("", subject("an")).await.unwrap();
        assert!(none.ends.is_empty() && none.begin_time == expected.begin_time, "{protocol:?}");
        let other_app = service.try_list_ends("other", subject("ann")).await.unwrap();
        assert!(other_app.ends.is_empty(), "{protocol:?}");
    }
}

#[tokio::test]
async fn what_ends_nothing_is_not_in_the_audit_log() {
    let service = start(StoreKind::Memory).await;
    let expired = service.logged_in("ann").await;
    service.advance(40 * DAY);
    service.session(&expired.token).await;
    service.destroy(&expired.token).await;
    service.revoke(&"0".repeat(32)).await;
    let lives = service.logged_in("ann").await;
    service.update(&lives.token, Changes::default().set("a", "2")).await;
    let last = service.logged_in("bob").await;
    service.destroy(&last.token).await;

    service.ends_of(&last.id, 1).await;

    assert_eq!(service.try_list_ends("", subject("ann")).await.unwrap().ends.len(), 0);
    assert_eq!(service.try_list_ends("", id(&lives.id)).await.unwrap().ends.len(), 0);
    let lines: Vec<_> =
        files(&service).into_iter().flat_map(|(_, text)| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
}

#[tokio::test]
async fn a_repeated_call_is_one_end_in_the_audit_log() {
    let service = start(StoreKind::Memory).await;
    let session = service.logged_in("ann").await;
    for _ in 0..3 {
        service.destroy_as(&session.token, "the same").await;
    }
    let last = service.logged_in("bob").await;
    service.destroy(&last.token).await;

    service.ends_of(&last.id, 1).await;

    assert_eq!(service.ends_of(&session.id, 1).await.len(), 1);
}

#[tokio::test]
async fn a_log_that_cannot_be_read_is_an_error_and_no_empty_log() {
    let service = start(StoreKind::Memory).await;
    let session = service.logged_in("ann").await;
    service.destroy(&session.token).await;
    service.ends_of(&session.id, 1).await;
    let refusal = async |wanted| reason(&service.try_list_ends("", wanted).await.err().unwrap());
    let unreadable = (Code::FailedPrecondition, "AUDIT_LOG_UNREADABLE".to_owned());

    // The newest file is read first.
    let newest = service.audit_folder().join("session-ends-2999-01-01.jsonl");
    fs::create_dir(&newest).unwrap();
    assert_eq!(refusal(id(&session.id)).await, unreadable);
    assert_eq!(refusal(subject("ann")).await, unreadable);
    fs::remove_dir(newest).unwrap();
    assert_eq!(service.ends_of(&session.id, 1).await.len(), 1);
    fs::remove_dir_all(service.audit_folder()).unwrap();
    assert_eq!(refusal(id(&session.id)).await, unreadable);
}

#[tokio::test]
async fn an_old_file_that_cannot_be_read_does_not_hide_newer_ends() {
    let service = start(StoreKind::Memory).await;
    let session = service.logged_in("ann").await;
    service.destroy(&session.token).await;
    service.ends_of(&session.id, 1).await;
    fs::create_dir(service.audit_folder().join("session-ends-2020-01-01.jsonl")).unwrap();

    assert_eq!(service.ends_of(&session.id, 1).await.len(), 1);
    assert!(service.try_list_ends("", subject("ann")).await.unwrap().begin_time.is_some());
}

#[tokio::test]
async fn without_an_audit_log_the_answer_says_so() {
    let service = TestService::new(StoreKind::Memory).await;
    let session = service.logged_in("ann").await;
    service.destroy(&session.token).await;

    let found = service.try_list_ends("", id(&session.id)).await.unwrap();

    assert!(found == ListSessionEndsResponse::default());
    assert!(!service.audit_folder().exists());
}

#[tokio::test]
async fn a_wrong_request_for_ends_is_refused() {
    let cookie_kind = app::Settings { kind: app::KindSetting::Cookie, ..app_settings() };
    let service =
        TestService::with_audit_log(StoreKind::Memory, [("default", app_settings()), ("flask", cookie_kind)]).await;
    let refusal = async |app: &str, wanted| reason(&service.try_list_ends(app, wanted).await.err().unwrap());
    let with = |code, reason: &str| (code, reason.to_owned());

    assert_eq!(refusal("", id("0F")).await, with(Code::InvalidArgument, "SESSION_ID_INVALID"));
    assert_eq!(refusal("", subject("")).await, with(Code::InvalidArgument, "SUBJECT_INVALID"));
    assert_eq!(refusal("", subject(&"a".repeat(257))).await, with(Code::InvalidArgument, "SUBJECT_INVALID"));
    assert_eq!(refusal("none", subject("ann")).await, with(Code::NotFound, "APP_UNKNOWN"));
    assert_eq!(refusal("flask", subject("ann")).await, with(Code::FailedPrecondition, "NOT_IN_COOKIE_KIND"));
    let neither = refused(service.admin.clone().list_session_ends(ListSessionEndsRequest::default()).await);
    assert_eq!(reason(&neither), with(Code::InvalidArgument, "SESSION_ID_INVALID"));
    assert!(neither.message().contains("id or subject"), "{}", neither.message());
}

#[tokio::test]
async fn each_day_has_a_file_and_files_older_than_keep_days_are_deleted() {
    let service = start(StoreKind::Memory).await;
    let log_out = async || {
        let session = service.logged_in("ann").await;
        service.destroy(&session.token).await;
        service.ends_of(&session.id, 1).await;
        session.id
    };
    let first = log_out().await;
    let first_file = files(&service)[0].0.clone();
    for _ in 0..30 {
        service.advance(DAY);
        log_out().await;
    }

    let names: Vec<_> = files(&service).into_iter().map(|(name, _)| name).collect();
    assert_eq!((names.len(), &names[0]), (31, &first_file));
    assert_eq!(service.ends_of(&first, 1).await.len(), 1);
    service.advance(DAY);
    log_out().await;
    let names: Vec<_> = files(&service).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), 31);
    assert!(!names.contains(&first_file), "{names:?}");
    assert!(service.try_list_ends("", id(&first)).await.unwrap().ends.is_empty());
}

#[tokio::test]
async fn a_line_is_json_with_documented_fields_and_only_the_owner_may_read_it() {
    let service = start(StoreKind::Memory).await;
    let session = service.logged_in("ann").await;
    service.destroy(&session.token).await;
    service.ends_of(&session.id, 1).await;

    let [(name, text)] = &files(&service)[..] else { panic!("one file was expected") };
    let line: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text.trim_end()).unwrap();
    let documentation = include_str!("../../../docs/operations.md");
    let documented = documentation.split("### The audit log").nth(1).unwrap();
    for field in line.keys() {
        assert!(documented.contains(&format!("`{field}`")), "{field} is not in docs/operations.md");
    }
    let fields: BTreeSet<_> = line.keys().map(String::as_str).collect();
    let expected = [
        "time",
        "app",
        "session.id",
        "subject",
        "end.reason",
        "create_time",
        "access_time",
        "caller",
        "call.rpc",
        "call.id",
    ];
    assert_eq!(fields, BTreeSet::from(expected));
    assert!(name.starts_with("session-ends-20") && name.ends_with(".jsonl"), "{name}");
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(service.audit_folder()), 0o700);
    assert_eq!(mode(service.audit_folder().join(name)), 0o600);
}

#[tokio::test]
async fn all_sessions_of_a_subject_that_end_at_once_name_the_same_call() {
    let service = TestService::with_audit_log(StoreKind::Memory, [("default", app_settings())]).await;
    for _ in 0..80 {
        service.logged_in("ann").await;
    }

    let mut request = Request::new(RevokeSubjectRequest { subject: "ann".to_owned(), ..Default::default() });
    request.metadata_mut().insert("x-request-id", "ticket-12".parse().unwrap());
    service.admin.clone().revoke_subject(request).await.unwrap();

    let ends = await_ends(&service, "", subject("ann"), 80).await.ends;
    for end in &ends {
        let call = (end.caller.as_str(), end.rpc.as_str(), end.call_id.as_str());
        assert_eq!(call, ("trusted", "cloakroom.v1.AdminService/RevokeSubject", "ticket-12"));
    }
}

#[tokio::test]
async fn apps_of_one_service_have_one_audit_log_and_see_only_their_own_ends() {
    let service = start(StoreKind::Memory).await;
    let in_other = async |subject: &str| {
        let ticket = service.open(open_in("other", OpenSessionRequest::default())).await.session.unwrap().token;
        let changes = Changes::default().set("a", "1").subject(subject);
        service.save(save_in("other", save(&ticket, changes))).await.session.unwrap()
    };
    let (mine, other) = (service.logged_in("ann").await, in_other("ann").await);
    service.revoke(&mine.id).await;
    service.revoke_app("other").await;

    let of_other = await_ends(&service, "other", id(&other.id), 1).await.ends;
    assert_eq!((reasons(&of_other), of_other[0].id.as_str()), (vec![EndReason::Revoked], ""));
    let of_mine = service.ends_of(&mine.id, 1).await;
    assert_eq!((of_mine.len(), of_mine[0].id.as_str()), (1, mine.id.as_str()));
}
