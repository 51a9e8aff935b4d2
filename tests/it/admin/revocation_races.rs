//! Races with revocations: no session that existed before a revocation survives it.

use cloakroom::grpc::wire::{Changes, EndReason, Outcome};

use crate::support::calls::{ChangesExt as _, save};
use crate::support::race::{Round, race};
use crate::support::sessions::{MINUTE, gone};
use crate::support::{StoreKind, TestService, app_settings};

#[apply(on_every_store)]
async fn no_save_survives_or_undoes_a_revocation_of_its_subject(store: StoreKind) {
    race(store, app_settings(), |Round { service, left, .. }| async move {
        let session = service.logged_in(&subject()).await;
        let subject = &session.subject;

        let changes = Changes::default().set("b", "1");
        let (saved, revoked) =
            tokio::join!(left.save(save(&session.token, changes)), service.revoke_subject(subject, ""));

        let saved = saved.unwrap();
        assert_eq!(revoked, 1);
        if saved.outcome() != Outcome::Updated {
            assert_eq!(gone(&saved), EndReason::Revoked);
        }
        assert!(!service.is_live(&session.token).await && service.ids_of(subject).await.is_empty());
    })
    .await;
}

#[apply(on_every_store)]
async fn a_login_during_a_revocation_is_ended_by_it_or_by_the_next(store: StoreKind) {
    race(store, app_settings(), |Round { service, left, .. }| async move {
        let subject = subject();
        let [before, token] = [service.logged_in(&subject).await.token, service.stored(&[("a", "1")]).await];

        let login = save(&token, Changes::default().subject(&subject));
        let (login, _) = tokio::join!(left.save(login), service.revoke_subject(&subject, ""));

        let after = login.unwrap().session.unwrap();
        assert!(!service.is_live(&before).await, "it belonged to the subject before the revocation");
        let listed = service.ids_of(&subject).await;
        let is_live = service.is_live(&after.token).await;
        assert_eq!(listed.contains(&after.id), is_live, "it is listed if it is live");
        assert_eq!(service.revoke_subject(&subject, "").await, u32::from(is_live));
        assert!(!service.is_live(&after.token).await);
    })
    .await;
}

#[apply(on_every_store)]
async fn a_creation_during_a_revocation_is_ended_by_it_or_by_the_next(store: StoreKind) {
    race(store, app_settings(), |Round { service, left, .. }| async move {
        let (subject, ticket) = (subject(), service.open_new().await.token);

        let creation = save(&ticket, Changes::default().set("a", "1").subject(&subject));
        let (created, _) = tokio::join!(left.save(creation), service.revoke_subject(&subject, ""));

        let session = created.unwrap().session.unwrap();
        let is_live = service.is_live(&session.token).await;
        assert_eq!(service.revoke_subject(&subject, "").await, u32::from(is_live));
        assert!(!service.is_live(&session.token).await && service.ids_of(&subject).await.is_empty());
    })
    .await;
}

#[apply(on_every_store)]
async fn a_change_of_subject_during_a_revocation_comes_before_or_after_it(store: StoreKind) {
    race(store, app_settings(), |Round { service, left, .. }| async move {
        let (alice, bob) = (subject(), subject());
        let session = service.logged_in(&alice).await;

        let change_of_subject = save(&session.token, Changes::default().set("b", "1").subject(&bob));
        let (saved, revoked) = tokio::join!(left.save(change_of_subject), service.revoke_subject(&alice, ""));

        let saved = saved.unwrap();
        if saved.outcome() == Outcome::Updated {
            assert_eq!(revoked, 0);
            assert_eq!(service.ids_of(&bob).await, [session.id]);
            assert!(service.is_live(&saved.session.unwrap().token).await);
        } else {
            assert_eq!((gone(&saved), revoked), (EndReason::Revoked, 1));
        }
        assert!(service.ids_of(&alice).await.is_empty());
    })
    .await;
}

#[apply(on_every_store)]
async fn index_cleanup_by_a_list_never_loses_a_login(store: StoreKind) {
    let service = TestService::new(store).await;
    for _ in 0..50 {
        let (alice, bob) = (subject(), subject());
        let session = service.logged_in(&alice).await;
        let token = service.update(&session.token, Changes::default().set("b", "1").subject(&bob)).await.token;
        service.advance(6 * MINUTE);

        // Alice's first index entry is outdated, and now the session is hers again.
        let back = save(&token, Changes::default().set("a", "1").subject(&alice));
        let (saved, ..) = tokio::join!(service.save(back), service.ids_of(&alice), service.ids_of(&alice));

        assert_eq!(saved.outcome(), Outcome::Updated);
        assert_eq!(service.ids_of(&alice).await, [session.id]);
    }
}

#[apply(on_every_store)]
async fn a_creation_during_an_app_revocation_comes_before_or_after_it(store: StoreKind) {
    race(store, app_settings(), |Round { service, left, .. }| async move {
        let before = service.open_new().await.token;
        let before = service.save(save(&before, Changes::default().set("a", "1"))).await.session.unwrap().token;
        let ticket = service.open_new().await.token;

        let creation = save(&ticket, Changes::default().set("a", "1"));
        let (created, ()) = tokio::join!(left.save(creation), service.revoke_app(""));

        assert_eq!(created.unwrap().outcome(), Outcome::Created);
        assert!(!service.is_live(&before).await, "it was created before the revocation");
    })
    .await;
}

/// Returns a subject that no other round uses.
fn subject() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("subject{}", NEXT.fetch_add(1, Ordering::Relaxed))
}
