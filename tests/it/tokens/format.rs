//! The format of tokens and tickets: it never changes, and anything else is refused.

use cloakroom::grpc::wire::Changes;
use cloakroom::token::{
    self, AcceptedText, CookieNote, Key, KeyRing, Nonce, SplitToken, TICKET_LIFE, TokenRejection, VerifiedToken,
    next_token, sign_noted_ticket, sign_noted_token, sign_ticket, sign_token,
};
use cloakroom::types::{AppName, Time};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tonic::Code;

use crate::support::calls::{ChangesExt as _, reason, refused, save};
use crate::support::environment::number;
use crate::support::{StoreKind, TestService};

// Computed by another program from the description of the format.
const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
const TOKEN: &str =
    "v1.OxP0MMqm.QEFCQ0RFRkdISUpLTE1OT4CBgoOEhYaHiImKi4yNjo8.Q23JDq5SiRtmH4SkPFjnN3sA2hGB2blmh6DErHJGkIw";
const TICKET: &str =
    "t1.OxP0MMqm.1700000000.QEFCQ0RFRkdISUpLTE1OT4CBgoOEhYaHiImKi4yNjo8.N9dLxXf_m6c4hxHEzSHPhlMaY38GvEF7SpqwYAuUkkc";
const NEXT_TOKEN: &str =
    "v1.OxP0MMqm.QEFCQ0RFRkdISUpLTE1OT3UFu3pJ86ug8unK-kwAV3I.to-aZilpB_75soJKE0M99uQtNIKoUAo8YpL6gh1Q3qw";
const SET_TOKEN: &str =
    "v1s.OxP0MMqm.QEFCQ0RFRkdISUpLTE1OT4CBgoOEhYaHiImKi4yNjo8.-5phYbBp_JQ8Ls_KMMS40LRy-6mPsVJa9NeTLVP6Gbo";
const KEEP_TOKEN: &str =
    "v1k.OxP0MMqm.QEFCQ0RFRkdISUpLTE1OT4CBgoOEhYaHiImKi4yNjo8.tCLLUtufaOaU1Rdgrf3lVNzHRpH9gPIav2DNnpTEoGs";
const SET_TICKET: &str =
    "t1s.OxP0MMqm.1700000000.QEFCQ0RFRkdISUpLTE1OT4CBgoOEhYaHiImKi4yNjo8.3oIAsS-rhWVMQd7DOIMleKQOgLCaMCLkG5ad8VNVXRA";
const KEEP_TICKET: &str =
    "t1k.OxP0MMqm.1700000000.QEFCQ0RFRkdISUpLTE1OT4CBgoOEhYaHiImKi4yNjo8.-U3G9By73lAGpWHR4C7R1rxKrxa93EqbhqI2KEN5aJo";
const RECOVERY_TOKEN: &str =
    "v1.OxP0MMqm.4BhvxNijGVnG11ZclJCsDVe5bhKT7crrXdXAMx5_TeY.68KC2dpyuvHyfedFi7lzVAxBTEHBmsisQmr6MYt1RVI";

#[test]
fn the_format_of_a_token_is_unchanged() {
    let split_token = verify_token(&ring(), &shop(), TOKEN).unwrap().token;

    assert_eq!(sign_token(&ring(), &shop(), split_token), TOKEN);
    assert_eq!(Key::parse(KEY).unwrap().id().to_string(), "OxP0MMqm");
}

#[test]
fn the_format_of_a_ticket_is_unchanged() {
    let split_token = verify_token_or_ticket(&ring(), &shop(), TICKET, issued()).unwrap().token;

    assert_eq!(sign_ticket(&ring(), &shop(), split_token, issued()), TICKET);
    assert_eq!(sign_token(&ring(), &shop(), split_token), TOKEN);
}

#[test]
fn the_format_of_a_note_is_unchanged() {
    let split_token = verify_token(&ring(), &shop(), TOKEN).unwrap().token;

    for (note, token, ticket) in [(CookieNote::Set, SET_TOKEN, SET_TICKET), (CookieNote::Keep, KEEP_TOKEN, KEEP_TICKET)]
    {
        let verified = verify_token(&ring(), &shop(), token).unwrap();
        assert!((verified.token, verified.note) == (split_token, note));
        let verified = verify_token_or_ticket(&ring(), &shop(), ticket, issued()).unwrap();
        assert!((verified.token, verified.note) == (split_token, note));
        assert_eq!(sign_noted_token(&ring(), &shop(), split_token, note), token);
        assert_eq!(sign_noted_ticket(&ring(), &shop(), split_token, note, issued()), ticket);
    }
}

