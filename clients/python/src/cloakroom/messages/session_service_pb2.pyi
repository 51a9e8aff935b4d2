from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OUTCOME_UNSPECIFIED: _ClassVar[Outcome]
    OUTCOME_UNCHANGED: _ClassVar[Outcome]
    OUTCOME_CREATED: _ClassVar[Outcome]
    OUTCOME_UPDATED: _ClassVar[Outcome]
    OUTCOME_DELETED: _ClassVar[Outcome]
    OUTCOME_GONE: _ClassVar[Outcome]

class EndReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    END_REASON_UNSPECIFIED: _ClassVar[EndReason]
    END_REASON_DESTROYED: _ClassVar[EndReason]
    END_REASON_EMPTIED: _ClassVar[EndReason]
    END_REASON_REVOKED: _ClassVar[EndReason]
    END_REASON_SUPERSEDED: _ClassVar[EndReason]
    END_REASON_IDLE: _ClassVar[EndReason]
    END_REASON_ABSOLUTE: _ClassVar[EndReason]
    END_REASON_EVICTED: _ClassVar[EndReason]

class AppKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    APP_KIND_UNSPECIFIED: _ClassVar[AppKind]
    APP_KIND_STORED: _ClassVar[AppKind]
    APP_KIND_COOKIE: _ClassVar[AppKind]
    APP_KIND_EXTERNAL: _ClassVar[AppKind]

class RotationCause(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ROTATION_CAUSE_UNSPECIFIED: _ClassVar[RotationCause]
    ROTATION_CAUSE_PRIVILEGE: _ClassVar[RotationCause]
    ROTATION_CAUSE_RENEWAL: _ClassVar[RotationCause]

class WatchState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WATCH_STATE_UNSPECIFIED: _ClassVar[WatchState]
    WATCH_STATE_ALIVE: _ClassVar[WatchState]
    WATCH_STATE_ENDED: _ClassVar[WatchState]
OUTCOME_UNSPECIFIED: Outcome
OUTCOME_UNCHANGED: Outcome
OUTCOME_CREATED: Outcome
OUTCOME_UPDATED: Outcome
OUTCOME_DELETED: Outcome
OUTCOME_GONE: Outcome
END_REASON_UNSPECIFIED: EndReason
END_REASON_DESTROYED: EndReason
END_REASON_EMPTIED: EndReason
END_REASON_REVOKED: EndReason
END_REASON_SUPERSEDED: EndReason
END_REASON_IDLE: EndReason
END_REASON_ABSOLUTE: EndReason
END_REASON_EVICTED: EndReason
APP_KIND_UNSPECIFIED: AppKind
APP_KIND_STORED: AppKind
APP_KIND_COOKIE: AppKind
APP_KIND_EXTERNAL: AppKind
ROTATION_CAUSE_UNSPECIFIED: RotationCause
ROTATION_CAUSE_PRIVILEGE: RotationCause
ROTATION_CAUSE_RENEWAL: RotationCause
WATCH_STATE_UNSPECIFIED: WatchState
WATCH_STATE_ALIVE: WatchState
WATCH_STATE_ENDED: WatchState

class Session(_message.Message):
    __slots__ = ("id", "token", "entries", "permanent", "new", "etag", "subject", "create_time", "access_time", "authenticate_time", "expire_time", "idle_timeout", "null_session")
    class EntriesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Value
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Value, _Mapping]] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    PERMANENT_FIELD_NUMBER: _ClassVar[int]
    NEW_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    ACCESS_TIME_FIELD_NUMBER: _ClassVar[int]
    AUTHENTICATE_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    IDLE_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    NULL_SESSION_FIELD_NUMBER: _ClassVar[int]
    id: str
    token: str
    entries: _containers.MessageMap[str, Value]
    permanent: bool
    new: bool
    etag: str
    subject: str
    create_time: _timestamp_pb2.Timestamp
    access_time: _timestamp_pb2.Timestamp
    authenticate_time: _timestamp_pb2.Timestamp
    expire_time: _timestamp_pb2.Timestamp
    idle_timeout: _duration_pb2.Duration
    null_session: NullSession
    def __init__(self, id: _Optional[str] = ..., token: _Optional[str] = ..., entries: _Optional[_Mapping[str, Value]] = ..., permanent: bool = ..., new: bool = ..., etag: _Optional[str] = ..., subject: _Optional[str] = ..., create_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., access_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., authenticate_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., expire_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., idle_timeout: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., null_session: _Optional[_Union[NullSession, _Mapping]] = ...) -> None: ...

