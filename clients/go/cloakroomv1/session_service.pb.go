// Cloakroom stores the sessions of web applications.
//
// A frontend sends the Cookie header of a request (RFC 9110, RFC 6265bis) and gets the session. At the end of the
// request it sends the changes and gets the exact response headers.
//
// # Words
//
// - App: one configured application. It has its own cookie, keys, lifetimes and sessions. An empty name is `default`.
// - Kind: the way in which an app names and stores its sessions, STORED, EXTERNAL or COOKIE (see AppKind and
//   SessionService).
// - Token: the value of the session cookie. It finds one session and opens it.
// - Ticket: the token of a session that is not stored yet. It is good in SaveSession for 15 minutes and is never valid
//   in a cookie.
// - Key: the secret with which the framework of an app of the kind EXTERNAL names one session: the session id of
//   express-session, scs, PHP, Rack, Spring or ASP.NET. The service keeps only hashes of it.
// - Id: the public handle of a session. It opens nothing.
// - Subject: the user or other owner of a session, as the app names it. A session without a subject is anonymous.
// - Live session: a session that is stored and has not ended.
// - Superseded token: a token that a rotation has replaced and that no longer opens the session.
// - Legacy session: a session that the application made with another session system before it moved to Cloakroom.
// - Legacy credential: the cookie of a legacy session.
// - Migration source: a table of the app's `migrate` settings that describes one kind of legacy credential. It is open
//   until the time that those settings give.
// - Null session: a session that stands in where no session is possible. It holds nothing and refuses changes.
//
// # Errors of every RPC
//
// Every error carries a google.rpc.ErrorInfo with the domain "cloakroom" and a reason in UPPER_SNAKE. The message is
// for a developer and says what to change. Each RPC lists its own errors. Besides those, every RPC may return:
//
//   UNAUTHENTICATED     CALLER_UNKNOWN        callers are configured, and the call comes from none of them. Send
//                                             "authorization: Bearer <caller token>" or present a client certificate.
//   PERMISSION_DENIED   ROLE_MISSING          the caller does not have the role that the RPC needs.
//   PERMISSION_DENIED   APP_NOT_ALLOWED       the caller may not use this app. The error is the same for an app
//                                             that does not exist.
//   PERMISSION_DENIED   BROWSER_REFUSED, HOST_REFUSED  a web page made the request, or may have made it.
//   NOT_FOUND           APP_UNKNOWN           no app of this name is configured.
//   INVALID_ARGUMENT    REQUEST_MALFORMED     the bytes are not a request of this RPC.
//   INVALID_ARGUMENT    GRPC_TIMEOUT_INVALID, CONNECT_TIMEOUT_INVALID  the header grpc-timeout, or connect-timeout-ms, is
//                                             not valid.
//   INVALID_ARGUMENT    CONNECT_VERSION_UNSUPPORTED  the header connect-protocol-version is not 1.
//   INVALID_ARGUMENT    CONTENT_TYPE_UNSUPPORTED, HTTP_METHOD_UNSUPPORTED, HTTP_VERSION_UNSUPPORTED  the HTTP request is
//                                             not a call by a protocol that is served for the RPC.
//   INVALID_ARGUMENT    ...                   a field is not valid. Each RPC lists these reasons. The message names the
//                                             field and a correct form.
//   RESOURCE_EXHAUSTED  REQUEST_TOO_LARGE     the request is over 4 MiB.
//   RESOURCE_EXHAUSTED  OVERLOADED            the running calls (all, those of one address, or those of one caller), or
//                                             the bytes of large requests in progress, are at the limit of the service.
//                                             Try later.
//   RESOURCE_EXHAUSTED  STORE_FULL            the store is full. Nothing was written.
//   UNAVAILABLE         STORE_UNAVAILABLE     the store did not answer. The outcome of a write is unknown: repeat the
//                                             write with the same request_id.
//   DEADLINE_EXCEEDED   DEADLINE_EXCEEDED     the caller's deadline, or the service's own limit for a call, passed
//                                             first. The outcome of a write is unknown, as above.
//   INTERNAL            INTERNAL              the service has a defect. Its log has the cause.
//   UNIMPLEMENTED       SERVICE_UNKNOWN, METHOD_UNKNOWN  this address does not serve the service, or the service does
//                                             not have the method. The address is wrong, or the service is older than
//                                             the client.
//   UNIMPLEMENTED       COMPRESSION_UNSUPPORTED  the request of a Connect call is compressed.
//
// A stream also ends with CALLER_UNKNOWN, ROLE_MISSING or APP_NOT_ALLOWED when its caller loses the right to call, and
// with APP_UNKNOWN when its app is removed from the configuration.

// Code generated by protoc-gen-go. DO NOT EDIT.
// versions:
// 	protoc-gen-go v1.36.12
// 	protoc        v7.35.1
// source: cloakroom/v1/session_service.proto

package cloakroomv1

import (
	protoreflect "google.golang.org/protobuf/reflect/protoreflect"
	protoimpl "google.golang.org/protobuf/runtime/protoimpl"
	durationpb "google.golang.org/protobuf/types/known/durationpb"
	timestamppb "google.golang.org/protobuf/types/known/timestamppb"
	reflect "reflect"
	sync "sync"
	unsafe "unsafe"
)

const (
	// Verify that this generated code is sufficiently up-to-date.
	_ = protoimpl.EnforceVersion(20 - protoimpl.MinVersion)
	// Verify that runtime/protoimpl is sufficiently up-to-date.
	_ = protoimpl.EnforceVersion(protoimpl.MaxVersion - 20)
)

// The effect of a call on a session.
type Outcome int32

const (
	// Never sent.
	Outcome_OUTCOME_UNSPECIFIED Outcome = 0
	// The call had nothing to write.
	Outcome_OUTCOME_UNCHANGED Outcome = 1
	// The call stored the session for the first time.
	Outcome_OUTCOME_CREATED Outcome = 2
	// The call stored the changes.
	Outcome_OUTCOME_UPDATED Outcome = 3
	// The call ended the session, or the session had no content to store. Delete the cookie only if headers has a
	// Set-Cookie (see SaveSession).
	Outcome_OUTCOME_DELETED Outcome = 4
	// The session had already ended. Nothing was written.
	Outcome_OUTCOME_GONE Outcome = 5
)

// Enum value maps for Outcome.
var (
	Outcome_name = map[int32]string{
		0: "OUTCOME_UNSPECIFIED",
		1: "OUTCOME_UNCHANGED",
		2: "OUTCOME_CREATED",
		3: "OUTCOME_UPDATED",
		4: "OUTCOME_DELETED",
		5: "OUTCOME_GONE",
	}
	Outcome_value = map[string]int32{
		"OUTCOME_UNSPECIFIED": 0,
		"OUTCOME_UNCHANGED":   1,
		"OUTCOME_CREATED":     2,
		"OUTCOME_UPDATED":     3,
		"OUTCOME_DELETED":     4,
		"OUTCOME_GONE":        5,
	}
)

func (x Outcome) Enum() *Outcome {
	p := new(Outcome)
	*p = x
	return p
}

func (x Outcome) String() string {
	return protoimpl.X.EnumStringOf(x.Descriptor(), protoreflect.EnumNumber(x))
}

func (Outcome) Descriptor() protoreflect.EnumDescriptor {
	return file_cloakroom_v1_session_service_proto_enumTypes[0].Descriptor()
}

func (Outcome) Type() protoreflect.EnumType {
	return &file_cloakroom_v1_session_service_proto_enumTypes[0]
}

func (x Outcome) Number() protoreflect.EnumNumber {
	return protoreflect.EnumNumber(x)
}

// Deprecated: Use Outcome.Descriptor instead.
func (Outcome) EnumDescriptor() ([]byte, []int) {
	return file_cloakroom_v1_session_service_proto_rawDescGZIP(), []int{0}
}

// The reason why a session has ended, or why a token no longer opens it.
type EndReason int32

const (
	// The session has not ended, or it ended so long ago that the reason is no longer known.
	EndReason_END_REASON_UNSPECIFIED EndReason = 0
	// DestroySession ended the session.
	EndReason_END_REASON_DESTROYED EndReason = 1
	// A save left no entries, no subject and no value of permanent.
	EndReason_END_REASON_EMPTIED EndReason = 2
	// An administrator ended the session.
	EndReason_END_REASON_REVOKED EndReason = 3
	// The session is live, but another token has replaced this one.
	EndReason_END_REASON_SUPERSEDED EndReason = 4
	// The session was not used for its idle timeout.
	EndReason_END_REASON_IDLE EndReason = 5
	// The session has passed its absolute deadline.
	EndReason_END_REASON_ABSOLUTE EndReason = 6
	// The subject opened more sessions than it may have, and this one had to end.
	EndReason_END_REASON_EVICTED EndReason = 7
)

// Enum value maps for EndReason.
var (
	EndReason_name = map[int32]string{
		0: "END_REASON_UNSPECIFIED",
		1: "END_REASON_DESTROYED",
		2: "END_REASON_EMPTIED",
		3: "END_REASON_REVOKED",
		4: "END_REASON_SUPERSEDED",
		5: "END_REASON_IDLE",
		6: "END_REASON_ABSOLUTE",
		7: "END_REASON_EVICTED",
	}
	EndReason_value = map[string]int32{
		"END_REASON_UNSPECIFIED": 0,
		"END_REASON_DESTROYED":   1,
		"END_REASON_EMPTIED":     2,
		"END_REASON_REVOKED":     3,
		"END_REASON_SUPERSEDED":  4,
		"END_REASON_IDLE":        5,
		"END_REASON_ABSOLUTE":    6,
		"END_REASON_EVICTED":     7,
	}
)

func (x EndReason) Enum() *EndReason {
	p := new(EndReason)
	*p = x
	return p
}

func (x EndReason) String() string {
	return protoimpl.X.EnumStringOf(x.Descriptor(), protoreflect.EnumNumber(x))
}

func (EndReason) Descriptor() protoreflect.EnumDescriptor {
	return file_cloakroom_v1_session_service_proto_enumTypes[1].Descriptor()
}

func (EndReason) Type() protoreflect.EnumType {
	return &file_cloakroom_v1_session_service_proto_enumTypes[1]
}

func (x EndReason) Number() protoreflect.EnumNumber {
	return protoreflect.EnumNumber(x)
}

// Deprecated: Use EndReason.Descriptor instead.
func (EndReason) EnumDescriptor() ([]byte, []int) {
	return file_cloakroom_v1_session_service_proto_rawDescGZIP(), []int{1}
}

// The way in which an app names and stores its sessions.
type AppKind int32

const (
	// Never sent.
	AppKind_APP_KIND_UNSPECIFIED AppKind = 0
	// The cookie is a token, and the data is in the store.
	AppKind_APP_KIND_STORED AppKind = 1
	// The cookie is Flask's own and holds the session, signed. The service stores nothing.
	AppKind_APP_KIND_COOKIE AppKind = 2
	// The framework of the application makes the session ids, as keys, and the cookie. The data is in the store.
	AppKind_APP_KIND_EXTERNAL AppKind = 3
)

// Enum value maps for AppKind.
var (
	AppKind_name = map[int32]string{
		0: "APP_KIND_UNSPECIFIED",
		1: "APP_KIND_STORED",
		2: "APP_KIND_COOKIE",
		3: "APP_KIND_EXTERNAL",
	}
	AppKind_value = map[string]int32{
		"APP_KIND_UNSPECIFIED": 0,
		"APP_KIND_STORED":      1,
		"APP_KIND_COOKIE":      2,
		"APP_KIND_EXTERNAL":    3,
	}
)

func (x AppKind) Enum() *AppKind {
	p := new(AppKind)
	*p = x
	return p
}

func (x AppKind) String() string {
	return protoimpl.X.EnumStringOf(x.Descriptor(), protoreflect.EnumNumber(x))
}

func (AppKind) Descriptor() protoreflect.EnumDescriptor {
	return file_cloakroom_v1_session_service_proto_enumTypes[2].Descriptor()
}

func (AppKind) Type() protoreflect.EnumType {
	return &file_cloakroom_v1_session_service_proto_enumTypes[2]
}

func (x AppKind) Number() protoreflect.EnumNumber {
	return protoreflect.EnumNumber(x)
}

// Deprecated: Use AppKind.Descriptor instead.
func (AppKind) EnumDescriptor() ([]byte, []int) {
	return file_cloakroom_v1_session_service_proto_rawDescGZIP(), []int{2}
}

// The reason to replace a token.
type RotationCause int32

const (
	// The same as PRIVILEGE.
	RotationCause_ROTATION_CAUSE_UNSPECIFIED RotationCause = 0
	// The rights of the user changed. The old token no longer opens the session.
	RotationCause_ROTATION_CAUSE_PRIVILEGE RotationCause = 1
	// The token is due for renewal. The old token opens the session for the app's rotation_grace.
	RotationCause_ROTATION_CAUSE_RENEWAL RotationCause = 2
)

// Enum value maps for RotationCause.
var (
	RotationCause_name = map[int32]string{
		0: "ROTATION_CAUSE_UNSPECIFIED",
		1: "ROTATION_CAUSE_PRIVILEGE",
		2: "ROTATION_CAUSE_RENEWAL",
	}
	RotationCause_value = map[string]int32{
		"ROTATION_CAUSE_UNSPECIFIED": 0,
		"ROTATION_CAUSE_PRIVILEGE":   1,
		"ROTATION_CAUSE_RENEWAL":     2,
	}
)

func (x RotationCause) Enum() *RotationCause {
	p := new(RotationCause)
	*p = x
	return p
}

func (x RotationCause) String() string {
	return protoimpl.X.EnumStringOf(x.Descriptor(), protoreflect.EnumNumber(x))
}

func (RotationCause) Descriptor() protoreflect.EnumDescriptor {
	return file_cloakroom_v1_session_service_proto_enumTypes[3].Descriptor()
}

func (RotationCause) Type() protoreflect.EnumType {
	return &file_cloakroom_v1_session_service_proto_enumTypes[3]
}

func (x RotationCause) Number() protoreflect.EnumNumber {
	return protoreflect.EnumNumber(x)
}

// Deprecated: Use RotationCause.Descriptor instead.
func (RotationCause) EnumDescriptor() ([]byte, []int) {
	return file_cloakroom_v1_session_service_proto_rawDescGZIP(), []int{3}
}

// The state of a watched token.
type WatchState int32

const (
	// Never sent.
	WatchState_WATCH_STATE_UNSPECIFIED WatchState = 0
	// The token opens its session.
	WatchState_WATCH_STATE_ALIVE WatchState = 1
	// The token no longer opens its session.
	WatchState_WATCH_STATE_ENDED WatchState = 2
)

// Enum value maps for WatchState.
var (
	WatchState_name = map[int32]string{
		0: "WATCH_STATE_UNSPECIFIED",
		1: "WATCH_STATE_ALIVE",
		2: "WATCH_STATE_ENDED",
	}
	WatchState_value = map[string]int32{
		"WATCH_STATE_UNSPECIFIED": 0,
		"WATCH_STATE_ALIVE":       1,
		"WATCH_STATE_ENDED":       2,
	}
)

func (x WatchState) Enum() *WatchState {
	p := new(WatchState)
	*p = x
	return p
}

func (x WatchState) String() string {
	return protoimpl.X.EnumStringOf(x.Descriptor(), protoreflect.EnumNumber(x))
}

func (WatchState) Descriptor() protoreflect.EnumDescriptor {
	return file_cloakroom_v1_session_service_proto_enumTypes[4].Descriptor()
}

func (WatchState) Type() protoreflect.EnumType {
	return &file_cloakroom_v1_session_service_proto_enumTypes[4]
}

func (x WatchState) Number() protoreflect.EnumNumber {
	return protoreflect.EnumNumber(x)
}

// Deprecated: Use WatchState.Descriptor instead.
func (WatchState) EnumDescriptor() ([]byte, []int) {
	return file_cloakroom_v1_session_service_proto_rawDescGZIP(), []int{4}
}

