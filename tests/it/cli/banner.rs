//! The lines that `cloakroom serve` prints at its start.

use std::ffi::OsString;
use std::path::PathBuf;

use cloakroom::cli::{Address, banner};
use cloakroom::config::default_key::DefaultKey;
use cloakroom::config::load_from;

fn banner_in(variables: &[(&str, &str)], key: &DefaultKey, addresses: &[Address]) -> String {
    let environment = variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    banner(&load_from(None, environment).unwrap(), key, addresses, None, None)
}

#[test]
fn it_names_a_call_to_try_over_tcp() {
    let addresses = ["127.0.0.1:50051".parse().unwrap()];

    let text = banner_in(&[], &DefaultKey::Configured, &addresses);

    let call =
        "curl -H 'content-type: application/json' -d '{}' 127.0.0.1:50051/cloakroom.v1.SessionService/OpenSession";
    assert!(text.contains(call), "{text}");
}

#[test]
fn it_names_a_call_to_try_over_a_unix_socket() {
    let addresses = ["unix:/run/c.sock".parse().unwrap()];

    let text = banner_in(&[], &DefaultKey::Configured, &addresses);

    let call = "curl -H 'content-type: application/json' -d '{}' --unix-socket /run/c.sock localhost/cloakroom.v1.SessionService/OpenSession";
    assert!(text.contains(call), "{text}");
}

#[test]
fn it_says_where_sessions_are_and_what_a_restart_loses() {
    let on_disk = banner_in(&[], &DefaultKey::Created(PathBuf::from("data/default.key")), &[]);
    let in_memory = banner_in(&[("CLOAKROOM__STORE__KIND", "memory")], &DefaultKey::Ephemeral, &[]);

    assert!(on_disk.contains("in data, on this disk"), "{on_disk}");
    assert!(on_disk.contains("data/default.key"), "{on_disk}");
    assert!(in_memory.contains("a restart loses them"), "{in_memory}");
    assert!(in_memory.contains("a restart logs everybody out"), "{in_memory}");
}

#[test]
fn it_names_the_store_that_sessions_move_from_as_well() {
    let moving = [("CLOAKROOM__STORE__KIND", "redis"), ("CLOAKROOM__STORE__PREVIOUS__KIND", "embedded")];

    let text = banner_in(&moving, &DefaultKey::Configured, &[]);

    assert!(text.contains("sessions in Redis\n           and, as [store.previous], in data, on this disk\n"), "{text}");
}

#[test]
fn with_redis_and_no_key_it_says_what_to_do() {
    let text = banner_in(&[("CLOAKROOM__STORE__KIND", "redis")], &DefaultKey::Missing, &[]);

    assert!(text.contains("cloakroom keygen") && text.contains("CLOAKROOM__APPS__DEFAULT__KEYS"), "{text}");
}

/// The line below the one with this address.
fn access(text: &str, address: &str) -> String {
    text.lines().skip_while(|line| !line.ends_with(address)).nth(1).unwrap().trim().to_owned()
}

