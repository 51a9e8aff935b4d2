//! Saving: what a request changed is applied in one step, once, and never to what has ended.

use cloakroom::grpc::wire::{Changes, Outcome};

use crate::on_every_store;
use crate::support::calls::{ChangesExt as _, save, set_cookies, varies};
use crate::support::{House, On};

async fn a_first_save_creates_the_session_and_sets_its_cookie(on: On) {
    let house = House::new(on).await;
    let new = house.open_new().await;

    let saved = house.save(save(&new.token, Changes::default().set("a", "1"))).await;

    assert_eq!(saved.outcome(), Outcome::Created);
    let session = saved.session.unwrap();
    assert_eq!(session.id, new.id);
    assert_eq!(set_cookies(&saved.headers), [format!("session={}; HttpOnly; Path=/; SameSite=Lax", session.token)]);
    assert!(varies(&saved.headers));
    assert_eq!(house.entries(&session.token).await, [("a".to_owned(), "1".to_owned())].into());
}

async fn saves_of_different_entries_all_survive(on: On) {
    let house = House::new(on).await;
    let token = house.stored(&[("a", "1")]).await;

    house.save(save(&token, Changes::default().set("b", "2"))).await;
    house.save(save(&token, Changes::default().set("c", "3").unset("a"))).await;

    let entries = [("b", "2"), ("c", "3")].map(|(name, json)| (name.to_owned(), json.to_owned()));
    assert_eq!(house.entries(&token).await, entries.into());
}

on_every_store!(a_first_save_creates_the_session_and_sets_its_cookie, saves_of_different_entries_all_survive);
