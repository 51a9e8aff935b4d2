//! Example sessions for tests of the output.

use std::collections::BTreeMap;

use prost_types::Timestamp;

use crate::grpc::wire::{EndReason, RequestContext, SessionInfo, Value, value};
use crate::types::Time;

/// 2026-01-02T03:04:05Z.
pub(super) const NOW: Time = Time::from_seconds(SECONDS as u64);

pub(super) fn full() -> SessionInfo {
    SessionInfo {
        id: "0123456789abcdef0123456789abcdef".to_owned(),
        subject: "user-7".to_owned(),
        permanent: Some(true),
        etag: "4".to_owned(),
        create_time: at(-2 * DAY),
        access_time: at(-180),
        authenticate_time: at(-2 * DAY),
        expire_time: at(30 * DAY),
        context: Some(RequestContext {
            user_agent: "Firefox\u{1b}[31m".to_owned(),
            remote_address: "198.51.100.7".to_owned(),
        }),
        entry_count: 2,
        entry_bytes: 17,
        entries: BTreeMap::from([
            ("photo".to_owned(), Value { kind: Some(value::Kind::Raw(vec![0xff, 0, 1])) }),
            ("cart".to_owned(), Value { kind: Some(value::Kind::Json("[1,2]".to_owned())) }),
        ]),
        ..Default::default()
    }
}

pub(super) fn bare() -> SessionInfo {
    SessionInfo {
        id: "f".repeat(32),
        etag: "1".to_owned(),
        create_time: at(0),
        access_time: at(0),
        expire_time: at(31 * DAY),
        ..Default::default()
    }
}

pub(super) fn ended() -> SessionInfo {
    SessionInfo { end_reason: EndReason::Revoked.into(), end_time: at(-60), ..bare() }
}

pub(super) fn at(seconds: i64) -> Option<Timestamp> {
    Some(Timestamp { seconds: SECONDS + seconds, nanos: 0 })
}

const SECONDS: i64 = 1_767_323_045;

const DAY: i64 = 86_400;
