//! `cloakroom sessions`: its arguments, and its errors if the service does not answer as expected.

use super::program::{Ended, Program};
use crate::support::{StoreKind, TestService};

const ID: &str = "0123456789abcdef0123456789abcdef";

fn sessions(arguments: &[&str]) -> Ended {
    Program::new(&[&["sessions"], arguments].concat()).run()
}

#[test]
fn a_command_with_missing_or_invalid_arguments_is_a_usage_error() {
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
        &["list", "--subject", "user-1", "--anonymous"],
        &["list", "--limit", "0"],
        &["list", "--sort", "colour"],
        &["list", "--reverse"],
        &["list", "--used-since", "yesterday"],
        &["list", "--address", "nowhere"],
        &["list", "--timeout", "5"],
    ] {
        let ended = sessions(arguments);

        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{arguments:?}: {ended:?}");
    }
}

#[test]
fn a_malformed_id_is_refused_with_the_form_of_an_id() {
    let ended = sessions(&["show", "0123"]);

    assert!(ended.stderr.contains("an id is 32 lower-case hexadecimal digits"), "{ended:?}");
}

#[test]
fn an_app_is_not_revoked_without_confirmation() {
    let ended = sessions(&["revoke-app", "--address", "unix:/nowhere"]);

    let expected = "cloakroom: this ends all sessions of the app; say --yes\n";
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(1), expected));
}

#[test]
fn all_apps_are_not_revoked_without_confirmation() {
    let ended = sessions(&["revoke-app", "--all", "--address", "unix:/nowhere"]);

    let expected = "cloakroom: this ends all sessions of all apps; say --yes\n";
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(1), expected));
}

#[test]
fn all_apps_and_one_app_are_not_revoked_at_once() {
    let ended = sessions(&["revoke-app", "--all", "--yes", "--app", "shop", "--address", "unix:/nowhere"]);

    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
}

#[test]
fn every_command_says_that_there_is_no_connection() {
    let address = "unix:/nowhere/socket";
    for arguments in [
        &["list"][..],
        &["show", ID],
        &["revoke", ID],
        &["revoke-subject", "user-1"],
        &["revoke-app", "--yes"],
        &["revoke-app", "--yes", "--all"],
        &["apps"],
        &["stats"],
    ] {
        let ended = sessions(&[arguments, &["--address", address]].concat());

        let expected = format!("cloakroom: {address}: no connection: No such file or directory (os error 2)\n");
        assert_eq!((ended.code, ended.stderr), (Some(1), expected), "{arguments:?}");
    }
}

#[test]
fn a_service_that_never_answers_times_out() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();

    let ended = sessions(&["stats", "--address", &address, "--timeout", "50ms"]);

    let expected = format!("cloakroom: {address}: no answer within 50ms\n");
    assert_eq!((ended.code, ended.stderr), (Some(1), expected));
}

#[test]
fn ids_after_one_that_nobody_answers_are_not_tried() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();

    let ended = sessions(&["revoke", ID, ID, ID, "--address", &address, "--timeout", "50ms"]);

    let expected = format!(
        "{ID}  perhaps not ended: {address}: no answer within 50ms\n\
         cloakroom: 3 of 3 sessions not ended, 2 of them not tried, because nobody answers; run it again\n"
    );
    assert_eq!((ended.code, ended.stdout, ended.stderr), (Some(1), String::new(), expected));
}

#[tokio::test]
async fn a_listener_without_admin_service_is_not_taken_for_the_admin_listener() {
    let service = TestService::new(StoreKind::Memory).await;
    let address = service.address.strip_prefix("http://").unwrap().to_owned();

    let asked = address.clone();
    let ended = tokio::task::spawn_blocking(move || sessions(&["list", "--json", "--address", &asked])).await.unwrap();

    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""));
    let expected = format!("cloakroom: {address}: the address does not serve AdminService; is it the admin listener?");
    assert!(ended.stderr.starts_with(&expected), "{ended:?}");
}