// A session: its entries and its properties.
type Session struct {
	state protoimpl.MessageState `protogen:"open.v1"`
	// The public handle, 32 lower-case hexadecimal digits. It stays the same for the life of the session, across
	// rotations. It is safe to log and to list, and it opens nothing. Empty in a null session and in an app of the kind
	// COOKIE.
	Id string `protobuf:"bytes,1,opt,name=id,proto3" json:"id,omitempty"`
	// The value of the cookie. It is a secret: everyone who has it can open the session. Send it back unchanged and
	// never log it. The token of a new session is a ticket: it is good in SaveSession for 15 minutes and never valid in a
	// cookie.
	//
	// Empty in a null session and in an app of the kind EXTERNAL. Also empty if the caller may not get the current token, or
	// if the browser has to keep its cookie because it may be about to get the cookie of a login.
	Token string `protobuf:"bytes,2,opt,name=token,proto3" json:"token,omitempty"`
	// The content of the session. A name has 1 to 256 bytes. Empty in the response to a save or a rotation.
	Entries map[string]*Value `protobuf:"bytes,3,rep,name=entries,proto3" json:"entries,omitempty" protobuf_key:"bytes,1,opt,name=key" protobuf_val:"bytes,2,opt,name=value"`
	// Flask's `_permanent`. If it is true, the cookie has an expiry. If it is false or unset, the cookie lasts until the
	// browser closes. As in Flask, false and unset differ: a session whose only content is the value false is not empty.
	Permanent *bool `protobuf:"varint,4,opt,name=permanent,proto3,oneof" json:"permanent,omitempty"`
	// True if the session is not stored yet. It is stored by the first save with changes that leave an entry or a subject,
	// or by a save with changes and keep_empty. Kind COOKIE: true if the cookie holds nothing.
	New bool `protobuf:"varint,5,opt,name=new,proto3" json:"new,omitempty"`
	// The version of the session. Every save that changes the session changes it. It is "0" for a new session. Empty in a
	// null session and in an app of the kind COOKIE.
	Etag string `protobuf:"bytes,6,opt,name=etag,proto3" json:"etag,omitempty"`
	// The subject of the session. Empty in an anonymous session.
	Subject string `protobuf:"bytes,7,opt,name=subject,proto3" json:"subject,omitempty"`
	// The time of the first save. Unset for a new session.
	CreateTime *timestamppb.Timestamp `protobuf:"bytes,8,opt,name=create_time,json=createTime,proto3" json:"create_time,omitempty"`
	// The time of the last use, this call included.
	AccessTime *timestamppb.Timestamp `protobuf:"bytes,9,opt,name=access_time,json=accessTime,proto3" json:"access_time,omitempty"`
	// The time when the subject was last set or last authenticated again. Unset if neither has happened.
	AuthenticateTime *timestamppb.Timestamp `protobuf:"bytes,10,opt,name=authenticate_time,json=authenticateTime,proto3" json:"authenticate_time,omitempty"`
	// The time when the session ends if it is not used again: the earlier of its idle deadline and its absolute deadline.
	// The session may end earlier, by up to a twentieth of idle_timeout, because a use without changes is written only
	// that often.
	ExpireTime *timestamppb.Timestamp `protobuf:"bytes,11,opt,name=expire_time,json=expireTime,proto3" json:"expire_time,omitempty"`
	// The time that the session lives without a use.
	IdleTimeout *durationpb.Duration `protobuf:"bytes,12,opt,name=idle_timeout,json=idleTimeout,proto3" json:"idle_timeout,omitempty"`
	// Set only in a null session. Such a session holds nothing and refuses changes.
	NullSession   *NullSession `protobuf:"bytes,13,opt,name=null_session,json=nullSession,proto3" json:"null_session,omitempty"`
	unknownFields protoimpl.UnknownFields
	sizeCache     protoimpl.SizeCache
}

func (x *Session) Reset() {
	*x = Session{}
	mi := &file_cloakroom_v1_session_service_proto_msgTypes[0]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *Session) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*Session) ProtoMessage() {}

func (x *Session) ProtoReflect() protoreflect.Message {
	mi := &file_cloakroom_v1_session_service_proto_msgTypes[0]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use Session.ProtoReflect.Descriptor instead.
func (*Session) Descriptor() ([]byte, []int) {
	return file_cloakroom_v1_session_service_proto_rawDescGZIP(), []int{0}
}

func (x *Session) GetId() string {
	if x != nil {
		return x.Id
	}
	return ""
}

func (x *Session) GetToken() string {
	if x != nil {
		return x.Token
	}
	return ""
}

func (x *Session) GetEntries() map[string]*Value {
	if x != nil {
		return x.Entries
	}
	return nil
}

func (x *Session) GetPermanent() bool {
	if x != nil && x.Permanent != nil {
		return *x.Permanent
	}
	return false
}

func (x *Session) GetNew() bool {
	if x != nil {
		return x.New
	}
	return false
}

func (x *Session) GetEtag() string {
	if x != nil {
		return x.Etag
	}
	return ""
}

func (x *Session) GetSubject() string {
	if x != nil {
		return x.Subject
	}
	return ""
}

func (x *Session) GetCreateTime() *timestamppb.Timestamp {
	if x != nil {
		return x.CreateTime
	}
	return nil
}

func (x *Session) GetAccessTime() *timestamppb.Timestamp {
	if x != nil {
		return x.AccessTime
	}
	return nil
}

func (x *Session) GetAuthenticateTime() *timestamppb.Timestamp {
	if x != nil {
		return x.AuthenticateTime
	}
	return nil
}

func (x *Session) GetExpireTime() *timestamppb.Timestamp {
	if x != nil {
		return x.ExpireTime
	}
	return nil
}

func (x *Session) GetIdleTimeout() *durationpb.Duration {
	if x != nil {
		return x.IdleTimeout
	}
	return nil
}

func (x *Session) GetNullSession() *NullSession {
	if x != nil {
		return x.NullSession
	}
	return nil
}

// The reason why a session is a null session.
type NullSession struct {
	state protoimpl.MessageState `protogen:"open.v1"`
	// The reason in UPPER_SNAKE:
	//   - NO_KEY: the app has no signing key.
	//   - COOKIES_AMBIGUOUS: the cookies of the request name two live sessions. An attacker may have planted one of them. A
	//     login, a clear or DestroySession by the cookie_header ends both.
	//   - GONE: the session of the key has ended. Only in an app of the kind EXTERNAL.
	//   - NONE: the app can have sessions.
	Reason string `protobuf:"bytes,1,opt,name=reason,proto3" json:"reason,omitempty"`
	// A message for a developer that says what to change.
	Message       string `protobuf:"bytes,2,opt,name=message,proto3" json:"message,omitempty"`
	unknownFields protoimpl.UnknownFields
	sizeCache     protoimpl.SizeCache
}

func (x *NullSession) Reset() {
	*x = NullSession{}
	mi := &file_cloakroom_v1_session_service_proto_msgTypes[1]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *NullSession) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*NullSession) ProtoMessage() {}

func (x *NullSession) ProtoReflect() protoreflect.Message {
	mi := &file_cloakroom_v1_session_service_proto_msgTypes[1]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use NullSession.ProtoReflect.Descriptor instead.
func (*NullSession) Descriptor() ([]byte, []int) {
	return file_cloakroom_v1_session_service_proto_rawDescGZIP(), []int{1}
}

func (x *NullSession) GetReason() string {
	if x != nil {
		return x.Reason
	}
	return ""
}

func (x *NullSession) GetMessage() string {
	if x != nil {
		return x.Message
	}
	return ""
}

// The value of one entry.
type Value struct {
	state protoimpl.MessageState `protogen:"open.v1"`
	// The value in one of two forms. One has to be set.
	//
	// Types that are valid to be assigned to Kind:
	//
	//	*Value_Json
	//	*Value_Raw
	Kind          isValue_Kind `protobuf_oneof:"kind"`
	unknownFields protoimpl.UnknownFields
	sizeCache     protoimpl.SizeCache
}

func (x *Value) Reset() {
	*x = Value{}
	mi := &file_cloakroom_v1_session_service_proto_msgTypes[2]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *Value) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*Value) ProtoMessage() {}

func (x *Value) ProtoReflect() protoreflect.Message {
	mi := &file_cloakroom_v1_session_service_proto_msgTypes[2]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use Value.ProtoReflect.Descriptor instead.
func (*Value) Descriptor() ([]byte, []int) {
	return file_cloakroom_v1_session_service_proto_rawDescGZIP(), []int{2}
}

func (x *Value) GetKind() isValue_Kind {
	if x != nil {
		return x.Kind
	}
	return nil
}

func (x *Value) GetJson() string {
	if x != nil {
		if x, ok := x.Kind.(*Value_Json); ok {
			return x.Json
		}
	}
	return ""
}

func (x *Value) GetRaw() []byte {
	if x != nil {
		if x, ok := x.Kind.(*Value_Raw); ok {
			return x.Raw
		}
	}
	return nil
}

type isValue_Kind interface {
	isValue_Kind()
}

type Value_Json struct {
	// JSON text (RFC 8259) of at most 127 levels: any value, not only an object. The service checks the text and stores
	// it byte for byte.
	//
	// Kind COOKIE: the text that Flask's TaggedJSONSerializer writes for the entry, in both directions. Its tags stand
	// for types that JSON does not have: {" t":[1,2]} is a tuple, {" b":"..."} bytes, {" m":"..."} Markup,
	// {" u":"..."} a UUID and {" d":"..."} a datetime. NaN, Infinity and -Infinity are valid, as Python writes them.
	// Any spelling is accepted, and the response has Python's spelling. A value that Flask could not load is refused:
	// a tag on a value of the wrong type, and an integer of more than 4300 digits.
	Json string `protobuf:"bytes,1,opt,name=json,proto3,oneof"`
}

type Value_Raw struct {
	// Bytes that the service does not interpret. Kind COOKIE: saved as Flask's bytes, and returned as json with the tag
	// for bytes.
	Raw []byte `protobuf:"bytes,2,opt,name=raw,proto3,oneof"`
}

func (*Value_Json) isValue_Kind() {}

func (*Value_Raw) isValue_Kind() {}

// The changes that one request makes to its session. They are applied in this order: clear, unset, set, increment.
//
// A name may be in only one of unset, set and increment. The three may have at most 8192 names together.
//
// Two entries are aliases of fields. If a request has both an alias and its field, they have to agree. An alias may not
// be in increment.
//
//   - `_permanent` is an alias of permanent. Its value in set has to be the JSON true or false. In unset, it removes the
//     value of permanent.
//   - The subject entry is an alias of subject. It is the entry that the app's subject_key names. Its value in set has to
//     be a JSON string, an integer or null. An integer stands for its decimal digits. Null and an empty string remove the
//     subject, and so does unset. If subject_key is a path, such as `passport.user`, the same holds for what the entry has
//     at that path. An entry that has nothing there removes the subject. With a path, the subject that the session has
//     already sets no authenticate_time, unless the save also has clear or rotate: something beside it may have changed.
type Changes struct {
	state protoimpl.MessageState `protogen:"open.v1"`
	// True to remove all entries, permanent, subject and authenticate_time, to give the session the app's own timeouts
	// again (see default_lifetime), and to rotate the token. Kind EXTERNAL: the key stays.
	Clear bool `protobuf:"varint,1,opt,name=clear,proto3" json:"clear,omitempty"`
	// The names of entries to remove. A name that the session does not have is not an error.
	Unset []string `protobuf:"bytes,2,rep,name=unset,proto3" json:"unset,omitempty"`
	// The entries to set, with their new values.
	Set map[string]*Value `protobuf:"bytes,3,rep,name=set,proto3" json:"set,omitempty" protobuf_key:"bytes,1,opt,name=key" protobuf_val:"bytes,2,opt,name=value"`
	// The number to add to each named entry. The entry has to be a decimal int64 in JSON. A missing entry counts as 0.
	Increment map[string]int64 `protobuf:"bytes,4,rep,name=increment,proto3" json:"increment,omitempty" protobuf_key:"bytes,1,opt,name=key" protobuf_val:"varint,2,opt,name=value"`
	// The new value of Flask's `_permanent`. Unset leaves it as it is.
	Permanent *bool `protobuf:"varint,5,opt,name=permanent,proto3,oneof" json:"permanent,omitempty"`
	// The new subject, at most 256 bytes. Unset leaves the subject as it is, and an empty value removes it. Every change
	// of the subject rotates the token. A change from one subject to another also removes what the first one left:
	// entries, permanent, authenticate_time and the lifetime.
	Subject *string `protobuf:"bytes,6,opt,name=subject,proto3,oneof" json:"subject,omitempty"`
	// The lifetime of the session from now on, up to the app's own limits. If none is set, the lifetime stays, with two
	// exceptions. After clear, and after a change from one subject to another, it is as with default_lifetime. In an app
	// with shorter timeouts for anonymous sessions, it changes when the session gains or loses its subject (see
	// anonymous_absolute_timeout in GetAppPolicyResponse).
	//
	// Types that are valid to be assigned to Lifetime:
	//
	//	*Changes_IdleTimeout
	//	*Changes_DeadlineTime
	//	*Changes_DefaultLifetime
	Lifetime isChanges_Lifetime `protobuf_oneof:"lifetime"`
	// True if the user has just authenticated again, for example with the password or a second factor. Sets
	// authenticate_time to now. Also rotates the token, because the rights of the user change. A request that sets
	// subject sets authenticate_time too and does not need this field. Refused if the session has no subject after the
	// changes.
	Authenticated bool `protobuf:"varint,10,opt,name=authenticated,proto3" json:"authenticated,omitempty"`
	unknownFields protoimpl.UnknownFields
	sizeCache     protoimpl.SizeCache
}

func (x *Changes) Reset() {
	*x = Changes{}
	mi := &file_cloakroom_v1_session_service_proto_msgTypes[3]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *Changes) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*Changes) ProtoMessage() {}

func (x *Changes) ProtoReflect() protoreflect.Message {
	mi := &file_cloakroom_v1_session_service_proto_msgTypes[3]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use Changes.ProtoReflect.Descriptor instead.
func (*Changes) Descriptor() ([]byte, []int) {
	return file_cloakroom_v1_session_service_proto_rawDescGZIP(), []int{3}
}

func (x *Changes) GetClear() bool {
	if x != nil {
		return x.Clear
	}
	return false
}

func (x *Changes) GetUnset() []string {
	if x != nil {
		return x.Unset
	}
	return nil
}

func (x *Changes) GetSet() map[string]*Value {
	if x != nil {
		return x.Set
	}
	return nil
}

func (x *Changes) GetIncrement() map[string]int64 {
	if x != nil {
		return x.Increment
	}
	return nil
}

func (x *Changes) GetPermanent() bool {
	if x != nil && x.Permanent != nil {
		return *x.Permanent
	}
	return false
}

func (x *Changes) GetSubject() string {
	if x != nil && x.Subject != nil {
		return *x.Subject
	}
	return ""
}

func (x *Changes) GetLifetime() isChanges_Lifetime {
	if x != nil {
		return x.Lifetime
	}
	return nil
}

func (x *Changes) GetIdleTimeout() *durationpb.Duration {
	if x != nil {
		if x, ok := x.Lifetime.(*Changes_IdleTimeout); ok {
			return x.IdleTimeout
		}
	}
	return nil
}

func (x *Changes) GetDeadlineTime() *timestamppb.Timestamp {
	if x != nil {
		if x, ok := x.Lifetime.(*Changes_DeadlineTime); ok {
			return x.DeadlineTime
		}
	}
	return nil
}

func (x *Changes) GetDefaultLifetime() bool {
	if x != nil {
		if x, ok := x.Lifetime.(*Changes_DefaultLifetime); ok {
			return x.DefaultLifetime
		}
	}
	return false
}

func (x *Changes) GetAuthenticated() bool {
	if x != nil {
		return x.Authenticated
	}
	return false
}

type isChanges_Lifetime interface {
	isChanges_Lifetime()
}

type Changes_IdleTimeout struct {
	// The session ends when it is not used for this long. At least 1 second.
	IdleTimeout *durationpb.Duration `protobuf:"bytes,7,opt,name=idle_timeout,json=idleTimeout,proto3,oneof"`
}

type Changes_DeadlineTime struct {
	// The session ends at this time, whether it is used or not. The time has to be in the future.
	DeadlineTime *timestamppb.Timestamp `protobuf:"bytes,8,opt,name=deadline_time,json=deadlineTime,proto3,oneof"`
}

type Changes_DefaultLifetime struct {
	// True to give the session the app's own timeouts again; without a subject, those of anonymous sessions. A session
	// that is older than absolute_timeout, because that was longer when the session was created, keeps its deadline.
	// False is the same as unset.
	DefaultLifetime bool `protobuf:"varint,9,opt,name=default_lifetime,json=defaultLifetime,proto3,oneof"`
}

func (*Changes_IdleTimeout) isChanges_Lifetime() {}

func (*Changes_DeadlineTime) isChanges_Lifetime() {}

func (*Changes_DefaultLifetime) isChanges_Lifetime() {}

// One response header. Append it to the response; do not replace other headers of the same name.
type Header struct {
	state protoimpl.MessageState `protogen:"open.v1"`
	// `Set-Cookie` or `Vary`.
	Name string `protobuf:"bytes,1,opt,name=name,proto3" json:"name,omitempty"`
	// The value, ready to send.
	Value         string `protobuf:"bytes,2,opt,name=value,proto3" json:"value,omitempty"`
	unknownFields protoimpl.UnknownFields
	sizeCache     protoimpl.SizeCache
}

func (x *Header) Reset() {
	*x = Header{}
	mi := &file_cloakroom_v1_session_service_proto_msgTypes[4]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *Header) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*Header) ProtoMessage() {}

