//! Every message of the contract as JSON and back, and the forms of each type.

use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::strategy::Union;
use prost_reflect::{Cardinality, FieldDescriptor, Kind, MapKey, Value};

use super::*;
use crate::grpc::DESCRIPTOR_SETS;

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| Schema::parse(&DESCRIPTOR_SETS).unwrap());

fn message(name: &str) -> MessageDescriptor {
    let pool = SCHEMA.rpc(OPEN).unwrap().request.parent_pool().clone();
    pool.get_message_by_name(name).unwrap_or_else(|| panic!("no {name}"))
}

/// Every message of every RPC, and every message in one.
fn messages() -> Vec<MessageDescriptor> {
    let mut waiting: Vec<_> =
        SCHEMA.rpcs.values().flat_map(|rpc| [rpc.request.clone(), rpc.response.clone()]).collect();
    let mut all: Vec<MessageDescriptor> = Vec::new();
    while let Some(message) = waiting.pop() {
        if !all.contains(&message) {
            waiting.extend(message.fields().filter_map(|field| field.kind().as_message().cloned()));
            all.push(message);
        }
    }
    all.retain(|message| !message.is_map_entry() && !message.full_name().starts_with("google.protobuf."));
    all.sort_by(|a, b| a.full_name().cmp(b.full_name()));
    all
}

fn any_message(message: &MessageDescriptor) -> BoxedStrategy<DynamicMessage> {
    let span = |seconds: std::ops::RangeInclusive<i64>, signs: bool| {
        let name = message.clone();
        (seconds, prop_oneof![Just(0), Just(1), Just(500_000_000), 0..1_000_000_000_i32], any::<bool>()).prop_map(
            move |(seconds, nanos, is_negative)| {
                let sign = if signs && is_negative { -1 } else { 1 };
                let mut message = DynamicMessage::new(name.clone());
                message.set_field_by_name("seconds", Value::I64(seconds * i64::from(sign)));
                message.set_field_by_name("nanos", Value::I32(nanos * sign));
                message
            },
        )
    };
    match message.full_name() {
        "google.protobuf.Duration" => return span(0..=315_575_999_999, true).boxed(),
        "google.protobuf.Timestamp" => return span(-62_135_596_800..=253_402_300_799, false).boxed(),
        _ => {}
    }
    let fields: Vec<_> = message.fields().collect();
    let values: Vec<_> = fields.iter().map(|field| prop::option::of(any_field(field))).collect();
    let name = message.clone();
    (values, any::<prop::sample::Index>())
        .prop_map(move |(values, chosen)| {
            let mut message = DynamicMessage::new(name.clone());
            for (field, value) in fields.iter().zip(values) {
                // The last one of a oneof stays, and another one in another case.
                let is_skipped = field.containing_oneof().is_some_and(|oneof| {
                    let fields: Vec<_> = oneof.fields().collect();
                    fields[chosen.index(fields.len())] != *field
                });
                if let Some(value) = value.filter(|_| !is_skipped) {
                    message.set_field(field, value);
                }
            }
            message
        })
        .boxed()
}

fn any_field(field: &FieldDescriptor) -> BoxedStrategy<Value> {
    if field.is_map() {
        let kind = field.kind();
        let value = kind.as_message().unwrap().map_entry_value_field().kind();
        let entries = prop::collection::hash_map(any_text().prop_map(MapKey::String), any_value(&value), 0..4);
        return entries.prop_map(Value::Map).boxed();
    }
    match field.cardinality() {
        Cardinality::Repeated => prop::collection::vec(any_value(&field.kind()), 0..4).prop_map(Value::List).boxed(),
        _ => any_value(&field.kind()),
    }
}

