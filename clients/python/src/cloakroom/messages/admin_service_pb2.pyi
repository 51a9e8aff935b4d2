from . import session_service_pb2 as _session_service_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CredentialState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CREDENTIAL_STATE_UNSPECIFIED: _ClassVar[CredentialState]
    CREDENTIAL_STATE_LIVE: _ClassVar[CredentialState]
    CREDENTIAL_STATE_SUPERSEDED: _ClassVar[CredentialState]
    CREDENTIAL_STATE_ENDED: _ClassVar[CredentialState]
    CREDENTIAL_STATE_UNKNOWN: _ClassVar[CredentialState]
    CREDENTIAL_STATE_UNUSED: _ClassVar[CredentialState]
    CREDENTIAL_STATE_REJECTED: _ClassVar[CredentialState]

class SessionEventKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SESSION_EVENT_KIND_UNSPECIFIED: _ClassVar[SessionEventKind]
    SESSION_EVENT_KIND_CREATED: _ClassVar[SessionEventKind]
    SESSION_EVENT_KIND_ROTATED: _ClassVar[SessionEventKind]
    SESSION_EVENT_KIND_SUBJECT_CHANGED: _ClassVar[SessionEventKind]
    SESSION_EVENT_KIND_ENDED: _ClassVar[SessionEventKind]
    SESSION_EVENT_KIND_APP_REVOKED: _ClassVar[SessionEventKind]
CREDENTIAL_STATE_UNSPECIFIED: CredentialState
CREDENTIAL_STATE_LIVE: CredentialState
CREDENTIAL_STATE_SUPERSEDED: CredentialState
CREDENTIAL_STATE_ENDED: CredentialState
CREDENTIAL_STATE_UNKNOWN: CredentialState
CREDENTIAL_STATE_UNUSED: CredentialState
CREDENTIAL_STATE_REJECTED: CredentialState
SESSION_EVENT_KIND_UNSPECIFIED: SessionEventKind
SESSION_EVENT_KIND_CREATED: SessionEventKind
SESSION_EVENT_KIND_ROTATED: SessionEventKind
SESSION_EVENT_KIND_SUBJECT_CHANGED: SessionEventKind
SESSION_EVENT_KIND_ENDED: SessionEventKind
SESSION_EVENT_KIND_APP_REVOKED: SessionEventKind

class SessionInfo(_message.Message):
    __slots__ = ("id", "subject", "permanent", "etag", "create_time", "access_time", "authenticate_time", "expire_time", "context", "entry_count", "entry_bytes", "entries", "end_reason", "end_time")
    class EntriesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _session_service_pb2.Value
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_session_service_pb2.Value, _Mapping]] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    PERMANENT_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    ACCESS_TIME_FIELD_NUMBER: _ClassVar[int]
    AUTHENTICATE_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    ENTRY_COUNT_FIELD_NUMBER: _ClassVar[int]
    ENTRY_BYTES_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    END_REASON_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    id: str
    subject: str
    permanent: bool
    etag: str
    create_time: _timestamp_pb2.Timestamp
    access_time: _timestamp_pb2.Timestamp
    authenticate_time: _timestamp_pb2.Timestamp
    expire_time: _timestamp_pb2.Timestamp
    context: _session_service_pb2.RequestContext
    entry_count: int
    entry_bytes: int
    entries: _containers.MessageMap[str, _session_service_pb2.Value]
    end_reason: _session_service_pb2.EndReason
    end_time: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., subject: _Optional[str] = ..., permanent: bool = ..., etag: _Optional[str] = ..., create_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., access_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., authenticate_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., expire_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., context: _Optional[_Union[_session_service_pb2.RequestContext, _Mapping]] = ..., entry_count: _Optional[int] = ..., entry_bytes: _Optional[int] = ..., entries: _Optional[_Mapping[str, _session_service_pb2.Value]] = ..., end_reason: _Optional[_Union[_session_service_pb2.EndReason, str]] = ..., end_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListSessionsRequest(_message.Message):
    __slots__ = ("app", "subject", "page_size", "page_token", "with_entries")
    APP_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    WITH_ENTRIES_FIELD_NUMBER: _ClassVar[int]
    app: str
    subject: str
    page_size: int
    page_token: str
    with_entries: bool
    def __init__(self, app: _Optional[str] = ..., subject: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., with_entries: bool = ...) -> None: ...