func (x *Header) ProtoReflect() protoreflect.Message {
	mi := &file_cloakroom_v1_session_service_proto_msgTypes[4]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use Header.ProtoReflect.Descriptor instead.
func (*Header) Descriptor() ([]byte, []int) {
	return file_cloakroom_v1_session_service_proto_rawDescGZIP(), []int{4}
}

func (x *Header) GetName() string {
	if x != nil {
		return x.Name
	}
	return ""
}

func (x *Header) GetValue() string {
	if x != nil {
		return x.Value
	}
	return ""
}

// The attributes of the cookie that one request chooses, for a frontend behind several hosts and proxies. An attribute
// that is not set is the app's own.
//
// Every call of a request sends the same attributes: those of its open, of its save and of a deletion have to agree,
// because a browser keeps cookies with another domain or path apart. Take them from the configuration of the frontend,
// or from what a trusted proxy says, and never from what a browser sends.
type CookieAttributes struct {
	state protoimpl.MessageState `protogen:"open.v1"`
	// The domain. Empty for a cookie of one host only.
	Domain *string `protobuf:"bytes,1,opt,name=domain,proto3,oneof" json:"domain,omitempty"`
	// The path.
	Path *string `protobuf:"bytes,2,opt,name=path,proto3,oneof" json:"path,omitempty"`
	// Whether the cookie is sent over TLS only. False is refused if the app's cookie is secure.
	Secure *bool `protobuf:"varint,3,opt,name=secure,proto3,oneof" json:"secure,omitempty"`
	// `Strict`, `Lax` or `None`. Empty for no such attribute.
	Samesite      *string `protobuf:"bytes,4,opt,name=samesite,proto3,oneof" json:"samesite,omitempty"`
	unknownFields protoimpl.UnknownFields
	sizeCache     protoimpl.SizeCache
}

func (x *CookieAttributes) Reset() {
	*x = CookieAttributes{}
	mi := &file_cloakroom_v1_session_service_proto_msgTypes[5]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *CookieAttributes) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*CookieAttributes) ProtoMessage() {}

func (x *CookieAttributes) ProtoReflect() protoreflect.Message {
	mi := &file_cloakroom_v1_session_service_proto_msgTypes[5]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use CookieAttributes.ProtoReflect.Descriptor instead.
func (*CookieAttributes) Descriptor() ([]byte, []int) {
	return file_cloakroom_v1_session_service_proto_rawDescGZIP(), []int{5}
}

func (x *CookieAttributes) GetDomain() string {
	if x != nil && x.Domain != nil {
		return *x.Domain
	}
	return ""
}

func (x *CookieAttributes) GetPath() string {
	if x != nil && x.Path != nil {
		return *x.Path
	}
	return ""
}

func (x *CookieAttributes) GetSecure() bool {
	if x != nil && x.Secure != nil {
		return *x.Secure
	}
	return false
}

func (x *CookieAttributes) GetSamesite() string {
	if x != nil && x.Samesite != nil {
		return *x.Samesite
	}
	return ""
}

// Facts about a request that the service stores for the list of a user's devices.
type RequestContext struct {
	state protoimpl.MessageState `protogen:"open.v1"`
	// The User-Agent header. The service cuts it off after 256 bytes.
	UserAgent string `protobuf:"bytes,1,opt,name=user_agent,json=userAgent,proto3" json:"user_agent,omitempty"`
	// The address of the user as the frontend knows it. The service cuts it off after 64 bytes.
	RemoteAddress string `protobuf:"bytes,2,opt,name=remote_address,json=remoteAddress,proto3" json:"remote_address,omitempty"`
	unknownFields protoimpl.UnknownFields
	sizeCache     protoimpl.SizeCache
}

func (x *RequestContext) Reset() {
	*x = RequestContext{}
	mi := &file_cloakroom_v1_session_service_proto_msgTypes[6]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *RequestContext) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*RequestContext) ProtoMessage() {}

func (x *RequestContext) ProtoReflect() protoreflect.Message {
	mi := &file_cloakroom_v1_session_service_proto_msgTypes[6]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use RequestContext.ProtoReflect.Descriptor instead.
func (*RequestContext) Descriptor() ([]byte, []int) {
	return file_cloakroom_v1_session_service_proto_rawDescGZIP(), []int{6}
}

func (x *RequestContext) GetUserAgent() string {
	if x != nil {
		return x.UserAgent
	}
	return ""
}

func (x *RequestContext) GetRemoteAddress() string {
	if x != nil {
		return x.RemoteAddress
	}
	return ""
}

// The request of OpenSession.
type OpenSessionRequest struct {
	state protoimpl.MessageState `protogen:"open.v1"`
	// The app; empty means `default`.
	App string `protobuf:"bytes,1,opt,name=app,proto3" json:"app,omitempty"`
	// The credential of the request. Unset for a request without a cookie. Kind EXTERNAL: key, which has to be set.
	//
	// Types that are valid to be assigned to Credential:
	//
	//	*OpenSessionRequest_CookieHeader
	//	*OpenSessionRequest_Token
	//	*OpenSessionRequest_Key
	Credential isOpenSessionRequest_Credential `protobuf_oneof:"credential"`
	// The cookie name that replaces the app's own, for a frontend that chooses the name for each request. Empty for the
	// app's own.
	CookieName string `protobuf:"bytes,4,opt,name=cookie_name,json=cookieName,proto3" json:"cookie_name,omitempty"`
	// Facts about the request for the list of a user's devices.
	Context *RequestContext `protobuf:"bytes,5,opt,name=context,proto3" json:"context,omitempty"`
	// The age from which an authentication is no longer recent, for an action that needs certainty about the user. The
	// result is in recently_authenticated. At least 1 millisecond. Unset if the request does not ask.
	MaxAuthenticateAge *durationpb.Duration `protobuf:"bytes,6,opt,name=max_authenticate_age,json=maxAuthenticateAge,proto3" json:"max_authenticate_age,omitempty"`
	// The attributes of the cookie that this request chooses. Unset for the app's own.
	CookieAttributes *CookieAttributes `protobuf:"bytes,7,opt,name=cookie_attributes,json=cookieAttributes,proto3" json:"cookie_attributes,omitempty"`
	// True to look at the session without using it, for a check whether it exists: the idle timeout goes on, the context
	// is not stored, and the times in the response are those of the last use.
	NoTouch bool `protobuf:"varint,8,opt,name=no_touch,json=noTouch,proto3" json:"no_touch,omitempty"`
	// The time since the frontend received the request of the user, on a monotonic clock, as in SaveSessionRequest. Send it
	// with every open by cookie_header that does not happen as soon as the request arrives. Ignored with a token or a key,
	// and in kind COOKIE.
	//
	// If the session of the cookie was ended by a call, or its token was replaced, within this time, the browser may hold
	// the cookie of the next login by now. The response is a new session all the same, but a save to it sets no cookie,
	// unless it is a login.
	RequestAge    *durationpb.Duration `protobuf:"bytes,9,opt,name=request_age,json=requestAge,proto3" json:"request_age,omitempty"`
	unknownFields protoimpl.UnknownFields
	sizeCache     protoimpl.SizeCache
}

func (x *OpenSessionRequest) Reset() {
	*x = OpenSessionRequest{}
	mi := &file_cloakroom_v1_session_service_proto_msgTypes[7]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *OpenSessionRequest) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*OpenSessionRequest) ProtoMessage() {}

func (x *OpenSessionRequest) ProtoReflect() protoreflect.Message {
	mi := &file_cloakroom_v1_session_service_proto_msgTypes[7]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use OpenSessionRequest.ProtoReflect.Descriptor instead.
func (*OpenSessionRequest) Descriptor() ([]byte, []int) {
	return file_cloakroom_v1_session_service_proto_rawDescGZIP(), []int{7}
}

func (x *OpenSessionRequest) GetApp() string {
	if x != nil {
		return x.App
	}
	return ""
}

func (x *OpenSessionRequest) GetCredential() isOpenSessionRequest_Credential {
	if x != nil {
		return x.Credential
	}
	return nil
}

func (x *OpenSessionRequest) GetCookieHeader() string {
	if x != nil {
		if x, ok := x.Credential.(*OpenSessionRequest_CookieHeader); ok {
			return x.CookieHeader
		}
	}
	return ""
}

func (x *OpenSessionRequest) GetToken() string {
	if x != nil {
		if x, ok := x.Credential.(*OpenSessionRequest_Token); ok {
			return x.Token
		}
	}
	return ""
}

func (x *OpenSessionRequest) GetKey() []byte {
	if x != nil {
		if x, ok := x.Credential.(*OpenSessionRequest_Key); ok {
			return x.Key
		}
	}
	return nil
}

func (x *OpenSessionRequest) GetCookieName() string {
	if x != nil {
		return x.CookieName
	}
	return ""
}

func (x *OpenSessionRequest) GetContext() *RequestContext {
	if x != nil {
		return x.Context
	}
	return nil
}

func (x *OpenSessionRequest) GetMaxAuthenticateAge() *durationpb.Duration {
	if x != nil {
		return x.MaxAuthenticateAge
	}
	return nil
}

func (x *OpenSessionRequest) GetCookieAttributes() *CookieAttributes {
	if x != nil {
		return x.CookieAttributes
	}
	return nil
}

func (x *OpenSessionRequest) GetNoTouch() bool {
	if x != nil {
		return x.NoTouch
	}
	return false
}

func (x *OpenSessionRequest) GetRequestAge() *durationpb.Duration {
	if x != nil {
		return x.RequestAge
	}
	return nil
}

type isOpenSessionRequest_Credential interface {
	isOpenSessionRequest_Credential()
}

type OpenSessionRequest_CookieHeader struct {
	// The whole Cookie header, its bytes read as Latin-1. Several header lines are joined by "; " (RFC 9113). At most
	// 1 MiB.
	CookieHeader string `protobuf:"bytes,2,opt,name=cookie_header,json=cookieHeader,proto3,oneof"`
}

type OpenSessionRequest_Token struct {
	// The token alone, for protocols other than HTTP.
	Token string `protobuf:"bytes,3,opt,name=token,proto3,oneof"`
}

type OpenSessionRequest_Key struct {
	// The key of an app of the kind EXTERNAL: the secret that the framework made for this session, 16 to 256 bytes.
	Key []byte `protobuf:"bytes,15,opt,name=key,proto3,oneof"`
}

func (*OpenSessionRequest_CookieHeader) isOpenSessionRequest_Credential() {}

func (*OpenSessionRequest_Token) isOpenSessionRequest_Credential() {}

func (*OpenSessionRequest_Key) isOpenSessionRequest_Credential() {}

// The response of OpenSession.
type OpenSessionResponse struct {
	state protoimpl.MessageState `protogen:"open.v1"`
	// The session. Always set.
	Session *Session `protobuf:"bytes,1,opt,name=session,proto3" json:"session,omitempty"`
	// The headers to send if the request reads the session and changes nothing. Then no SaveSession is needed.
	ReadHeaders []*Header `protobuf:"bytes,2,rep,name=read_headers,json=readHeaders,proto3" json:"read_headers,omitempty"`
	// The headers to send if the request never looks at the session. They set the cookie in two cases:
	//
	//   - The browser does not have this token yet: the app's keys have changed, the token in the browser is in its
	//     rotation_grace, or the browser has a legacy credential.
	//   - The session is permanent and the app refreshes at each request.
	//
	// A response has exactly one list of headers: these, or read_headers, or those of the save, which are complete.
	UntouchedHeaders []*Header `protobuf:"bytes,3,rep,name=untouched_headers,json=untouchedHeaders,proto3" json:"untouched_headers,omitempty"`
	// True if max_authenticate_age is set and less time than that has passed since the session's authenticate_time, on
	// the clock of the service. If false, ask the user for the password or the second factor, and save with
	// authenticated.
	RecentlyAuthenticated bool `protobuf:"varint,4,opt,name=recently_authenticated,json=recentlyAuthenticated,proto3" json:"recently_authenticated,omitempty"`
	// True if the response has to set the cookie, because the browser does not have this token yet. Send it back in the
	// SaveSessionRequest.
	CookieOutdated bool `protobuf:"varint,5,opt,name=cookie_outdated,json=cookieOutdated,proto3" json:"cookie_outdated,omitempty"`
	// Kind EXTERNAL: the reason why the session of the key has ended, with the null session GONE.
	EndReason     EndReason `protobuf:"varint,6,opt,name=end_reason,json=endReason,proto3,enum=cloakroom.v1.EndReason" json:"end_reason,omitempty"`
	unknownFields protoimpl.UnknownFields
	sizeCache     protoimpl.SizeCache
}

func (x *OpenSessionResponse) Reset() {
	*x = OpenSessionResponse{}
	mi := &file_cloakroom_v1_session_service_proto_msgTypes[8]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *OpenSessionResponse) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*OpenSessionResponse) ProtoMessage() {}

func (x *OpenSessionResponse) ProtoReflect() protoreflect.Message {
	mi := &file_cloakroom_v1_session_service_proto_msgTypes[8]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use OpenSessionResponse.ProtoReflect.Descriptor instead.
func (*OpenSessionResponse) Descriptor() ([]byte, []int) {
	return file_cloakroom_v1_session_service_proto_rawDescGZIP(), []int{8}
}

func (x *OpenSessionResponse) GetSession() *Session {
	if x != nil {
		return x.Session
	}
	return nil
}

func (x *OpenSessionResponse) GetReadHeaders() []*Header {
	if x != nil {
		return x.ReadHeaders
	}
	return nil
}

func (x *OpenSessionResponse) GetUntouchedHeaders() []*Header {
	if x != nil {
		return x.UntouchedHeaders
	}
	return nil
}

func (x *OpenSessionResponse) GetRecentlyAuthenticated() bool {
	if x != nil {
		return x.RecentlyAuthenticated
	}
	return false
}

func (x *OpenSessionResponse) GetCookieOutdated() bool {
	if x != nil {
		return x.CookieOutdated
	}
	return false
}

func (x *OpenSessionResponse) GetEndReason() EndReason {
	if x != nil {
		return x.EndReason
	}
	return EndReason_END_REASON_UNSPECIFIED
}

// The request of SaveSession.
type SaveSessionRequest struct {
	state protoimpl.MessageState `protogen:"open.v1"`
	// The app; empty means `default`.
	App string `protobuf:"bytes,1,opt,name=app,proto3" json:"app,omitempty"`
	// The credential of the request. One has to be set.
	//
	// Types that are valid to be assigned to Credential:
	//
	//	*SaveSessionRequest_Token
	//	*SaveSessionRequest_CookieHeader
	//	*SaveSessionRequest_Key
	Credential isSaveSessionRequest_Credential `protobuf_oneof:"credential"`
	// The changes of the request. If this field is set, even to an empty message, the session counts as modified, as in
	// Flask. Unset if the request only read.
	Changes *Changes `protobuf:"bytes,4,opt,name=changes,proto3" json:"changes,omitempty"`
	// True if the request looked at the session. The headers then include Vary: Cookie.
	Accessed bool `protobuf:"varint,5,opt,name=accessed,proto3" json:"accessed,omitempty"`
	// The etag that the session must still have; otherwise the save is refused. If it is empty, the session may have any
	// etag. Ignored if the request has neither changes nor rotate.
	Etag string `protobuf:"bytes,6,opt,name=etag,proto3" json:"etag,omitempty"`
	// Random text that is made for this one save. Use at least 16 bytes; the limit is 64 bytes. It makes a repeat
	// harmless: the effect and the outcome are the same. The service remembers it for 10 minutes, and only for the last
	// 16 calls on the session that had one. Empty for none.
	RequestId string `protobuf:"bytes,7,opt,name=request_id,json=requestId,proto3" json:"request_id,omitempty"`
	// True to replace the token in the same step, without grace. A change of the subject always replaces the token. Set
	// this field at a login that sets no subject, or that may set the subject that the session already has.
	Rotate bool `protobuf:"varint,8,opt,name=rotate,proto3" json:"rotate,omitempty"`
	// True to keep a session without content. Otherwise changes that leave no entries, no subject and no value of
	// permanent delete the session, as in Flask, and changes that leave no entries and no subject store no new one.
	KeepEmpty bool `protobuf:"varint,9,opt,name=keep_empty,json=keepEmpty,proto3" json:"keep_empty,omitempty"`
	// The cookie name that replaces the app's own. Empty for the app's own.
	CookieName string `protobuf:"bytes,10,opt,name=cookie_name,json=cookieName,proto3" json:"cookie_name,omitempty"`
	// Facts about the request for the list of a user's devices.
	Context *RequestContext `protobuf:"bytes,11,opt,name=context,proto3" json:"context,omitempty"`
	// The cookie_outdated of the response of OpenSession, if the request opened its session. The headers of the save then
	// set the cookie. Ignored with a cookie_header.
	CookieOutdated bool `protobuf:"varint,12,opt,name=cookie_outdated,json=cookieOutdated,proto3" json:"cookie_outdated,omitempty"`
	// The attributes of the cookie that this request chooses. Unset for the app's own.
	CookieAttributes *CookieAttributes `protobuf:"bytes,13,opt,name=cookie_attributes,json=cookieAttributes,proto3" json:"cookie_attributes,omitempty"`
	// The time since the frontend received the request of the user, on a monotonic clock. It may be zero, and the service
	// cuts it to whole milliseconds. Send it with every save by cookie_header. Ignored with a token or a key, and in kind
	// COOKIE.
	//
	// If the session of the cookie was ended by a call, or its token was replaced, within this time, the save is GONE, as it
	// would be by token: nothing is written, and no cookie is set. Otherwise a slow request would store what it has of a
	// user who has logged out, and its cookie would replace that of the next login. That holds for every save, also with
	// clear or a change of the subject: see GONE at SaveSession for a login.
	//
	// A session that had ended before is no hindrance: a browser whose logout or login got no response goes on with its next
	// request. The same holds for a session that only time, RevokeApp or an end more than 16 minutes ago has ended. The times
	// of ends are those of the service's clock.
	RequestAge    *durationpb.Duration `protobuf:"bytes,14,opt,name=request_age,json=requestAge,proto3" json:"request_age,omitempty"`
	unknownFields protoimpl.UnknownFields
	sizeCache     protoimpl.SizeCache
}

func (x *SaveSessionRequest) Reset() {
	*x = SaveSessionRequest{}
	mi := &file_cloakroom_v1_session_service_proto_msgTypes[9]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *SaveSessionRequest) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*SaveSessionRequest) ProtoMessage() {}

