//! Settings from the environment.

use std::time::Duration;

use cloakroom::store::StoreKind;
use cloakroom::token::Key;

use super::load;
use crate::cli::program::Program;

/// Asserts that the value of this variable is refused with these words.
#[track_caller]
pub(super) fn refused(name: &str, value: &str, words: &str) {
    let ended = Program::new(&["check"]).env(name, value).run();

    assert_eq!((ended.code, ended.stderr), (Some(78), format!("{name}: {words}\n")));
}

#[test]
fn an_unknown_setting_is_refused_with_the_known_ones() {
    refused(
        "CLOAKROOM__LOG__LEVLE",
        "debug",
        "log.levle: there is no such setting; did you mean `level`? accepted here: format, level",
    );
    refused(
        "CLOAKROOM__COLOUR",
        "red",
        "colour: there is no such setting; accepted here: server, admin, store, log, traces, metrics, audit, reload, callers, apps",
    );
}

#[test]
fn a_value_of_another_type_is_not_converted() {
    let entries = "CLOAKROOM__APPS__DEFAULT__LIMITS__MAX_ENTRIES";
    for (value, found) in [("1.7", "1.7"), ("true", "true"), ("-1", "-1")] {
        let words =
            format!("apps.default.limits.max_entries: expected a whole number from 0 to 4294967295, found {found}");
        refused(entries, value, &words);
    }
    refused(
        "CLOAKROOM__APPS__DEFAULT__REFRESH_EACH_REQUEST",
        "1",
        "apps.default.refresh_each_request: expected true or false, found 1",
    );
    refused(
        "CLOAKROOM__APPS__DEFAULT__IDLE_TIMEOUT",
        "1M",
        "apps.default.idle_timeout: `1M`: months and years have no fixed length; write days, such as 30d",
    );
}

#[test]
fn an_unknown_word_is_refused_with_the_known_ones() {
    refused("CLOAKROOM__STORE__KIND", "disk", "store.kind: \"disk\" is none of \"embedded\", \"redis\", \"memory\"");
    refused(
        "CLOAKROOM__LOG__LEVEL",
        "inof",
        "log.level: `inof` is no level; write off, error, warn, info, debug or trace, \
         or levels by module: info,h2=debug",
    );
}

#[test]
fn a_single_underscore_is_refused_with_the_right_name() {
    refused(
        "CLOAKROOM_STORE_KIND",
        "memory",
        "store.kind: words are kept apart by two underscores; write CLOAKROOM__STORE__KIND",
    );
}

#[test]
fn a_single_underscore_is_refused_in_the_name_of_every_setting_of_any_app_and_caller() {
    let file = include_str!("../../../deploy/cloakroom.toml");
    let (mut table, mut settings) = (String::new(), Vec::new());
    for line in file.lines().map(|line| line.strip_prefix("# ").unwrap_or(line)) {
        let is_name = |name: &str| !name.is_empty() && name.chars().all(|char| matches!(char, 'a'..='z' | '_' | '.'));
        match (line.strip_prefix('[').and_then(|line| line.split_once(']')), line.split_once(" = ")) {
            (Some((name, _)), _) if is_name(name) => name.clone_into(&mut table),
            (_, Some((name, _))) if is_name(name) => settings.push(format!("{table}.{name}")),
            _ => {}
        }
    }
    let of_my_shop =
        |key: &String| key.replace("apps.default.", "apps.my_shop.").replace("callers.shop.", "callers.my_shop.");
    let of_others: Vec<String> = settings.iter().map(of_my_shop).collect();
    settings.extend(of_others);
    settings
        .extend(["apps.default.keys", "store.next.redis.url", "store.previous.redis.password_file"].map(str::to_owned));
    assert!(
        settings.len() > 300 && settings.iter().any(|key| key == "callers.my_shop.token_hashes_file"),
        "{settings:?}"
    );

    for key in settings {
        let name =
            |separator: &str| format!("CLOAKROOM{separator}{}", key.replace('.', separator).to_ascii_uppercase());
        let (wrong, right) = (name("_"), name("__"));

        let refused = load("", &[(&wrong, "1")]).map(drop).unwrap_err().to_string();

        let expected = format!("{wrong}: {key}: words are kept apart by two underscores; write {right}");
        assert_eq!(refused, expected);
    }
}

#[test]
fn a_bad_key_is_refused_and_not_repeated() {
    let key = "CLOAKROOM__APPS__DEFAULT__KEYS";
    refused(
        key,
        "c2VjcmV0",
        "apps.default.keys: a key has 6 bytes and needs at least 32; `cloakroom keygen` makes one",
    );
    refused(
        key,
        "not base64!",
        "apps.default.keys: a key is not base64url text without padding; `cloakroom keygen` makes one",
    );
    refused("CLOAKROOM__APPS__DEFAULT", "c2VjcmV0", "apps.default: expected a table, found a text");
}