fn any_value(kind: &Kind) -> BoxedStrategy<Value> {
    match kind {
        Kind::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        Kind::Int32 => prop_oneof![Just(i32::MIN), Just(i32::MAX), any::<i32>()].prop_map(Value::I32).boxed(),
        Kind::Int64 => prop_oneof![Just(i64::MIN), Just(i64::MAX), any::<i64>()].prop_map(Value::I64).boxed(),
        Kind::Uint32 => prop_oneof![Just(u32::MAX), any::<u32>()].prop_map(Value::U32).boxed(),
        Kind::Uint64 => prop_oneof![Just(u64::MAX), any::<u64>()].prop_map(Value::U64).boxed(),
        Kind::String => any_text().prop_map(Value::String).boxed(),
        Kind::Bytes => prop::collection::vec(any::<u8>(), 0..20).prop_map(|b| Value::Bytes(b.into())).boxed(),
        Kind::Enum(descriptor) => {
            let known = descriptor.values().map(|value| Just(value.number()).boxed());
            Union::new(known.chain([any::<i32>().boxed()])).prop_map(Value::EnumNumber).boxed()
        }
        Kind::Message(message) => any_message(message).prop_map(Value::Message).boxed(),
        other => panic!("the contract has no {other:?}"),
    }
}

/// Texts that look like something else, and any text.
fn any_text() -> BoxedStrategy<String> {
    let chosen: &'static [&'static str] =
        &["", "null", "1.12345678901234567890s", "2026-01-01T00:00:00.0000000000001Z", "\u{0}\"\\\u{2028}"];
    prop_oneof![prop::sample::select(chosen).prop_map(str::to_owned), any::<String>()].boxed()
}

#[test]
fn the_schema_has_every_message_of_the_contract() {
    let names: Vec<_> = messages().iter().map(|message| message.full_name().to_owned()).collect();

    for name in ["cloakroom.v1.Changes", "cloakroom.v1.SessionEvent", "grpc.health.v1.HealthCheckResponse"] {
        assert!(names.iter().any(|other| other == name), "{name}: {names:?}");
    }
    assert!(names.len() > 45, "{names:?}");
}

#[test]
fn every_message_is_the_same_after_json() {
    let config = || ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    for descriptor in messages() {
        proptest!(config(), |(original in any_message(&descriptor))| {
            let text = json(&descriptor, original.encode_to_vec().into()).unwrap();
            let mut encoded = BytesMut::new();
            encode_json(&descriptor, &text, &mut encoded).unwrap();

            let decode = |bytes: &[u8]| DynamicMessage::decode(descriptor.clone(), bytes).unwrap();
            prop_assert!(decode(&encoded) == decode(&original.encode_to_vec()), "{}", String::from_utf8_lossy(&text));
        });
    }
}

#[test]
fn no_text_is_a_reason_to_panic() {
    let descriptor = message("cloakroom.v1.SaveSessionRequest");
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(
        text in "(\\{|\\}|\\[|\\]|,|:|\"|null|true|1e2|\"changes\"|\"set\"|\"idleTimeout\"|\"json\"|\"1.5s\"|\\\\| )*"
    )| {
        let _ = encode_json(&descriptor, text.as_bytes(), &mut BytesMut::new());
    });
}

/// Converts a text to a message and back to JSON.
fn convert(name: &str, text: &str) -> Result<String, String> {
    let descriptor = message(&format!("cloakroom.v1.{name}"));
    let mut encoded = BytesMut::new();
    encode_json(&descriptor, text.as_bytes(), &mut encoded)?;
    let text = json(&descriptor, encoded.freeze())?;
    Ok(String::from_utf8(text.to_vec()).unwrap())
}