func (x *SaveSessionRequest) ProtoReflect() protoreflect.Message {
	mi := &file_cloakroom_v1_session_service_proto_msgTypes[9]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use SaveSessionRequest.ProtoReflect.Descriptor instead.
func (*SaveSessionRequest) Descriptor() ([]byte, []int) {
	return file_cloakroom_v1_session_service_proto_rawDescGZIP(), []int{9}
}

func (x *SaveSessionRequest) GetApp() string {
	if x != nil {
		return x.App
	}
	return ""
}

func (x *SaveSessionRequest) GetCredential() isSaveSessionRequest_Credential {
	if x != nil {
		return x.Credential
	}
	return nil
}

func (x *SaveSessionRequest) GetToken() string {
	if x != nil {
		if x, ok := x.Credential.(*SaveSessionRequest_Token); ok {
			return x.Token
		}
	}
	return ""
}

func (x *SaveSessionRequest) GetCookieHeader() string {
	if x != nil {
		if x, ok := x.Credential.(*SaveSessionRequest_CookieHeader); ok {
			return x.CookieHeader
		}
	}
	return ""
}

func (x *SaveSessionRequest) GetKey() []byte {
	if x != nil {
		if x, ok := x.Credential.(*SaveSessionRequest_Key); ok {
			return x.Key
		}
	}
	return nil
}

func (x *SaveSessionRequest) GetChanges() *Changes {
	if x != nil {
		return x.Changes
	}
	return nil
}

func (x *SaveSessionRequest) GetAccessed() bool {
	if x != nil {
		return x.Accessed
	}
	return false
}

func (x *SaveSessionRequest) GetEtag() string {
	if x != nil {
		return x.Etag
	}
	return ""
}

func (x *SaveSessionRequest) GetRequestId() string {
	if x != nil {
		return x.RequestId
	}
	return ""
}

func (x *SaveSessionRequest) GetRotate() bool {
	if x != nil {
		return x.Rotate
	}
	return false
}

func (x *SaveSessionRequest) GetKeepEmpty() bool {
	if x != nil {
		return x.KeepEmpty
	}
	return false
}

func (x *SaveSessionRequest) GetCookieName() string {
	if x != nil {
		return x.CookieName
	}
	return ""
}

func (x *SaveSessionRequest) GetContext() *RequestContext {
	if x != nil {
		return x.Context
	}
	return nil
}

func (x *SaveSessionRequest) GetCookieOutdated() bool {
	if x != nil {
		return x.CookieOutdated
	}
	return false
}

func (x *SaveSessionRequest) GetCookieAttributes() *CookieAttributes {
	if x != nil {
		return x.CookieAttributes
	}
	return nil
}

func (x *SaveSessionRequest) GetRequestAge() *durationpb.Duration {
	if x != nil {
		return x.RequestAge
	}
	return nil
}

type isSaveSessionRequest_Credential interface {
	isSaveSessionRequest_Credential()
}

type SaveSessionRequest_Token struct {
	// The token from OpenSession.
	Token string `protobuf:"bytes,2,opt,name=token,proto3,oneof"`
}

type SaveSessionRequest_CookieHeader struct {
	// The whole Cookie header, as in OpenSessionRequest, for a save without an open. Empty if the request has no
	// cookie.
	//
	// If the header names no live session, the save is made to the session that an open would give. If that is a new
	// session and no recovery session, a request_id does not make a repeat harmless: the repeat begins another session.
	// If the first response was lost, the first session is in no browser and ends when it expires.
	CookieHeader string `protobuf:"bytes,3,opt,name=cookie_header,json=cookieHeader,proto3,oneof"`
}

type SaveSessionRequest_Key struct {
	// The key of an app of the kind EXTERNAL: the secret that the framework made for this session, 16 to 256 bytes.
	Key []byte `protobuf:"bytes,15,opt,name=key,proto3,oneof"`
}

func (*SaveSessionRequest_Token) isSaveSessionRequest_Credential() {}

func (*SaveSessionRequest_CookieHeader) isSaveSessionRequest_Credential() {}

func (*SaveSessionRequest_Key) isSaveSessionRequest_Credential() {}

// The response of SaveSession.
type SaveSessionResponse struct {
	state protoimpl.MessageState `protogen:"open.v1"`
	// The effect of the save.
	Outcome Outcome `protobuf:"varint,1,opt,name=outcome,proto3,enum=cloakroom.v1.Outcome" json:"outcome,omitempty"`
	// The reason of the end, with DELETED and GONE. Unspecified with GONE if the session ended more than 16 minutes ago.
	EndReason EndReason `protobuf:"varint,2,opt,name=end_reason,json=endReason,proto3,enum=cloakroom.v1.EndReason" json:"end_reason,omitempty"`
	// The session after the save, without its entries. Unset with DELETED and GONE, and in the response to a repeated
	// save whose session has ended since.
	Session *Session `protobuf:"bytes,3,opt,name=session,proto3" json:"session,omitempty"`
	// The headers to send, complete and in this order. Append each to the response, and none of an open before it. After
	// several saves of one request, they are those of the last save with a Set-Cookie, or else of the last one.
	Headers []*Header `protobuf:"bytes,4,rep,name=headers,proto3" json:"headers,omitempty"`
	// For every entry in increment, its value after this save. In the response to a repeated save, its value now.
	Counters      map[string]int64 `protobuf:"bytes,5,rep,name=counters,proto3" json:"counters,omitempty" protobuf_key:"bytes,1,opt,name=key" protobuf_val:"varint,2,opt,name=value"`
	unknownFields protoimpl.UnknownFields
	sizeCache     protoimpl.SizeCache
}

func (x *SaveSessionResponse) Reset() {
	*x = SaveSessionResponse{}
	mi := &file_cloakroom_v1_session_service_proto_msgTypes[10]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *SaveSessionResponse) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*SaveSessionResponse) ProtoMessage() {}

func (x *SaveSessionResponse) ProtoReflect() protoreflect.Message {
	mi := &file_cloakroom_v1_session_service_proto_msgTypes[10]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use SaveSessionResponse.ProtoReflect.Descriptor instead.
func (*SaveSessionResponse) Descriptor() ([]byte, []int) {
	return file_cloakroom_v1_session_service_proto_rawDescGZIP(), []int{10}
}

func (x *SaveSessionResponse) GetOutcome() Outcome {
	if x != nil {
		return x.Outcome
	}
	return Outcome_OUTCOME_UNSPECIFIED
}

func (x *SaveSessionResponse) GetEndReason() EndReason {
	if x != nil {
		return x.EndReason
	}
	return EndReason_END_REASON_UNSPECIFIED
}

func (x *SaveSessionResponse) GetSession() *Session {
	if x != nil {
		return x.Session
	}
	return nil
}

func (x *SaveSessionResponse) GetHeaders() []*Header {
	if x != nil {
		return x.Headers
	}
	return nil
}

func (x *SaveSessionResponse) GetCounters() map[string]int64 {
	if x != nil {
		return x.Counters
	}
	return nil
}

// The request of ShouldSetCookie.
type ShouldSetCookieRequest struct {
	state protoimpl.MessageState `protogen:"open.v1"`
	// The app; empty means `default`.
	App string `protobuf:"bytes,1,opt,name=app,proto3" json:"app,omitempty"`
	// True if the request changed the session.
	Modified bool `protobuf:"varint,2,opt,name=modified,proto3" json:"modified,omitempty"`
	// True if the session is permanent.
	Permanent     bool `protobuf:"varint,3,opt,name=permanent,proto3" json:"permanent,omitempty"`
	unknownFields protoimpl.UnknownFields
	sizeCache     protoimpl.SizeCache
}

func (x *ShouldSetCookieRequest) Reset() {
	*x = ShouldSetCookieRequest{}
	mi := &file_cloakroom_v1_session_service_proto_msgTypes[11]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *ShouldSetCookieRequest) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*ShouldSetCookieRequest) ProtoMessage() {}

func (x *ShouldSetCookieRequest) ProtoReflect() protoreflect.Message {
	mi := &file_cloakroom_v1_session_service_proto_msgTypes[11]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use ShouldSetCookieRequest.ProtoReflect.Descriptor instead.
func (*ShouldSetCookieRequest) Descriptor() ([]byte, []int) {
	return file_cloakroom_v1_session_service_proto_rawDescGZIP(), []int{11}
}

func (x *ShouldSetCookieRequest) GetApp() string {
	if x != nil {
		return x.App
	}
	return ""
}

func (x *ShouldSetCookieRequest) GetModified() bool {
	if x != nil {
		return x.Modified
	}
	return false
}

func (x *ShouldSetCookieRequest) GetPermanent() bool {
	if x != nil {
		return x.Permanent
	}
	return false
}

// The response of ShouldSetCookie.
type ShouldSetCookieResponse struct {
	state protoimpl.MessageState `protogen:"open.v1"`
	// True if the response has to set the cookie.
	ShouldSetCookie bool `protobuf:"varint,1,opt,name=should_set_cookie,json=shouldSetCookie,proto3" json:"should_set_cookie,omitempty"`
	unknownFields   protoimpl.UnknownFields
	sizeCache       protoimpl.SizeCache
}

func (x *ShouldSetCookieResponse) Reset() {
	*x = ShouldSetCookieResponse{}
	mi := &file_cloakroom_v1_session_service_proto_msgTypes[12]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *ShouldSetCookieResponse) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*ShouldSetCookieResponse) ProtoMessage() {}

func (x *ShouldSetCookieResponse) ProtoReflect() protoreflect.Message {
	mi := &file_cloakroom_v1_session_service_proto_msgTypes[12]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use ShouldSetCookieResponse.ProtoReflect.Descriptor instead.
func (*ShouldSetCookieResponse) Descriptor() ([]byte, []int) {
	return file_cloakroom_v1_session_service_proto_rawDescGZIP(), []int{12}
}

func (x *ShouldSetCookieResponse) GetShouldSetCookie() bool {
	if x != nil {
		return x.ShouldSetCookie
	}
	return false
}

// The request of GetAppPolicy.
type GetAppPolicyRequest struct {
	state protoimpl.MessageState `protogen:"open.v1"`
	// The app; empty means `default`.
	App           string `protobuf:"bytes,1,opt,name=app,proto3" json:"app,omitempty"`
	unknownFields protoimpl.UnknownFields
	sizeCache     protoimpl.SizeCache
}

func (x *GetAppPolicyRequest) Reset() {
	*x = GetAppPolicyRequest{}
	mi := &file_cloakroom_v1_session_service_proto_msgTypes[13]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *GetAppPolicyRequest) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*GetAppPolicyRequest) ProtoMessage() {}

func (x *GetAppPolicyRequest) ProtoReflect() protoreflect.Message {
	mi := &file_cloakroom_v1_session_service_proto_msgTypes[13]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use GetAppPolicyRequest.ProtoReflect.Descriptor instead.
func (*GetAppPolicyRequest) Descriptor() ([]byte, []int) {
	return file_cloakroom_v1_session_service_proto_rawDescGZIP(), []int{13}
}

func (x *GetAppPolicyRequest) GetApp() string {
	if x != nil {
		return x.App
	}
	return ""
}

// The policy of an app.
type GetAppPolicyResponse struct {
	state protoimpl.MessageState `protogen:"open.v1"`
	// The name of the app. Never empty.
	App string `protobuf:"bytes,1,opt,name=app,proto3" json:"app,omitempty"`
	// The way in which the app names and stores its sessions.
	Kind AppKind `protobuf:"varint,2,opt,name=kind,proto3,enum=cloakroom.v1.AppKind" json:"kind,omitempty"`
	// Flask's get_cookie_name.
	CookieName string `protobuf:"bytes,3,opt,name=cookie_name,json=cookieName,proto3" json:"cookie_name,omitempty"`
	// Flask's get_cookie_domain. Empty if the cookie has no domain and belongs to one host only.
	CookieDomain string `protobuf:"bytes,4,opt,name=cookie_domain,json=cookieDomain,proto3" json:"cookie_domain,omitempty"`
	// Flask's get_cookie_path.
	CookiePath string `protobuf:"bytes,5,opt,name=cookie_path,json=cookiePath,proto3" json:"cookie_path,omitempty"`
	// Flask's get_cookie_httponly.
	CookieHttponly bool `protobuf:"varint,6,opt,name=cookie_httponly,json=cookieHttponly,proto3" json:"cookie_httponly,omitempty"`
	// Flask's get_cookie_secure.
	CookieSecure bool `protobuf:"varint,7,opt,name=cookie_secure,json=cookieSecure,proto3" json:"cookie_secure,omitempty"`
	// Flask's get_cookie_samesite: `Strict`, `Lax` or `None`. Empty if the cookie has no such attribute.
	CookieSamesite string `protobuf:"bytes,8,opt,name=cookie_samesite,json=cookieSamesite,proto3" json:"cookie_samesite,omitempty"`
	// Flask's get_cookie_partitioned.
	CookiePartitioned bool `protobuf:"varint,9,opt,name=cookie_partitioned,json=cookiePartitioned,proto3" json:"cookie_partitioned,omitempty"`
	// Flask's pickle_based. Always false, because the service does not interpret values.
	PickleBased bool `protobuf:"varint,10,opt,name=pickle_based,json=pickleBased,proto3" json:"pickle_based,omitempty"`
	// Flask's SESSION_REFRESH_EACH_REQUEST.
	RefreshEachRequest bool `protobuf:"varint,11,opt,name=refresh_each_request,json=refreshEachRequest,proto3" json:"refresh_each_request,omitempty"`
	// The time that a session lives without a use. Also the longest idle timeout that a save may ask for.
	IdleTimeout *durationpb.Duration `protobuf:"bytes,12,opt,name=idle_timeout,json=idleTimeout,proto3" json:"idle_timeout,omitempty"`
	// The time that a session lives, however much it is used. Also the longest life that a save may ask for. Kind COOKIE:
	// the same as idle_timeout. Both count from the last signature of the cookie and are Flask's
	// PERMANENT_SESSION_LIFETIME.
	AbsoluteTimeout *durationpb.Duration `protobuf:"bytes,13,opt,name=absolute_timeout,json=absoluteTimeout,proto3" json:"absolute_timeout,omitempty"`
	// The time in which a token that a RENEWAL replaced still opens its session.
	RotationGrace *durationpb.Duration `protobuf:"bytes,14,opt,name=rotation_grace,json=rotationGrace,proto3" json:"rotation_grace,omitempty"`
	// The greatest number of entries in a session.
	MaxEntries uint32 `protobuf:"varint,15,opt,name=max_entries,json=maxEntries,proto3" json:"max_entries,omitempty"`
	// The greatest number of bytes in a session, names and values together.
	MaxSessionBytes uint32 `protobuf:"varint,16,opt,name=max_session_bytes,json=maxSessionBytes,proto3" json:"max_session_bytes,omitempty"`
	// The name of the entry whose value is the subject, or the path to the subject inside of an entry, such as
	// `passport.user`. Empty if the app has none.
	SubjectKey string `protobuf:"bytes,17,opt,name=subject_key,json=subjectKey,proto3" json:"subject_key,omitempty"`
	// The null session that stands in for every session of the app. Set only for an app that cannot have sessions.
	NullSession *NullSession `protobuf:"bytes,18,opt,name=null_session,json=nullSession,proto3" json:"null_session,omitempty"`
	// The same as idle_timeout for an anonymous session. Never longer than that.
	AnonymousIdleTimeout *durationpb.Duration `protobuf:"bytes,19,opt,name=anonymous_idle_timeout,json=anonymousIdleTimeout,proto3" json:"anonymous_idle_timeout,omitempty"`
	// The same as absolute_timeout for an anonymous session. Never longer than that.
	//
	// If anonymous sessions have shorter timeouts in this app, two more rules hold:
	//
	//   - A session that gains a subject gets idle_timeout and absolute_timeout, whatever its lifetime was before.
	//     absolute_timeout counts from create_time.
	//   - A session that loses its subject keeps the rest of its lifetime, but at most anonymous_idle_timeout and
	//     anonymous_absolute_timeout from that moment on.
	AnonymousAbsoluteTimeout *durationpb.Duration `protobuf:"bytes,20,opt,name=anonymous_absolute_timeout,json=anonymousAbsoluteTimeout,proto3" json:"anonymous_absolute_timeout,omitempty"`
	// The names of the cookies, besides cookie_name, that may be a legacy credential of the app. A request that has none of
	// these cookies has no session, so a frontend can give it a new one without a call.
	LegacyCookieNames []string `protobuf:"bytes,21,rep,name=legacy_cookie_names,json=legacyCookieNames,proto3" json:"legacy_cookie_names,omitempty"`
	unknownFields     protoimpl.UnknownFields
	sizeCache         protoimpl.SizeCache
}

func (x *GetAppPolicyResponse) Reset() {
	*x = GetAppPolicyResponse{}
	mi := &file_cloakroom_v1_session_service_proto_msgTypes[14]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *GetAppPolicyResponse) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*GetAppPolicyResponse) ProtoMessage() {}

