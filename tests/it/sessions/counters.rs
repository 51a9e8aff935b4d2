//! Counters: increments add up exactly, and only integers can be incremented.

use cloakroom::grpc::wire::{Changes, Outcome};
use tokio::task::JoinSet;
use tonic::Code;

use crate::support::calls::{ChangesExt as _, save};
use crate::support::{StoreKind, TestService};

#[apply(on_every_store)]
async fn increments_add_up_and_are_answered(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "40"), ("b", "-1")]).await;

    let first = service.save(save(&token, Changes::default().increment("a", 2).increment("b", -2))).await;
    let second = service.save(save(&token, Changes::default().increment("a", -50).set("c", "1"))).await;

    assert_eq!(first.counters, [("a".to_owned(), 42), ("b".to_owned(), -3)].into());
    assert_eq!(second.counters, [("a".to_owned(), -8)].into());
    assert_eq!(service.entries(&token).await["a"], "-8");
}

#[apply(on_every_store)]
async fn an_absent_counter_is_zero(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;

    let saved = service.save(save(&token, Changes::default().increment("b", 3).increment("c", 0))).await;

    assert_eq!(saved.counters, [("b".to_owned(), 3), ("c".to_owned(), 0)].into());
    let entries = service.entries(&token).await;
    assert_eq!([&entries["b"], &entries["c"]], ["3", "0"]);
}

#[apply(on_every_store)]
async fn an_increment_creates_a_session(store: StoreKind) {
    let service = TestService::new(store).await;
    let ticket = service.open_new().await.token;

    let saved = service.save(save(&ticket, Changes::default().increment("hits", 1))).await;

    assert_eq!(saved.outcome(), Outcome::Created);
    assert_eq!(saved.counters, [("hits".to_owned(), 1)].into());
    assert_eq!(service.entries(&saved.session.unwrap().token).await["hits"], "1");
}

#[apply(on_every_store)]
async fn counters_add_up_under_concurrency(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "0")]).await;
    let mut saves = JoinSet::new();

    for _ in 0..100 {
        let (mut client, request) = (service.client.clone(), save(&token, Changes::default().increment("a", 1)));
        saves.spawn(async move { client.save_session(request).await.unwrap().into_inner().counters["a"] });
    }
    let mut answers = saves.join_all().await;

    answers.sort_unstable();
    assert_eq!(answers, (1..=100).collect::<Vec<_>>());
    assert_eq!(service.entries(&token).await["a"], "100");
}

#[apply(on_every_store)]
async fn counters_reach_both_ends_of_their_range(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("top", "9223372036854775806"), ("bottom", "-9223372036854775807")]).await;

    let saved = service.save(save(&token, Changes::default().increment("top", 1).increment("bottom", -1))).await;

    assert_eq!(saved.counters, [("top".to_owned(), i64::MAX), ("bottom".to_owned(), i64::MIN)].into());
    let entries = service.entries(&token).await;
    assert_eq!([&entries["top"], &entries["bottom"]], ["9223372036854775807", "-9223372036854775808"]);
}

#[apply(on_every_store)]
async fn the_largest_increments_are_exact(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "-1"), ("b", "9007199254740993")]).await;

    let changes = Changes::default().increment("a", i64::MAX).increment("b", 1).increment("c", i64::MIN);
    let saved = service.save(save(&token, changes)).await;

    let counters =
        [("a".to_owned(), i64::MAX - 1), ("b".to_owned(), 9_007_199_254_740_994), ("c".to_owned(), i64::MIN)];
    assert_eq!(saved.counters, counters.into());
}

#[apply(on_every_store)]
async fn an_overflow_in_either_direction_is_refused_and_writes_nothing(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("top", "9223372036854775807"), ("bottom", "-9223372036854775808")]).await;
    let before = (service.session(&token).await.etag, service.entries(&token).await);

    for (name, delta) in [("top", 1), ("top", i64::MAX), ("bottom", -1), ("bottom", i64::MIN)] {
        let changes = Changes::default().increment("a", 1).increment(name, delta).increment("z", 1).set("b", "1");
        let refusal = service.refusal(save(&token, changes)).await;
        assert_eq!(refusal, (Code::FailedPrecondition, "NOT_A_COUNTER".to_owned()), "{name} {delta}");
    }

    assert_eq!((service.session(&token).await.etag, service.entries(&token).await), before);
}

#[apply(on_every_store)]
async fn only_a_decimal_64_bit_integer_is_a_counter(store: StoreKind) {
    let service = TestService::new(store).await;
    let others = [
        "\"1\"",
        "1.0",
        "1e3",
        "-0",
        "null",
        "true",
        "[]",
        "{}",
        " 1",
        "1 ",
        "9223372036854775808",
        "-9223372036854775809",
        "18446744073709551615",
        "1E0",
        "0.5",
    ];
    for json in others {
        let token = service.stored(&[("a", "7"), ("n", json)]).await;
        let before = (service.session(&token).await.etag, service.entries(&token).await);

        let changes = Changes::default().increment("a", 1).increment("n", 1).increment("z", 1).unset("x").set("b", "1");
        let refusal = service.refusal(save(&token, changes)).await;

        assert_eq!(refusal, (Code::FailedPrecondition, "NOT_A_COUNTER".to_owned()), "{json}");
        assert_eq!((service.session(&token).await.etag, service.entries(&token).await), before, "{json}");
    }
}

#[apply(on_every_store)]
async fn leading_zeros_are_invalid_json(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;

    for json in ["01", "-01", "+1"] {
        let refusal = service.refusal(save(&token, Changes::default().set("n", json))).await;
        assert_eq!(refusal, (Code::InvalidArgument, "VALUE_INVALID".to_owned()), "{json}");
    }

    assert_eq!(service.entries(&token).await.len(), 1);
}

#[apply(on_every_store)]
async fn raw_bytes_are_not_a_counter(store: StoreKind) {
    let service = TestService::new(store).await;
    for raw in [&b"1"[..], b"", b"0"] {
        let token =
            service.update(&service.stored(&[("a", "1")]).await, Changes::default().set_raw("n", raw)).await.token;

        let refusal = service.refusal(save(&token, Changes::default().increment("n", 1).increment("a", 1))).await;

        assert_eq!(refusal, (Code::FailedPrecondition, "NOT_A_COUNTER".to_owned()));
        assert_eq!(service.entries(&token).await["n"], format!("raw {raw:?}"));
        assert_eq!(service.entries(&token).await["a"], "1");
    }
}

#[apply(on_every_store)]
async fn a_cleared_entry_of_any_kind_can_be_incremented(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("n", "\"text\"")]).await;

    let saved = service.save(save(&token, Changes::default().clear().increment("n", 5))).await;

    assert_eq!(saved.counters, [("n".to_owned(), 5)].into());
}
