//! The file that is read, and its settings.

use std::path::Path;

use cloakroom::config::{ConfigKey, Settings, Source};
use cloakroom::token::Key;

use super::{load, load_file};
use crate::cli::program::Program;

/// The file that documents every setting.
const DOCUMENTED: &str = "deploy/cloakroom.toml";

#[test]
fn the_documented_file_holds_every_setting_with_its_default() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(DOCUMENTED);
    let text = std::fs::read_to_string(&path).unwrap();

    let written = text.parse::<toml::Table>().unwrap();

    assert_eq!(written, toml::Table::try_from(Settings::default()).unwrap());
    assert!(load_file(&path, &[]).is_ok());
    let unset = ["# unix_socket = ", "# keys_file = ", "# idle_timeout = ", "# absolute_timeout = "];
    let migrate = ["# until = ", "# url = ", "# url_file = ", "# signer_keys_file = "];
    let tls = ["# certificate_file = ", "# key_file = ", "# client_ca_file = "];
    let redis = ["# username = ", "# password_file = ", "# ca_file = "];
    let callers = ["# roles = ", "# apps = ", "# certificate_names = ", "# token_hashes = ", "# token_hashes_file = "];
    for unset in unset.into_iter().chain(migrate).chain(tls).chain(redis).chain(callers) {
        assert!(text.contains(unset), "{unset} is not documented");
    }
}

#[test]
fn a_named_file_wins_over_the_variable_and_the_variable_over_the_default_file() {
    let file = |level: &str| format!("[log]\nlevel = \"{level}\"\n");
    let with_files = |args: &[&str]| {
        let program = Program::new(args).file("cloakroom.toml", &file("warn"));
        program.file("b.toml", &file("error")).file("c.toml", &file("debug"))
    };

    let default = with_files(&["check"]).run();
    let variable = with_files(&["check"]).env("CLOAKROOM_CONFIG", "b.toml").run();
    let named = with_files(&["check", "--config", "c.toml"]).env("CLOAKROOM_CONFIG", "b.toml").run();

    for (ended, origin) in [(default, "\"warn\"  # cloakroom.toml:2"), (variable, "b.toml:2"), (named, "c.toml:2")] {
        assert!(ended.stdout.contains(origin), "{ended:?}");
    }
}

#[test]
fn a_file_that_the_variable_names_has_to_exist() {
    let ended = Program::new(&["check"]).env("CLOAKROOM_CONFIG", "gone.toml").run();

    assert_eq!(ended.code, Some(78));
    assert_eq!(ended.stderr, "gone.toml: the file cannot be read: No such file or directory (os error 2)\n");
}

#[test]
fn the_app_default_always_exists() {
    let loaded = load("[apps.shop]\n", &[]).unwrap();

    let names = loaded.apps.iter().map(|app| app.name.to_string()).collect::<Vec<_>>();
    assert_eq!(names, ["default", "shop"]);
}

#[test]
fn the_source_of_a_value_is_known() {
    let loaded = load("[log]\nlevel = \"warn\"\n", &[("CLOAKROOM__STORE__KIND", "memory")]).unwrap();

    let source = |key: [&str; 2]| loaded.source_of(&ConfigKey::new(key));
    assert_eq!(source(["store", "kind"]), Source::Variable("CLOAKROOM__STORE__KIND".to_owned()));
    assert!(matches!(source(["log", "level"]), Source::File { line: Some(2), .. }));
    assert_eq!(source(["log", "format"]), Source::Default);
}

#[test]
fn the_line_of_each_setting_of_a_thousand_apps_is_known() {
    let text: String = (0..1000).map(|n| format!("[apps.app-{n}]\nidle_timeout = \"{}s\"\n", n + 60)).collect();

    let loaded = load(&text, &[]).unwrap();

    for n in [0, 999] {
        let source = loaded.source_of(&ConfigKey::new(["apps", &format!("app-{n}"), "idle_timeout"]));
        assert!(matches!(source, Source::File { line, .. } if line == Some(2 * n + 2)));
    }
    assert!(loaded.effective().contains("[apps.app-999]"));
}

#[test]
fn keys_can_be_in_a_file_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    let [new, old] = [Key::generate(), Key::generate()];
    std::fs::write(&path, format!("# rotated in May\n{new}\n\n  {old}  \r\n")).unwrap();

    let loaded = load("", &[("CLOAKROOM__APPS__DEFAULT__KEYS_FILE", path.to_str().unwrap())]).unwrap();

    let ids = loaded.apps.find("").unwrap().keys.as_ref().unwrap().ids().collect::<Vec<_>>();
    assert_eq!(ids, [new, old].map(|key| Key::parse(&key).unwrap().id()));
}

#[test]
fn a_key_of_a_framework_that_begins_as_a_comment_does_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    let sources = [
        "[apps.shop]\nkind = \"cookie\"\n".to_owned(),
        "[apps.shop.migrate]\nuntil = \"2100-01-31\"\n[apps.shop.migrate.django_cookie]\n".to_owned(),
    ];
    for source in sources {
        let config = format!("{source}keys_file = \"{}\"\n", path.display());

        std::fs::write(&path, "# of the old application\n#newkey-of-django\nolder-key\n").unwrap();
        let refused = load(&config, &[]).unwrap_err().to_string();
        std::fs::write(&path, "# of the old application\n#\nbase64:I25ld2tleQ==\nolder-key\n").unwrap();

        let expected = format!(
            "line 2 of {} begins with #; remove an old key, begin a comment with # and a space, and write a key that begins \
             with # as base64:...",
            path.display()
        );
        assert!(refused.contains(&expected), "{refused}");
        load(&config, &[]).unwrap();
    }
}

#[test]
fn keys_and_a_file_of_keys_exclude_each_other() {
    let variables = [("CLOAKROOM__APPS__DEFAULT__KEYS", "x"), ("CLOAKROOM__APPS__DEFAULT__KEYS_FILE", "y")];

    let refused = load("", &variables).unwrap_err().to_string();

    let expected = "CLOAKROOM__APPS__DEFAULT__KEYS_FILE: apps.default.keys_file: \
                    CLOAKROOM__APPS__DEFAULT__KEYS gives keys as well; remove one of the two";
    assert_eq!(refused, expected);
}

#[test]
fn debug_output_of_a_configuration_shows_no_key() {
    let [one, other] = [Key::generate(), Key::generate()];
    let loaded = load(&format!("[apps.a]\nkeys = [\"{one}\"]\n"), &[("CLOAKROOM__APPS__B__KEYS", &other)]).unwrap();

    let text = format!("{loaded:?}");

    assert!(!text.contains(&one) && !text.contains(&other), "{text}");
}

/// Their url says nothing of where they are.
#[test]
fn sessions_move_between_redis_of_different_sentinels_and_one_without() {
    let sentinel = |table: &str, service_name: &str| {
        format!(
            "[{table}]\nkind = \"redis\"\n[{table}.redis]\nmode = \"sentinel\"\n[{table}.redis.sentinel]\n\
             urls = [\"redis://10.0.0.1:26379\"]\nservice_name = \"{service_name}\"\n"
        )
    };
    let (store, app) = (sentinel("store", "sessions"), "[apps.default]\n");
    let others = [sentinel("store.previous", "others"), "[store.previous]\nkind = \"redis\"\n".to_owned()];

    for previous in others {
        load(&format!("{store}{previous}{app}"), &[]).unwrap();
    }
    let error = load(&format!("{store}{}{app}", sentinel("store.previous", "sessions")), &[]).unwrap_err();
    assert!(error.to_string().contains("it is the same place as [store]"), "{error}");
}