#[test]
fn forms_of_one_value_are_read_alike() {
    for (name, text, expected) in [
        ("OpenSessionRequest", "{}", "{}"),
        ("OpenSessionRequest", " { \"app\" : \"\" } \n", "{}"),
        // Names as in the .proto, and in camel case.
        ("OpenSessionRequest", r#"{"cookie_name":"a"}"#, r#"{"cookieName":"a"}"#),
        ("OpenSessionRequest", r#"{"cookieName":"a"}"#, r#"{"cookieName":"a"}"#),
        // null is the default, in a oneof too.
        ("OpenSessionRequest", r#"{"app":null,"token":null,"context":null,"maxAuthenticateAge":null}"#, "{}"),
        ("SaveSessionRequest", r#"{"token":"t","cookieHeader":null}"#, r#"{"token":"t"}"#),
        ("Changes", r#"{"unset":null,"set":null,"permanent":null}"#, "{}"),
        // What was set to its default is not what was not set.
        ("Changes", r#"{"permanent":false}"#, r#"{"permanent":false}"#),
        ("Changes", r#"{"subject":""}"#, r#"{"subject":""}"#),
        ("Value", r#"{"json":""}"#, r#"{"json":""}"#),
        // Enums by name and by number, known or not.
        ("RotateSessionRequest", r#"{"cause":"ROTATION_CAUSE_RENEWAL"}"#, r#"{"cause":"ROTATION_CAUSE_RENEWAL"}"#),
        ("RotateSessionRequest", r#"{"cause":2}"#, r#"{"cause":"ROTATION_CAUSE_RENEWAL"}"#),
        ("RotateSessionRequest", r#"{"cause":99}"#, r#"{"cause":99}"#),
        // Integers: 64 bits as text or number, and numbers without a fraction.
        ("Changes", r#"{"increment":{"n":"5"}}"#, r#"{"increment":{"n":"5"}}"#),
        ("Changes", r#"{"increment":{"n":5}}"#, r#"{"increment":{"n":"5"}}"#),
        ("Changes", r#"{"increment":{"n":-5.0}}"#, r#"{"increment":{"n":"-5"}}"#),
        ("Changes", r#"{"increment":{"n":1e2}}"#, r#"{"increment":{"n":"100"}}"#),
        ("Changes", r#"{"increment":{"n":"-9223372036854775808"}}"#, r#"{"increment":{"n":"-9223372036854775808"}}"#),
        ("ListSessionsRequest", r#"{"pageSize":"7"}"#, r#"{"pageSize":7}"#),
        ("ListSessionsRequest", r#"{"pageSize":1e2}"#, r#"{"pageSize":100}"#),
        ("RevokeSubjectResponse", r#"{"revoked":4294967295}"#, r#"{"revoked":4294967295}"#),
        // base64 of both alphabets, with padding and without.
        ("Value", r#"{"raw":"+/8="}"#, r#"{"raw":"+/8="}"#),
        ("Value", r#"{"raw":"+/8"}"#, r#"{"raw":"+/8="}"#),
        ("Value", r#"{"raw":"-_8="}"#, r#"{"raw":"+/8="}"#),
        ("Value", r#"{"raw":"-_8"}"#, r#"{"raw":"+/8="}"#),
        ("Value", r#"{"raw":""}"#, r#"{"raw":""}"#),
        // Durations.
        ("Changes", r#"{"idleTimeout":"90s"}"#, r#"{"idleTimeout":"90s"}"#),
        ("Changes", r#"{"idleTimeout":"1.5s"}"#, r#"{"idleTimeout":"1.500s"}"#),
        ("Changes", r#"{"idleTimeout":"-1.000000001s"}"#, r#"{"idleTimeout":"-1.000000001s"}"#),
        ("Changes", r#"{"idleTimeout":"315576000000s"}"#, r#"{"idleTimeout":"315576000000s"}"#),
        // Times.
        ("Changes", r#"{"deadlineTime":"2026-11-26T14:00:00Z"}"#, r#"{"deadlineTime":"2026-11-26T14:00:00Z"}"#),
        (
            "Changes",
            r#"{"deadlineTime":"2026-11-26T16:00:00.25+02:00"}"#,
            r#"{"deadlineTime":"2026-11-26T14:00:00.250Z"}"#,
        ),
        // Texts that look like times are texts.
        ("Value", r#"{"json":"\"1.12345678901s\""}"#, r#"{"json":"\"1.12345678901s\""}"#),
        ("Changes", r#"{"unset":["1.12345678901s"]}"#, r#"{"unset":["1.12345678901s"]}"#),
        ("Changes", "{\"unset\":[\"\\u00e4\\ud83d\\ude00\"]}", "{\"unset\":[\"\u{e4}\u{1f600}\"]}"),
    ] {
        assert_eq!(convert(name, text).as_deref(), Ok(expected), "{text}");
    }
}

/// Converts each text as this message; the error has this part, and says where it is.
fn check_refusals(refusals: &[(&str, &str, &str)]) {
    for (name, text, part) in refusals {
        let error = convert(name, text).expect_err(text);
        assert!(error.contains(part), "{text}: {error}");
        assert!(error.contains(" at line "), "{text}: {error}");
    }
}

#[test]
fn what_is_no_message_is_refused_by_saying_what_and_where() {
    check_refusals(&[
        ("OpenSessionRequest", " ", "EOF"),
        ("OpenSessionRequest", "null", "line 1 column 4"),
        ("OpenSessionRequest", "[]", "line 1"),
        ("OpenSessionRequest", "{} {}", "trailing characters at line 1 column 4"),
        ("OpenSessionRequest", "{\"app\":\"a\",}", "trailing comma"),
        ("OpenSessionRequest", "{'app':'a'}", "line 1 column 2"),
        ("OpenSessionRequest", "{\"app\":\"\u{1}\"}", "control character"),
        ("OpenSessionRequest", r#"{"app":"\ud800"}"#, "line 1"),
        // Unknown names.
        ("OpenSessionRequest", r#"{"apps":"a"}"#, "'apps' at line 1 column 7"),
        ("SaveSessionRequest", r#"{"changes":{"sets":{}}}"#, "'sets'"),
        ("SaveSessionRequest", r#"{"changes":{"set":{"a":{"text":"b"}}}}"#, "'text'"),
        ("OpenSessionRequest", r#"{"CookieName":"a"}"#, "'CookieName'"),
        // Wrong types.
        ("OpenSessionRequest", r#"{"app":5}"#, "integer `5`, expected a string"),
        ("OpenSessionRequest", r#"{"app":{}}"#, "expected a string"),
        ("SaveSessionRequest", r#"{"accessed":"true"}"#, "expected a boolean"),
        ("SaveSessionRequest", r#"{"accessed":1}"#, "expected a boolean"),
        ("SaveSessionRequest", r#"{"changes":[]}"#, "expected a map"),
        ("Changes", r#"{"unset":"a"}"#, "expected a list"),
        ("Changes", r#"{"unset":[null]}"#, "null"),
        ("Changes", r#"{"set":[]}"#, "expected a map"),
        ("Changes", r#"{"set":{"a":null}}"#, "null"),
        ("Changes", r#"{"set":{"a":"b"}}"#, "expected a map"),
        // Two of one oneof, and a name twice, in any spelling.
        ("SaveSessionRequest", r#"{"token":"t","cookieHeader":"c"}"#, "multiple fields"),
        ("Value", r#"{"json":"1","raw":""}"#, "multiple fields"),
        ("OpenSessionRequest", r#"{"app":"a","app":"b"}"#, "repeated name 'app'"),
        ("OpenSessionRequest", r#"{"cookieName":"a","cookie_name":"a"}"#, "repeated name 'cookie_name'"),
        ("Changes", r#"{"set":{"a":{"json":"1"},"\u0061":{"json":"2"}}}"#, "repeated name 'a'"),
        ("SaveSessionRequest", r#"{"changes":{"increment":{"n":1,"n":2}}}"#, "repeated name 'n'"),
    ]);
}

#[test]
fn what_is_no_value_is_refused_by_saying_what_and_where() {
    check_refusals(&[
        // Numbers.
        ("Changes", r#"{"increment":{"n":1.5}}"#, "expected integer"),
        ("Changes", r#"{"increment":{"n":9223372036854775808}}"#, "out of range"),
        ("Changes", r#"{"increment":{"n":1e30}}"#, "out of range"),
        ("Changes", r#"{"increment":{"n":1e999}}"#, "out of range"),
        ("Changes", r#"{"increment":{"n":NaN}}"#, "expected value"),
        ("Changes", r#"{"increment":{"n":"NaN"}}"#, "invalid digit"),
        ("Changes", r#"{"increment":{"n":"1.5"}}"#, "invalid digit"),
        ("Changes", r#"{"increment":{"n":" 1"}}"#, "invalid digit"),
        ("Changes", r#"{"increment":{"n":01}}"#, "invalid number"),
        ("ListSessionsRequest", r#"{"pageSize":2147483648}"#, "out of range"),
        ("RotateSessionRequest", r#"{"cause":"RENEWAL"}"#, "RENEWAL"),
        ("RotateSessionRequest", r#"{"cause":"2"}"#, "2"),
        ("RotateSessionRequest", r#"{"cause":1.5}"#, "1.5"),
        // base64.
        ("Value", r#"{"raw":"*"}"#, "base64"),
        ("Value", r#"{"raw":"A"}"#, "base64"),
        ("Value", r#"{"raw":"+_8="}"#, "base64"),
        ("Value", r#"{"raw":[1]}"#, "base64"),
        // Times.
        ("Changes", r#"{"idleTimeout":"90"}"#, "duration"),
        ("Changes", r#"{"idleTimeout":90}"#, "duration"),
        ("Changes", r#"{"idleTimeout":"1m"}"#, "duration"),
        ("Changes", r#"{"idleTimeout":""}"#, "duration"),
        ("Changes", r#"{"idleTimeout":"315576000001s"}"#, "out of range"),
        ("Changes", r#"{"idleTimeout":"1.0000000001s"}"#, "at most nine digits"),
        ("Changes", "{\"idleTimeout\":\"1\\u002e000000000\\u0031s\"}", "at most nine digits"),
        ("Changes", r#"{"idle_timeout":"1.0000000000s"}"#, "at most nine digits"),
        ("OpenSessionRequest", r#"{"maxAuthenticateAge":"1.0000000001s"}"#, "at most nine digits"),
        ("SaveSessionRequest", r#"{"changes":{"deadlineTime":"2026-01-01T00:00:00.0000000001Z"}}"#, "nine digits"),
        ("Changes", r#"{"deadlineTime":"2026-01-01"}"#, "timestamp"),
        ("Changes", r#"{"deadlineTime":"2026-13-01T00:00:00Z"}"#, "timestamp"),
        ("Changes", r#"{"deadlineTime":"2026-01-01T00:00:00"}"#, "timestamp"),
        ("Changes", r#"{"deadlineTime":1700000000}"#, "timestamp"),
    ]);
}

#[test]
fn an_empty_body_is_no_json() {
    assert_eq!(convert("OpenSessionRequest", "").unwrap_err(), "the body is empty; as JSON an empty message is {}");
}

#[test]
fn deep_texts_are_refused_without_a_deep_stack() {
    for text in ["[", "{\"a\":", "{\"changes\":{\"set\":{\"a\":{\"json\":", "{\"changes\":", "{\"unknown\":["] {
        let error = convert("SaveSessionRequest", &text.repeat(100_000)).expect_err(text);
        assert!(error.contains(" at line 1 column "), "{error}");
    }
    let in_text = format!("{{\"token\":{}1{}}}", "[".repeat(1_000_000), "]".repeat(1_000_000));
    assert!(convert("SaveSessionRequest", &in_text).is_err());
}

#[test]
fn as_many_changes_as_a_save_may_have_are_converted_and_far_more_are_not() {
    let text = |members: usize, member: fn(usize) -> String| {
        let members: Vec<_> = (0..members).map(member).collect();
        members.join(",")
    };
    let sets = |members| text(members, |n| format!("\"{n}\":{{\"json\":\"1\"}}"));
    let unsets = |members| text(members, |n| format!("\"{n}\""));

    assert!(convert("Changes", &format!("{{\"set\":{{{}}}}}", sets(8193))).is_ok());
    assert!(convert("Changes", &format!("{{\"unset\":[{}]}}", unsets(8193))).is_ok());
    for many in [format!("{{\"set\":{{{}}}}}", sets(16_384)), format!("{{\"unset\":[{}]}}", unsets(32_768))] {
        let error = convert("Changes", &many).unwrap_err();
        assert!(error.contains("more than 32768 members and elements"), "{error}");
    }
}

const OPEN: &str = "/cloakroom.v1.SessionService/OpenSession";
