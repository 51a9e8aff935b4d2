//! The count of the live sessions: exact for few, within 5 % for many, or missing.

use std::time::Duration;

use cloakroom::app::{self, Apps};
use cloakroom::server;
use cloakroom::service::CountPace;
use cloakroom::session::{Authority, EndReason, Precondition};
use cloakroom::store::{self, Handle, RedisSettings, Write};
use cloakroom::types::{Clock as _, Time};

use super::http_pages::metric;
use crate::support::fill::{create_all, for_each, hashed_key, session};
use crate::support::{StoreKind, TestService, app_settings, long_timeouts};

const HOUR: Duration = Duration::from_secs(3600);

/// Starts a service that counts only when the test says so, with these apps.
async fn service(store: StoreKind, apps: &[&str]) -> TestService {
    let settings = server::Settings { live_count_interval: Duration::ZERO, ..long_timeouts() };
    let service = TestService::with_server(store, settings).await;
    let apps: Apps = apps.iter().map(|name| app_settings().build(name).unwrap()).collect();
    service.inner.replace_apps(&apps);
    service
}

/// Creates sessions: of each 20, 4 have ended and 2 have expired; of the 14 that live, 5 are anonymous.
async fn fill(service: &TestService, app: &'static str, count: u32) {
    let now = service.clock.now();
    create_all(&service.store, app, 0..count, |number| match number % 20 {
        0..=1 => session(None, before(now, HOUR + Duration::from_secs(60))),
        2..=6 => session(None, now),
        _ => session(Some("anna"), now),
    })
    .await;
    for_each((0..count).filter(|number| number % 20 >= 16), |number| {
        let store = service.store.clone();
        let precondition = Precondition::unconditional(Authority::Admin, now);
        async move {
            let end = Write::End(EndReason::Revoked);
            store.apply(&hashed_key(app, number), &precondition, &end).await.unwrap();
        }
    })
    .await;
}

fn before(time: Time, duration: Duration) -> Time {
    time.before(duration)
}

async fn count(service: &TestService) {
    service.inner.count_live_sessions(CountPace::default()).await.unwrap();
}

fn is_near(counted: Option<u64>, number: u32) -> bool {
    counted.is_some_and(|counted| (counted as f64 / f64::from(number) - 1.0).abs() <= 0.05)
}

#[tokio::test]
async fn apps_that_no_count_was_possible_for_have_a_metric_unless_counting_is_off() {
    let cookie_kind = app::Settings { kind: app::KindSetting::Cookie, ..app_settings() };
    let nowhere = RedisSettings { url: "redis://127.0.0.1:1".to_owned(), ..Default::default() };
    let on = async |live_count_interval| {
        let settings = store::Settings { kind: store::StoreKind::Redis, redis: nowhere.clone(), ..Default::default() };
        let apps = [("default", app_settings()), ("flask", cookie_kind.clone())];
        let server = server::Settings { live_count_interval, ..long_timeouts() };
        TestService::on_store(Handle::open(&settings).unwrap(), apps, server).await
    };
    let (counting, not_counting) = (on(HOUR).await, on(Duration::ZERO).await);
    let since = async |service: &TestService, app: &str| {
        metric(service, &format!("cloakroom_sessions_uncounted_since_timestamp_seconds{{app=\"{app}\"}}")).await
    };

    let [shown, of_cookies, off] =
        [since(&counting, "default").await, since(&counting, "flask").await, since(&not_counting, "default").await];

    let expected = counting.clock.now().seconds() as f64;
    assert!(shown.is_some_and(|shown| (shown - expected).abs() < 2.0), "{shown:?}, {expected}");
    assert_eq!((of_cookies, off), (None, None));
}

#[apply(on_every_store)]
async fn few_live_sessions_are_counted_exactly(store: StoreKind) {
    let service = service(store, &["default", "shop", "shop2", "blog", "empty"]).await;
    fill(&service, "shop", 400).await;
    fill(&service, "shop2", 20).await;
    fill(&service, "blog", 40).await;
    service.admin.clone().revoke_app(revocation("blog")).await.unwrap();
    create_all(&service.store, "blog", 100..103, |_| session(Some("bob"), service.clock.now())).await;

    let before = service.stats("shop").await;
    count(&service).await;

    assert_eq!((before.live, before.live_anonymous, before.scan_time), (None, None, None));
    for (app, live, anonymous) in [("shop", 280, 100), ("shop2", 14, 5), ("blog", 3, 0), ("empty", 0, 0)] {
        let stats = service.stats(app).await;
        assert_eq!((stats.live, stats.live_anonymous), (Some(live), Some(anonymous)), "{app}");
        assert!(stats.scan_time.is_some());
    }
}

#[apply(on_every_store)]
async fn many_live_sessions_are_counted_within_five_percent(store: StoreKind) {
    let service = service(store, &["default", "shop"]).await;
    fill(&service, "default", 28_000).await;
    fill(&service, "shop", 40).await;

    count(&service).await;

    let (stats, shop) = (service.stats("").await, service.stats("shop").await);
    assert!(is_near(stats.live, 28_000 * 14 / 20), "{:?}", stats.live);
    assert!(is_near(stats.live_anonymous, 28_000 * 5 / 20), "{:?}", stats.live_anonymous);
    assert_eq!((shop.live, shop.live_anonymous), (Some(28), Some(10)));
}

#[tokio::test]
async fn a_number_that_no_sample_can_give_is_missing() {
    let service = service(StoreKind::Memory, &["default"]).await;
    let now = service.clock.now();
    // One session of 500 is anonymous.
    let subject = |number: u32| (!number.is_multiple_of(500)).then_some("anna");
    create_all(&service.store, "default", 0..30_000, |number| session(subject(number), now)).await;

    count(&service).await;
    let mostly_authenticated = service.stats("").await;
    let metrics = super::http_pages::page(&service, "/metrics").await;
    service.admin.clone().revoke_app(revocation("default")).await.unwrap();
    create_all(&service.store, "default", 30_000..30_100, |_| session(None, now)).await;
    count(&service).await;
    let mostly_revoked = service.stats("").await;

    assert!(is_near(mostly_authenticated.live, 30_000), "{:?}", mostly_authenticated.live);
    assert_eq!(mostly_authenticated.live_anonymous, None);
    let live = metrics.lines().filter(|line| line.starts_with("cloakroom_sessions_live{"));
    let live: Vec<&str> = live.filter_map(|line| line.split_once('}')).map(|(labels, _)| labels).collect();
    assert_eq!(live, ["cloakroom_sessions_live{app=\"default\",kind=\"any\""]);
    assert_eq!((mostly_revoked.live, mostly_revoked.live_anonymous), (None, None));
    assert!(mostly_revoked.scan_time.is_some());
}

fn revocation(app: &str) -> cloakroom::grpc::wire::RevokeAppRequest {
    cloakroom::grpc::wire::RevokeAppRequest { app: app.to_owned() }
}
