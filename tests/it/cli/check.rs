//! `cloakroom check`.

use cloakroom::token::Key;

use super::program::Program;
use crate::support::authority::CertificateAuthority;
use crate::support::redis::RedisServer;
use crate::support::sentinel::Server;

#[test]
fn it_prints_where_every_value_comes_from() {
    let ended = Program::new(&["check"])
        .file("cloakroom.toml", "[apps.shop]\nidle_timeout = \"1h\"\n")
        .env("CLOAKROOM__STORE__KIND", "memory")
        .run();

    assert_eq!(ended.code, Some(0), "{ended:?}");
    for line in [
        "# From cloakroom.toml and the environment. Secrets are left out.",
        "kind = \"memory\"  # CLOAKROOM__STORE__KIND",
        "idle_timeout = \"1h\"  # cloakroom.toml:2",
        "absolute_timeout = \"365d\"  # default",
    ] {
        assert!(ended.stdout.lines().any(|printed| printed == line), "{line} is missing in:\n{}", ended.stdout);
    }
}

#[test]
fn what_it_prints_is_toml() {
    let ended = Program::new(&["check"]).env("CLOAKROOM__APPS__DEFAULT__SUBJECT_KEY", "a\"\n# b").run();

    let tree = ended.stdout.parse::<toml::Table>().unwrap();
    assert_eq!(tree["apps"]["default"]["subject_key"].as_str(), Some("a\"\n# b"));
}

#[test]
fn it_prints_only_the_ids_of_keys() {
    let keys = [Key::generate(), Key::generate(), Key::generate()];
    let ids = keys.each_ref().map(|key| Key::parse(key).unwrap().id().to_string());

    let ended = Program::new(&["check"])
        .file("cloakroom.toml", &format!("[apps.a]\nkeys = [\"{}\"]\n[apps.b]\nkeys_file = \"b.keys\"\n", keys[0]))
        .file("b.keys", &format!("# newest first\n\n  {}\n", keys[1]))
        .env("CLOAKROOM__APPS__C__KEYS", &keys[2])
        .run();

    assert_eq!(ended.code, Some(0), "{ended:?}");
    for (key, id) in keys.iter().zip(&ids) {
        assert!(!ended.stdout.contains(key.as_str()), "{}", ended.stdout);
        assert!(ended.stdout.contains(&format!("\"key id {id}\"")), "{}", ended.stdout);
    }
}

#[test]
fn it_ends_with_a_warning_for_each_app_that_would_have_no_key() {
    let apps = "[apps.shop]\nidle_timeout = \"1h\"\n[apps.flask]\nkind = \"cookie\"\n";
    let shop = "warning: app shop has no key and so no sessions; `cloakroom keygen` makes one\n";
    let flask = "warning: app flask has no key and so no sessions; give it the Flask application's SECRET_KEY\n";
    let default = "warning: app default has no key and so no sessions; `cloakroom keygen` makes one\n";

    for (store, expected) in [("memory", [flask, shop].concat()), ("redis", [default, flask, shop].concat())] {
        let ended = Program::new(&["check"]).file("cloakroom.toml", apps).env("CLOAKROOM__STORE__KIND", store).run();

        assert_eq!((ended.code, ended.stderr), (Some(0), expected));
    }
    assert_eq!(Program::new(&["check"]).run().stderr, "");
}

#[test]
fn it_creates_nothing() {
    let mut program = Program::new(&["check"]);

    let status = program.command().status().unwrap();

    assert!(status.success());
    assert_eq!(std::fs::read_dir(program.folder()).unwrap().count(), 0);
}

#[test]
fn a_wrong_configuration_ends_with_78_and_prints_nothing_else() {
    let ended = Program::new(&["check"]).file("cloakroom.toml", "[store]\nkind = \"disk\"\n").run();

    assert_eq!((ended.code, ended.stdout.as_str()), (Some(78), ""));
    let expected = "cloakroom.toml:2: store.kind: \"disk\" is none of \"embedded\", \"redis\", \"memory\"\n";
    assert_eq!(ended.stderr, expected);
}