#[test]
fn it_says_of_each_address_what_is_bound_and_who_may_call_there() {
    let parsed = |text: &str| text.parse::<Address>().unwrap();
    let addresses = ["0.0.0.0:50051", "unix:/run/c.sock"].map(parsed);
    let open = [("CLOAKROOM__SERVER__LISTEN", "0.0.0.0:50051"), ("CLOAKROOM__SERVER__INSECURE", "true")];
    let hash = cloakroom::auth::TokenHash::of(b"x").to_string();
    let shop = [
        ("CLOAKROOM__SERVER__TLS__CERTIFICATE_FILE", "tls.crt"),
        ("CLOAKROOM__SERVER__TLS__KEY_FILE", "tls.key"),
        ("CLOAKROOM__CALLERS__SHOP__ROLES", "monitor"),
        ("CLOAKROOM__CALLERS__SHOP__TOKEN_HASHES", &hash),
    ];
    let of = |variables: &[(&str, &str)]| {
        let variables = variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let loaded = load_from(None, variables).unwrap();
        banner(&loaded, &DefaultKey::Configured, &addresses, Some(&parsed("127.0.0.1:50052")), None)
    };

    let (open, known) = (of(&open), of(&shop));

    let everybody = "OPEN to every program on every machine in reach, without a credential; not encrypted";
    assert_eq!(access(&open, "listens  0.0.0.0:50051"), everybody, "{open}");
    let local = "OPEN to every program on this machine, without a credential; not encrypted";
    assert_eq!(access(&open, "admin    127.0.0.1:50052"), local, "{open}");
    let group = "for the owner and the group of this socket, without a credential";
    assert_eq!(access(&open, "listens  unix:/run/c.sock"), group, "{open}");
    assert!(!open.contains("callers"), "{open}");
    let callers = "for the callers below, on every machine in reach; TLS";
    assert_eq!(access(&known, "listens  0.0.0.0:50051"), callers, "{known}");
    let callers = "for the callers below, on this machine; not encrypted";
    assert_eq!(access(&known, "admin    127.0.0.1:50052"), callers, "{known}");
    assert!(known.contains("\n  callers  shop\n"), "{known}");
    assert!(open.contains(" -d '{}' 127.0.0.1:50051/"), "the call to try goes to this machine: {open}");
}

#[test]
fn it_names_the_admin_address() {
    let loaded = load_from(None, []).unwrap();
    let address = "127.0.0.1:50052".parse().unwrap();

    let with = banner(&loaded, &DefaultKey::Configured, &[], Some(&address), None);
    let without = banner(&loaded, &DefaultKey::Configured, &[], None, None);

    assert!(with.contains("  admin    127.0.0.1:50052\n"), "{with}");
    assert!(!without.contains("admin"), "{without}");
}

#[test]
fn it_names_the_console_with_its_key_only_where_no_callers_are_configured() {
    let hash = cloakroom::auth::TokenHash::of(b"x").to_string();
    let callers = [("CLOAKROOM__CALLERS__DESK__ROLES", "monitor"), ("CLOAKROOM__CALLERS__DESK__TOKEN_HASHES", &hash)];
    let off = [("CLOAKROOM__ADMIN__CONSOLE", "false")];
    let address = "0.0.0.0:50052".parse().unwrap();
    let of = |variables: &[(&str, &str)], key| {
        let variables = variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let loaded = load_from(None, variables).unwrap();
        banner(&loaded, &DefaultKey::Configured, &[], Some(&address), key)
    };

    let url = "console  http://127.0.0.1:50052/console";
    assert!(of(&[], Some("secret")).contains(&format!("{url}#secret\n")));
    assert!(of(&[], None).contains(&format!("{url}, whose key is printed on a terminal only\n")));
    assert!(of(&callers, Some("secret")).contains(&format!("{url}\n")));
    assert!(!of(&off, Some("secret")).contains("console"));
}

#[test]
fn it_warns_of_an_app_without_a_key() {
    let variables = [("CLOAKROOM__APPS__SHOP__IDLE_TIMEOUT", "1h")];

    let text = banner_in(&variables, &DefaultKey::Configured, &[]);

    assert!(text.contains("app shop has no key"), "{text}");
}

#[test]
fn a_first_start_prints_no_warning() {
    let text = banner_in(&[], &DefaultKey::Created(PathBuf::from("data/default.key")), &[]);

    assert!(!text.contains("warning"), "{text}");
}

#[test]
fn it_says_which_key_an_app_of_kind_cookie_needs() {
    let variables = [("CLOAKROOM__APPS__DEFAULT__KIND", "cookie"), ("CLOAKROOM__APPS__SHOP__KIND", "cookie")];

    let text = banner_in(&variables, &DefaultKey::Configured, &[]);

    assert!(text.contains("key      NONE: give it the Flask application's SECRET_KEY\n"), "{text}");
    assert!(
        text.contains("app shop has no key and so no sessions; give it the Flask application's SECRET_KEY\n"),
        "{text}"
    );
}