#[test]
fn a_note_cannot_be_added_removed_or_changed() {
    for (texts, versions) in [
        ([TOKEN, SET_TOKEN, KEEP_TOKEN], ["v1", "v1s", "v1k"]),
        ([TICKET, SET_TICKET, KEEP_TICKET], ["t1", "t1s", "t1k"]),
    ] {
        for text in texts {
            let (own, rest) = text.split_once('.').unwrap();
            for version in versions.into_iter().filter(|version| *version != own) {
                assert_refused(&format!("{version}.{rest}"));
            }
        }
    }
}

#[test]
fn the_derivation_of_the_recovery_token_is_unchanged() {
    let superseded = verify_token(&ring(), &shop(), TOKEN).unwrap().token;

    assert_eq!(sign_token(&ring(), &shop(), superseded.recovery(&shop())), RECOVERY_TOKEN);
}

#[test]
fn the_derivation_of_id_and_verifier_hash_is_unchanged() {
    let split_token = verify_token(&ring(), &shop(), TOKEN).unwrap().token;

    assert_eq!(split_token.id(&shop()).to_string(), "ff6909aafc1b3e6d10c6714839c7e5ee");
    assert_eq!(hex(split_token.verifier_hash(&shop()).as_bytes()), "3e1382bcafd73fd462513b588e966e94");
}

#[test]
fn the_derivation_of_the_next_token_is_unchanged() {
    let old = verify_token(&ring(), &shop(), TOKEN).unwrap().token;
    let nonce = Nonce::from_bytes(std::array::from_fn(|n| 0xc0 + u8::try_from(n).unwrap()));

    let next = next_token(&Key::parse(KEY).unwrap(), old, nonce);

    assert_eq!(sign_token(&ring(), &shop(), next), NEXT_TOKEN);
    assert_eq!(next.id(&shop()), old.id(&shop()));
    assert_eq!(hex(next.verifier_hash(&shop()).as_bytes()), "9b5ba0d9be245358b7c24bfca443ad98");
}

#[test]
fn every_flipped_bit_is_refused() {
    for text in [TOKEN, TICKET] {
        for (at, byte) in text.bytes().enumerate() {
            for bit in 0..8 {
                let mut bytes = text.as_bytes().to_vec();
                bytes[at] = byte ^ (1 << bit);

                assert_refused(&latin1(&bytes));
            }
        }
    }
}

#[test]
fn every_changed_character_is_refused() {
    for text in [TOKEN, TICKET] {
        for at in 0..text.len() {
            for byte in (0..=255).filter(|byte| *byte != text.as_bytes()[at]) {
                let mut bytes = text.as_bytes().to_vec();
                bytes[at] = byte;

                assert_refused(&latin1(&bytes));
            }
        }
    }
}

#[test]
fn shorter_and_longer_texts_are_refused() {
    for text in [TOKEN, TICKET] {
        for length in 0..text.len() {
            assert_refused(&text[..length]);
            assert_refused(&text[text.len() - length..]);
        }
        for byte in 0..=255 {
            assert_refused(&format!("{text}{}", latin1(&[byte])));
            assert_refused(&format!("{}{text}", latin1(&[byte])));
        }
        assert_refused(&format!("{text}{}", "A".repeat(100_000)));
        assert_refused(&".".repeat(100_000));
    }
}

#[test]
fn only_one_spelling_of_base64_is_accepted() {
    for text in [TOKEN, TICKET] {
        let parts: Vec<&str> = text.split('.').collect();
        for at in 1..parts.len() {
            for respelled in respellings(parts[at]) {
                let mut parts = parts.clone();
                parts[at] = &respelled;

                assert_refused(&parts.join("."));
            }
        }
    }
}