func (x *GetAppPolicyResponse) ProtoReflect() protoreflect.Message {
	mi := &file_cloakroom_v1_session_service_proto_msgTypes[14]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use GetAppPolicyResponse.ProtoReflect.Descriptor instead.
func (*GetAppPolicyResponse) Descriptor() ([]byte, []int) {
	return file_cloakroom_v1_session_service_proto_rawDescGZIP(), []int{14}
}

func (x *GetAppPolicyResponse) GetApp() string {
	if x != nil {
		return x.App
	}
	return ""
}

func (x *GetAppPolicyResponse) GetKind() AppKind {
	if x != nil {
		return x.Kind
	}
	return AppKind_APP_KIND_UNSPECIFIED
}

func (x *GetAppPolicyResponse) GetCookieName() string {
	if x != nil {
		return x.CookieName
	}
	return ""
}

func (x *GetAppPolicyResponse) GetCookieDomain() string {
	if x != nil {
		return x.CookieDomain
	}
	return ""
}

func (x *GetAppPolicyResponse) GetCookiePath() string {
	if x != nil {
		return x.CookiePath
	}
	return ""
}

func (x *GetAppPolicyResponse) GetCookieHttponly() bool {
	if x != nil {
		return x.CookieHttponly
	}
	return false
}

func (x *GetAppPolicyResponse) GetCookieSecure() bool {
	if x != nil {
		return x.CookieSecure
	}
	return false
}

func (x *GetAppPolicyResponse) GetCookieSamesite() string {
	if x != nil {
		return x.CookieSamesite
	}
	return ""
}

func (x *GetAppPolicyResponse) GetCookiePartitioned() bool {
	if x != nil {
		return x.CookiePartitioned
	}
	return false
}

func (x *GetAppPolicyResponse) GetPickleBased() bool {
	if x != nil {
		return x.PickleBased
	}
	return false
}

func (x *GetAppPolicyResponse) GetRefreshEachRequest() bool {
	if x != nil {
		return x.RefreshEachRequest
	}
	return false
}

func (x *GetAppPolicyResponse) GetIdleTimeout() *durationpb.Duration {
	if x != nil {
		return x.IdleTimeout
	}
	return nil
}

func (x *GetAppPolicyResponse) GetAbsoluteTimeout() *durationpb.Duration {
	if x != nil {
		return x.AbsoluteTimeout
	}
	return nil
}

func (x *GetAppPolicyResponse) GetRotationGrace() *durationpb.Duration {
	if x != nil {
		return x.RotationGrace
	}
	return nil
}

func (x *GetAppPolicyResponse) GetMaxEntries() uint32 {
	if x != nil {
		return x.MaxEntries
	}
	return 0
}

func (x *GetAppPolicyResponse) GetMaxSessionBytes() uint32 {
	if x != nil {
		return x.MaxSessionBytes
	}
	return 0
}

func (x *GetAppPolicyResponse) GetSubjectKey() string {
	if x != nil {
		return x.SubjectKey
	}
	return ""
}

func (x *GetAppPolicyResponse) GetNullSession() *NullSession {
	if x != nil {
		return x.NullSession
	}
	return nil
}

func (x *GetAppPolicyResponse) GetAnonymousIdleTimeout() *durationpb.Duration {
	if x != nil {
		return x.AnonymousIdleTimeout
	}
	return nil
}

func (x *GetAppPolicyResponse) GetAnonymousAbsoluteTimeout() *durationpb.Duration {
	if x != nil {
		return x.AnonymousAbsoluteTimeout
	}
	return nil
}

func (x *GetAppPolicyResponse) GetLegacyCookieNames() []string {
	if x != nil {
		return x.LegacyCookieNames
	}
	return nil
}

// The request of GetExpirationTime.
type GetExpirationTimeRequest struct {
	state protoimpl.MessageState `protogen:"open.v1"`
	// The app; empty means `default`.
	App string `protobuf:"bytes,1,opt,name=app,proto3" json:"app,omitempty"`
	// True if the session is permanent.
	Permanent     bool `protobuf:"varint,2,opt,name=permanent,proto3" json:"permanent,omitempty"`
	unknownFields protoimpl.UnknownFields
	sizeCache     protoimpl.SizeCache
}

func (x *GetExpirationTimeRequest) Reset() {
	*x = GetExpirationTimeRequest{}
	mi := &file_cloakroom_v1_session_service_proto_msgTypes[15]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *GetExpirationTimeRequest) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*GetExpirationTimeRequest) ProtoMessage() {}

func (x *GetExpirationTimeRequest) ProtoReflect() protoreflect.Message {
	mi := &file_cloakroom_v1_session_service_proto_msgTypes[15]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use GetExpirationTimeRequest.ProtoReflect.Descriptor instead.
func (*GetExpirationTimeRequest) Descriptor() ([]byte, []int) {
	return file_cloakroom_v1_session_service_proto_rawDescGZIP(), []int{15}
}

func (x *GetExpirationTimeRequest) GetApp() string {
	if x != nil {
		return x.App
	}
	return ""
}

func (x *GetExpirationTimeRequest) GetPermanent() bool {
	if x != nil {
		return x.Permanent
	}
	return false
}

// The response of GetExpirationTime.
type GetExpirationTimeResponse struct {
	state protoimpl.MessageState `protogen:"open.v1"`
	// The time when the cookie expires. Unset if it lasts until the browser closes.
	ExpireTime    *timestamppb.Timestamp `protobuf:"bytes,1,opt,name=expire_time,json=expireTime,proto3" json:"expire_time,omitempty"`
	unknownFields protoimpl.UnknownFields
	sizeCache     protoimpl.SizeCache
}

func (x *GetExpirationTimeResponse) Reset() {
	*x = GetExpirationTimeResponse{}
	mi := &file_cloakroom_v1_session_service_proto_msgTypes[16]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *GetExpirationTimeResponse) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*GetExpirationTimeResponse) ProtoMessage() {}

func (x *GetExpirationTimeResponse) ProtoReflect() protoreflect.Message {
	mi := &file_cloakroom_v1_session_service_proto_msgTypes[16]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use GetExpirationTimeResponse.ProtoReflect.Descriptor instead.
func (*GetExpirationTimeResponse) Descriptor() ([]byte, []int) {
	return file_cloakroom_v1_session_service_proto_rawDescGZIP(), []int{16}
}

func (x *GetExpirationTimeResponse) GetExpireTime() *timestamppb.Timestamp {
	if x != nil {
		return x.ExpireTime
	}
	return nil
}

// The request of MakeNullSession.
type MakeNullSessionRequest struct {
	state protoimpl.MessageState `protogen:"open.v1"`
	// The app; empty means `default`.
	App           string `protobuf:"bytes,1,opt,name=app,proto3" json:"app,omitempty"`
	unknownFields protoimpl.UnknownFields
	sizeCache     protoimpl.SizeCache
}

func (x *MakeNullSessionRequest) Reset() {
	*x = MakeNullSessionRequest{}
	mi := &file_cloakroom_v1_session_service_proto_msgTypes[17]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *MakeNullSessionRequest) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*MakeNullSessionRequest) ProtoMessage() {}

func (x *MakeNullSessionRequest) ProtoReflect() protoreflect.Message {
	mi := &file_cloakroom_v1_session_service_proto_msgTypes[17]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use MakeNullSessionRequest.ProtoReflect.Descriptor instead.
func (*MakeNullSessionRequest) Descriptor() ([]byte, []int) {
	return file_cloakroom_v1_session_service_proto_rawDescGZIP(), []int{17}
}

func (x *MakeNullSessionRequest) GetApp() string {
	if x != nil {
		return x.App
	}
	return ""
}

// The response of MakeNullSession.
type MakeNullSessionResponse struct {
	state protoimpl.MessageState `protogen:"open.v1"`
	// The null session.
	Session       *Session `protobuf:"bytes,1,opt,name=session,proto3" json:"session,omitempty"`
	unknownFields protoimpl.UnknownFields
	sizeCache     protoimpl.SizeCache
}

func (x *MakeNullSessionResponse) Reset() {
	*x = MakeNullSessionResponse{}
	mi := &file_cloakroom_v1_session_service_proto_msgTypes[18]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *MakeNullSessionResponse) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*MakeNullSessionResponse) ProtoMessage() {}

func (x *MakeNullSessionResponse) ProtoReflect() protoreflect.Message {
	mi := &file_cloakroom_v1_session_service_proto_msgTypes[18]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use MakeNullSessionResponse.ProtoReflect.Descriptor instead.
func (*MakeNullSessionResponse) Descriptor() ([]byte, []int) {
	return file_cloakroom_v1_session_service_proto_rawDescGZIP(), []int{18}
}

func (x *MakeNullSessionResponse) GetSession() *Session {
	if x != nil {
		return x.Session
	}
	return nil
}

// The request of RotateSession.
type RotateSessionRequest struct {
	state protoimpl.MessageState `protogen:"open.v1"`
	// The app; empty means `default`.
	App string `protobuf:"bytes,1,opt,name=app,proto3" json:"app,omitempty"`
	// The credential of the request. One has to be set.
	//
	// Types that are valid to be assigned to Credential:
	//
	//	*RotateSessionRequest_Token
	//	*RotateSessionRequest_CookieHeader
	//	*RotateSessionRequest_Key
	Credential isRotateSessionRequest_Credential `protobuf_oneof:"credential"`
	// Makes a repeat harmless, as in SaveSessionRequest.
	RequestId string `protobuf:"bytes,4,opt,name=request_id,json=requestId,proto3" json:"request_id,omitempty"`
	// The reason to replace the token.
	Cause RotationCause `protobuf:"varint,5,opt,name=cause,proto3,enum=cloakroom.v1.RotationCause" json:"cause,omitempty"`
	// The cookie name that replaces the app's own. Empty for the app's own.
	CookieName string `protobuf:"bytes,6,opt,name=cookie_name,json=cookieName,proto3" json:"cookie_name,omitempty"`
	// Facts about the request for the list of a user's devices.
	Context *RequestContext `protobuf:"bytes,7,opt,name=context,proto3" json:"context,omitempty"`
	// The attributes of the cookie that this request chooses. Unset for the app's own.
	CookieAttributes *CookieAttributes `protobuf:"bytes,8,opt,name=cookie_attributes,json=cookieAttributes,proto3" json:"cookie_attributes,omitempty"`
	unknownFields    protoimpl.UnknownFields
	sizeCache        protoimpl.SizeCache
}

func (x *RotateSessionRequest) Reset() {
	*x = RotateSessionRequest{}
	mi := &file_cloakroom_v1_session_service_proto_msgTypes[19]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *RotateSessionRequest) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*RotateSessionRequest) ProtoMessage() {}

func (x *RotateSessionRequest) ProtoReflect() protoreflect.Message {
	mi := &file_cloakroom_v1_session_service_proto_msgTypes[19]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use RotateSessionRequest.ProtoReflect.Descriptor instead.
func (*RotateSessionRequest) Descriptor() ([]byte, []int) {
	return file_cloakroom_v1_session_service_proto_rawDescGZIP(), []int{19}
}

func (x *RotateSessionRequest) GetApp() string {
	if x != nil {
		return x.App
	}
	return ""
}

func (x *RotateSessionRequest) GetCredential() isRotateSessionRequest_Credential {
	if x != nil {
		return x.Credential
	}
	return nil
}

func (x *RotateSessionRequest) GetToken() string {
	if x != nil {
		if x, ok := x.Credential.(*RotateSessionRequest_Token); ok {
			return x.Token
		}
	}
	return ""
}

func (x *RotateSessionRequest) GetCookieHeader() string {
	if x != nil {
		if x, ok := x.Credential.(*RotateSessionRequest_CookieHeader); ok {
			return x.CookieHeader
		}
	}
	return ""
}

func (x *RotateSessionRequest) GetKey() []byte {
	if x != nil {
		if x, ok := x.Credential.(*RotateSessionRequest_Key); ok {
			return x.Key
		}
	}
	return nil
}

func (x *RotateSessionRequest) GetRequestId() string {
	if x != nil {
		return x.RequestId
	}
	return ""
}

func (x *RotateSessionRequest) GetCause() RotationCause {
	if x != nil {
		return x.Cause
	}
	return RotationCause_ROTATION_CAUSE_UNSPECIFIED
}

func (x *RotateSessionRequest) GetCookieName() string {
	if x != nil {
		return x.CookieName
	}
	return ""
}

func (x *RotateSessionRequest) GetContext() *RequestContext {
	if x != nil {
		return x.Context
	}
	return nil
}

func (x *RotateSessionRequest) GetCookieAttributes() *CookieAttributes {
	if x != nil {
		return x.CookieAttributes
	}
	return nil
}

type isRotateSessionRequest_Credential interface {
	isRotateSessionRequest_Credential()
}

type RotateSessionRequest_Token struct {
	// The token from OpenSession.
	Token string `protobuf:"bytes,2,opt,name=token,proto3,oneof"`
}

type RotateSessionRequest_CookieHeader struct {
	// The whole Cookie header, as in OpenSessionRequest.
	CookieHeader string `protobuf:"bytes,3,opt,name=cookie_header,json=cookieHeader,proto3,oneof"`
}

type RotateSessionRequest_Key struct {
	// The key of an app of the kind EXTERNAL: the secret that the framework made for this session, 16 to 256 bytes.
	Key []byte `protobuf:"bytes,15,opt,name=key,proto3,oneof"`
}

func (*RotateSessionRequest_Token) isRotateSessionRequest_Credential() {}

func (*RotateSessionRequest_CookieHeader) isRotateSessionRequest_Credential() {}

func (*RotateSessionRequest_Key) isRotateSessionRequest_Credential() {}

// The response of RotateSession.
type RotateSessionResponse struct {
	state protoimpl.MessageState `protogen:"open.v1"`
	// UPDATED, UNCHANGED (for a ticket) or GONE.
	Outcome Outcome `protobuf:"varint,1,opt,name=outcome,proto3,enum=cloakroom.v1.Outcome" json:"outcome,omitempty"`
	// The reason of the end, with GONE.
	EndReason EndReason `protobuf:"varint,2,opt,name=end_reason,json=endReason,proto3,enum=cloakroom.v1.EndReason" json:"end_reason,omitempty"`
	// The session with its new token, without its entries. Unset with GONE, and in the response to a repeated call whose
	// session has ended since.
	Session *Session `protobuf:"bytes,3,opt,name=session,proto3" json:"session,omitempty"`
	// The headers to send, complete and in this order. Append each to the response.
	Headers       []*Header `protobuf:"bytes,4,rep,name=headers,proto3" json:"headers,omitempty"`
	unknownFields protoimpl.UnknownFields
	sizeCache     protoimpl.SizeCache
}

func (x *RotateSessionResponse) Reset() {
	*x = RotateSessionResponse{}
	mi := &file_cloakroom_v1_session_service_proto_msgTypes[20]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *RotateSessionResponse) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*RotateSessionResponse) ProtoMessage() {}

func (x *RotateSessionResponse) ProtoReflect() protoreflect.Message {
	mi := &file_cloakroom_v1_session_service_proto_msgTypes[20]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use RotateSessionResponse.ProtoReflect.Descriptor instead.
func (*RotateSessionResponse) Descriptor() ([]byte, []int) {
	return file_cloakroom_v1_session_service_proto_rawDescGZIP(), []int{20}
}

func (x *RotateSessionResponse) GetOutcome() Outcome {
	if x != nil {
		return x.Outcome
	}
	return Outcome_OUTCOME_UNSPECIFIED
}

func (x *RotateSessionResponse) GetEndReason() EndReason {
	if x != nil {
		return x.EndReason
	}
	return EndReason_END_REASON_UNSPECIFIED
}

func (x *RotateSessionResponse) GetSession() *Session {
	if x != nil {
		return x.Session
	}
	return nil
}

func (x *RotateSessionResponse) GetHeaders() []*Header {
	if x != nil {
		return x.Headers
	}
	return nil
}

// The request of DestroySession.
type DestroySessionRequest struct {
	state protoimpl.MessageState `protogen:"open.v1"`
	// The app; empty means `default`.
	App string `protobuf:"bytes,1,opt,name=app,proto3" json:"app,omitempty"`
	// The credential of the request. One has to be set.
	//
	// Types that are valid to be assigned to Credential:
	//
	//	*DestroySessionRequest_Token
	//	*DestroySessionRequest_CookieHeader
	//	*DestroySessionRequest_Key
	Credential isDestroySessionRequest_Credential `protobuf_oneof:"credential"`
	// Gives a repeat the same response, as in SaveSessionRequest.
	RequestId string `protobuf:"bytes,4,opt,name=request_id,json=requestId,proto3" json:"request_id,omitempty"`
	// The cookie name that replaces the app's own. Empty for the app's own.
	CookieName string `protobuf:"bytes,5,opt,name=cookie_name,json=cookieName,proto3" json:"cookie_name,omitempty"`
	// The attributes of the cookie that this request chooses. Unset for the app's own.
	CookieAttributes *CookieAttributes `protobuf:"bytes,6,opt,name=cookie_attributes,json=cookieAttributes,proto3" json:"cookie_attributes,omitempty"`
	unknownFields    protoimpl.UnknownFields
	sizeCache        protoimpl.SizeCache
}

func (x *DestroySessionRequest) Reset() {
	*x = DestroySessionRequest{}
	mi := &file_cloakroom_v1_session_service_proto_msgTypes[21]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *DestroySessionRequest) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*DestroySessionRequest) ProtoMessage() {}

