//! Subjects of the sessions of keys: how they are set, listed and ended.

use cloakroom::app::OnSessionLimit;
use cloakroom::grpc::wire::{
    Changes, CredentialState, EndReason, ExplainCredentialRequest, Outcome, RequestContext, SaveSessionRequest,
    SessionEventKind, WatchEventsRequest, explain_credential_request,
};

use super::*;
use crate::support::calls::{ChangesExt as _, reason, refused};

#[apply(on_every_store)]
async fn an_entry_or_a_path_inside_of_it_sets_the_subject_and_the_key_stays(store: StoreKind) {
    for (subject_key, entry, login, logout) in [
        ("_auth_user_id", "_auth_user_id", r#""ann""#, "null"),
        ("passport.user", "passport", r#"{"user":"ann"}"#, "{}"),
        ("flash.user.id", "flash", r#"{"user":{"id":"ann"},"seen":true}"#, r#"{"seen":true}"#),
    ] {
        let settings = app::Settings { subject_key: subject_key.to_owned(), ..settings() };
        let service = TestService::with_apps(store, [("default", settings)]).await;
        service.save(save(KEY, Changes::default().set("cart", "1"))).await;

        let saved = service.save(save(KEY, Changes::default().set(entry, login))).await.session.unwrap();
        assert_eq!(saved.subject, "ann", "{subject_key}");
        assert_eq!(service.ids_of("ann").await, [saved.id]);
        assert_eq!(service.entries_of(KEY).await.len(), 2, "a login on a key keeps the entries before it");

        service.save(save(KEY, Changes::default().set(entry, logout))).await;
        assert_eq!(service.session_of(KEY).await.subject, "", "{subject_key}");
        assert!(service.ids_of("ann").await.is_empty());

        service.save(save(KEY, Changes::default().set(entry, login))).await;
        service.save(save(KEY, Changes::default().unset(entry))).await;
        assert_eq!(service.session_of(KEY).await.subject, "", "{subject_key}");
    }
}

#[apply(on_every_store)]
async fn sessions_of_keys_are_listed_and_ended_as_those_of_tokens(store: StoreKind) {
    let service = service(store).await;
    let context = RequestContext { user_agent: "Firefox".to_owned(), remote_address: "192.0.2.1".to_owned() };
    let log_in = SaveSessionRequest {
        context: Some(context.clone()),
        ..save(KEY, Changes::default().set("a", "1").subject("ann"))
    };
    service.save(log_in).await;
    service.save(save(OTHER_KEY, Changes::default().subject("ann"))).await;
    let third = b"sess-key-aaaaaaaaaaaaaaaa";
    service.save(save(third, Changes::default().set("a", "1"))).await;

    let listed = service.list_of("ann").await;
    assert_eq!(listed.len(), 2);
    assert!(listed.iter().any(|session| session.context.as_ref() == Some(&context)));
    assert_eq!(service.pages("", 100).await.concat().len(), 3);

    service.revoke(&service.session_of(KEY).await.id).await;
    let revoked = service.open(open(KEY)).await;
    assert_eq!((null_reason(&revoked), revoked.end_reason()), ("GONE", EndReason::Revoked));

    assert_eq!(service.revoke_subject("ann", "").await, 1);
    assert_eq!(service.open(open(OTHER_KEY)).await.end_reason(), EndReason::Revoked);

    assert!(!service.session_of(third).await.new);
    service.revoke_app("").await;
    assert_eq!(service.open(open(third)).await.end_reason(), EndReason::Revoked);
    assert_eq!(service.save(save(third, Changes::default().set("a", "2"))).await.outcome(), Outcome::Gone);
}

#[apply(on_every_store)]
async fn a_login_too_many_ends_the_oldest_session_or_is_refused(store: StoreKind) {
    for on_session_limit in [OnSessionLimit::Evict, OnSessionLimit::Refuse] {
        let settings = app::Settings { max_sessions_per_subject: 1, on_session_limit, ..settings() };
        let service = TestService::with_apps(store, [("default", settings)]).await;
        let log_in = |key: &[u8]| save(key, Changes::default().subject("ann"));
        service.save(log_in(KEY)).await;

        let second = service.try_save(log_in(OTHER_KEY)).await;

        match on_session_limit {
            OnSessionLimit::Evict => {
                assert_eq!(second.unwrap().outcome(), Outcome::Created);
                assert_eq!(service.open(open(KEY)).await.end_reason(), EndReason::Evicted);
            }
            OnSessionLimit::Refuse => {
                assert_eq!(reason(&refused(second)).1, "TOO_MANY_SESSIONS");
                assert!(service.session_of(OTHER_KEY).await.new);
            }
        }
    }
}

#[apply(on_every_store)]
async fn events_tell_of_the_sessions_of_keys(store: StoreKind) {
    let service = service(store).await;
    let id = service.session_of(KEY).await.id;
    let mut events = service.admin.clone().watch_events(WatchEventsRequest::default()).await.unwrap().into_inner();
    events.message().await.unwrap();

    service.save(save(KEY, Changes::default().set("a", "1"))).await;
    service.save(save(KEY, Changes::default().subject("ann"))).await;
    service.destroy_key(KEY).await;

    let mut seen = Vec::new();
    while seen.len() < 3 {
        let response = events.message().await.unwrap().unwrap();
        seen.extend(response.events.into_iter().map(|event| (event.id.clone(), event.kind())));
    }
    let expected = [SessionEventKind::Created, SessionEventKind::SubjectChanged, SessionEventKind::Ended];
    assert_eq!(seen, expected.map(|kind| (id.clone(), kind)));
}

#[apply(on_every_store)]
async fn an_operator_learns_what_a_key_leads_to(store: StoreKind) {
    let service = service(store).await;
    let explain = async || {
        let credential = Some(explain_credential_request::Credential::Key(KEY.to_vec()));
        let request = ExplainCredentialRequest { credential, ..Default::default() };
        let mut explained = service.admin.clone().explain_credential(request).await.unwrap().into_inner().explanations;
        let explanation = explained.pop().unwrap();
        assert!(explained.is_empty());
        (explanation.state(), explanation.end_reason(), explanation.id)
    };
    let id = service.session_of(KEY).await.id;

    let unknown = explain().await;
    service.save(save(KEY, Changes::default().set("a", "1"))).await;
    let live = explain().await;
    service.destroy_key(KEY).await;
    let ended = explain().await;

    assert_eq!(unknown, (CredentialState::Unknown, EndReason::Unspecified, id.clone()));
    assert_eq!(live, (CredentialState::Live, EndReason::Unspecified, id.clone()));
    assert_eq!(ended, (CredentialState::Ended, EndReason::Destroyed, id));
}