#[test]
fn it_connects_to_redis_if_it_is_asked_to() {
    let redis = RedisServer::start();
    let check = |url: &str| {
        let program = Program::new(&["check", "--connect"]).env("CLOAKROOM__STORE__KIND", "redis");
        program.env("CLOAKROOM__STORE__REDIS__URL", url).run()
    };

    let works = check(&redis.url());
    let refused = check("redis://:secret@127.0.0.1:1");
    redis.cli(&["config", "set", "requirepass", "right"]);
    let wrong_password = check(&format!("{}?pass=secret", redis.url()));

    assert_eq!(works.code, Some(0), "{works:?}");
    assert!(works.stdout.contains("# Redis answers, and the service can work with it."), "{works:?}");
    for (ended, cause) in [(refused, "127.0.0.1:1: Connection refused"), (wrong_password, "WRONGPASS")] {
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{ended:?}");
        assert!(ended.stderr.contains(cause) && !ended.stderr.contains("secret"), "{ended:?}");
    }
}

#[test]
fn it_fails_if_no_write_would_be_acknowledged() {
    let redis = RedisServer::start();
    let program = Program::new(&["check", "--connect"]).env("CLOAKROOM__STORE__KIND", "redis");
    let program = program.env("CLOAKROOM__STORE__REDIS__ACKNOWLEDGE", "replicas:1");

    let ended = program.env("CLOAKROOM__STORE__REDIS__URL", &redis.url()).run();

    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{ended:?}");
    assert!(ended.stderr.contains("0 of the 1 replicas of Redis that have to acknowledge writes"), "{ended:?}");
}

#[test]
fn it_fails_if_both_stores_are_the_same_keys_by_two_addresses() {
    let redis = Server::redis("");
    let run = |arguments: &[&str]| {
        let program = Program::new(arguments).env("CLOAKROOM__STORE__KIND", "redis");
        let program = program.env("CLOAKROOM__STORE__REDIS__URL", &redis.redis.url());
        let program = program.env("CLOAKROOM__STORE__PREVIOUS__KIND", "redis");
        program.env("CLOAKROOM__STORE__PREVIOUS__REDIS__URL", &format!("redis://127.0.0.1:{}", redis.port)).run()
    };

    let (check, doctor) = (run(&["check", "--connect"]), run(&["doctor"]));

    assert_eq!((check.code, check.stdout.as_str()), (Some(1), ""), "{check:?}");
    assert!(check.stderr.contains("[store.previous] is the same place as [store]"), "{check:?}");
    assert!(doctor.stdout.contains("do: remove [store.next] or [store.previous]"), "{doctor:?}");
}

#[test]
fn without_redis_it_connects_to_nothing() {
    let ended = Program::new(&["check", "--connect"]).run();

    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("there is nothing to connect to"), "{ended:?}");
}

#[test]
fn a_reader_that_closes_the_pipe_is_no_failure() {
    let mut program = Program::new(&["check"]);
    let mut child = program.command().spawn().unwrap();

    drop(child.stdout.take());

    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn an_unknown_command_is_a_usage_error() {
    assert_eq!(Program::new(&["chekc"]).run().code, Some(2));
}

#[test]
fn it_reads_the_files_of_traces_and_metrics_and_repeats_nothing_of_them() {
    ["traces", "metrics"].into_iter().for_each(check_files_of);
}

fn check_files_of(table: &str) {
    let check = |files: &[(&str, &str)]| {
        let config = format!(
            "[{table}]\nendpoint = \"https://collector:4317\"\nca_file = \"ca.crt\"\nheaders_file = \"headers\"\n"
        );
        let program = Program::new(&["check"]).file("cloakroom.toml", &config);
        files.iter().fold(program, |program, (name, text)| program.file(name, text)).run()
    };
    let authority = CertificateAuthority::new().pem();
    let (authority, wrong) = (("ca.crt", &*authority), ("headers", "x-scope: team\ns3 cret: s3cret\n"));

    let right = check(&[authority, ("headers", "authorization: Bearer s3cret\n")]);
    let wrong_line = check(&[authority, wrong]);
    let no_headers = check(&[authority]);
    let no_authority = check(&[("ca.crt", "no certificate"), wrong]);

    assert_eq!(right.code, Some(0), "{right:?}");
    assert!(right.stdout.contains("headers_file = \"headers\"  # cloakroom.toml:4"), "{right:?}");
    for (ended, words) in [
        (&wrong_line, ".headers_file: headers: line 2 is no header; write"),
        (&no_headers, ".headers_file: headers: it cannot be read: "),
        (&no_authority, ".ca_file: ca.crt: there is no certificate in PEM in it"),
    ] {
        assert!(ended.code == Some(1) && ended.stderr.contains(&format!("{table}{words}")), "{words}: {ended:?}");
    }
    assert!(![right, wrong_line].iter().any(|ended| format!("{ended:?}").contains("s3")));
}