class ListSessionsResponse(_message.Message):
    __slots__ = ("sessions", "next_page_token")
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    sessions: _containers.RepeatedCompositeFieldContainer[SessionInfo]
    next_page_token: str
    def __init__(self, sessions: _Optional[_Iterable[_Union[SessionInfo, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetSessionRequest(_message.Message):
    __slots__ = ("app", "id", "with_entries")
    APP_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    WITH_ENTRIES_FIELD_NUMBER: _ClassVar[int]
    app: str
    id: str
    with_entries: bool
    def __init__(self, app: _Optional[str] = ..., id: _Optional[str] = ..., with_entries: bool = ...) -> None: ...

class GetSessionResponse(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: SessionInfo
    def __init__(self, session: _Optional[_Union[SessionInfo, _Mapping]] = ...) -> None: ...

class RevokeSessionRequest(_message.Message):
    __slots__ = ("app", "id")
    APP_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    app: str
    id: str
    def __init__(self, app: _Optional[str] = ..., id: _Optional[str] = ...) -> None: ...

class RevokeSessionResponse(_message.Message):
    __slots__ = ("outcome", "end_reason")
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    END_REASON_FIELD_NUMBER: _ClassVar[int]
    outcome: _session_service_pb2.Outcome
    end_reason: _session_service_pb2.EndReason
    def __init__(self, outcome: _Optional[_Union[_session_service_pb2.Outcome, str]] = ..., end_reason: _Optional[_Union[_session_service_pb2.EndReason, str]] = ...) -> None: ...

class RevokeSubjectRequest(_message.Message):
    __slots__ = ("app", "subject", "except_id")
    APP_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    EXCEPT_ID_FIELD_NUMBER: _ClassVar[int]
    app: str
    subject: str
    except_id: str
    def __init__(self, app: _Optional[str] = ..., subject: _Optional[str] = ..., except_id: _Optional[str] = ...) -> None: ...

class RevokeSubjectResponse(_message.Message):
    __slots__ = ("revoked",)
    REVOKED_FIELD_NUMBER: _ClassVar[int]
    revoked: int
    def __init__(self, revoked: _Optional[int] = ...) -> None: ...

class RevokeAppRequest(_message.Message):
    __slots__ = ("app",)
    APP_FIELD_NUMBER: _ClassVar[int]
    app: str
    def __init__(self, app: _Optional[str] = ...) -> None: ...

class RevokeAppResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ExplainCredentialRequest(_message.Message):
    __slots__ = ("app", "cookie_header", "token", "key", "cookie_name")
    APP_FIELD_NUMBER: _ClassVar[int]
    COOKIE_HEADER_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    COOKIE_NAME_FIELD_NUMBER: _ClassVar[int]
    app: str
    cookie_header: str
    token: str
    key: bytes
    cookie_name: str
    def __init__(self, app: _Optional[str] = ..., cookie_header: _Optional[str] = ..., token: _Optional[str] = ..., key: _Optional[bytes] = ..., cookie_name: _Optional[str] = ...) -> None: ...

class ExplainCredentialResponse(_message.Message):
    __slots__ = ("explanations",)
    EXPLANATIONS_FIELD_NUMBER: _ClassVar[int]
    explanations: _containers.RepeatedCompositeFieldContainer[CredentialExplanation]
    def __init__(self, explanations: _Optional[_Iterable[_Union[CredentialExplanation, _Mapping]]] = ...) -> None: ...

class CredentialExplanation(_message.Message):
    __slots__ = ("state", "end_reason", "end_time", "id", "session", "rejection", "key_id", "other_app")
    STATE_FIELD_NUMBER: _ClassVar[int]
    END_REASON_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    REJECTION_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    OTHER_APP_FIELD_NUMBER: _ClassVar[int]
    state: CredentialState
    end_reason: _session_service_pb2.EndReason
    end_time: _timestamp_pb2.Timestamp
    id: str
    session: SessionInfo
    rejection: str
    key_id: str
    other_app: str
    def __init__(self, state: _Optional[_Union[CredentialState, str]] = ..., end_reason: _Optional[_Union[_session_service_pb2.EndReason, str]] = ..., end_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., id: _Optional[str] = ..., session: _Optional[_Union[SessionInfo, _Mapping]] = ..., rejection: _Optional[str] = ..., key_id: _Optional[str] = ..., other_app: _Optional[str] = ...) -> None: ...

class ListSessionEndsRequest(_message.Message):
    __slots__ = ("app", "id", "subject")
    APP_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    app: str
    id: str
    subject: str
    def __init__(self, app: _Optional[str] = ..., id: _Optional[str] = ..., subject: _Optional[str] = ...) -> None: ...

class ListSessionEndsResponse(_message.Message):
    __slots__ = ("ends", "begin_time", "lost")
    ENDS_FIELD_NUMBER: _ClassVar[int]
    BEGIN_TIME_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    ends: _containers.RepeatedCompositeFieldContainer[SessionEnd]
    begin_time: _timestamp_pb2.Timestamp
    lost: int
    def __init__(self, ends: _Optional[_Iterable[_Union[SessionEnd, _Mapping]]] = ..., begin_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., lost: _Optional[int] = ...) -> None: ...

class SessionEnd(_message.Message):
    __slots__ = ("time", "id", "subject", "reason", "create_time", "access_time", "caller", "rpc", "call_id")
    TIME_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    ACCESS_TIME_FIELD_NUMBER: _ClassVar[int]
    CALLER_FIELD_NUMBER: _ClassVar[int]
    RPC_FIELD_NUMBER: _ClassVar[int]
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    time: _timestamp_pb2.Timestamp
    id: str
    subject: str
    reason: _session_service_pb2.EndReason
    create_time: _timestamp_pb2.Timestamp
    access_time: _timestamp_pb2.Timestamp
    caller: str
    rpc: str
    call_id: str
    def __init__(self, time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., id: _Optional[str] = ..., subject: _Optional[str] = ..., reason: _Optional[_Union[_session_service_pb2.EndReason, str]] = ..., create_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., access_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., caller: _Optional[str] = ..., rpc: _Optional[str] = ..., call_id: _Optional[str] = ...) -> None: ...

class GetStatsRequest(_message.Message):
    __slots__ = ("app",)
    APP_FIELD_NUMBER: _ClassVar[int]
    app: str
    def __init__(self, app: _Optional[str] = ...) -> None: ...

class GetStatsResponse(_message.Message):
    __slots__ = ("start_time", "opened", "created", "ended", "live", "live_anonymous", "scan_time", "migrations")
    class EndedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    OPENED_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    LIVE_FIELD_NUMBER: _ClassVar[int]
    LIVE_ANONYMOUS_FIELD_NUMBER: _ClassVar[int]
    SCAN_TIME_FIELD_NUMBER: _ClassVar[int]
    MIGRATIONS_FIELD_NUMBER: _ClassVar[int]
    start_time: _timestamp_pb2.Timestamp
    opened: int
    created: int
    ended: _containers.ScalarMap[str, int]
    live: int
    live_anonymous: int
    scan_time: _timestamp_pb2.Timestamp
    migrations: _containers.RepeatedCompositeFieldContainer[MigrationStats]
    def __init__(self, start_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., opened: _Optional[int] = ..., created: _Optional[int] = ..., ended: _Optional[_Mapping[str, int]] = ..., live: _Optional[int] = ..., live_anonymous: _Optional[int] = ..., scan_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., migrations: _Optional[_Iterable[_Union[MigrationStats, _Mapping]]] = ...) -> None: ...

class MigrationStats(_message.Message):
    __slots__ = ("source", "until", "imported", "found", "refused", "last_import_time")
    class RefusedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    IMPORTED_FIELD_NUMBER: _ClassVar[int]
    FOUND_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    LAST_IMPORT_TIME_FIELD_NUMBER: _ClassVar[int]
    source: str
    until: _timestamp_pb2.Timestamp
    imported: int
    found: int
    refused: _containers.ScalarMap[str, int]
    last_import_time: _timestamp_pb2.Timestamp
    def __init__(self, source: _Optional[str] = ..., until: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., imported: _Optional[int] = ..., found: _Optional[int] = ..., refused: _Optional[_Mapping[str, int]] = ..., last_import_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class WatchEventsRequest(_message.Message):
    __slots__ = ("app", "cursor")
    APP_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    app: str
    cursor: str
    def __init__(self, app: _Optional[str] = ..., cursor: _Optional[str] = ...) -> None: ...

class WatchEventsResponse(_message.Message):
    __slots__ = ("events", "cursor")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[SessionEvent]
    cursor: str
    def __init__(self, events: _Optional[_Iterable[_Union[SessionEvent, _Mapping]]] = ..., cursor: _Optional[str] = ...) -> None: ...

class SessionEvent(_message.Message):
    __slots__ = ("id", "kind", "end_reason", "time")
    ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    END_REASON_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    id: str
    kind: SessionEventKind
    end_reason: _session_service_pb2.EndReason
    time: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., kind: _Optional[_Union[SessionEventKind, str]] = ..., end_reason: _Optional[_Union[_session_service_pb2.EndReason, str]] = ..., time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListAppsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListAppsResponse(_message.Message):
    __slots__ = ("apps",)
    APPS_FIELD_NUMBER: _ClassVar[int]
    apps: _containers.RepeatedCompositeFieldContainer[AppInfo]
    def __init__(self, apps: _Optional[_Iterable[_Union[AppInfo, _Mapping]]] = ...) -> None: ...

class AppInfo(_message.Message):
    __slots__ = ("policy", "key_ids", "max_sessions_per_subject")
    POLICY_FIELD_NUMBER: _ClassVar[int]
    KEY_IDS_FIELD_NUMBER: _ClassVar[int]
    MAX_SESSIONS_PER_SUBJECT_FIELD_NUMBER: _ClassVar[int]
    policy: _session_service_pb2.GetAppPolicyResponse
    key_ids: _containers.RepeatedScalarFieldContainer[str]
    max_sessions_per_subject: int
    def __init__(self, policy: _Optional[_Union[_session_service_pb2.GetAppPolicyResponse, _Mapping]] = ..., key_ids: _Optional[_Iterable[str]] = ..., max_sessions_per_subject: _Optional[int] = ...) -> None: ...

class GetServiceInfoRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetServiceInfoResponse(_message.Message):
    __slots__ = ("version", "start_time", "store", "caller", "may_end_sessions", "callers")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    STORE_FIELD_NUMBER: _ClassVar[int]
    CALLER_FIELD_NUMBER: _ClassVar[int]
    MAY_END_SESSIONS_FIELD_NUMBER: _ClassVar[int]
    CALLERS_FIELD_NUMBER: _ClassVar[int]
    version: str
    start_time: _timestamp_pb2.Timestamp
    store: str
    caller: str
    may_end_sessions: bool
    callers: _containers.RepeatedCompositeFieldContainer[CallerInfo]
    def __init__(self, version: _Optional[str] = ..., start_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., store: _Optional[str] = ..., caller: _Optional[str] = ..., may_end_sessions: bool = ..., callers: _Optional[_Iterable[_Union[CallerInfo, _Mapping]]] = ...) -> None: ...

class CallerInfo(_message.Message):
    __slots__ = ("name", "roles", "apps", "all_apps")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ROLES_FIELD_NUMBER: _ClassVar[int]
    APPS_FIELD_NUMBER: _ClassVar[int]
    ALL_APPS_FIELD_NUMBER: _ClassVar[int]
    name: str
    roles: _containers.RepeatedScalarFieldContainer[str]
    apps: _containers.RepeatedScalarFieldContainer[str]
    all_apps: bool
    def __init__(self, name: _Optional[str] = ..., roles: _Optional[_Iterable[str]] = ..., apps: _Optional[_Iterable[str]] = ..., all_apps: bool = ...) -> None: ...

class ExportSessionsRequest(_message.Message):
    __slots__ = ("apps",)
    APPS_FIELD_NUMBER: _ClassVar[int]
    apps: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, apps: _Optional[_Iterable[str]] = ...) -> None: ...

class ExportSessionsResponse(_message.Message):
    __slots__ = ("data", "session_count", "corrupt_sessions", "corrupt_revocations")
    DATA_FIELD_NUMBER: _ClassVar[int]
    SESSION_COUNT_FIELD_NUMBER: _ClassVar[int]
    CORRUPT_SESSIONS_FIELD_NUMBER: _ClassVar[int]
    CORRUPT_REVOCATIONS_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    session_count: int
    corrupt_sessions: _containers.RepeatedCompositeFieldContainer[CorruptSession]
    corrupt_revocations: int
    def __init__(self, data: _Optional[bytes] = ..., session_count: _Optional[int] = ..., corrupt_sessions: _Optional[_Iterable[_Union[CorruptSession, _Mapping]]] = ..., corrupt_revocations: _Optional[int] = ...) -> None: ...

class CorruptSession(_message.Message):
    __slots__ = ("app", "id")
    APP_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    app: str
    id: str
    def __init__(self, app: _Optional[str] = ..., id: _Optional[str] = ...) -> None: ...

class MigrateStoreRequest(_message.Message):
    __slots__ = ("dry_run",)
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    dry_run: bool
    def __init__(self, dry_run: bool = ...) -> None: ...

class MigrateStoreResponse(_message.Message):
    __slots__ = ("live_count", "ended_count", "expired_count", "revocation_count", "left_count", "corrupt_count", "duplicate_count", "busy_count", "complete")
    LIVE_COUNT_FIELD_NUMBER: _ClassVar[int]
    ENDED_COUNT_FIELD_NUMBER: _ClassVar[int]
    EXPIRED_COUNT_FIELD_NUMBER: _ClassVar[int]
    REVOCATION_COUNT_FIELD_NUMBER: _ClassVar[int]
    LEFT_COUNT_FIELD_NUMBER: _ClassVar[int]
    CORRUPT_COUNT_FIELD_NUMBER: _ClassVar[int]
    DUPLICATE_COUNT_FIELD_NUMBER: _ClassVar[int]
    BUSY_COUNT_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    live_count: int
    ended_count: int
    expired_count: int
    revocation_count: int
    left_count: int
    corrupt_count: int
    duplicate_count: int
    busy_count: int
    complete: bool
    def __init__(self, live_count: _Optional[int] = ..., ended_count: _Optional[int] = ..., expired_count: _Optional[int] = ..., revocation_count: _Optional[int] = ..., left_count: _Optional[int] = ..., corrupt_count: _Optional[int] = ..., duplicate_count: _Optional[int] = ..., busy_count: _Optional[int] = ..., complete: bool = ...) -> None: ...
