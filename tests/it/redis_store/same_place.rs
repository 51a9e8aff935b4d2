//! A move whose two stores are the same keys of the same Redis, by two names.

use cloakroom::store::{Error, Moving, PartitionCount, RedisSettings, Settings, SideSettings, Store as _, StoreKind};
use cloakroom::types::with_causes;

use crate::support::redis::RedisServer;
use crate::support::sentinel::SentinelService;

/// Opens both, and checks whether sessions can be moved between them.
async fn ping(redis: RedisSettings, previous: RedisSettings) -> Result<(), Error> {
    let previous = Some(SideSettings { kind: StoreKind::Redis, redis: previous, ..SideSettings::default() });
    let settings = Settings { kind: StoreKind::Redis, redis, previous, ..Settings::default() };
    settings.check().expect("the names are different");
    Moving::open(&settings).unwrap().unwrap().ping().await
}

#[tokio::test]
async fn the_same_redis_by_its_address_and_by_its_sentinels_is_no_move() {
    let redis = SentinelService::start().await;
    let url = RedisSettings { url: redis.servers[0].redis.url(), ..RedisSettings::default() };

    let error = ping(redis.settings(), url.clone()).await.unwrap_err();

    assert!(matches!(error, Error::Refused(_)), "{error:?}");
    let text = with_causes(&error);
    assert!(text.contains("is the same place as [store]") && text.contains("key_prefix"), "{text}");

    let another = RedisSettings { key_prefix: "other".to_owned(), ..url };
    ping(redis.settings(), another).await.expect("these are other keys");
}

#[tokio::test]
async fn another_database_or_another_redis_is_another_place() {
    let [redis, another] = [RedisServer::start(), RedisServer::start()];
    let settings = |url: String| RedisSettings { url, ..RedisSettings::default() };
    let wider = RedisSettings { partitions: Some(PartitionCount::P1024), ..settings(another.url()) };

    ping(settings(redis.url()), settings(format!("{}?db=1", redis.url()))).await.expect("this is another database");
    ping(wider, settings(redis.url())).await.expect("this is another server");
}