#[test]
fn the_seconds_of_a_ticket_are_signed_and_have_one_spelling() {
    let with = |seconds: &str| TICKET.replace("1700000000", seconds);

    for seconds in ["01700000000", "+1700000000", " 1700000000", "1700000000 ", "1_700_000_000", "1.7e9", "0x6553F100"]
    {
        assert_refused(&with(seconds));
    }
    for seconds in ["1700000001", "1699999999", "0", "", "-1", "18446744073709551615", "18446744073709551616"] {
        assert_refused(&with(seconds));
    }
}

#[test]
fn a_ticket_is_valid_for_fifteen_minutes() {
    let at =
        |seconds| verify_token_or_ticket(&ring(), &shop(), TICKET, issued() + std::time::Duration::from_secs(seconds));

    assert_eq!(TICKET_LIFE.as_secs(), 900);
    assert!(at(0).is_ok());
    assert!(at(900).is_ok());
    assert_eq!(at(901).unwrap_err(), TokenRejection::TooOld);
}

#[test]
fn purposes_and_versions_cannot_be_swapped() {
    let (token, ticket): (Vec<&str>, Vec<&str>) = (TOKEN.split('.').collect(), TICKET.split('.').collect());
    let [_, key, random, mac] = token[..] else { unreachable!() };
    let [_, _, seconds, _, ticket_mac] = ticket[..] else { unreachable!() };

    for version in ["v0", "v2", "V1", "v01", "v1 ", "t1", "T1", "", "v", "1", "v1.v1"] {
        assert_refused(&format!("{version}.{key}.{random}.{mac}"));
        assert_refused(&format!("{version}.{key}.{random}.{ticket_mac}"));
    }
    for version in ["t0", "t2", "T1", "v1", "", "t1.t1"] {
        assert_refused(&format!("{version}.{key}.{seconds}.{random}.{mac}"));
        assert_refused(&format!("{version}.{key}.{seconds}.{random}.{ticket_mac}"));
    }
    assert_refused(&format!("v1.{key}.{random}.{ticket_mac}"));
    assert_refused(&format!("t1.{key}.{seconds}.{random}.{mac}"));
}

#[test]
fn a_ticket_is_accepted_only_where_tickets_are() {
    assert!(verify_token(&ring(), &shop(), TICKET).is_err());
    assert!(!verify_token(&ring(), &shop(), TOKEN).unwrap().is_ticket);
    assert!(!verify_token_or_ticket(&ring(), &shop(), TOKEN, issued()).unwrap().is_ticket);
    assert!(verify_token_or_ticket(&ring(), &shop(), TICKET, issued()).unwrap().is_ticket);
}

#[test]
fn a_token_of_another_app_is_refused() {
    for name in ["shop2", "sho", "s", "default", "shop-", "shop_"] {
        let app = AppName::parse(name).unwrap();

        assert_eq!(verify_token(&ring(), &app, TOKEN).unwrap_err(), TokenRejection::BadSignature);
        assert_eq!(verify_token_or_ticket(&ring(), &app, TICKET, issued()).unwrap_err(), TokenRejection::BadSignature);
    }
}

#[test]
fn a_token_of_another_key_is_refused_even_with_the_id_of_this_key() {
    let other = KeyRing::parse(&[Key::generate()]).unwrap();
    let foreign = sign_token(&other, &shop(), verify_token(&ring(), &shop(), TOKEN).unwrap().token);
    let renamed = foreign.replace(&other.signing().id().to_string(), "OxP0MMqm");

    assert_eq!(verify_token(&ring(), &shop(), &foreign).unwrap_err(), TokenRejection::UnknownKey);
    assert_eq!(verify_token(&ring(), &shop(), &renamed).unwrap_err(), TokenRejection::BadSignature);
    assert_eq!(verify_token(&other, &shop(), TOKEN).unwrap_err(), TokenRejection::UnknownKey);
}

#[test]
fn a_token_is_verified_only_by_the_key_that_it_names() {
    let second = Key::generate();
    let both = KeyRing::parse(&[KEY, &second]).unwrap();
    let second_id = Key::parse(&second).unwrap().id().to_string();

    assert!(verify_token(&both, &shop(), TOKEN).is_ok());
    assert_eq!(
        verify_token(&both, &shop(), &TOKEN.replace("OxP0MMqm", &second_id)).unwrap_err(),
        TokenRejection::BadSignature
    );
}

