//! Exports, while Redis restarts. It keeps its data.

use std::sync::Arc;
use std::time::Duration;

use cloakroom::store::{Export, Handle, Redis, RedisSettings, Revocation};
use cloakroom::types::SystemClock;
use futures_util::future::join_all;

use super::hot::{LARGE_SESSIONS, begin, fill_much, read};
use super::place::{Kind, Place, load, subject_ref, with_other_app};
use crate::conformance::fixtures::{HOUR, key_in, session_key, subject};
use crate::support::redis::RedisServer;
use crate::support::{TestService, app_settings, long_timeouts, now};

/// Starts a Redis that keeps its data, and opens a store that waits for it.
fn redis_and_store() -> (RedisServer, Handle) {
    let redis = RedisServer::start_with("--appendonly yes");
    let settings = RedisSettings { url: redis.url(), timeout: Duration::from_secs(60), ..Default::default() };
    let store = Redis::new(&settings).unwrap();
    (redis, Handle::from(store))
}

fn restart(redis: &mut RedisServer) {
    redis.stop();
    redis.start_again();
}

/// Imports the bytes of an export, and returns the store that has them.
fn imported(file: &[u8]) -> (Place, Handle) {
    let target = Place::new(Kind::Embedded);
    let path = target.folder.path().join("export");
    std::fs::write(&path, file).unwrap();
    with_other_app(&target).import(&path);
    let store = target.open();
    (target, store)
}

#[tokio::test]
async fn an_export_has_every_session_if_redis_restarts_meanwhile() {
    let (mut redis, store) = redis_and_store();
    let service = TestService::on_store(store, [("other", app_settings())], long_timeouts()).await;
    fill_much(&service.store).await;
    let mut responses = begin(&service, &[]).await.unwrap();
    let (mut file, _) = read(&mut responses, 1 << 20).await.unwrap();

    restart(&mut redis);

    file.extend(read(&mut responses, usize::MAX).await.unwrap().0);
    let (_target, store) = imported(&file);
    for number in LARGE_SESSIONS {
        assert!(load(&store, &key_in("other", number)).await.is_some(), "{number}");
    }
}

#[tokio::test]
async fn an_export_has_every_revocation_of_a_subject_if_redis_restarts_meanwhile() {
    let (mut redis, store) = redis_and_store();
    let revocation = Revocation { time: now(), until: now() + HOUR, except: None };
    let subjects = (0..4000).map(|n: u32| subject_ref(&session_key(0), subject(&n.to_string()))).collect::<Vec<_>>();
    let revoked = join_all(subjects.iter().map(|subject_ref| store.record_revocation(subject_ref, &revocation))).await;
    assert!(revoked.into_iter().all(|result| result.is_ok()));
    let mut export = Export::new(store, Arc::new(SystemClock), []);

    let mut file = Vec::new();
    for step in 0.. {
        let Some(part) = export.next().await.unwrap() else { break };
        file.extend(part.bytes);
        // The first steps are the begin of the file, the apps and about half of the revocations.
        if step == 3 {
            restart(&mut redis);
        }
    }

    let (_target, store) = imported(&file);
    for subject_ref in subjects {
        assert!(store.load_revocation(&subject_ref).await.unwrap().is_some(), "{subject_ref:?}");
    }
}
