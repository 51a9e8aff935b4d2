//! `cloakroom cookie`.

use cloakroom::token::{Key, KeyRing, SplitToken, sign_ticket, sign_token};
use cloakroom::types::{AppName, Clock as _, SystemClock, Time};

use super::program::{Ended, Program};

/// An app `default` with a new and an old key, another app with its own key, and one token.
struct Fixture {
    new: String,
    old: String,
    other: String,
    token: SplitToken,
}

impl Fixture {
    fn new() -> Self {
        let [new, old, other] = [Key::generate(), Key::generate(), Key::generate()];
        Self { new, old, other, token: SplitToken::random() }
    }

    fn signed(&self, key: &str, app: &str) -> String {
        sign_token(&ring(key), &name(app), self.token)
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
            assert!(!ended.stdout.contains(part), "{part} is in:\n{}", ended.stdout);
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
    let fixture = Fixture::new();
    let session = fixture.token.id(&name("default"));

    fixture.expect(
        &fixture.signed(&fixture.new, "default"),
        0,
        &["verified: a token", &format!("session {session}"), &format!("key {} (signs)", id(&fixture.new))],
    );
}

#[test]
fn a_token_under_an_old_key_verifies() {
    let fixture = Fixture::new();

    let key = format!("  key {} (no longer signs, still verifies)", id(&fixture.old));
    fixture.expect(&fixture.signed(&fixture.old, "default"), 0, &["verified: a token", &key]);
}

#[test]
fn an_unknown_key_is_printed_with_the_keys_of_the_app() {
    let fixture = Fixture::new();
    let unknown = Key::generate();

    fixture.expect(
        &fixture.signed(&unknown, "default"),
        1,
        &[
            "refused: it is signed with a key that the app does not have",
            &format!("  key {}\n", id(&unknown)),
            &format!("keys {} (signs), {} (no longer signs", id(&fixture.new), id(&fixture.old)),
        ],
    );
}

#[test]
fn a_token_of_another_app_is_refused_with_the_name_of_the_app() {
    let fixture = Fixture::new();

    fixture.expect(&fixture.signed(&fixture.other, "other"), 1, &["refused:", "it verifies for the app other"]);
}

#[test]
fn a_forged_signature_is_refused() {
    let fixture = Fixture::new();
    let [real, other] = [fixture.signed(&fixture.new, "default"), Fixture::new().signed(&fixture.new, "default")];
    let (start, _) = real.rsplit_once('.').unwrap();
    let (_, signature) = other.rsplit_once('.').unwrap();

    fixture.expect(&format!("{start}.{signature}"), 1, &["refused: its signature is wrong"]);
}

#[test]
fn a_text_that_is_no_token_is_refused() {
    let fixture = Fixture::new();

    fixture.expect("\u{1b}[31mhello", 1, &["refused: it is not written as a token", "\\u{1b}[31mhello"]);
}

#[test]
fn a_ticket_is_valid_for_15_minutes_and_never_in_a_cookie() {
    let fixture = Fixture::new();
    let ticket = |time| sign_ticket(&ring(&fixture.new), &name("default"), fixture.token, time);
    let fresh = ticket(SystemClock.now());
    let old = ticket(Time::from_millis(SystemClock.now().millis() - 16 * 60 * 1000));

    fixture.expect(&fresh, 0, &["verified: a ticket"]);
    fixture.expect(&old, 1, &["refused: it is a ticket older than 15 minutes"]);
    fixture.expect(&format!("session={fresh}"), 1, &["never valid in a cookie"]);
}

#[test]
fn each_cookie_of_the_app_in_a_header_is_explained() {
    let fixture = Fixture::new();
    let header = format!("Cookie: theme=dark; session=rubbish; session={}", fixture.signed(&fixture.new, "default"));

    fixture.expect(&header, 0, &["rubbish: refused", "verified: a token"]);
}

#[test]
fn a_header_without_the_apps_cookie_is_refused_with_its_names() {
    let fixture = Fixture::new();

    fixture.expect("theme=dark; sid=1", 1, &["no cookie is called session; the header has: theme, sid"]);
}

#[test]
fn two_sessions_in_one_header_get_a_warning() {
    let fixture = Fixture::new();
    let planted = sign_token(&ring(&fixture.new), &name("default"), SplitToken::random());
    let header = format!("session={}; session={planted}", fixture.signed(&fixture.new, "default"));

    fixture.expect(&header, 0, &["several sessions verify"]);
}

#[test]
fn the_key_in_the_data_folder_is_used() {
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
fn an_unknown_app_is_refused_with_the_names_of_all_apps() {
    let ended = Program::new(&["cookie", "--app", "shop", "x"]).run();

    assert_eq!(ended.code, Some(1));
    assert_eq!(ended.stderr, "cloakroom: there is no app `shop`; there are: default\n");
}

fn restrict(path: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}
