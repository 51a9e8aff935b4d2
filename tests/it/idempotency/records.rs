//! Idempotency records: how many requests a session remembers, and for how long.

use cloakroom::grpc::wire::{Changes, Outcome, SaveSessionRequest};
use tonic::Code;

use crate::support::calls::{ChangesExt as _, save};
use crate::support::sessions::{MILLI, MINUTE, SaveExt as _};
use crate::support::{StoreKind, TestService};

const ID: &str = "0123456789abcdef";

/// Builds a save with a request id of its own.
fn other(token: &str, n: u32) -> SaveSessionRequest {
    save(token, Changes::default().set("other", &n.to_string())).request_id(&format!("other request {n:02}"))
}

#[apply(on_every_store)]
async fn each_session_has_its_own_request_ids(store: StoreKind) {
    let service = TestService::new(store).await;
    let (one, other) = (service.stored(&[("a", "1")]).await, service.stored(&[("a", "1")]).await);

    let first = service.save(save(&one, Changes::default().set("a", "2")).request_id(ID)).await;
    let second = service.save(save(&other, Changes::default().set("a", "3")).request_id(ID)).await;

    assert_eq!([first.outcome(), second.outcome()], [Outcome::Updated; 2]);
}

#[apply(on_every_store)]
async fn a_refused_save_is_not_remembered(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "\"text\"")]).await;

    let counted = service.refusal(save(&token, Changes::default().increment("a", 1)).request_id(ID)).await;
    let stale = service.refusal(save(&token, Changes::default().set("a", "1")).etag("77").request_id(ID)).await;
    let saved = service.save(save(&token, Changes::default().set("a", "2")).request_id(ID)).await;

    assert_eq!([counted.0, stale.0], [Code::FailedPrecondition, Code::Aborted]);
    assert_eq!(saved.outcome(), Outcome::Updated);
}

#[apply(on_every_store)]
async fn a_request_is_remembered_for_10_minutes(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;
    let request = || save(&token, Changes::default().increment("n", 1)).request_id(ID);
    service.save(request()).await;

    service.advance(10 * MINUTE - MILLI);
    let within = service.save(request()).await;
    service.advance(MILLI);
    let after = service.save(request()).await;

    assert_eq!((within.counters["n"], after.counters["n"]), (1, 2));
}

#[apply(on_every_store)]
async fn a_session_remembers_its_last_16_saves(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;
    let request = || save(&token, Changes::default().increment("n", 1)).request_id(ID);
    service.save(request()).await;

    for n in 0..15 {
        service.save(other(&token, n)).await;
    }
    // Neither a save without an id nor a repeated one needs a new record.
    service.update(&token, Changes::default().set("a", "2")).await;
    service.save(other(&token, 0)).await;
    let within = service.save(request()).await;
    service.save(other(&token, 15)).await;
    let after = service.save(request()).await;

    assert_eq!((within.counters["n"], after.counters["n"]), (1, 2));
}

#[apply(on_every_store)]
async fn a_creation_is_one_of_the_16_remembered_saves(store: StoreKind) {
    let service = TestService::new(store).await;
    let ticket = service.open_new().await.token;
    let request = || save(&ticket, Changes::default().increment("n", 1)).request_id(ID);
    let token = service.save(request()).await.session.unwrap().token;

    for n in 0..15 {
        service.save(other(&token, n)).await;
    }

    assert_eq!(service.save(request()).await.outcome(), Outcome::Created);
}

#[apply(on_every_store)]
async fn a_request_id_has_at_most_64_bytes(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;

    let fits = service.save(save(&token, Changes::default().set("a", "2")).request_id(&"x".repeat(64))).await;
    let refusal = service.refusal(save(&token, Changes::default().set("a", "3")).request_id(&"x".repeat(65))).await;

    assert_eq!(fits.outcome(), Outcome::Updated);
    assert_eq!(refusal, (Code::InvalidArgument, "REQUEST_ID_INVALID".to_owned()));
}