#[test]
fn parts_of_two_tokens_make_no_third_one() {
    let split_tokens = [SplitToken::random(), SplitToken::random()];
    let [one, other] = split_tokens.map(|split_token| sign_token(&ring(), &shop(), split_token));
    let (one, other): (Vec<&str>, Vec<&str>) = (one.split('.').collect(), other.split('.').collect());

    assert_refused(&format!("v1.{}.{}.{}", one[1], one[2], other[3]));
    assert_refused(&format!("v1.{}.{}{}.{}", one[1], &one[2][..21], &other[2][21..], one[3]));
}

#[test]
fn no_mutated_token_is_accepted() {
    let config = Config { cases: cases(), failure_persistence: None, ..Config::default() };
    let originals = vec![TOKEN, TICKET, SET_TOKEN, KEEP_TOKEN, SET_TICKET, KEEP_TICKET];
    let strategy = (prop::sample::select(originals), vec(mutation(), 1..4));

    let run = TestRunner::new(config).run(&strategy, |(original, mutations)| {
        let mutated = mutations.iter().fold(original.as_bytes().to_vec(), |bytes, mutation| mutation.apply(bytes));
        let text = latin1(&mutated);
        // Two mutations may undo each other.
        prop_assert!(text == original || is_refused(&text), "accepted: {text}");
        Ok(())
    });

    run.unwrap();
}

proptest! {
    #![proptest_config(Config { cases: 2000, failure_persistence: None, ..Config::default() })]

    #[test]
    fn no_random_text_is_accepted(text in any::<String>(), tail in "[A-Za-z0-9_.-]{0,200}") {
        assert_refused(&text);
        assert_refused(&format!("v1.{tail}"));
        assert_refused(&format!("t1.OxP0MMqm.{tail}"));
    }

    #[test]
    fn no_random_signature_is_accepted(random in "[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]", mac in "[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]") {
        assert_refused(&format!("v1.OxP0MMqm.{random}.{mac}"));
        assert_refused(&format!("t1.OxP0MMqm.1700000000.{random}.{mac}"));
    }

    #[test]
    fn a_token_verifies_only_for_its_app(app in "[a-z0-9][a-z0-9_-]{0,63}", other in "[a-z0-9][a-z0-9_-]{0,63}") {
        prop_assume!(app != other);
        let (app, other) = (AppName::parse(&app).unwrap(), AppName::parse(&other).unwrap());
        let split_token = SplitToken::random();
        let (token, ticket) = (sign_token(&ring(), &app, split_token), sign_ticket(&ring(), &app, split_token, issued()));
        prop_assert!(verify_token(&ring(), &app, &token).unwrap().token == split_token);
        prop_assert!(verify_token_or_ticket(&ring(), &app, &ticket, issued()).unwrap().token == split_token);
        prop_assert!(verify_token(&ring(), &other, &token).is_err());
        prop_assert!(verify_token_or_ticket(&ring(), &other, &ticket, issued()).is_err());
        prop_assert!(split_token.id(&app) != split_token.id(&other));
    }
}

#[apply(on_every_store)]
async fn a_tampered_cookie_opens_an_empty_session_of_another_id(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;
    let id = service.open_cookie(&token).await.session.unwrap().id;

    for at in [0, 3, 12, 30, 54, 55, 56, 70, token.len() - 1] {
        let mut bytes = token.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let session = service.open_cookie(&latin1(&bytes)).await.session.unwrap();

        assert!(session.new && session.entries.is_empty() && session.id != id, "byte {at}");
    }
}

#[apply(on_every_store)]
async fn a_tampered_token_saves_nothing(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;

    for text in [format!("{token}="), format!("{token}A"), token[..token.len() - 1].to_owned(), token.to_uppercase()] {
        let refused = refused(service.try_save(save(&text, Changes::default().set("a", "2"))).await);

        assert_eq!(reason(&refused), (Code::InvalidArgument, "TOKEN_INVALID".to_owned()));
    }
    assert_eq!(service.entries(&token).await["a"], "1");
}

