//! A Redis that has no room: whatever ends a session works, and everything else that writes is refused.

use cloakroom::grpc::wire::{Changes, Outcome};
use tonic::Code;

use super::service;
use crate::support::calls::{ChangesExt as _, reason, refused, save};
use crate::support::redis::RedisServer;

fn set_maxmemory(redis: &RedisServer, bytes: &str) {
    assert_eq!(redis.cli(&["config", "set", "maxmemory", bytes]), "OK\n");
}

#[tokio::test]
async fn ending_needs_no_room() {
    let (redis, service) = service().await;
    let first = service.logged_in("anna").await;
    let second = service.logged_in("anna").await;
    let third = service.logged_in("ben").await;
    let fourth = service.logged_in("carl").await;

    set_maxmemory(&redis, "1");

    let saved = refused(service.try_save(save(&first.token, Changes::default().set("a", "2"))).await);
    let created =
        refused(service.try_save(save(&service.open_new().await.token, Changes::default().set("a", "2"))).await);
    assert_eq!(reason(&saved), (Code::ResourceExhausted, "STORE_FULL".to_owned()));
    assert_eq!(reason(&created), (Code::ResourceExhausted, "STORE_FULL".to_owned()));
    assert_eq!(service.destroy(&first.token).await.outcome(), Outcome::Deleted);
    service.revoke(&service.ids_of("ben").await[0]).await;
    assert_eq!(service.revoke_subject("anna", "").await, 1);
    service.revoke_app("").await;
    set_maxmemory(&redis, "0");
    for session in [first, second, third, fourth] {
        assert!(!service.is_live(&session.token).await);
    }
}