#[test]
fn variables_that_kubernetes_adds_for_a_service_are_no_settings() {
    let variables = [
        ("CLOAKROOM_SERVICE_HOST", "10.0.0.1"),
        ("CLOAKROOM_PORT", "tcp://10.0.0.1:50051"),
        ("CLOAKROOM_PORT_50051_TCP_ADDR", "10.0.0.1"),
        ("CLOAKROOM_SERVICE_PORT_GRPC", "50051"),
        ("CLOAKROOM_ADMIN_SERVICE_HOST", "10.0.0.2"),
        ("CLOAKROOM_ADMIN_PORT_50052_TCP", "tcp://10.0.0.2:50052"),
        ("CLOAKROOM_STORE_REDIS_SERVICE_PORT", "6379"),
        ("CLOAKROOM_APPS_SHOP_PORT", "tcp://10.0.0.3:80"),
    ];

    assert!(load("", &variables).is_ok());
}

#[test]
fn variables_of_the_program_and_its_clients_are_no_settings() {
    for name in ["CONFIG", "CALLER_TOKEN", "ADDRESS", "ADMIN_ADDRESS", "APP", "BIN", "STORE_NETWORK", "TEST_SEED"] {
        assert!(load("", &[(&format!("CLOAKROOM_{name}"), "1")]).is_ok(), "{name}");
    }
}

#[test]
fn the_environment_wins_over_the_file() {
    let loaded = load("[store]\nkind = \"redis\"\n", &[("CLOAKROOM__STORE__KIND", "memory")]).unwrap();

    assert_eq!(loaded.settings.store.kind, StoreKind::Memory);
}

#[test]
fn an_empty_variable_counts_as_unset() {
    let loaded = load("[store]\nkind = \"redis\"\n", &[("CLOAKROOM__STORE__KIND", "")]).unwrap();

    assert_eq!(loaded.settings.store.kind, StoreKind::Redis);
}

#[test]
fn a_text_that_looks_like_another_type_stays_as_it_is() {
    for text in ["007", "TRUE", "1e5", "a,b"] {
        let loaded = load("", &[("CLOAKROOM__APPS__DEFAULT__SUBJECT_KEY", text)]).unwrap();

        assert_eq!(loaded.settings.apps["default"].subject_key, text);
    }
}

#[test]
fn keys_are_a_list_separated_by_commas() {
    let [new, old] = [Key::generate(), Key::generate()];

    let loaded = load("", &[("CLOAKROOM__APPS__SHOP__KEYS", &format!("{new}, {old}"))]).unwrap();

    let ring = loaded.apps.find("shop").unwrap().keys.clone().unwrap();
    let expected = [new, old].map(|key| Key::parse(&key).unwrap().id());
    assert_eq!(ring.ids().collect::<Vec<_>>(), expected);
}

#[test]
fn an_app_can_be_set_up_by_the_environment_alone() {
    let variables = [
        ("CLOAKROOM__APPS__MY_SHOP__IDLE_TIMEOUT", "1h 30m"),
        ("CLOAKROOM__APPS__MY_SHOP__COOKIE__SECURE", "true"),
        ("CLOAKROOM__APPS__MY_SHOP__LIMITS__MAX_ENTRIES", "8"),
    ];

    let loaded = load("", &variables).unwrap();

    let app = loaded.apps.find("my_shop").unwrap();
    assert_eq!(app.lifetimes.idle_timeout, Duration::from_secs(90 * 60));
    assert!(app.cookie.attributes().secure);
    assert_eq!(app.limits.max_entries, 8);
}

#[test]
fn two_spellings_of_one_variable_are_refused() {
    let variables = [("CLOAKROOM__STORE__KIND", "redis"), ("CLOAKROOM__STORE__Kind", "memory")];

    let refused = load("", &variables).unwrap_err().to_string();

    assert_eq!(refused, "CLOAKROOM__STORE__Kind: store.kind: CLOAKROOM__STORE__KIND says it too");
}

#[test]
fn a_value_that_is_not_text_is_refused_and_not_repeated() {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt as _;
    let variable = (OsString::from("CLOAKROOM__STORE__KIND"), OsString::from_vec(b"s3\xffret".to_vec()));

    let refused = cloakroom::config::load_from(None, [variable]).unwrap_err().to_string();

    assert_eq!(refused, "CLOAKROOM__STORE__KIND: store.kind: its value is not UTF-8 text");
}