func (x *DestroySessionRequest) ProtoReflect() protoreflect.Message {
	mi := &file_cloakroom_v1_session_service_proto_msgTypes[21]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use DestroySessionRequest.ProtoReflect.Descriptor instead.
func (*DestroySessionRequest) Descriptor() ([]byte, []int) {
	return file_cloakroom_v1_session_service_proto_rawDescGZIP(), []int{21}
}

func (x *DestroySessionRequest) GetApp() string {
	if x != nil {
		return x.App
	}
	return ""
}

func (x *DestroySessionRequest) GetCredential() isDestroySessionRequest_Credential {
	if x != nil {
		return x.Credential
	}
	return nil
}

func (x *DestroySessionRequest) GetToken() string {
	if x != nil {
		if x, ok := x.Credential.(*DestroySessionRequest_Token); ok {
			return x.Token
		}
	}
	return ""
}

func (x *DestroySessionRequest) GetCookieHeader() string {
	if x != nil {
		if x, ok := x.Credential.(*DestroySessionRequest_CookieHeader); ok {
			return x.CookieHeader
		}
	}
	return ""
}

func (x *DestroySessionRequest) GetKey() []byte {
	if x != nil {
		if x, ok := x.Credential.(*DestroySessionRequest_Key); ok {
			return x.Key
		}
	}
	return nil
}

func (x *DestroySessionRequest) GetRequestId() string {
	if x != nil {
		return x.RequestId
	}
	return ""
}

func (x *DestroySessionRequest) GetCookieName() string {
	if x != nil {
		return x.CookieName
	}
	return ""
}

func (x *DestroySessionRequest) GetCookieAttributes() *CookieAttributes {
	if x != nil {
		return x.CookieAttributes
	}
	return nil
}

type isDestroySessionRequest_Credential interface {
	isDestroySessionRequest_Credential()
}

type DestroySessionRequest_Token struct {
	// The token from OpenSession.
	Token string `protobuf:"bytes,2,opt,name=token,proto3,oneof"`
}

type DestroySessionRequest_CookieHeader struct {
	// The whole Cookie header, as in OpenSessionRequest.
	CookieHeader string `protobuf:"bytes,3,opt,name=cookie_header,json=cookieHeader,proto3,oneof"`
}

type DestroySessionRequest_Key struct {
	// The key of an app of the kind EXTERNAL: the secret that the framework made for this session, 16 to 256 bytes.
	Key []byte `protobuf:"bytes,15,opt,name=key,proto3,oneof"`
}

func (*DestroySessionRequest_Token) isDestroySessionRequest_Credential() {}

func (*DestroySessionRequest_CookieHeader) isDestroySessionRequest_Credential() {}

func (*DestroySessionRequest_Key) isDestroySessionRequest_Credential() {}

// The response of DestroySession.
type DestroySessionResponse struct {
	state protoimpl.MessageState `protogen:"open.v1"`
	// DELETED or GONE.
	Outcome Outcome `protobuf:"varint,1,opt,name=outcome,proto3,enum=cloakroom.v1.Outcome" json:"outcome,omitempty"`
	// The reason of the end: DESTROYED with DELETED; with GONE, the reason of the earlier end.
	EndReason EndReason `protobuf:"varint,2,opt,name=end_reason,json=endReason,proto3,enum=cloakroom.v1.EndReason" json:"end_reason,omitempty"`
	// The headers to send, complete and in this order. Append each to the response.
	Headers       []*Header `protobuf:"bytes,3,rep,name=headers,proto3" json:"headers,omitempty"`
	unknownFields protoimpl.UnknownFields
	sizeCache     protoimpl.SizeCache
}

func (x *DestroySessionResponse) Reset() {
	*x = DestroySessionResponse{}
	mi := &file_cloakroom_v1_session_service_proto_msgTypes[22]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *DestroySessionResponse) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*DestroySessionResponse) ProtoMessage() {}

func (x *DestroySessionResponse) ProtoReflect() protoreflect.Message {
	mi := &file_cloakroom_v1_session_service_proto_msgTypes[22]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use DestroySessionResponse.ProtoReflect.Descriptor instead.
func (*DestroySessionResponse) Descriptor() ([]byte, []int) {
	return file_cloakroom_v1_session_service_proto_rawDescGZIP(), []int{22}
}

func (x *DestroySessionResponse) GetOutcome() Outcome {
	if x != nil {
		return x.Outcome
	}
	return Outcome_OUTCOME_UNSPECIFIED
}

func (x *DestroySessionResponse) GetEndReason() EndReason {
	if x != nil {
		return x.EndReason
	}
	return EndReason_END_REASON_UNSPECIFIED
}

func (x *DestroySessionResponse) GetHeaders() []*Header {
	if x != nil {
		return x.Headers
	}
	return nil
}

// The request of WatchSession.
type WatchSessionRequest struct {
	state protoimpl.MessageState `protogen:"open.v1"`
	// The app; empty means `default`.
	App string `protobuf:"bytes,1,opt,name=app,proto3" json:"app,omitempty"`
	// The credential of the session to watch. One has to be set.
	//
	// Types that are valid to be assigned to Credential:
	//
	//	*WatchSessionRequest_Token
	//	*WatchSessionRequest_CookieHeader
	//	*WatchSessionRequest_Key
	Credential isWatchSessionRequest_Credential `protobuf_oneof:"credential"`
	// The cookie name that replaces the app's own. Empty for the app's own.
	CookieName    string `protobuf:"bytes,4,opt,name=cookie_name,json=cookieName,proto3" json:"cookie_name,omitempty"`
	unknownFields protoimpl.UnknownFields
	sizeCache     protoimpl.SizeCache
}

func (x *WatchSessionRequest) Reset() {
	*x = WatchSessionRequest{}
	mi := &file_cloakroom_v1_session_service_proto_msgTypes[23]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *WatchSessionRequest) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*WatchSessionRequest) ProtoMessage() {}

func (x *WatchSessionRequest) ProtoReflect() protoreflect.Message {
	mi := &file_cloakroom_v1_session_service_proto_msgTypes[23]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use WatchSessionRequest.ProtoReflect.Descriptor instead.
func (*WatchSessionRequest) Descriptor() ([]byte, []int) {
	return file_cloakroom_v1_session_service_proto_rawDescGZIP(), []int{23}
}

func (x *WatchSessionRequest) GetApp() string {
	if x != nil {
		return x.App
	}
	return ""
}

func (x *WatchSessionRequest) GetCredential() isWatchSessionRequest_Credential {
	if x != nil {
		return x.Credential
	}
	return nil
}

func (x *WatchSessionRequest) GetToken() string {
	if x != nil {
		if x, ok := x.Credential.(*WatchSessionRequest_Token); ok {
			return x.Token
		}
	}
	return ""
}

func (x *WatchSessionRequest) GetCookieHeader() string {
	if x != nil {
		if x, ok := x.Credential.(*WatchSessionRequest_CookieHeader); ok {
			return x.CookieHeader
		}
	}
	return ""
}

func (x *WatchSessionRequest) GetKey() []byte {
	if x != nil {
		if x, ok := x.Credential.(*WatchSessionRequest_Key); ok {
			return x.Key
		}
	}
	return nil
}

func (x *WatchSessionRequest) GetCookieName() string {
	if x != nil {
		return x.CookieName
	}
	return ""
}

type isWatchSessionRequest_Credential interface {
	isWatchSessionRequest_Credential()
}

type WatchSessionRequest_Token struct {
	// The token from OpenSession.
	Token string `protobuf:"bytes,2,opt,name=token,proto3,oneof"`
}

type WatchSessionRequest_CookieHeader struct {
	// The whole Cookie header, as in OpenSessionRequest.
	CookieHeader string `protobuf:"bytes,3,opt,name=cookie_header,json=cookieHeader,proto3,oneof"`
}

type WatchSessionRequest_Key struct {
	// The key of an app of the kind EXTERNAL: the secret that the framework made for this session, 16 to 256 bytes.
	Key []byte `protobuf:"bytes,15,opt,name=key,proto3,oneof"`
}

func (*WatchSessionRequest_Token) isWatchSessionRequest_Credential() {}

func (*WatchSessionRequest_CookieHeader) isWatchSessionRequest_Credential() {}

func (*WatchSessionRequest_Key) isWatchSessionRequest_Credential() {}

// One response of WatchSession. There is one at the start and one at the end.
type WatchSessionResponse struct {
	state protoimpl.MessageState `protogen:"open.v1"`
	// The state of the token.
	State WatchState `protobuf:"varint,1,opt,name=state,proto3,enum=cloakroom.v1.WatchState" json:"state,omitempty"`
	// The reason of the end, with ENDED. Unspecified if there is no such session, or if it ended more than 16 minutes
	// ago.
	EndReason EndReason `protobuf:"varint,2,opt,name=end_reason,json=endReason,proto3,enum=cloakroom.v1.EndReason" json:"end_reason,omitempty"`
	// With ALIVE, the time when the token stops opening the session if the session is not used before.
	ExpireTime    *timestamppb.Timestamp `protobuf:"bytes,3,opt,name=expire_time,json=expireTime,proto3" json:"expire_time,omitempty"`
	unknownFields protoimpl.UnknownFields
	sizeCache     protoimpl.SizeCache
}

func (x *WatchSessionResponse) Reset() {
	*x = WatchSessionResponse{}
	mi := &file_cloakroom_v1_session_service_proto_msgTypes[24]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *WatchSessionResponse) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*WatchSessionResponse) ProtoMessage() {}

