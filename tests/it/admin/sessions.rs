//! AdminService: operators list, inspect, revoke and count sessions.

use std::collections::{BTreeMap, BTreeSet};

use cloakroom::app;
use cloakroom::auth::Callers;
use cloakroom::grpc::wire::{
    Changes, EndReason, GetSessionRequest, GetStatsRequest, ListSessionsRequest, OpenSessionRequest, Outcome,
    RequestContext, RevokeAppRequest, RevokeSessionRequest, RevokeSubjectRequest, RotationCause, SaveSessionRequest,
};
use cloakroom::server::AdminSettings;
use prost::Message as _;
use tonic::Code;
use tonic::transport::Channel;

use crate::support::calls::{ChangesExt as _, open_cookie, reason, refused, save};
use crate::support::duplicates::each_listed;
use crate::support::policy::{open_in, save_in};
use crate::support::sessions::{HOUR, MINUTE, gone, millis};
use crate::support::{StoreKind, TestService, app_settings};

#[apply(on_every_store)]
async fn the_sessions_of_a_subject_are_listed_by_last_use(store: StoreKind) {
    let service = TestService::with_lifetimes(store, HOUR, 9 * HOUR).await;
    let first = service.logged_in("alice").await;
    service.logged_in("bob").await;
    service.advance(MINUTE);
    let second = service.logged_in("alice").await;
    service.advance(4 * MINUTE);
    let context = RequestContext { user_agent: "Browser/1.0".to_owned(), remote_address: "192.0.2.1".to_owned() };
    let open = open_cookie(&format!("session={}", first.token));
    service.open(OpenSessionRequest { context: Some(context), ..open }).await;

    let sessions = service.list_of("alice").await;

    let [used, idle] = &sessions[..] else { panic!("two sessions were expected, not {}", sessions.len()) };
    assert_eq!([&used.id, &idle.id], [&first.id, &second.id]);
    assert_eq!((used.subject.as_str(), used.entry_count, used.entries.len()), ("alice", 1, 0));
    let context = used.context.as_ref().unwrap();
    assert_eq!((context.user_agent.as_str(), context.remote_address.as_str()), ("Browser/1.0", "192.0.2.1"));
    assert_eq!(millis(&used.create_time), millis(&first.create_time));
    assert_eq!(millis(&used.authenticate_time), millis(&first.create_time));
    assert_eq!(millis(&used.access_time), service.millis());
    assert_eq!(millis(&used.expire_time), service.millis() + 3_600_000);
    assert_eq!((used.end_reason(), used.end_time), (EndReason::Unspecified, None));
    assert!(service.ids_of("carol").await.is_empty());
}

