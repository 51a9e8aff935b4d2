//! Bytes in a store that are not a session or a revocation: an export goes on without them, and says so.

use cloakroom::store::Handle;
use redb::{Database, ReadableTable as _, TableDefinition};

use super::place::{Kind, LIVE, OTHERS, Place, anna, fill, load, revocation, with_other_app};
use crate::cli::program::Ended;
use crate::conformance::fixtures::{key_in, session_key};
use crate::support::{TestService, app_settings, long_timeouts};

const CORRUPT: u32 = 200;

/// A store with sessions and revocations, of which one each is damaged.
async fn damaged(kind: Kind) -> Place {
    let place = Place::new(kind);
    fill(&place.open()).await;
    match kind {
        Kind::Embedded => damage_data_file(&place),
        Kind::Redis | Kind::RedisCluster => damage_redis(&place),
    }
    place
}

fn damage_data_file(place: &Place) {
    let database = Database::open(place.settings().embedded.data_file()).unwrap();
    let writing = database.begin_write().unwrap();
    let session = [b"other".as_slice(), key_in("other", CORRUPT).id.as_bytes()].concat();
    let mut sessions = writing.open_table(TableDefinition::<&[u8], &[u8]>::new("sessions")).unwrap();
    assert!(sessions.insert(session.as_slice(), b"\x01no session".as_slice()).unwrap().is_some());
    drop(sessions);
    let mut index = writing.open_table(TableDefinition::<&[u8], &[u8]>::new("index")).unwrap();
    let revocations: Vec<Vec<u8>> =
        index.iter().unwrap().map(|row| row.unwrap().0.value().to_vec()).filter(|key| key.len() == 16).collect();
    let [revocation] = &revocations[..] else { panic!("there is one revocation: {revocations:?}") };
    index.insert(revocation.as_slice(), b"no revocation".as_slice()).unwrap();
    drop(index);
    writing.commit().unwrap();
}

fn damage_redis(place: &Place) {
    let settings = &place.settings().redis;
    let mut connection = redis::Client::open(settings.url.as_str()).unwrap().get_connection().unwrap();
    let mut damage = |pattern: String, field: &str| {
        let pattern = format!("{}:{pattern}", settings.key_prefix);
        let command = redis::cmd("SCAN").arg(0).arg("MATCH").arg(&pattern).arg("COUNT").arg(1_000_000).clone();
        let (_, keys): (u64, Vec<String>) = command.query(&mut connection).unwrap();
        let [key] = &keys[..] else { panic!("{pattern} is one key: {keys:?}") };
        let _: i64 = redis::cmd("HSET").arg(key).arg(field).arg("no session").query(&mut connection).unwrap();
    };
    damage(format!("*:other:{}", key_in("other", CORRUPT).id), "m");
    damage("*:default:subject".to_owned(), "revoked");
}

/// The export must say what it left out, and the file must have all others.
async fn check(ended: &Ended, place: &Place, file: &str) {
    let id = key_in("other", CORRUPT).id;
    let named = format!("session {id} of the app other is left out: its bytes in the store are no session");
    assert!(ended.code == Some(65) && ended.stderr.contains(&named), "{ended:?}");
    assert!(ended.stderr.contains(&format!("{} sessions exported", OTHERS.len() + 3)), "{ended:?}");
    assert!(ended.stderr.contains("1 session left out"), "{ended:?}");
    assert!(ended.stderr.contains("1 revocation of users could not be read, and counts as of now"), "{ended:?}");

    let target = Place::new(Kind::Embedded);
    with_other_app(&target).import(&place.folder.path().join(file));
    let store = target.open();
    assert!(load(&store, &key_in("other", CORRUPT)).await.is_none());
    for number in OTHERS.filter(|number| *number != CORRUPT) {
        assert!(load(&store, &key_in("other", number)).await.is_some(), "{number}");
    }
    assert!(load(&store, &session_key(LIVE)).await.is_some());
    assert_revoked_now(&store).await;
}

/// Nobody knows what the revocation was, so the time of the export takes its place.
async fn assert_revoked_now(store: &Handle) {
    let stored = store.load_revocation(&anna()).await.unwrap().unwrap();
    assert!(stored.time != revocation().time && stored.except.is_none(), "{stored:?}");
}

#[tokio::test]
async fn one_corrupt_session_does_not_stop_an_export() {
    for kind in [Kind::Embedded, Kind::Redis] {
        let place = damaged(kind).await;

        let ended = with_other_app(&place).run(&["export", "file"]);

        check(&ended, &place, "file").await;
    }
}

#[tokio::test]
async fn one_corrupt_session_does_not_stop_an_export_from_a_running_service() {
    for kind in [Kind::Embedded, Kind::Redis] {
        let place = damaged(kind).await;
        let apps = [("default", app_settings()), ("other", app_settings())];
        let service = TestService::on_store(place.open(), apps, long_timeouts()).await;
        let address = service.admin_address.trim_start_matches("http://");

        let ended = place.run_beside(&["export", "file", "--address", address]).await;

        check(&ended, &place, "file").await;
    }
}
