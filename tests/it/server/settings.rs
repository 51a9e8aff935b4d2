//! Settings of the server: their form, and errors in them.

use std::path::PathBuf;
use std::time::Duration;

use cloakroom::auth::Callers;
use cloakroom::server::Settings;
use serde_json::{Value, from_value, json, to_value};

#[test]
fn the_defaults_are_valid_and_survive_a_round_trip() {
    let defaults = Settings::default();

    let written = to_value(&defaults).unwrap();

    assert_eq!(defaults.check(&Callers::default()), Ok(()));
    assert_eq!(written["listen"], "127.0.0.1:50051");
    assert_eq!(written["idle_timeout"], "15m");
    assert_eq!(to_value(read(written.clone()).unwrap()).unwrap(), written);
    assert_eq!(to_value(read(json!({})).unwrap()).unwrap(), written);
}

#[test]
fn an_empty_address_means_no_tcp() {
    let settings = read(json!({"listen": "", "unix_socket": "/run/cloakroom/cloakroom.sock"})).unwrap();

    assert_eq!((settings.listen, settings.check(&Callers::default())), (None, Ok(())));
    assert_eq!(to_value(settings).unwrap()["listen"], "");
}

#[test]
fn unknown_keys_are_refused() {
    assert!(read(json!({"lisen": ""})).unwrap_err().contains("unknown field `lisen`"));
}

#[test]
fn a_host_name_is_not_an_address() {
    let wrong = read(json!({"listen": "localhost:50051"})).unwrap_err();

    assert!(wrong.contains("`localhost:50051`") && wrong.contains("127.0.0.1:50051"), "{wrong}");
}

#[test]
fn a_server_needs_a_listener() {
    let nowhere = Settings { listen: None, ..Settings::default() };
    let empty = Settings { listen: None, unix_socket: Some(PathBuf::new()), ..Settings::default() };

    for settings in [nowhere, empty] {
        let wrong = settings.check(&Callers::default()).unwrap_err().to_string();
        assert!(wrong.starts_with("listen: there is nothing to listen on; "), "{wrong}");
    }
}

#[test]
fn only_loopback_addresses_are_not_exposed() {
    let check = |listen: &str| read(json!({"listen": listen})).unwrap().check(&Callers::default());

    for listen in ["127.0.0.1:1", "127.8.9.10:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
        assert_eq!(check(listen), Ok(()), "{listen}");
    }
    for listen in ["0.0.0.0:1", "[::]:1", "192.0.2.1:1", "[::ffff:192.0.2.1]:1"] {
        let wrong = check(listen).unwrap_err().to_string();
        assert!(wrong.contains(" is open to other machines and to every caller; "), "{wrong}");
    }
}

#[test]
fn the_error_of_a_value_out_of_bounds_names_the_bounds() {
    let none = Settings { max_calls: 0, ..Settings::default() };
    let hasty = Settings { idle_timeout: Duration::from_millis(1), ..Settings::default() };

    assert_eq!(none.check(&Callers::default()).unwrap_err().to_string(), "max_calls: 0 is not between 1 and 1000000");
    assert_eq!(
        hasty.check(&Callers::default()).unwrap_err().to_string(),
        "idle_timeout: 1ms is not between 10ms and 365d"
    );
}

fn read(value: Value) -> Result<Settings, String> {
    from_value(value).map_err(|error| error.to_string())
}