class NullSession(_message.Message):
    __slots__ = ("reason", "message")
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    reason: str
    message: str
    def __init__(self, reason: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class Value(_message.Message):
    __slots__ = ("json", "raw")
    JSON_FIELD_NUMBER: _ClassVar[int]
    RAW_FIELD_NUMBER: _ClassVar[int]
    json: str
    raw: bytes
    def __init__(self, json: _Optional[str] = ..., raw: _Optional[bytes] = ...) -> None: ...

class Changes(_message.Message):
    __slots__ = ("clear", "unset", "set", "increment", "permanent", "subject", "idle_timeout", "deadline_time", "default_lifetime", "authenticated")
    class SetEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Value
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Value, _Mapping]] = ...) -> None: ...
    class IncrementEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    CLEAR_FIELD_NUMBER: _ClassVar[int]
    UNSET_FIELD_NUMBER: _ClassVar[int]
    SET_FIELD_NUMBER: _ClassVar[int]
    INCREMENT_FIELD_NUMBER: _ClassVar[int]
    PERMANENT_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    IDLE_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_TIME_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_LIFETIME_FIELD_NUMBER: _ClassVar[int]
    AUTHENTICATED_FIELD_NUMBER: _ClassVar[int]
    clear: bool
    unset: _containers.RepeatedScalarFieldContainer[str]
    set: _containers.MessageMap[str, Value]
    increment: _containers.ScalarMap[str, int]
    permanent: bool
    subject: str
    idle_timeout: _duration_pb2.Duration
    deadline_time: _timestamp_pb2.Timestamp
    default_lifetime: bool
    authenticated: bool
    def __init__(self, clear: bool = ..., unset: _Optional[_Iterable[str]] = ..., set: _Optional[_Mapping[str, Value]] = ..., increment: _Optional[_Mapping[str, int]] = ..., permanent: bool = ..., subject: _Optional[str] = ..., idle_timeout: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., deadline_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., default_lifetime: bool = ..., authenticated: bool = ...) -> None: ...

