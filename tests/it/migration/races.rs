//! Races of imports on two replicas: with each other, with logouts and with revocations.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::*;

/// Two processes that share a store and a clock.
async fn replicas(store: StoreKind, cookie: CookieSource) -> [Arc<TestService>; 2] {
    let service = service_of(store, cookie).await;
    let other = service.another_process().await;
    [Arc::new(service), Arc::new(other)]
}

#[apply(on_every_store_and_cookie)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_first_requests_with_one_cookie_make_one_session(store: StoreKind, cookie: CookieSource) {
    let replicas = replicas(store, cookie).await;
    for round in 0..ROUNDS {
        let old = cookie.sign(&replicas[0], &[("_user_id", &round.to_string()), ("a", "1")]);
        let mut requests = JoinSet::new();
        for n in 0..8 {
            let (service, old) = (Arc::clone(&replicas[n % 2]), old.clone());
            requests.spawn(async move { service.import(&old).await });
        }

        let found = requests.join_all().await.into_iter().collect::<BTreeSet<_>>();

        assert_eq!(found.len(), 1);
        assert_eq!(replicas[0].ids_of(&round.to_string()).await.len(), 1);
    }
    let stats = [replicas[0].migration(cookie.as_str()).await, replicas[1].migration(cookie.as_str()).await];
    assert_eq!(stats[0].imported + stats[1].imported, u64::try_from(ROUNDS).unwrap());
}

#[apply(on_every_store_and_cookie)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_import_survives_or_undoes_a_logout(store: StoreKind, cookie: CookieSource) {
    let [one, other] = replicas(store, cookie).await;
    for round in 0..ROUNDS {
        let old = cookie.sign(&one, &[("n", &round.to_string())]);
        let header = format!("session={old}");

        let (_, destroyed) = tokio::join!(one.open_value(&old), other.destroy_header(&header));

        assert_eq!(destroyed.outcome(), cloakroom::grpc::wire::Outcome::Deleted);
        assert!(one.opens_nothing(&old).await && other.opens_nothing(&old).await);
    }
}

#[apply(on_every_store_and_cookie)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_import_survives_a_revocation_of_its_subject(store: StoreKind, cookie: CookieSource) {
    let [one, other] = replicas(store, cookie).await;
    for round in 0..ROUNDS {
        let subject = format!("subject-{round}");
        let old = cookie.sign(&one, &[("_user_id", &format!("\"{subject}\""))]);

        let ((_, session), _) = tokio::join!(one.open_value(&old), other.revoke_subject(&subject, ""));

        assert!(one.opens_nothing(&old).await && other.opens_nothing(&old).await);
        assert!(session.new || !one.is_live(&session.token).await);
        assert!(one.ids_of(&subject).await.is_empty());
    }
}

#[apply(on_every_store_and_cookie)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_import_survives_a_revocation_of_its_app(store: StoreKind, cookie: CookieSource) {
    let [one, other] = replicas(store, cookie).await;
    for round in 0..REVOCATION_ROUNDS {
        let old = cookie.sign(&one, &[("n", &round.to_string())]);

        let ((_, session), ()) = tokio::join!(one.open_value(&old), other.revoke_app(""));

        assert!(one.opens_nothing(&old).await && other.opens_nothing(&old).await);
        assert!(session.new || !one.is_live(&session.token).await);
        one.advance(Duration::from_secs(1));
    }
}

const ROUNDS: usize = 20;

/// Fewer, because on Redis the revocation of an app is a write to each of 64 partitions.
const REVOCATION_ROUNDS: usize = 5;
