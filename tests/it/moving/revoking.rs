//! A revocation covers what has not come in yet.

use cloakroom::app::{self, OnSessionLimit};
use cloakroom::grpc::wire::Changes;

use super::*;
use crate::on_every_store;
use crate::support::calls::{ChangesExt as _, save};
use crate::support::sessions::{MINUTE, SECOND};

#[apply(on_every_store)]
async fn of_an_app_that_was_revoked_nothing_older_comes_in(on: On) {
    let house = house(on).await;
    let old = house.old(&[("a", "1")]);
    let came_in = house.old(&[("a", "2")]);
    house.moves_in(&came_in).await;
    house.advance(SECOND);

    house.revoke_app("").await;
    house.advance(SECOND);
    let newer = house.old(&[("a", "3")]);

    assert!(house.is_nothing(&old).await && house.is_nothing(&came_in).await);
    house.moves_in(&newer).await;
    house.advance(20 * MINUTE);
    assert!(house.is_nothing(&old).await && house.is_nothing(&came_in).await);
    let door = house.door("flask_cookie").await;
    assert_eq!((door.imported, door.refused["REVOKED"]), (2, 4));
}

#[apply(on_every_store)]
async fn of_a_subject_that_was_revoked_nothing_older_comes_in(on: On) {
    let house = house(on).await;
    let [anna, bert] = [house.old(&[("_user_id", "\"anna\"")]), house.old(&[("_user_id", "\"bert\"")])];
    let came_in = house.old(&[("_user_id", "\"anna\""), ("a", "1")]);
    house.moves_in(&came_in).await;
    house.advance(SECOND);

    assert_eq!(house.revoke_subject("anna", "").await, 1);
    house.advance(SECOND);
    let newer = house.old(&[("_user_id", "\"anna\"")]);

    assert!(house.is_nothing(&anna).await && house.is_nothing(&came_in).await);
    house.moves_in(&bert).await;
    let (id, _) = house.moves_in(&newer).await;
    assert_eq!(house.ids_of("anna").await, [id]);
    house.advance(20 * MINUTE);
    assert!(house.is_nothing(&anna).await && house.is_nothing(&came_in).await);
}

#[apply(on_every_store)]
async fn the_session_that_was_spared_is_still_found(on: On) {
    let house = house(on).await;
    let [one, other, late] = ["1", "2", "3"].map(|n| house.old(&[("_user_id", "7"), ("n", n)]));
    let (id, token) = house.moves_in(&one).await;
    house.moves_in(&other).await;
    house.advance(SECOND);

    assert_eq!(house.revoke_subject("7", &id).await, 1);

    assert!(house.lives(&token).await);
    assert_eq!(house.moves_in(&one).await, (id, token));
    assert!(house.is_nothing(&other).await && house.is_nothing(&late).await);
}

#[apply(on_every_store)]
async fn a_session_that_became_somebody_s_here_needs_no_look(on: On) {
    let house = house(on).await;
    let old = house.old(&[("a", "1")]);
    let (_, token) = house.moves_in(&old).await;
    house.advance(SECOND);
    house.revoke_subject("anna", "").await;

    let token = house.log_in(&token, "anna").await;

    assert!(house.lives(&token).await);
    assert_eq!(house.ids_of("anna").await.len(), 1);
}

#[apply(on_every_store)]
async fn nobody_gives_way_to_what_comes_in(on: On) {
    for on_session_limit in [OnSessionLimit::Evict, OnSessionLimit::Refuse] {
        let limited = app::Settings { max_sessions_per_subject: 1, on_session_limit, ..settings() };
        let house = House::with_apps(on, [("default", limited)]).await;
        let olds = ["1", "2", "3"].map(|n| house.old(&[("_user_id", "7"), ("n", n)]));
        let mut ids = Vec::new();
        for old in &olds {
            ids.push(house.moves_in(old).await.0);
        }

        ids.sort_unstable();
        let mut listed = house.ids_of("7").await;
        listed.sort_unstable();
        assert_eq!(listed, ids);
        let login = save(&house.open_new().await.token, Changes::default().set("_user_id", "7"));
        match on_session_limit {
            OnSessionLimit::Evict => {
                house.save(login).await;
                assert_eq!(house.ids_of("7").await.len(), 1, "the next login counts them");
            }
            OnSessionLimit::Refuse => assert_eq!(house.refusal(login).await.1, "TOO_MANY_SESSIONS"),
        }
    }
}