class Header(_message.Message):
    __slots__ = ("name", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: str
    def __init__(self, name: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class CookieAttributes(_message.Message):
    __slots__ = ("domain", "path", "secure", "samesite")
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    SECURE_FIELD_NUMBER: _ClassVar[int]
    SAMESITE_FIELD_NUMBER: _ClassVar[int]
    domain: str
    path: str
    secure: bool
    samesite: str
    def __init__(self, domain: _Optional[str] = ..., path: _Optional[str] = ..., secure: bool = ..., samesite: _Optional[str] = ...) -> None: ...

class RequestContext(_message.Message):
    __slots__ = ("user_agent", "remote_address")
    USER_AGENT_FIELD_NUMBER: _ClassVar[int]
    REMOTE_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    user_agent: str
    remote_address: str
    def __init__(self, user_agent: _Optional[str] = ..., remote_address: _Optional[str] = ...) -> None: ...

class OpenSessionRequest(_message.Message):
    __slots__ = ("app", "cookie_header", "token", "key", "cookie_name", "context", "max_authenticate_age", "cookie_attributes", "no_touch", "request_age")
    APP_FIELD_NUMBER: _ClassVar[int]
    COOKIE_HEADER_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    COOKIE_NAME_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    MAX_AUTHENTICATE_AGE_FIELD_NUMBER: _ClassVar[int]
    COOKIE_ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    NO_TOUCH_FIELD_NUMBER: _ClassVar[int]
    REQUEST_AGE_FIELD_NUMBER: _ClassVar[int]
    app: str
    cookie_header: str
    token: str
    key: bytes
    cookie_name: str
    context: RequestContext
    max_authenticate_age: _duration_pb2.Duration
    cookie_attributes: CookieAttributes
    no_touch: bool
    request_age: _duration_pb2.Duration
    def __init__(self, app: _Optional[str] = ..., cookie_header: _Optional[str] = ..., token: _Optional[str] = ..., key: _Optional[bytes] = ..., cookie_name: _Optional[str] = ..., context: _Optional[_Union[RequestContext, _Mapping]] = ..., max_authenticate_age: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., cookie_attributes: _Optional[_Union[CookieAttributes, _Mapping]] = ..., no_touch: bool = ..., request_age: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class OpenSessionResponse(_message.Message):
    __slots__ = ("session", "read_headers", "untouched_headers", "recently_authenticated", "cookie_outdated", "end_reason")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    READ_HEADERS_FIELD_NUMBER: _ClassVar[int]
    UNTOUCHED_HEADERS_FIELD_NUMBER: _ClassVar[int]
    RECENTLY_AUTHENTICATED_FIELD_NUMBER: _ClassVar[int]
    COOKIE_OUTDATED_FIELD_NUMBER: _ClassVar[int]
    END_REASON_FIELD_NUMBER: _ClassVar[int]
    session: Session
    read_headers: _containers.RepeatedCompositeFieldContainer[Header]
    untouched_headers: _containers.RepeatedCompositeFieldContainer[Header]
    recently_authenticated: bool
    cookie_outdated: bool
    end_reason: EndReason
    def __init__(self, session: _Optional[_Union[Session, _Mapping]] = ..., read_headers: _Optional[_Iterable[_Union[Header, _Mapping]]] = ..., untouched_headers: _Optional[_Iterable[_Union[Header, _Mapping]]] = ..., recently_authenticated: bool = ..., cookie_outdated: bool = ..., end_reason: _Optional[_Union[EndReason, str]] = ...) -> None: ...

class SaveSessionRequest(_message.Message):
    __slots__ = ("app", "token", "cookie_header", "key", "changes", "accessed", "etag", "request_id", "rotate", "keep_empty", "cookie_name", "context", "cookie_outdated", "cookie_attributes", "request_age")
    APP_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    COOKIE_HEADER_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    ACCESSED_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ROTATE_FIELD_NUMBER: _ClassVar[int]
    KEEP_EMPTY_FIELD_NUMBER: _ClassVar[int]
    COOKIE_NAME_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    COOKIE_OUTDATED_FIELD_NUMBER: _ClassVar[int]
    COOKIE_ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    REQUEST_AGE_FIELD_NUMBER: _ClassVar[int]
    app: str
    token: str
    cookie_header: str
    key: bytes
    changes: Changes
    accessed: bool
    etag: str
    request_id: str
    rotate: bool
    keep_empty: bool
    cookie_name: str
    context: RequestContext
    cookie_outdated: bool
    cookie_attributes: CookieAttributes
    request_age: _duration_pb2.Duration
    def __init__(self, app: _Optional[str] = ..., token: _Optional[str] = ..., cookie_header: _Optional[str] = ..., key: _Optional[bytes] = ..., changes: _Optional[_Union[Changes, _Mapping]] = ..., accessed: bool = ..., etag: _Optional[str] = ..., request_id: _Optional[str] = ..., rotate: bool = ..., keep_empty: bool = ..., cookie_name: _Optional[str] = ..., context: _Optional[_Union[RequestContext, _Mapping]] = ..., cookie_outdated: bool = ..., cookie_attributes: _Optional[_Union[CookieAttributes, _Mapping]] = ..., request_age: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class SaveSessionResponse(_message.Message):
    __slots__ = ("outcome", "end_reason", "session", "headers", "counters")
    class CountersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    END_REASON_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    COUNTERS_FIELD_NUMBER: _ClassVar[int]
    outcome: Outcome
    end_reason: EndReason
    session: Session
    headers: _containers.RepeatedCompositeFieldContainer[Header]
    counters: _containers.ScalarMap[str, int]
    def __init__(self, outcome: _Optional[_Union[Outcome, str]] = ..., end_reason: _Optional[_Union[EndReason, str]] = ..., session: _Optional[_Union[Session, _Mapping]] = ..., headers: _Optional[_Iterable[_Union[Header, _Mapping]]] = ..., counters: _Optional[_Mapping[str, int]] = ...) -> None: ...

class ShouldSetCookieRequest(_message.Message):
    __slots__ = ("app", "modified", "permanent")
    APP_FIELD_NUMBER: _ClassVar[int]
    MODIFIED_FIELD_NUMBER: _ClassVar[int]
    PERMANENT_FIELD_NUMBER: _ClassVar[int]
    app: str
    modified: bool
    permanent: bool
    def __init__(self, app: _Optional[str] = ..., modified: bool = ..., permanent: bool = ...) -> None: ...

class ShouldSetCookieResponse(_message.Message):
    __slots__ = ("should_set_cookie",)
    SHOULD_SET_COOKIE_FIELD_NUMBER: _ClassVar[int]
    should_set_cookie: bool
    def __init__(self, should_set_cookie: bool = ...) -> None: ...

class GetAppPolicyRequest(_message.Message):
    __slots__ = ("app",)
    APP_FIELD_NUMBER: _ClassVar[int]
    app: str
    def __init__(self, app: _Optional[str] = ...) -> None: ...

class GetAppPolicyResponse(_message.Message):
    __slots__ = ("app", "kind", "cookie_name", "cookie_domain", "cookie_path", "cookie_httponly", "cookie_secure", "cookie_samesite", "cookie_partitioned", "pickle_based", "refresh_each_request", "idle_timeout", "absolute_timeout", "rotation_grace", "max_entries", "max_session_bytes", "subject_key", "null_session", "anonymous_idle_timeout", "anonymous_absolute_timeout", "legacy_cookie_names")
    APP_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    COOKIE_NAME_FIELD_NUMBER: _ClassVar[int]
    COOKIE_DOMAIN_FIELD_NUMBER: _ClassVar[int]
    COOKIE_PATH_FIELD_NUMBER: _ClassVar[int]
    COOKIE_HTTPONLY_FIELD_NUMBER: _ClassVar[int]
    COOKIE_SECURE_FIELD_NUMBER: _ClassVar[int]
    COOKIE_SAMESITE_FIELD_NUMBER: _ClassVar[int]
    COOKIE_PARTITIONED_FIELD_NUMBER: _ClassVar[int]
    PICKLE_BASED_FIELD_NUMBER: _ClassVar[int]
    REFRESH_EACH_REQUEST_FIELD_NUMBER: _ClassVar[int]
    IDLE_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    ABSOLUTE_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    ROTATION_GRACE_FIELD_NUMBER: _ClassVar[int]
    MAX_ENTRIES_FIELD_NUMBER: _ClassVar[int]
    MAX_SESSION_BYTES_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_KEY_FIELD_NUMBER: _ClassVar[int]
    NULL_SESSION_FIELD_NUMBER: _ClassVar[int]
    ANONYMOUS_IDLE_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    ANONYMOUS_ABSOLUTE_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    LEGACY_COOKIE_NAMES_FIELD_NUMBER: _ClassVar[int]
    app: str
    kind: AppKind
    cookie_name: str
    cookie_domain: str
    cookie_path: str
    cookie_httponly: bool
    cookie_secure: bool
    cookie_samesite: str
    cookie_partitioned: bool
    pickle_based: bool
    refresh_each_request: bool
    idle_timeout: _duration_pb2.Duration
    absolute_timeout: _duration_pb2.Duration
    rotation_grace: _duration_pb2.Duration
    max_entries: int
    max_session_bytes: int
    subject_key: str
    null_session: NullSession
    anonymous_idle_timeout: _duration_pb2.Duration
    anonymous_absolute_timeout: _duration_pb2.Duration
    legacy_cookie_names: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, app: _Optional[str] = ..., kind: _Optional[_Union[AppKind, str]] = ..., cookie_name: _Optional[str] = ..., cookie_domain: _Optional[str] = ..., cookie_path: _Optional[str] = ..., cookie_httponly: bool = ..., cookie_secure: bool = ..., cookie_samesite: _Optional[str] = ..., cookie_partitioned: bool = ..., pickle_based: bool = ..., refresh_each_request: bool = ..., idle_timeout: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., absolute_timeout: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., rotation_grace: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., max_entries: _Optional[int] = ..., max_session_bytes: _Optional[int] = ..., subject_key: _Optional[str] = ..., null_session: _Optional[_Union[NullSession, _Mapping]] = ..., anonymous_idle_timeout: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., anonymous_absolute_timeout: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., legacy_cookie_names: _Optional[_Iterable[str]] = ...) -> None: ...

class GetExpirationTimeRequest(_message.Message):
    __slots__ = ("app", "permanent")
    APP_FIELD_NUMBER: _ClassVar[int]
    PERMANENT_FIELD_NUMBER: _ClassVar[int]
    app: str
    permanent: bool
    def __init__(self, app: _Optional[str] = ..., permanent: bool = ...) -> None: ...

class GetExpirationTimeResponse(_message.Message):
    __slots__ = ("expire_time",)
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    expire_time: _timestamp_pb2.Timestamp
    def __init__(self, expire_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class MakeNullSessionRequest(_message.Message):
    __slots__ = ("app",)
    APP_FIELD_NUMBER: _ClassVar[int]
    app: str
    def __init__(self, app: _Optional[str] = ...) -> None: ...

class MakeNullSessionResponse(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: Session
    def __init__(self, session: _Optional[_Union[Session, _Mapping]] = ...) -> None: ...

class RotateSessionRequest(_message.Message):
    __slots__ = ("app", "token", "cookie_header", "key", "request_id", "cause", "cookie_name", "context", "cookie_attributes")
    APP_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    COOKIE_HEADER_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    COOKIE_NAME_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    COOKIE_ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    app: str
    token: str
    cookie_header: str
    key: bytes
    request_id: str
    cause: RotationCause
    cookie_name: str
    context: RequestContext
    cookie_attributes: CookieAttributes
    def __init__(self, app: _Optional[str] = ..., token: _Optional[str] = ..., cookie_header: _Optional[str] = ..., key: _Optional[bytes] = ..., request_id: _Optional[str] = ..., cause: _Optional[_Union[RotationCause, str]] = ..., cookie_name: _Optional[str] = ..., context: _Optional[_Union[RequestContext, _Mapping]] = ..., cookie_attributes: _Optional[_Union[CookieAttributes, _Mapping]] = ...) -> None: ...

class RotateSessionResponse(_message.Message):
    __slots__ = ("outcome", "end_reason", "session", "headers")
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    END_REASON_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    outcome: Outcome
    end_reason: EndReason
    session: Session
    headers: _containers.RepeatedCompositeFieldContainer[Header]
    def __init__(self, outcome: _Optional[_Union[Outcome, str]] = ..., end_reason: _Optional[_Union[EndReason, str]] = ..., session: _Optional[_Union[Session, _Mapping]] = ..., headers: _Optional[_Iterable[_Union[Header, _Mapping]]] = ...) -> None: ...

class DestroySessionRequest(_message.Message):
    __slots__ = ("app", "token", "cookie_header", "key", "request_id", "cookie_name", "cookie_attributes")
    APP_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    COOKIE_HEADER_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    COOKIE_NAME_FIELD_NUMBER: _ClassVar[int]
    COOKIE_ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    app: str
    token: str
    cookie_header: str
    key: bytes
    request_id: str
    cookie_name: str
    cookie_attributes: CookieAttributes
    def __init__(self, app: _Optional[str] = ..., token: _Optional[str] = ..., cookie_header: _Optional[str] = ..., key: _Optional[bytes] = ..., request_id: _Optional[str] = ..., cookie_name: _Optional[str] = ..., cookie_attributes: _Optional[_Union[CookieAttributes, _Mapping]] = ...) -> None: ...

class DestroySessionResponse(_message.Message):
    __slots__ = ("outcome", "end_reason", "headers")
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    END_REASON_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    outcome: Outcome
    end_reason: EndReason
    headers: _containers.RepeatedCompositeFieldContainer[Header]
    def __init__(self, outcome: _Optional[_Union[Outcome, str]] = ..., end_reason: _Optional[_Union[EndReason, str]] = ..., headers: _Optional[_Iterable[_Union[Header, _Mapping]]] = ...) -> None: ...

class WatchSessionRequest(_message.Message):
    __slots__ = ("app", "token", "cookie_header", "key", "cookie_name")
    APP_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    COOKIE_HEADER_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    COOKIE_NAME_FIELD_NUMBER: _ClassVar[int]
    app: str
    token: str
    cookie_header: str
    key: bytes
    cookie_name: str
    def __init__(self, app: _Optional[str] = ..., token: _Optional[str] = ..., cookie_header: _Optional[str] = ..., key: _Optional[bytes] = ..., cookie_name: _Optional[str] = ...) -> None: ...

class WatchSessionResponse(_message.Message):
    __slots__ = ("state", "end_reason", "expire_time")
    STATE_FIELD_NUMBER: _ClassVar[int]
    END_REASON_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    state: WatchState
    end_reason: EndReason
    expire_time: _timestamp_pb2.Timestamp
    def __init__(self, state: _Optional[_Union[WatchState, str]] = ..., end_reason: _Optional[_Union[EndReason, str]] = ..., expire_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
