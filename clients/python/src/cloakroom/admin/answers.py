"""What AdminService answers, in plain types. All times are in UTC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from ..enums import name_of
from ..messages import admin_service_pb2 as pb
from ..messages import session_service_pb2 as session_pb
from ..messages.session_service_pb2 import EndReason


@dataclass(frozen=True)
class SessionInfo:
    """A session as an operator sees it. No field opens it."""

    #: Public and safe to log. It stays the same when the token is replaced.
    id: str
    #: The user to whom the session belongs. None: it is anonymous.
    subject: str | None
    #: Whether the cookie outlives the browser. None: nobody has set it.
    permanent: bool | None
    #: The version.
    etag: str
    #: When it was stored for the first time. All times are in UTC.
    create_time: datetime
    #: Of the last use that was written. Not every use without changes is written, but one in each twentieth of the idle
    #: timeout.
    access_time: datetime
    #: When the user last authenticated. None: never.
    authenticate_time: datetime | None
    #: When it ends if it is not used again.
    expire_time: datetime
    #: The browser and the address of the last use, as the frontend saw them. Empty if it sends none.
    user_agent: str
    remote_address: str
    entry_count: int
    #: Bytes of names and values together.
    entry_bytes: int
    #: JSON text, or raw bytes. Empty unless asked for.
    entries: Mapping[str, str | bytes]
    #: Why a call ended it, such as `DESTROYED` or `REVOKED`, or why time did: `IDLE`, `ABSOLUTE`. None: it lives.
    end_reason: str | None
    #: When a call ended it.
    end_time: datetime | None


@dataclass(frozen=True)
class SessionPage:
    """Some sessions of an app."""

    sessions: list[SessionInfo]
    #: For the next page. Empty: this is the last one.
    next_page_token: str


@dataclass(frozen=True)
class Stats:
    """The numbers of an app, as one replica has them."""

    #: Since when this replica counts.
    start_time: datetime
    #: How often a request found its session alive.
    opened: int
    #: Sessions that were stored for the first time.
    created: int
    #: Sessions that a call ended, by reason. Those that `revoke_app` ended are not counted.
    ended: Mapping[str, int]
    #: Live sessions at the last count of the store, within 5 %. None: not known.
    live: int | None
    #: Those of them without a subject.
    live_anonymous: int | None
    #: Of the last count.
    scan_time: datetime | None
    #: One for each migration source of the app.
    migrations: list[MigrationStats]


@dataclass(frozen=True)
class MigrationStats:
    """The numbers of one place that legacy sessions are imported from."""

    #: Its name in the settings, such as `flask_cookie`.
    source: str
    #: When it closes.
    until: datetime
    imported: int
    #: How often a legacy credential found a session that was imported before.
    found: int
    #: Legacy credentials that opened no session, by reason.
    refused: Mapping[str, int]
    #: None: there was none.
    last_import_time: datetime | None


@dataclass(frozen=True)
class Explanation:
    """What one cookie, token or ticket leads to."""

    #: `LIVE`, `SUPERSEDED`, `ENDED`, `UNKNOWN`, `UNUSED` or `REJECTED`.
    state: str
    #: With ENDED and SUPERSEDED: why it does not open its session.
    end_reason: str | None
    #: With LIVE: when it ends if it is not used. With SUPERSEDED: when it was replaced. With ENDED: when it ended.
    end_time: datetime | None
    #: Of its session. Empty with REJECTED.
    id: str
    #: What the store has of the session.
    session: SessionInfo | None
    #: With REJECTED: `MALFORMED`, `UNKNOWN_KEY`, `BAD_SIGNATURE`, `TOO_OLD` or another reason of the proto.
    rejection: str
    #: The key that it claims to be signed with.
    key_id: str
    #: Another app that it verifies for, if the caller may use that app.
    other_app: str


def session_info(info: pb.SessionInfo) -> SessionInfo:
    return SessionInfo(
        id=info.id,
        subject=info.subject or None,
        permanent=info.permanent if info.HasField("permanent") else None,
        etag=info.etag,
        create_time=info.create_time.ToDatetime(timezone.utc),
        access_time=info.access_time.ToDatetime(timezone.utc),
        authenticate_time=_time_or_none(info, "authenticate_time"),
        expire_time=info.expire_time.ToDatetime(timezone.utc),
        user_agent=info.context.user_agent,
        remote_address=info.context.remote_address,
        entry_count=info.entry_count,
        entry_bytes=info.entry_bytes,
        entries={name: _raw_value(value) for name, value in info.entries.items()},
        end_reason=end_reason_of(info.end_reason),
        end_time=_time_or_none(info, "end_time"),
    )


def _raw_value(value: session_pb.Value) -> str | bytes:
    return value.json if value.WhichOneof("kind") == "json" else value.raw


def explanation_of(explanation: pb.CredentialExplanation) -> Explanation:
    return Explanation(
        state=name_of(pb.CredentialState, explanation.state, "CREDENTIAL_STATE_"),
        end_reason=end_reason_of(explanation.end_reason),
        end_time=_time_or_none(explanation, "end_time"),
        id=explanation.id,
        session=session_info(explanation.session) if explanation.HasField("session") else None,
        rejection=explanation.rejection,
        key_id=explanation.key_id,
        other_app=explanation.other_app,
    )


def stats_of(answer: pb.GetStatsResponse) -> Stats:
    return Stats(
        start_time=answer.start_time.ToDatetime(timezone.utc),
        opened=answer.opened,
        created=answer.created,
        ended=dict(answer.ended),
        live=answer.live if answer.HasField("live") else None,
        live_anonymous=answer.live_anonymous if answer.HasField("live_anonymous") else None,
        scan_time=_time_or_none(answer, "scan_time"),
        migrations=[_migration_stats(source) for source in answer.migrations],
    )


def _migration_stats(source: pb.MigrationStats) -> MigrationStats:
    return MigrationStats(
        source=source.source,
        until=source.until.ToDatetime(timezone.utc),
        imported=source.imported,
        found=source.found,
        refused=dict(source.refused),
        last_import_time=_time_or_none(source, "last_import_time"),
    )


def _time_or_none(message: Message, field: str) -> datetime | None:
    time: Timestamp = getattr(message, field)
    return time.ToDatetime(timezone.utc) if message.HasField(field) else None


def end_reason_of(reason: EndReason) -> str | None:
    return None if reason == EndReason.END_REASON_UNSPECIFIED else name_of(EndReason, reason, "END_REASON_")