/// A change of a text.
#[derive(Clone, Debug)]
enum Mutation {
    Flip(prop::sample::Index, u8),
    Replace(prop::sample::Index, u8),
    Insert(prop::sample::Index, u8),
    Remove(prop::sample::Index),
    Swap(prop::sample::Index, prop::sample::Index),
    Cut(prop::sample::Index),
    Repeat(prop::sample::Index, prop::sample::Index),
    Append(Vec<u8>),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let at = any::<prop::sample::Index>;
    let likely = || prop::sample::select(b"ABCXYZabcxyz0189-_.=+/ tvsk".to_vec());
    prop_oneof![
        (at(), 0..8_u8).prop_map(|(at, bit)| Mutation::Flip(at, bit)),
        (at(), likely()).prop_map(|(at, byte)| Mutation::Replace(at, byte)),
        (at(), any::<u8>()).prop_map(|(at, byte)| Mutation::Replace(at, byte)),
        (at(), likely()).prop_map(|(at, byte)| Mutation::Insert(at, byte)),
        at().prop_map(Mutation::Remove),
        (at(), at()).prop_map(|(one, other)| Mutation::Swap(one, other)),
        at().prop_map(Mutation::Cut),
        (at(), at()).prop_map(|(from, to)| Mutation::Repeat(from, to)),
        vec(likely(), 1..60).prop_map(Mutation::Append),
    ]
}

impl Mutation {
    fn apply(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        if bytes.is_empty() {
            return bytes;
        }
        let length = bytes.len();
        match self {
            Self::Flip(at, bit) => bytes[at.index(length)] ^= 1 << bit,
            Self::Replace(at, byte) => bytes[at.index(length)] = *byte,
            Self::Insert(at, byte) => bytes.insert(at.index(length), *byte),
            Self::Remove(at) => drop(bytes.remove(at.index(length))),
            Self::Swap(one, other) => bytes.swap(one.index(length), other.index(length)),
            Self::Cut(at) => bytes.truncate(at.index(length)),
            Self::Repeat(from, to) => {
                let (from, to) = (from.index(length).min(to.index(length)), from.index(length).max(to.index(length)));
                let part = bytes[from..to].to_vec();
                bytes.splice(to..to, part);
            }
            Self::Append(tail) => bytes.extend(tail),
        }
        bytes
    }
}

/// Returns other spellings that a lax base64 decoder would accept for the same bytes.
fn respellings(part: &str) -> Vec<String> {
    let mut spellings = vec![format!("{part}="), format!("{part}=="), format!("={part}"), format!(" {part}")];
    spellings.push(part.replace('-', "+").replace('_', "/"));
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (head, last) = part.split_at(part.len() - 1);
    let value = alphabet.iter().position(|letter| [*letter] == *last.as_bytes()).unwrap();
    // With 43 characters the last one has spare bits, which a lax decoder ignores.
    if part.len() == 43 {
        spellings.extend((1..4).map(|spare| format!("{head}{}", char::from(alphabet[value | spare]))));
    }
    spellings.retain(|spelling| spelling != part);
    spellings
}

fn assert_refused(text: &str) {
    assert!(is_refused(text), "accepted: {text}");
}

fn is_refused(text: &str) -> bool {
    verify_token(&ring(), &shop(), text).is_err() && verify_token_or_ticket(&ring(), &shop(), text, issued()).is_err()
}

fn verify_token(ring: &KeyRing, app: &AppName, text: &str) -> Result<VerifiedToken, TokenRejection> {
    token::verify_token(ring, app, text, AcceptedText::Token)
}

fn verify_token_or_ticket(
    ring: &KeyRing,
    app: &AppName,
    text: &str,
    now: Time,
) -> Result<VerifiedToken, TokenRejection> {
    token::verify_token(ring, app, text, AcceptedText::TokenOrTicket { now })
}

fn ring() -> KeyRing {
    thread_local!(static RING: KeyRing = KeyRing::parse(&[KEY]).unwrap());
    RING.with(Clone::clone)
}

fn shop() -> AppName {
    AppName::parse("shop").unwrap()
}

fn issued() -> Time {
    Time::from_millis(1_700_000_000_000)
}

/// Decodes bytes as those of a Cookie header.
fn latin1(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the number of random cases.
fn cases() -> u32 {
    number("CLOAKROOM_TEST_TOKENS").unwrap_or(100_000)
}