#[apply(on_every_store)]
async fn a_page_with_large_entries_is_shorter_and_no_session_is_missing(store: StoreKind) {
    let limits = app::LimitSettings { max_session_bytes: 1024 * 1024, ..Default::default() };
    let settings = app::Settings { limits, ..app_settings() };
    let service = TestService::with_apps(store, [("default", settings)]).await;
    let large = format!("\"{}\"", "x".repeat(900_000));
    let mut created = BTreeSet::new();
    for _ in 0..10 {
        let new = service.open_new().await.token;
        let saved = service.save(save(&new, Changes::default().set("a", &large).subject("robot"))).await;
        created.insert(saved.session.unwrap().id);
    }

    for subject in ["robot", ""] {
        let (mut listed, mut page_token) = (Vec::new(), String::new());
        loop {
            let page_size = 1000;
            let request = ListSessionsRequest {
                subject: subject.to_owned(),
                page_size,
                page_token,
                with_entries: true,
                ..Default::default()
            };
            let page = service.try_list(request).await.unwrap();
            let bytes = page.encoded_len();
            // A SCAN of Redis may answer a few keys more than it is asked for.
            let most = if store == StoreKind::Redis && subject.is_empty() { 12 << 20 } else { 4 << 20 };
            assert!(bytes < most, "a page of {bytes} bytes");
            listed.extend(page.sessions.into_iter().map(|session| session.id));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        assert_eq!(each_listed(listed), created, "of {subject:?}");
    }
}

#[apply(on_every_store)]
async fn entries_are_answered_only_on_request(store: StoreKind) {
    let service = TestService::new(store).await;
    let alice = service.logged_in("alice").await;
    let list = |subject: &str, with_entries| ListSessionsRequest {
        subject: subject.to_owned(),
        with_entries,
        ..Default::default()
    };

    for (with_entries, count) in [(false, 0), (true, 1)] {
        let of_alice = service.try_list(list("alice", with_entries)).await.unwrap().sessions;
        let mut page = service.try_list(list("", with_entries)).await.unwrap();
        // A page can be empty without being the last one.
        while page.sessions.is_empty() {
            let page_token = page.next_page_token;
            page = service.try_list(ListSessionsRequest { page_token, ..list("", with_entries) }).await.unwrap();
        }
        let of_all = page.sessions;
        let one = service.try_info(&alice.id, with_entries).await.unwrap();
        assert_eq!([of_alice[0].entries.len(), of_all[0].entries.len(), one.entries.len()], [count; 3]);
    }
}

#[apply(on_every_store)]
async fn ended_sessions_are_not_listed(store: StoreKind) {
    let service = TestService::with_lifetimes(store, HOUR, 9 * HOUR).await;
    let [idle, destroyed, revoked, other] = [
        service.logged_in("alice").await,
        service.logged_in("alice").await,
        service.logged_in("alice").await,
        service.logged_in("alice").await,
    ];
    service.advance(HOUR - MINUTE);
    let live = service.logged_in("alice").await;
    service.destroy(&destroyed.token).await;
    service.revoke(&revoked.id).await;
    service.update(&other.token, Changes::default().set("b", "1").subject("bob")).await;
    service.advance(MINUTE);

    assert_eq!(service.ids_of("alice").await, [live.id.as_str()]);
    assert_eq!(service.ids_of("bob").await, [other.id.as_str()]);
    let all: BTreeSet<String> = service.pages("", 0).await.into_iter().flatten().map(|session| session.id).collect();
    assert_eq!(all, BTreeSet::from([live.id, other.id]));
    assert_eq!(service.try_info(&idle.id, false).await.unwrap().end_reason(), EndReason::Idle);
}

#[apply(on_every_store)]
async fn a_login_by_the_subject_entry_is_listed(store: StoreKind) {
    let subject_key = "_user_id".to_owned();
    let settings = app::Settings { subject_key, ..app_settings() };
    let service = TestService::with_apps(store, [("default", settings)]).await;
    let token = service.stored(&[("a", "1")]).await;

    let login = service.update(&token, Changes::default().set("_user_id", "42")).await;

    assert_eq!(service.ids_of("42").await, [login.id]);
}

#[apply(on_every_store)]
async fn the_pages_of_an_app_have_each_session(store: StoreKind) {
    let service = TestService::with_apps(store, [("default", app_settings()), ("shop", app_settings())]).await;
    let mut stored = BTreeSet::new();
    for n in 0..40 {
        let session = service.logged_in(&format!("user{n}")).await;
        stored.insert(session.id);
        let ticket = service.open(open_in("shop", OpenSessionRequest::default())).await.session.unwrap().token;
        service.save(save_in("shop", save(&ticket, Changes::default().set("a", "1")))).await;
    }

    for (page_size, most) in [(0, 100), (1, 1), (7, 7), (33, 33), (1000, 1000), (i32::MAX, 1000)] {
        let pages = service.pages("", page_size).await;
        assert!(store == StoreKind::Redis || pages.iter().all(|page| page.len() <= most), "a page is over {most}");
        let ids: Vec<String> = pages.into_iter().flatten().map(|session| session.id).collect();
        assert!(ids.len() == stored.len() || store == StoreKind::Redis, "{} of {}", ids.len(), stored.len());
        assert_eq!(each_listed(ids), stored);
    }
}

#[apply(on_every_store)]
async fn a_page_token_is_valid_only_for_its_own_list(store: StoreKind) {
    let service = TestService::with_apps(store, [("default", app_settings()), ("shop", app_settings())]).await;
    for _ in 0..40 {
        service.logged_in("alice").await;
    }
    let first = ListSessionsRequest { page_size: 10, ..Default::default() };
    let page_token = service.try_list(first.clone()).await.unwrap().next_page_token;

    let again = ListSessionsRequest { page_token: page_token.clone(), ..first.clone() };
    let wrong = [
        ListSessionsRequest { app: "shop".to_owned(), ..again.clone() },
        ListSessionsRequest { subject: "alice".to_owned(), ..again.clone() },
        ListSessionsRequest { page_token: format!("A{page_token}"), ..again.clone() },
        ListSessionsRequest { page_token: "nonsense".to_owned(), ..again.clone() },
    ];

    assert!(service.try_list(again).await.is_ok());
    for request in wrong {
        let status = refused(service.try_list(request).await);
        assert_eq!(reason(&status), (Code::InvalidArgument, "PAGE_TOKEN_INVALID".to_owned()));
    }
}

#[apply(on_every_store)]
async fn a_revoked_session_has_ended_for_its_newest_token_too(store: StoreKind) {
    let service = TestService::new(store).await;
    let session = service.logged_in("alice").await;
    let rotated = service.rotate(&session.token, RotationCause::Privilege, "").await.session.unwrap().token;

    let first = service.revoke(&session.id).await;
    let again = service.revoke(&session.id).await;

    assert_eq!((first.outcome(), first.end_reason()), (Outcome::Deleted, EndReason::Revoked));
    assert_eq!((again.outcome(), again.end_reason()), (Outcome::Gone, EndReason::Revoked));
    assert!(!service.is_live(&rotated).await);
    assert_eq!(gone(&service.save(save(&rotated, Changes::default().set("b", "1"))).await), EndReason::Revoked);
    let info = service.try_info(&session.id, true).await.unwrap();
    assert_eq!((info.end_reason(), info.subject.as_str(), info.entries.len()), (EndReason::Revoked, "", 0));
    assert_eq!(millis(&info.end_time), service.millis());
}

#[apply(on_every_store)]
async fn revoking_an_unknown_session_is_gone_and_getting_it_is_not_found(store: StoreKind) {
    let service = TestService::new(store).await;
    let ticket = service.open_new().await;

    let revoked = service.revoke(&ticket.id).await;

    assert_eq!((revoked.outcome(), revoked.end_reason()), (Outcome::Gone, EndReason::Unspecified));
    let status = refused(service.try_info(&ticket.id, false).await);
    assert_eq!(reason(&status), (Code::NotFound, "SESSION_UNKNOWN".to_owned()));
}

#[apply(on_every_store)]
async fn revoking_a_subject_ends_only_its_sessions(store: StoreKind) {
    let service = TestService::new(store).await;
    let [one, two, three] =
        [service.logged_in("alice").await, service.logged_in("alice").await, service.logged_in("alice").await];
    let bob = service.logged_in("bob").await;
    let logged_out = service.update(&service.logged_in("alice").await.token, Changes::default().subject("")).await;

    let others = service.revoke_subject("alice", &one.id).await;
    let live =
        [service.is_live(&one.token).await, service.is_live(&two.token).await, service.is_live(&three.token).await];
    let all = [service.revoke_subject("alice", "").await, service.revoke_subject("alice", "").await];

    assert_eq!((others, live, all), (2, [true, false, false], [1, 0]));
    assert!(!service.is_live(&one.token).await);
    assert!(service.is_live(&bob.token).await && service.is_live(&logged_out.token).await);
    assert!(service.ids_of("alice").await.is_empty());
}

#[apply(on_every_store)]
async fn revoking_an_app_ends_only_sessions_created_before(store: StoreKind) {
    let service = TestService::with_apps(store, [("default", app_settings()), ("shop", app_settings())]).await;
    let before = [service.logged_in("alice").await.token, service.stored(&[("a", "1")]).await];
    let ticket = service.open(open_in("shop", OpenSessionRequest::default())).await.session.unwrap().token;
    service.save(save_in("shop", save(&ticket, Changes::default().set("a", "1")))).await;

    service.revoke_app("").await;
    let after = service.logged_in("alice").await;

    for token in before {
        assert!(!service.is_live(&token).await);
        assert_eq!(gone(&service.save(save(&token, Changes::default().set("b", "1"))).await), EndReason::Revoked);
    }
    assert!(service.is_live(&after.token).await);
    assert_eq!(service.ids_of("alice").await, [after.id]);
    assert_eq!(service.pages("shop", 0).await.concat().len(), 1);
}

#[apply(on_every_store)]
async fn stats_count_what_this_process_did_by_app(store: StoreKind) {
    let service = TestService::with_apps(store, [("default", app_settings()), ("shop", app_settings())]).await;
    let [one, two] = [service.logged_in("alice").await, service.logged_in("alice").await];
    let emptied = service.stored(&[("a", "1")]).await;
    service.open_cookie(&one.token).await;
    service.open_cookie("forged").await;
    service.save(save(&emptied, Changes::default().unset("a"))).await;
    service.destroy(&one.token).await;
    service.destroy(&one.token).await;
    service.revoke(&two.id).await;

    let (stats, shop) = (service.stats("").await, service.stats("shop").await);

    let ended = ["DESTROYED", "EMPTIED", "REVOKED"].map(|reason| (reason.to_owned(), 1));
    assert_eq!((stats.opened, stats.created), (1, 3));
    assert_eq!(stats.ended.into_iter().collect::<BTreeMap<_, _>>(), BTreeMap::from(ended));
    assert_eq!((shop.opened, shop.created, shop.ended.len()), (0, 0, 0));
    assert_eq!(millis(&stats.start_time), service.millis());
}

#[apply(on_every_store)]
async fn live_sessions_are_counted_after_the_start(store: StoreKind) {
    let first = TestService::with_lifetimes(store, HOUR, 9 * HOUR).await;
    first.logged_in("alice").await;
    first.advance(HOUR);
    first.logged_in("alice").await;
    first.logged_in("bob").await;
    first.stored(&[("a", "1")]).await;

    let again = first.another_process().await;
    let stats = loop {
        let stats = again.stats("").await;
        if stats.scan_time.is_some() {
            break stats;
        }
        tokio::task::yield_now().await;
    };

    assert_eq!((stats.live, stats.live_anonymous), (Some(3), Some(1)));
    assert_eq!(millis(&stats.scan_time), again.millis());
}

#[apply(on_every_store)]
async fn no_answer_holds_a_token(store: StoreKind) {
    let service = TestService::new(store).await;
    let session = service.logged_in("alice").await;
    let random_part = session.token.split('.').nth(2).unwrap();

    let list = ListSessionsRequest { with_entries: true, ..Default::default() };
    let answers = [
        prost::Message::encode_to_vec(&service.try_list(list.clone()).await.unwrap()),
        prost::Message::encode_to_vec(
            &service.try_list(ListSessionsRequest { subject: "alice".to_owned(), ..list }).await.unwrap(),
        ),
        prost::Message::encode_to_vec(&service.try_info(&session.id, true).await.unwrap()),
        prost::Message::encode_to_vec(&service.revoke(&session.id).await),
        prost::Message::encode_to_vec(&service.try_info(&session.id, true).await.unwrap()),
    ];

    for answer in answers {
        let text = String::from_utf8_lossy(&answer);
        assert!(!answer.is_empty() && !text.contains(random_part) && !text.contains("v1."), "{text}");
    }
}

#[tokio::test]
async fn malformed_requests_are_refused_with_the_field() {
    let service = TestService::new(StoreKind::Memory).await;
    let mut admin = service.admin.clone();
    let (long, id) = ("x".repeat(257), "ABC".to_owned());

    let refusals = [
        (refused(service.try_list(subject_list(&long)).await), "SUBJECT_INVALID", "subject"),
        (refused(admin.revoke_subject(RevokeSubjectRequest::default()).await), "SUBJECT_INVALID", "subject"),
        (refused(service.try_list(sized_list(-1)).await), "PAGE_SIZE_INVALID", "page_size"),
        (refused(service.try_info(&id, false).await), "SESSION_ID_INVALID", "id"),
        (refused(admin.revoke_session(RevokeSessionRequest::default()).await), "SESSION_ID_INVALID", "id"),
        (refused(admin.revoke_subject(except(&id)).await), "SESSION_ID_INVALID", "except_id"),
    ];

    for (status, expected, field) in refusals {
        assert_eq!(reason(&status), (Code::InvalidArgument, expected.to_owned()));
        assert!(status.message().starts_with(&format!("{field}: ")), "{}", status.message());
    }
}

#[tokio::test]
async fn an_unknown_app_is_not_found_by_any_rpc() {
    let service = TestService::new(StoreKind::Memory).await;
    let (mut admin, app, id) = (service.admin.clone(), "unknown".to_owned(), "0".repeat(32));

    let (subject, list) = ("alice".to_owned(), ListSessionsRequest { app: app.clone(), ..Default::default() });
    let refusals = [
        refused(admin.list_sessions(list).await),
        refused(admin.get_session(GetSessionRequest { app: app.clone(), id: id.clone(), with_entries: false }).await),
        refused(admin.revoke_session(RevokeSessionRequest { app: app.clone(), id }).await),
        refused(admin.revoke_subject(RevokeSubjectRequest { app: app.clone(), subject, ..Default::default() }).await),
        refused(admin.revoke_app(RevokeAppRequest { app: app.clone() }).await),
        refused(admin.get_stats(GetStatsRequest { app }).await),
    ];

    for status in refusals {
        assert_eq!(reason(&status), (Code::NotFound, "APP_UNKNOWN".to_owned()));
    }
}

#[tokio::test]
async fn each_listener_serves_only_its_own_service() {
    use cloakroom::grpc::wire::admin_service_client::AdminServiceClient;
    use cloakroom::grpc::wire::session_service_client::SessionServiceClient;
    let service = TestService::new(StoreKind::Memory).await;

    let connect = async |address: &String| Channel::from_shared(address.clone()).unwrap().connect().await.unwrap();
    let admin = AdminServiceClient::new(connect(&service.address).await);
    let sessions = SessionServiceClient::new(connect(&service.admin_address).await);

    let admin_call = refused(admin.clone().revoke_app(RevokeAppRequest::default()).await);
    let session_call = refused(sessions.clone().save_session(SaveSessionRequest::default()).await);
    for status in [admin_call, session_call] {
        assert_eq!(reason(&status), (Code::Unimplemented, "SERVICE_UNKNOWN".to_owned()));
    }
}

#[test]
fn the_admin_listener_is_open_beyond_loopback_only_with_insecure() {
    let everywhere = AdminSettings { listen: "0.0.0.0:50052".parse().ok(), ..Default::default() };
    let no_callers = Callers::default();
    let secure = cloakroom::server::Settings::default();
    let insecure = cloakroom::server::Settings { insecure: true, ..secure.clone() };

    assert!(
        everywhere.check(&secure, &no_callers).unwrap_err().to_string().starts_with("listen: 0.0.0.0:50052 is open")
    );
    assert!(everywhere.check(&insecure, &no_callers).is_ok());
    assert!(AdminSettings { listen: None, ..Default::default() }.check(&secure, &no_callers).is_ok());
}

fn subject_list(subject: &str) -> ListSessionsRequest {
    ListSessionsRequest { subject: subject.to_owned(), ..Default::default() }
}

fn sized_list(page_size: i32) -> ListSessionsRequest {
    ListSessionsRequest { page_size, ..Default::default() }
}

fn except(id: &str) -> RevokeSubjectRequest {
    RevokeSubjectRequest { subject: "alice".to_owned(), except_id: id.to_owned(), ..Default::default() }
}
