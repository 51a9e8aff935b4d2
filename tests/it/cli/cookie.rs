//! `cloakroom cookie`.

use cloakroom::token::{Key, KeyRing, SplitToken, sign_ticket, sign_token};
use cloakroom::types::{AppName, Clock as _, SystemClock, Time};

use super::program::{Ended, Program};

/// An app `default` with a new and an old key, and another app with a key of its own.
struct Fixture {
    new: String,
    old: String,
    other: String,
    bearer: SplitToken,
}

impl Fixture {
    fn new() -> Self {
        let [new, old, other] = [Key::generate(), Key::generate(), Key::generate()];
        Self { new, old, other, bearer: SplitToken::random() }
    }

    fn token(&self, key: &str, app: &str) -> String {
        sign_token(&ring(key), &name(app), self.bearer)
    }

    fn explain(&self, text: &str) -> Ended {
        let Self { new, old, other, .. } = self;
        let file = format!("[apps.default]\nkeys = [\"{new}\", \"{old}\"]\n[apps.other]\nkeys = [\"{other}\"]\n");
        let ended = Program::new(&["cookie"]).file("cloakroom.toml", &file).stdin(text).run();

        assert_eq!(ended.stderr, "");
        for secret in [new, old, other] {
            assert!(!ended.stdout.contains(secret.as_str()), "{}", ended.stdout);
        }
        for part in text.split(['=', ';', ' ', '.']).filter(|part| part.len() > 12) {
            assert!(!ended.stdout.contains(part), "{part} stands in\n{}", ended.stdout);
        }
        ended
    }

    #[track_caller]
    fn expect(&self, text: &str, code: i32, lines: &[&str]) {
        let ended = self.explain(text);
        for line in lines {
            assert!(ended.stdout.contains(line), "{line:?} is missing in:\n{}", ended.stdout);
        }
        assert_eq!(ended.code, Some(code), "{}", ended.stdout);
    }
}

fn ring(key: &str) -> KeyRing {
    KeyRing::parse(&[key]).unwrap()
}

fn name(app: &str) -> AppName {
    AppName::parse(app).unwrap()
}

fn id(key: &str) -> String {
    Key::parse(key).unwrap().id().to_string()
}

#[test]
fn a_token_is_explained_by_its_session_and_its_key() {
    let at = Fixture::new();
    let session = at.bearer.id(&name("default"));

    at.expect(
        &at.token(&at.new, "default"),
        0,
        &["verified: a token", &format!("session {session}"), &format!("key {} (signs)", id(&at.new))],
    );
}

#[test]
fn a_token_under_an_old_key_verifies_and_is_said_to() {
    let at = Fixture::new();

    let key = format!("  key {} (no longer signs, still verifies)", id(&at.old));
    at.expect(&at.token(&at.old, "default"), 0, &["verified: a token", &key]);
}

#[test]
fn a_key_that_the_app_does_not_have_is_named_beside_those_it_has() {
    let at = Fixture::new();
    let stranger = Key::generate();

    at.expect(
        &at.token(&stranger, "default"),
        1,
        &[
            "refused: it is signed with a key that the app does not have",
            &format!("  key {}\n", id(&stranger)),
            &format!("keys {} (signs), {} (no longer signs", id(&at.new), id(&at.old)),
        ],
    );
}

#[test]
fn a_token_of_another_app_is_said_to_be_one() {
    let at = Fixture::new();

    at.expect(&at.token(&at.other, "other"), 1, &["refused:", "it verifies for the app other"]);
}

#[test]
fn a_forged_signature_is_said_to_be_wrong() {
    let at = Fixture::new();
    let [real, fake] = [at.token(&at.new, "default"), Fixture::new().token(&at.new, "default")];
    let (start, _) = real.rsplit_once('.').unwrap();
    let (_, signature) = fake.rsplit_once('.').unwrap();

    at.expect(&format!("{start}.{signature}"), 1, &["refused: its signature is wrong"]);
}

#[test]
fn a_text_that_is_no_token_is_said_to_be_none() {
    let at = Fixture::new();

    at.expect("\u{1b}[31mhello", 1, &["refused: it is not written as a token", "\\u{1b}[31mhello"]);
}

#[test]
fn a_ticket_is_good_for_its_minutes_and_never_in_a_cookie() {
    let at = Fixture::new();
    let seal = |time| sign_ticket(&ring(&at.new), &name("default"), at.bearer, time);
    let fresh = seal(SystemClock.now());
    let old = seal(Time::from_millis(SystemClock.now().millis() - 16 * 60 * 1000));

    at.expect(&fresh, 0, &["verified: a ticket"]);
    at.expect(&old, 1, &["refused: it is a ticket older than 15 minutes"]);
    at.expect(&format!("session={fresh}"), 1, &["never valid in a cookie"]);
}

#[test]
fn of_a_whole_header_each_cookie_of_the_apps_name_is_explained() {
    let at = Fixture::new();
    let header = format!("Cookie: theme=dark; session=rubbish; session={}", at.token(&at.new, "default"));

    at.expect(&header, 0, &["rubbish: refused", "verified: a token"]);
}

#[test]
fn a_header_without_the_apps_cookie_is_answered_with_the_names_it_has() {
    let at = Fixture::new();

    at.expect("theme=dark; sid=1", 1, &["no cookie is called session; the header has: theme, sid"]);
}

#[test]
fn two_sessions_in_one_header_are_pointed_out() {
    let at = Fixture::new();
    let planted = sign_token(&ring(&at.new), &name("default"), SplitToken::random());
    let header = format!("session={}; session={planted}", at.token(&at.new, "default"));

    at.expect(&header, 0, &["several sessions verify"]);
}

#[test]
fn the_key_of_the_data_folder_counts() {
    let key = Key::generate();
    let token = sign_token(&ring(&key), &name("default"), SplitToken::random());
    let program = Program::new(&["cookie", &token]);
    std::fs::create_dir(program.path("data")).unwrap();
    let program = program.file("data/default.key", &key);
    restrict(&program.path("data/default.key"));

    let ended = program.run();

    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn an_app_that_does_not_exist_is_answered_with_those_that_do() {
    let ended = Program::new(&["cookie", "--app", "shop", "x"]).run();

    assert_eq!(ended.code, Some(1));
    assert_eq!(ended.stderr, "cloakroom: there is no app `shop`; there are: default\n");
}

fn restrict(path: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}
