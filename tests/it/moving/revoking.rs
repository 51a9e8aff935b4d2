//! A revocation covers what has not come in yet.

use cloakroom::app::{self, OnSessionLimit};
use cloakroom::grpc::wire::Changes;

use super::*;
use crate::support::calls::{ChangesExt as _, save};
use crate::support::sessions::{MINUTE, SECOND};

#[apply(on_every_store)]
async fn of_an_app_that_was_revoked_nothing_older_comes_in(on: On) {
    let service = service(on).await;
    let old = service.old(&[("a", "1")]);
    let came_in = service.old(&[("a", "2")]);
    service.moves_in(&came_in).await;
    service.advance(SECOND);

    service.revoke_app("").await;
    service.advance(SECOND);
    let newer = service.old(&[("a", "3")]);

    assert!(service.is_nothing(&old).await && service.is_nothing(&came_in).await);
    service.moves_in(&newer).await;
    service.advance(20 * MINUTE);
    assert!(service.is_nothing(&old).await && service.is_nothing(&came_in).await);
    let door = service.door("flask_cookie").await;
    assert_eq!((door.imported, door.refused["REVOKED"]), (2, 4));
}

#[apply(on_every_store)]
async fn of_a_subject_that_was_revoked_nothing_older_comes_in(on: On) {
    let service = service(on).await;
    let [anna, bert] = [service.old(&[("_user_id", "\"anna\"")]), service.old(&[("_user_id", "\"bert\"")])];
    let came_in = service.old(&[("_user_id", "\"anna\""), ("a", "1")]);
    service.moves_in(&came_in).await;
    service.advance(SECOND);

    assert_eq!(service.revoke_subject("anna", "").await, 1);
    service.advance(SECOND);
    let newer = service.old(&[("_user_id", "\"anna\"")]);

    assert!(service.is_nothing(&anna).await && service.is_nothing(&came_in).await);
    service.moves_in(&bert).await;
    let (id, _) = service.moves_in(&newer).await;
    assert_eq!(service.ids_of("anna").await, [id]);
    service.advance(20 * MINUTE);
    assert!(service.is_nothing(&anna).await && service.is_nothing(&came_in).await);
}

#[apply(on_every_store)]
async fn the_session_that_was_spared_is_still_found(on: On) {
    let service = service(on).await;
    let [one, other, late] = ["1", "2", "3"].map(|n| service.old(&[("_user_id", "7"), ("n", n)]));
    let (id, token) = service.moves_in(&one).await;
    service.moves_in(&other).await;
    service.advance(SECOND);

    assert_eq!(service.revoke_subject("7", &id).await, 1);

    assert!(service.is_live(&token).await);
    assert_eq!(service.moves_in(&one).await, (id, token));
    assert!(service.is_nothing(&other).await && service.is_nothing(&late).await);
}

#[apply(on_every_store)]
async fn a_session_that_became_somebody_s_here_needs_no_look(on: On) {
    let service = service(on).await;
    let old = service.old(&[("a", "1")]);
    let (_, token) = service.moves_in(&old).await;
    service.advance(SECOND);
    service.revoke_subject("anna", "").await;

    let token = service.log_in(&token, "anna").await;

    assert!(service.is_live(&token).await);
    assert_eq!(service.ids_of("anna").await.len(), 1);
}

#[apply(on_every_store)]
async fn nobody_gives_way_to_what_comes_in(on: On) {
    for on_session_limit in [OnSessionLimit::Evict, OnSessionLimit::Refuse] {
        let limited = app::Settings { max_sessions_per_subject: 1, on_session_limit, ..settings() };
        let service = TestService::with_apps(on, [("default", limited)]).await;
        let olds = ["1", "2", "3"].map(|n| service.old(&[("_user_id", "7"), ("n", n)]));
        let mut ids = Vec::new();
        for old in &olds {
            ids.push(service.moves_in(old).await.0);
        }

        ids.sort_unstable();
        let mut listed = service.ids_of("7").await;
        listed.sort_unstable();
        assert_eq!(listed, ids);
        let login = save(&service.open_new().await.token, Changes::default().set("_user_id", "7"));
        match on_session_limit {
            OnSessionLimit::Evict => {
                service.save(login).await;
                assert_eq!(service.ids_of("7").await.len(), 1, "the next login counts them");
            }
            OnSessionLimit::Refuse => assert_eq!(service.refusal(login).await.1, "TOO_MANY_SESSIONS"),
        }
    }
}