func (x *WatchSessionResponse) ProtoReflect() protoreflect.Message {
	mi := &file_cloakroom_v1_session_service_proto_msgTypes[24]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use WatchSessionResponse.ProtoReflect.Descriptor instead.
func (*WatchSessionResponse) Descriptor() ([]byte, []int) {
	return file_cloakroom_v1_session_service_proto_rawDescGZIP(), []int{24}
}

func (x *WatchSessionResponse) GetState() WatchState {
	if x != nil {
		return x.State
	}
	return WatchState_WATCH_STATE_UNSPECIFIED
}

func (x *WatchSessionResponse) GetEndReason() EndReason {
	if x != nil {
		return x.EndReason
	}
	return EndReason_END_REASON_UNSPECIFIED
}

func (x *WatchSessionResponse) GetExpireTime() *timestamppb.Timestamp {
	if x != nil {
		return x.ExpireTime
	}
	return nil
}

var File_cloakroom_v1_session_service_proto protoreflect.FileDescriptor

const file_cloakroom_v1_session_service_proto_rawDesc = "" +
	"\n" +
	"\"cloakroom/v1/session_service.proto\x12\fcloakroom.v1\x1a\x1egoogle/protobuf/duration.proto\x1a\x1fgoogle/protobuf/timestamp.proto\"\xb5\x05\n" +
	"\aSession\x12\x0e\n" +
	"\x02id\x18\x01 \x01(\tR\x02id\x12\x19\n" +
	"\x05token\x18\x02 \x01(\tB\x03\x80\x01\x01R\x05token\x12A\n" +
	"\aentries\x18\x03 \x03(\v2\".cloakroom.v1.Session.EntriesEntryB\x03\x80\x01\x01R\aentries\x12!\n" +
	"\tpermanent\x18\x04 \x01(\bH\x00R\tpermanent\x88\x01\x01\x12\x10\n" +
	"\x03new\x18\x05 \x01(\bR\x03new\x12\x12\n" +
	"\x04etag\x18\x06 \x01(\tR\x04etag\x12\x18\n" +
	"\asubject\x18\a \x01(\tR\asubject\x12;\n" +
	"\vcreate_time\x18\b \x01(\v2\x1a.google.protobuf.TimestampR\n" +
	"createTime\x12;\n" +
	"\vaccess_time\x18\t \x01(\v2\x1a.google.protobuf.TimestampR\n" +
	"accessTime\x12G\n" +
	"\x11authenticate_time\x18\n" +
	" \x01(\v2\x1a.google.protobuf.TimestampR\x10authenticateTime\x12;\n" +
	"\vexpire_time\x18\v \x01(\v2\x1a.google.protobuf.TimestampR\n" +
	"expireTime\x12<\n" +
	"\fidle_timeout\x18\f \x01(\v2\x19.google.protobuf.DurationR\vidleTimeout\x12<\n" +
	"\fnull_session\x18\r \x01(\v2\x19.cloakroom.v1.NullSessionR\vnullSession\x1aO\n" +
	"\fEntriesEntry\x12\x10\n" +
	"\x03key\x18\x01 \x01(\tR\x03key\x12)\n" +
	"\x05value\x18\x02 \x01(\v2\x13.cloakroom.v1.ValueR\x05value:\x028\x01B\f\n" +
	"\n" +
	"_permanent\"?\n" +
	"\vNullSession\x12\x16\n" +
	"\x06reason\x18\x01 \x01(\tR\x06reason\x12\x18\n" +
	"\amessage\x18\x02 \x01(\tR\amessage\"C\n" +
	"\x05Value\x12\x19\n" +
	"\x04json\x18\x01 \x01(\tB\x03\x80\x01\x01H\x00R\x04json\x12\x17\n" +
	"\x03raw\x18\x02 \x01(\fB\x03\x80\x01\x01H\x00R\x03rawB\x06\n" +
	"\x04kind\"\xf9\x04\n" +
	"\aChanges\x12\x14\n" +
	"\x05clear\x18\x01 \x01(\bR\x05clear\x12\x14\n" +
	"\x05unset\x18\x02 \x03(\tR\x05unset\x125\n" +
	"\x03set\x18\x03 \x03(\v2\x1e.cloakroom.v1.Changes.SetEntryB\x03\x80\x01\x01R\x03set\x12B\n" +
	"\tincrement\x18\x04 \x03(\v2$.cloakroom.v1.Changes.IncrementEntryR\tincrement\x12!\n" +
	"\tpermanent\x18\x05 \x01(\bH\x01R\tpermanent\x88\x01\x01\x12\x1d\n" +
	"\asubject\x18\x06 \x01(\tH\x02R\asubject\x88\x01\x01\x12>\n" +
	"\fidle_timeout\x18\a \x01(\v2\x19.google.protobuf.DurationH\x00R\vidleTimeout\x12A\n" +
	"\rdeadline_time\x18\b \x01(\v2\x1a.google.protobuf.TimestampH\x00R\fdeadlineTime\x12+\n" +
	"\x10default_lifetime\x18\t \x01(\bH\x00R\x0fdefaultLifetime\x12$\n" +
	"\rauthenticated\x18\n" +
	" \x01(\bR\rauthenticated\x1aK\n" +
	"\bSetEntry\x12\x10\n" +
	"\x03key\x18\x01 \x01(\tR\x03key\x12)\n" +
	"\x05value\x18\x02 \x01(\v2\x13.cloakroom.v1.ValueR\x05value:\x028\x01\x1a<\n" +
	"\x0eIncrementEntry\x12\x10\n" +
	"\x03key\x18\x01 \x01(\tR\x03key\x12\x14\n" +
	"\x05value\x18\x02 \x01(\x03R\x05value:\x028\x01B\n" +
	"\n" +
	"\blifetimeB\f\n" +
	"\n" +
	"_permanentB\n" +
	"\n" +
	"\b_subject\"7\n" +
	"\x06Header\x12\x12\n" +
	"\x04name\x18\x01 \x01(\tR\x04name\x12\x19\n" +
	"\x05value\x18\x02 \x01(\tB\x03\x80\x01\x01R\x05value\"\xb2\x01\n" +
	"\x10CookieAttributes\x12\x1b\n" +
	"\x06domain\x18\x01 \x01(\tH\x00R\x06domain\x88\x01\x01\x12\x17\n" +
	"\x04path\x18\x02 \x01(\tH\x01R\x04path\x88\x01\x01\x12\x1b\n" +
	"\x06secure\x18\x03 \x01(\bH\x02R\x06secure\x88\x01\x01\x12\x1f\n" +
	"\bsamesite\x18\x04 \x01(\tH\x03R\bsamesite\x88\x01\x01B\t\n" +
	"\a_domainB\a\n" +
	"\x05_pathB\t\n" +
	"\a_secureB\v\n" +
	"\t_samesite\"`\n" +
	"\x0eRequestContext\x12\"\n" +
	"\n" +
	"user_agent\x18\x01 \x01(\tB\x03\x80\x01\x01R\tuserAgent\x12*\n" +
	"\x0eremote_address\x18\x02 \x01(\tB\x03\x80\x01\x01R\rremoteAddress\"\xe5\x03\n" +
	"\x12OpenSessionRequest\x12\x10\n" +
	"\x03app\x18\x01 \x01(\tR\x03app\x12*\n" +
	"\rcookie_header\x18\x02 \x01(\tB\x03\x80\x01\x01H\x00R\fcookieHeader\x12\x1b\n" +
	"\x05token\x18\x03 \x01(\tB\x03\x80\x01\x01H\x00R\x05token\x12\x17\n" +
	"\x03key\x18\x0f \x01(\fB\x03\x80\x01\x01H\x00R\x03key\x12\x1f\n" +
	"\vcookie_name\x18\x04 \x01(\tR\n" +
	"cookieName\x12;\n" +
	"\acontext\x18\x05 \x01(\v2\x1c.cloakroom.v1.RequestContextB\x03\x80\x01\x01R\acontext\x12K\n" +
	"\x14max_authenticate_age\x18\x06 \x01(\v2\x19.google.protobuf.DurationR\x12maxAuthenticateAge\x12K\n" +
	"\x11cookie_attributes\x18\a \x01(\v2\x1e.cloakroom.v1.CookieAttributesR\x10cookieAttributes\x12\x19\n" +
	"\bno_touch\x18\b \x01(\bR\anoTouch\x12:\n" +
	"\vrequest_age\x18\t \x01(\v2\x19.google.protobuf.DurationR\n" +
	"requestAgeB\f\n" +
	"\n" +
	"credential\"\xda\x02\n" +
	"\x13OpenSessionResponse\x12/\n" +
	"\asession\x18\x01 \x01(\v2\x15.cloakroom.v1.SessionR\asession\x127\n" +
	"\fread_headers\x18\x02 \x03(\v2\x14.cloakroom.v1.HeaderR\vreadHeaders\x12A\n" +
	"\x11untouched_headers\x18\x03 \x03(\v2\x14.cloakroom.v1.HeaderR\x10untouchedHeaders\x125\n" +
	"\x16recently_authenticated\x18\x04 \x01(\bR\x15recentlyAuthenticated\x12'\n" +
	"\x0fcookie_outdated\x18\x05 \x01(\bR\x0ecookieOutdated\x126\n" +
	"\n" +
	"end_reason\x18\x06 \x01(\x0e2\x17.cloakroom.v1.EndReasonR\tendReason\"\xdd\x04\n" +
	"\x12SaveSessionRequest\x12\x10\n" +
	"\x03app\x18\x01 \x01(\tR\x03app\x12\x1b\n" +
	"\x05token\x18\x02 \x01(\tB\x03\x80\x01\x01H\x00R\x05token\x12*\n" +
	"\rcookie_header\x18\x03 \x01(\tB\x03\x80\x01\x01H\x00R\fcookieHeader\x12\x17\n" +
	"\x03key\x18\x0f \x01(\fB\x03\x80\x01\x01H\x00R\x03key\x12/\n" +
	"\achanges\x18\x04 \x01(\v2\x15.cloakroom.v1.ChangesR\achanges\x12\x1a\n" +
	"\baccessed\x18\x05 \x01(\bR\baccessed\x12\x12\n" +
	"\x04etag\x18\x06 \x01(\tR\x04etag\x12\x1d\n" +
	"\n" +
	"request_id\x18\a \x01(\tR\trequestId\x12\x16\n" +
	"\x06rotate\x18\b \x01(\bR\x06rotate\x12\x1d\n" +
	"\n" +
	"keep_empty\x18\t \x01(\bR\tkeepEmpty\x12\x1f\n" +
	"\vcookie_name\x18\n" +
	" \x01(\tR\n" +
	"cookieName\x12;\n" +
	"\acontext\x18\v \x01(\v2\x1c.cloakroom.v1.RequestContextB\x03\x80\x01\x01R\acontext\x12'\n" +
	"\x0fcookie_outdated\x18\f \x01(\bR\x0ecookieOutdated\x12K\n" +
	"\x11cookie_attributes\x18\r \x01(\v2\x1e.cloakroom.v1.CookieAttributesR\x10cookieAttributes\x12:\n" +
	"\vrequest_age\x18\x0e \x01(\v2\x19.google.protobuf.DurationR\n" +
	"requestAgeB\f\n" +
	"\n" +
	"credential\"\xe9\x02\n" +
	"\x13SaveSessionResponse\x12/\n" +
	"\aoutcome\x18\x01 \x01(\x0e2\x15.cloakroom.v1.OutcomeR\aoutcome\x126\n" +
	"\n" +
	"end_reason\x18\x02 \x01(\x0e2\x17.cloakroom.v1.EndReasonR\tendReason\x12/\n" +
	"\asession\x18\x03 \x01(\v2\x15.cloakroom.v1.SessionR\asession\x12.\n" +
	"\aheaders\x18\x04 \x03(\v2\x14.cloakroom.v1.HeaderR\aheaders\x12K\n" +
	"\bcounters\x18\x05 \x03(\v2/.cloakroom.v1.SaveSessionResponse.CountersEntryR\bcounters\x1a;\n" +
	"\rCountersEntry\x12\x10\n" +
	"\x03key\x18\x01 \x01(\tR\x03key\x12\x14\n" +
	"\x05value\x18\x02 \x01(\x03R\x05value:\x028\x01\"d\n" +
	"\x16ShouldSetCookieRequest\x12\x10\n" +
	"\x03app\x18\x01 \x01(\tR\x03app\x12\x1a\n" +
	"\bmodified\x18\x02 \x01(\bR\bmodified\x12\x1c\n" +
	"\tpermanent\x18\x03 \x01(\bR\tpermanent\"E\n" +
	"\x17ShouldSetCookieResponse\x12*\n" +
	"\x11should_set_cookie\x18\x01 \x01(\bR\x0fshouldSetCookie\"'\n" +
	"\x13GetAppPolicyRequest\x12\x10\n" +
	"\x03app\x18\x01 \x01(\tR\x03app\"\x81\b\n" +
	"\x14GetAppPolicyResponse\x12\x10\n" +
	"\x03app\x18\x01 \x01(\tR\x03app\x12)\n" +
	"\x04kind\x18\x02 \x01(\x0e2\x15.cloakroom.v1.AppKindR\x04kind\x12\x1f\n" +
	"\vcookie_name\x18\x03 \x01(\tR\n" +
	"cookieName\x12#\n" +
	"\rcookie_domain\x18\x04 \x01(\tR\fcookieDomain\x12\x1f\n" +
	"\vcookie_path\x18\x05 \x01(\tR\n" +
	"cookiePath\x12'\n" +
	"\x0fcookie_httponly\x18\x06 \x01(\bR\x0ecookieHttponly\x12#\n" +
	"\rcookie_secure\x18\a \x01(\bR\fcookieSecure\x12'\n" +
	"\x0fcookie_samesite\x18\b \x01(\tR\x0ecookieSamesite\x12-\n" +
	"\x12cookie_partitioned\x18\t \x01(\bR\x11cookiePartitioned\x12!\n" +
	"\fpickle_based\x18\n" +
	" \x01(\bR\vpickleBased\x120\n" +
	"\x14refresh_each_request\x18\v \x01(\bR\x12refreshEachRequest\x12<\n" +
	"\fidle_timeout\x18\f \x01(\v2\x19.google.protobuf.DurationR\vidleTimeout\x12D\n" +
	"\x10absolute_timeout\x18\r \x01(\v2\x19.google.protobuf.DurationR\x0fabsoluteTimeout\x12@\n" +
	"\x0erotation_grace\x18\x0e \x01(\v2\x19.google.protobuf.DurationR\rrotationGrace\x12\x1f\n" +
	"\vmax_entries\x18\x0f \x01(\rR\n" +
	"maxEntries\x12*\n" +
	"\x11max_session_bytes\x18\x10 \x01(\rR\x0fmaxSessionBytes\x12\x1f\n" +
	"\vsubject_key\x18\x11 \x01(\tR\n" +
	"subjectKey\x12<\n" +
	"\fnull_session\x18\x12 \x01(\v2\x19.cloakroom.v1.NullSessionR\vnullSession\x12O\n" +
	"\x16anonymous_idle_timeout\x18\x13 \x01(\v2\x19.google.protobuf.DurationR\x14anonymousIdleTimeout\x12W\n" +
	"\x1aanonymous_absolute_timeout\x18\x14 \x01(\v2\x19.google.protobuf.DurationR\x18anonymousAbsoluteTimeout\x12.\n" +
	"\x13legacy_cookie_names\x18\x15 \x03(\tR\x11legacyCookieNames\"J\n" +
	"\x18GetExpirationTimeRequest\x12\x10\n" +
	"\x03app\x18\x01 \x01(\tR\x03app\x12\x1c\n" +
	"\tpermanent\x18\x02 \x01(\bR\tpermanent\"X\n" +
	"\x19GetExpirationTimeResponse\x12;\n" +
	"\vexpire_time\x18\x01 \x01(\v2\x1a.google.protobuf.TimestampR\n" +
	"expireTime\"*\n" +
	"\x16MakeNullSessionRequest\x12\x10\n" +
	"\x03app\x18\x01 \x01(\tR\x03app\"J\n" +
	"\x17MakeNullSessionResponse\x12/\n" +
	"\asession\x18\x01 \x01(\v2\x15.cloakroom.v1.SessionR\asession\"\x95\x03\n" +
	"\x14RotateSessionRequest\x12\x10\n" +
	"\x03app\x18\x01 \x01(\tR\x03app\x12\x1b\n" +
	"\x05token\x18\x02 \x01(\tB\x03\x80\x01\x01H\x00R\x05token\x12*\n" +
	"\rcookie_header\x18\x03 \x01(\tB\x03\x80\x01\x01H\x00R\fcookieHeader\x12\x17\n" +
	"\x03key\x18\x0f \x01(\fB\x03\x80\x01\x01H\x00R\x03key\x12\x1d\n" +
	"\n" +
	"request_id\x18\x04 \x01(\tR\trequestId\x121\n" +
	"\x05cause\x18\x05 \x01(\x0e2\x1b.cloakroom.v1.RotationCauseR\x05cause\x12\x1f\n" +
	"\vcookie_name\x18\x06 \x01(\tR\n" +
	"cookieName\x12;\n" +
	"\acontext\x18\a \x01(\v2\x1c.cloakroom.v1.RequestContextB\x03\x80\x01\x01R\acontext\x12K\n" +
	"\x11cookie_attributes\x18\b \x01(\v2\x1e.cloakroom.v1.CookieAttributesR\x10cookieAttributesB\f\n" +
	"\n" +
	"credential\"\xe1\x01\n" +
	"\x15RotateSessionResponse\x12/\n" +
	"\aoutcome\x18\x01 \x01(\x0e2\x15.cloakroom.v1.OutcomeR\aoutcome\x126\n" +
	"\n" +
	"end_reason\x18\x02 \x01(\x0e2\x17.cloakroom.v1.EndReasonR\tendReason\x12/\n" +
	"\asession\x18\x03 \x01(\v2\x15.cloakroom.v1.SessionR\asession\x12.\n" +
	"\aheaders\x18\x04 \x03(\v2\x14.cloakroom.v1.HeaderR\aheaders\"\xa6\x02\n" +
	"\x15DestroySessionRequest\x12\x10\n" +
	"\x03app\x18\x01 \x01(\tR\x03app\x12\x1b\n" +
	"\x05token\x18\x02 \x01(\tB\x03\x80\x01\x01H\x00R\x05token\x12*\n" +
	"\rcookie_header\x18\x03 \x01(\tB\x03\x80\x01\x01H\x00R\fcookieHeader\x12\x17\n" +
	"\x03key\x18\x0f \x01(\fB\x03\x80\x01\x01H\x00R\x03key\x12\x1d\n" +
	"\n" +
	"request_id\x18\x04 \x01(\tR\trequestId\x12\x1f\n" +
	"\vcookie_name\x18\x05 \x01(\tR\n" +
	"cookieName\x12K\n" +
	"\x11cookie_attributes\x18\x06 \x01(\v2\x1e.cloakroom.v1.CookieAttributesR\x10cookieAttributesB\f\n" +
	"\n" +
	"credential\"\xb1\x01\n" +
	"\x16DestroySessionResponse\x12/\n" +
	"\aoutcome\x18\x01 \x01(\x0e2\x15.cloakroom.v1.OutcomeR\aoutcome\x126\n" +
	"\n" +
	"end_reason\x18\x02 \x01(\x0e2\x17.cloakroom.v1.EndReasonR\tendReason\x12.\n" +
	"\aheaders\x18\x03 \x03(\v2\x14.cloakroom.v1.HeaderR\aheaders\"\xb8\x01\n" +
	"\x13WatchSessionRequest\x12\x10\n" +
	"\x03app\x18\x01 \x01(\tR\x03app\x12\x1b\n" +
	"\x05token\x18\x02 \x01(\tB\x03\x80\x01\x01H\x00R\x05token\x12*\n" +
	"\rcookie_header\x18\x03 \x01(\tB\x03\x80\x01\x01H\x00R\fcookieHeader\x12\x17\n" +
	"\x03key\x18\x0f \x01(\fB\x03\x80\x01\x01H\x00R\x03key\x12\x1f\n" +
	"\vcookie_name\x18\x04 \x01(\tR\n" +
	"cookieNameB\f\n" +
	"\n" +
	"credential\"\xbb\x01\n" +
	"\x14WatchSessionResponse\x12.\n" +
	"\x05state\x18\x01 \x01(\x0e2\x18.cloakroom.v1.WatchStateR\x05state\x126\n" +
	"\n" +
	"end_reason\x18\x02 \x01(\x0e2\x17.cloakroom.v1.EndReasonR\tendReason\x12;\n" +
	"\vexpire_time\x18\x03 \x01(\v2\x1a.google.protobuf.TimestampR\n" +
	"expireTime*\x8a\x01\n" +
	"\aOutcome\x12\x17\n" +
	"\x13OUTCOME_UNSPECIFIED\x10\x00\x12\x15\n" +
	"\x11OUTCOME_UNCHANGED\x10\x01\x12\x13\n" +
	"\x0fOUTCOME_CREATED\x10\x02\x12\x13\n" +
	"\x0fOUTCOME_UPDATED\x10\x03\x12\x13\n" +
	"\x0fOUTCOME_DELETED\x10\x04\x12\x10\n" +
	"\fOUTCOME_GONE\x10\x05*\xd2\x01\n" +
	"\tEndReason\x12\x1a\n" +
	"\x16END_REASON_UNSPECIFIED\x10\x00\x12\x18\n" +
	"\x14END_REASON_DESTROYED\x10\x01\x12\x16\n" +
	"\x12END_REASON_EMPTIED\x10\x02\x12\x16\n" +
	"\x12END_REASON_REVOKED\x10\x03\x12\x19\n" +
	"\x15END_REASON_SUPERSEDED\x10\x04\x12\x13\n" +
	"\x0fEND_REASON_IDLE\x10\x05\x12\x17\n" +
	"\x13END_REASON_ABSOLUTE\x10\x06\x12\x16\n" +
	"\x12END_REASON_EVICTED\x10\a*d\n" +
	"\aAppKind\x12\x18\n" +
	"\x14APP_KIND_UNSPECIFIED\x10\x00\x12\x13\n" +
	"\x0fAPP_KIND_STORED\x10\x01\x12\x13\n" +
	"\x0fAPP_KIND_COOKIE\x10\x02\x12\x15\n" +
	"\x11APP_KIND_EXTERNAL\x10\x03*i\n" +
	"\rRotationCause\x12\x1e\n" +
	"\x1aROTATION_CAUSE_UNSPECIFIED\x10\x00\x12\x1c\n" +
	"\x18ROTATION_CAUSE_PRIVILEGE\x10\x01\x12\x1a\n" +
	"\x16ROTATION_CAUSE_RENEWAL\x10\x02*W\n" +
	"\n" +
	"WatchState\x12\x1b\n" +
	"\x17WATCH_STATE_UNSPECIFIED\x10\x00\x12\x15\n" +
	"\x11WATCH_STATE_ALIVE\x10\x01\x12\x15\n" +
	"\x11WATCH_STATE_ENDED\x10\x022\xc5\x06\n" +
	"\x0eSessionService\x12R\n" +
	"\vOpenSession\x12 .cloakroom.v1.OpenSessionRequest\x1a!.cloakroom.v1.OpenSessionResponse\x12R\n" +
	"\vSaveSession\x12 .cloakroom.v1.SaveSessionRequest\x1a!.cloakroom.v1.SaveSessionResponse\x12^\n" +
	"\x0fShouldSetCookie\x12$.cloakroom.v1.ShouldSetCookieRequest\x1a%.cloakroom.v1.ShouldSetCookieResponse\x12U\n" +
	"\fGetAppPolicy\x12!.cloakroom.v1.GetAppPolicyRequest\x1a\".cloakroom.v1.GetAppPolicyResponse\x12d\n" +
	"\x11GetExpirationTime\x12&.cloakroom.v1.GetExpirationTimeRequest\x1a'.cloakroom.v1.GetExpirationTimeResponse\x12^\n" +
	"\x0fMakeNullSession\x12$.cloakroom.v1.MakeNullSessionRequest\x1a%.cloakroom.v1.MakeNullSessionResponse\x12X\n" +
	"\rRotateSession\x12\".cloakroom.v1.RotateSessionRequest\x1a#.cloakroom.v1.RotateSessionResponse\x12[\n" +
	"\x0eDestroySession\x12#.cloakroom.v1.DestroySessionRequest\x1a$.cloakroom.v1.DestroySessionResponse\x12W\n" +
	"\fWatchSession\x12!.cloakroom.v1.WatchSessionRequest\x1a\".cloakroom.v1.WatchSessionResponse0\x01B*\n" +
	"\fcloakroom.v1P\x01Z\x18cloakroom/v1;cloakroomv1b\x06proto3"

var (
	file_cloakroom_v1_session_service_proto_rawDescOnce sync.Once
	file_cloakroom_v1_session_service_proto_rawDescData []byte
)

func file_cloakroom_v1_session_service_proto_rawDescGZIP() []byte {
	file_cloakroom_v1_session_service_proto_rawDescOnce.Do(func() {
		file_cloakroom_v1_session_service_proto_rawDescData = protoimpl.X.CompressGZIP(unsafe.Slice(unsafe.StringData(file_cloakroom_v1_session_service_proto_rawDesc), len(file_cloakroom_v1_session_service_proto_rawDesc)))
	})
	return file_cloakroom_v1_session_service_proto_rawDescData
}

var file_cloakroom_v1_session_service_proto_enumTypes = make([]protoimpl.EnumInfo, 5)
var file_cloakroom_v1_session_service_proto_msgTypes = make([]protoimpl.MessageInfo, 29)
var file_cloakroom_v1_session_service_proto_goTypes = []any{
	(Outcome)(0),                      // 0: cloakroom.v1.Outcome
	(EndReason)(0),                    // 1: cloakroom.v1.EndReason
	(AppKind)(0),                      // 2: cloakroom.v1.AppKind
	(RotationCause)(0),                // 3: cloakroom.v1.RotationCause
	(WatchState)(0),                   // 4: cloakroom.v1.WatchState
	(*Session)(nil),                   // 5: cloakroom.v1.Session
	(*NullSession)(nil),               // 6: cloakroom.v1.NullSession
	(*Value)(nil),                     // 7: cloakroom.v1.Value
	(*Changes)(nil),                   // 8: cloakroom.v1.Changes
	(*Header)(nil),                    // 9: cloakroom.v1.Header
	(*CookieAttributes)(nil),          // 10: cloakroom.v1.CookieAttributes
	(*RequestContext)(nil),            // 11: cloakroom.v1.RequestContext
	(*OpenSessionRequest)(nil),        // 12: cloakroom.v1.OpenSessionRequest
	(*OpenSessionResponse)(nil),       // 13: cloakroom.v1.OpenSessionResponse
	(*SaveSessionRequest)(nil),        // 14: cloakroom.v1.SaveSessionRequest
	(*SaveSessionResponse)(nil),       // 15: cloakroom.v1.SaveSessionResponse
	(*ShouldSetCookieRequest)(nil),    // 16: cloakroom.v1.ShouldSetCookieRequest
	(*ShouldSetCookieResponse)(nil),   // 17: cloakroom.v1.ShouldSetCookieResponse
	(*GetAppPolicyRequest)(nil),       // 18: cloakroom.v1.GetAppPolicyRequest
	(*GetAppPolicyResponse)(nil),      // 19: cloakroom.v1.GetAppPolicyResponse
	(*GetExpirationTimeRequest)(nil),  // 20: cloakroom.v1.GetExpirationTimeRequest
	(*GetExpirationTimeResponse)(nil), // 21: cloakroom.v1.GetExpirationTimeResponse
	(*MakeNullSessionRequest)(nil),    // 22: cloakroom.v1.MakeNullSessionRequest
	(*MakeNullSessionResponse)(nil),   // 23: cloakroom.v1.MakeNullSessionResponse
	(*RotateSessionRequest)(nil),      // 24: cloakroom.v1.RotateSessionRequest
	(*RotateSessionResponse)(nil),     // 25: cloakroom.v1.RotateSessionResponse
	(*DestroySessionRequest)(nil),     // 26: cloakroom.v1.DestroySessionRequest
	(*DestroySessionResponse)(nil),    // 27: cloakroom.v1.DestroySessionResponse
	(*WatchSessionRequest)(nil),       // 28: cloakroom.v1.WatchSessionRequest
	(*WatchSessionResponse)(nil),      // 29: cloakroom.v1.WatchSessionResponse
	nil,                               // 30: cloakroom.v1.Session.EntriesEntry
	nil,                               // 31: cloakroom.v1.Changes.SetEntry
	nil,                               // 32: cloakroom.v1.Changes.IncrementEntry
	nil,                               // 33: cloakroom.v1.SaveSessionResponse.CountersEntry
	(*timestamppb.Timestamp)(nil),     // 34: google.protobuf.Timestamp
	(*durationpb.Duration)(nil),       // 35: google.protobuf.Duration
}
var file_cloakroom_v1_session_service_proto_depIdxs = []int32{
	30, // 0: cloakroom.v1.Session.entries:type_name -> cloakroom.v1.Session.EntriesEntry
	34, // 1: cloakroom.v1.Session.create_time:type_name -> google.protobuf.Timestamp
	34, // 2: cloakroom.v1.Session.access_time:type_name -> google.protobuf.Timestamp
	34, // 3: cloakroom.v1.Session.authenticate_time:type_name -> google.protobuf.Timestamp
	34, // 4: cloakroom.v1.Session.expire_time:type_name -> google.protobuf.Timestamp
	35, // 5: cloakroom.v1.Session.idle_timeout:type_name -> google.protobuf.Duration
	6,  // 6: cloakroom.v1.Session.null_session:type_name -> cloakroom.v1.NullSession
	31, // 7: cloakroom.v1.Changes.set:type_name -> cloakroom.v1.Changes.SetEntry
	32, // 8: cloakroom.v1.Changes.increment:type_name -> cloakroom.v1.Changes.IncrementEntry
	35, // 9: cloakroom.v1.Changes.idle_timeout:type_name -> google.protobuf.Duration
	34, // 10: cloakroom.v1.Changes.deadline_time:type_name -> google.protobuf.Timestamp
	11, // 11: cloakroom.v1.OpenSessionRequest.context:type_name -> cloakroom.v1.RequestContext
	35, // 12: cloakroom.v1.OpenSessionRequest.max_authenticate_age:type_name -> google.protobuf.Duration
	10, // 13: cloakroom.v1.OpenSessionRequest.cookie_attributes:type_name -> cloakroom.v1.CookieAttributes
	35, // 14: cloakroom.v1.OpenSessionRequest.request_age:type_name -> google.protobuf.Duration
	5,  // 15: cloakroom.v1.OpenSessionResponse.session:type_name -> cloakroom.v1.Session
	9,  // 16: cloakroom.v1.OpenSessionResponse.read_headers:type_name -> cloakroom.v1.Header
	9,  // 17: cloakroom.v1.OpenSessionResponse.untouched_headers:type_name -> cloakroom.v1.Header
	1,  // 18: cloakroom.v1.OpenSessionResponse.end_reason:type_name -> cloakroom.v1.EndReason
	8,  // 19: cloakroom.v1.SaveSessionRequest.changes:type_name -> cloakroom.v1.Changes
	11, // 20: cloakroom.v1.SaveSessionRequest.context:type_name -> cloakroom.v1.RequestContext
	10, // 21: cloakroom.v1.SaveSessionRequest.cookie_attributes:type_name -> cloakroom.v1.CookieAttributes
	35, // 22: cloakroom.v1.SaveSessionRequest.request_age:type_name -> google.protobuf.Duration
	0,  // 23: cloakroom.v1.SaveSessionResponse.outcome:type_name -> cloakroom.v1.Outcome
	1,  // 24: cloakroom.v1.SaveSessionResponse.end_reason:type_name -> cloakroom.v1.EndReason
	5,  // 25: cloakroom.v1.SaveSessionResponse.session:type_name -> cloakroom.v1.Session
	9,  // 26: cloakroom.v1.SaveSessionResponse.headers:type_name -> cloakroom.v1.Header
	33, // 27: cloakroom.v1.SaveSessionResponse.counters:type_name -> cloakroom.v1.SaveSessionResponse.CountersEntry
	2,  // 28: cloakroom.v1.GetAppPolicyResponse.kind:type_name -> cloakroom.v1.AppKind
	35, // 29: cloakroom.v1.GetAppPolicyResponse.idle_timeout:type_name -> google.protobuf.Duration
	35, // 30: cloakroom.v1.GetAppPolicyResponse.absolute_timeout:type_name -> google.protobuf.Duration
	35, // 31: cloakroom.v1.GetAppPolicyResponse.rotation_grace:type_name -> google.protobuf.Duration
	6,  // 32: cloakroom.v1.GetAppPolicyResponse.null_session:type_name -> cloakroom.v1.NullSession
	35, // 33: cloakroom.v1.GetAppPolicyResponse.anonymous_idle_timeout:type_name -> google.protobuf.Duration
	35, // 34: cloakroom.v1.GetAppPolicyResponse.anonymous_absolute_timeout:type_name -> google.protobuf.Duration
	34, // 35: cloakroom.v1.GetExpirationTimeResponse.expire_time:type_name -> google.protobuf.Timestamp
	5,  // 36: cloakroom.v1.MakeNullSessionResponse.session:type_name -> cloakroom.v1.Session
	3,  // 37: cloakroom.v1.RotateSessionRequest.cause:type_name -> cloakroom.v1.RotationCause
	11, // 38: cloakroom.v1.RotateSessionRequest.context:type_name -> cloakroom.v1.RequestContext
	10, // 39: cloakroom.v1.RotateSessionRequest.cookie_attributes:type_name -> cloakroom.v1.CookieAttributes
	0,  // 40: cloakroom.v1.RotateSessionResponse.outcome:type_name -> cloakroom.v1.Outcome
	1,  // 41: cloakroom.v1.RotateSessionResponse.end_reason:type_name -> cloakroom.v1.EndReason
	5,  // 42: cloakroom.v1.RotateSessionResponse.session:type_name -> cloakroom.v1.Session
	9,  // 43: cloakroom.v1.RotateSessionResponse.headers:type_name -> cloakroom.v1.Header
	10, // 44: cloakroom.v1.DestroySessionRequest.cookie_attributes:type_name -> cloakroom.v1.CookieAttributes
	0,  // 45: cloakroom.v1.DestroySessionResponse.outcome:type_name -> cloakroom.v1.Outcome
	1,  // 46: cloakroom.v1.DestroySessionResponse.end_reason:type_name -> cloakroom.v1.EndReason
	9,  // 47: cloakroom.v1.DestroySessionResponse.headers:type_name -> cloakroom.v1.Header
	4,  // 48: cloakroom.v1.WatchSessionResponse.state:type_name -> cloakroom.v1.WatchState
	1,  // 49: cloakroom.v1.WatchSessionResponse.end_reason:type_name -> cloakroom.v1.EndReason
	34, // 50: cloakroom.v1.WatchSessionResponse.expire_time:type_name -> google.protobuf.Timestamp
	7,  // 51: cloakroom.v1.Session.EntriesEntry.value:type_name -> cloakroom.v1.Value
	7,  // 52: cloakroom.v1.Changes.SetEntry.value:type_name -> cloakroom.v1.Value
	12, // 53: cloakroom.v1.SessionService.OpenSession:input_type -> cloakroom.v1.OpenSessionRequest
	14, // 54: cloakroom.v1.SessionService.SaveSession:input_type -> cloakroom.v1.SaveSessionRequest
	16, // 55: cloakroom.v1.SessionService.ShouldSetCookie:input_type -> cloakroom.v1.ShouldSetCookieRequest
	18, // 56: cloakroom.v1.SessionService.GetAppPolicy:input_type -> cloakroom.v1.GetAppPolicyRequest
	20, // 57: cloakroom.v1.SessionService.GetExpirationTime:input_type -> cloakroom.v1.GetExpirationTimeRequest
	22, // 58: cloakroom.v1.SessionService.MakeNullSession:input_type -> cloakroom.v1.MakeNullSessionRequest
	24, // 59: cloakroom.v1.SessionService.RotateSession:input_type -> cloakroom.v1.RotateSessionRequest
	26, // 60: cloakroom.v1.SessionService.DestroySession:input_type -> cloakroom.v1.DestroySessionRequest
	28, // 61: cloakroom.v1.SessionService.WatchSession:input_type -> cloakroom.v1.WatchSessionRequest
	13, // 62: cloakroom.v1.SessionService.OpenSession:output_type -> cloakroom.v1.OpenSessionResponse
	15, // 63: cloakroom.v1.SessionService.SaveSession:output_type -> cloakroom.v1.SaveSessionResponse
	17, // 64: cloakroom.v1.SessionService.ShouldSetCookie:output_type -> cloakroom.v1.ShouldSetCookieResponse
	19, // 65: cloakroom.v1.SessionService.GetAppPolicy:output_type -> cloakroom.v1.GetAppPolicyResponse
	21, // 66: cloakroom.v1.SessionService.GetExpirationTime:output_type -> cloakroom.v1.GetExpirationTimeResponse
	23, // 67: cloakroom.v1.SessionService.MakeNullSession:output_type -> cloakroom.v1.MakeNullSessionResponse
	25, // 68: cloakroom.v1.SessionService.RotateSession:output_type -> cloakroom.v1.RotateSessionResponse
	27, // 69: cloakroom.v1.SessionService.DestroySession:output_type -> cloakroom.v1.DestroySessionResponse
	29, // 70: cloakroom.v1.SessionService.WatchSession:output_type -> cloakroom.v1.WatchSessionResponse
	62, // [62:71] is the sub-list for method output_type
	53, // [53:62] is the sub-list for method input_type
	53, // [53:53] is the sub-list for extension type_name
	53, // [53:53] is the sub-list for extension extendee
	0,  // [0:53] is the sub-list for field type_name
}

func init() { file_cloakroom_v1_session_service_proto_init() }
func file_cloakroom_v1_session_service_proto_init() {
	if File_cloakroom_v1_session_service_proto != nil {
		return
	}
	file_cloakroom_v1_session_service_proto_msgTypes[0].OneofWrappers = []any{}
	file_cloakroom_v1_session_service_proto_msgTypes[2].OneofWrappers = []any{
		(*Value_Json)(nil),
		(*Value_Raw)(nil),
	}
	file_cloakroom_v1_session_service_proto_msgTypes[3].OneofWrappers = []any{
		(*Changes_IdleTimeout)(nil),
		(*Changes_DeadlineTime)(nil),
		(*Changes_DefaultLifetime)(nil),
	}
	file_cloakroom_v1_session_service_proto_msgTypes[5].OneofWrappers = []any{}
	file_cloakroom_v1_session_service_proto_msgTypes[7].OneofWrappers = []any{
		(*OpenSessionRequest_CookieHeader)(nil),
		(*OpenSessionRequest_Token)(nil),
		(*OpenSessionRequest_Key)(nil),
	}
	file_cloakroom_v1_session_service_proto_msgTypes[9].OneofWrappers = []any{
		(*SaveSessionRequest_Token)(nil),
		(*SaveSessionRequest_CookieHeader)(nil),
		(*SaveSessionRequest_Key)(nil),
	}
	file_cloakroom_v1_session_service_proto_msgTypes[19].OneofWrappers = []any{
		(*RotateSessionRequest_Token)(nil),
		(*RotateSessionRequest_CookieHeader)(nil),
		(*RotateSessionRequest_Key)(nil),
	}
	file_cloakroom_v1_session_service_proto_msgTypes[21].OneofWrappers = []any{
		(*DestroySessionRequest_Token)(nil),
		(*DestroySessionRequest_CookieHeader)(nil),
		(*DestroySessionRequest_Key)(nil),
	}
	file_cloakroom_v1_session_service_proto_msgTypes[23].OneofWrappers = []any{
		(*WatchSessionRequest_Token)(nil),
		(*WatchSessionRequest_CookieHeader)(nil),
		(*WatchSessionRequest_Key)(nil),
	}
	type x struct{}
	out := protoimpl.TypeBuilder{
		File: protoimpl.DescBuilder{
			GoPackagePath: reflect.TypeOf(x{}).PkgPath(),
			RawDescriptor: unsafe.Slice(unsafe.StringData(file_cloakroom_v1_session_service_proto_rawDesc), len(file_cloakroom_v1_session_service_proto_rawDesc)),
			NumEnums:      5,
			NumMessages:   29,
			NumExtensions: 0,
			NumServices:   1,
		},
		GoTypes:           file_cloakroom_v1_session_service_proto_goTypes,
		DependencyIndexes: file_cloakroom_v1_session_service_proto_depIdxs,
		EnumInfos:         file_cloakroom_v1_session_service_proto_enumTypes,
		MessageInfos:      file_cloakroom_v1_session_service_proto_msgTypes,
	}.Build()
	File_cloakroom_v1_session_service_proto = out.File
	file_cloakroom_v1_session_service_proto_goTypes = nil
	file_cloakroom_v1_session_service_proto_depIdxs = nil
}
