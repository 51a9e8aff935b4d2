//! `cloakroom sessions`: its arguments, and what it says when the service does not answer as it should.

use super::program::{Ended, Program};
use crate::support::{StoreKind, TestService};

const ID: &str = "0123456789abcdef0123456789abcdef";

fn sessions(arguments: &[&str]) -> Ended {
    Program::new(&[&["sessions"], arguments].concat()).run()
}

#[test]
fn a_verb_without_what_it_needs_is_a_mistake_of_usage() {
    for arguments in [
        &[][..],
        &["show"],
        &["show", "0123"],
        &["show", "0123456789ABCDEF0123456789ABCDEF"],
        &["revoke"],
        &["revoke", ID, "x"],
        &["revoke-subject"],
        &["revoke-subject", ""],
        &["revoke-subject", "user-1", "--except", "x"],
        &["list", "--subject", ""],
        &["list", "--address", "nowhere"],
        &["list", "--timeout", "5"],
    ] {
        let ended = sessions(arguments);

        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{arguments:?}: {ended:?}");
    }
}

#[test]
fn a_wrong_id_is_told_what_an_id_is() {
    let ended = sessions(&["show", "0123"]);

    assert!(ended.stderr.contains("an id is 32 lower-case hexadecimal digits"), "{ended:?}");
}

#[test]
fn a_whole_app_is_not_revoked_unless_somebody_says_yes() {
    let ended = sessions(&["revoke-app", "--address", "unix:/nowhere"]);

    let expected = "cloakroom: this ends all sessions of the app; say --yes\n";
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(1), expected));
}

#[test]
fn where_nobody_listens_every_verb_says_so() {
    let address = "unix:/nowhere/socket";
    for arguments in [
        &["list"][..],
        &["show", ID],
        &["revoke", ID],
        &["revoke-subject", "user-1"],
        &["revoke-app", "--yes"],
        &["stats"],
    ] {
        let ended = sessions(&[arguments, &["--address", address]].concat());

        let expected = format!("cloakroom: {address}: no connection: No such file or directory (os error 2)\n");
        assert_eq!((ended.code, ended.stderr), (Some(1), expected), "{arguments:?}");
    }
}

#[test]
fn a_service_that_never_answers_is_given_up() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();

    let ended = sessions(&["stats", "--address", &address, "--timeout", "50ms"]);

    let expected = format!("cloakroom: {address}: no answer within 50ms\n");
    assert_eq!((ended.code, ended.stderr), (Some(1), expected));
}

#[tokio::test]
async fn a_listener_without_admin_service_is_told_from_the_admin_listener() {
    let service = TestService::new(StoreKind::Memory).await;
    let address = service.address.strip_prefix("http://").unwrap().to_owned();

    let asked = address.clone();
    let ended = tokio::task::spawn_blocking(move || sessions(&["list", "--json", "--address", &asked])).await.unwrap();

    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""));
    let expected = format!("cloakroom: {address}: the address does not serve AdminService; is it the admin listener?");
    assert!(ended.stderr.starts_with(&expected), "{ended:?}");
}
