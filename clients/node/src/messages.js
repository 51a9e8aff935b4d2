// The messages of the calls that this client makes. A test compares them with proto/cloakroom/v1/session_service.proto.
'use strict';

const { Message } = require('./protobuf.js');

/** @typedef {import('./protobuf.js').Type} Type */

/** @param {number} number @param {Type} type */
const plain = (number, type) => /** @type {const} */ ({ number, type, label: 'plain' });
/** @param {number} number @param {Type} type */
const optional = (number, type) => /** @type {const} */ ({ number, type, label: 'optional' });
/** @param {number} number @param {Type} type */
const repeated = (number, type) => /** @type {const} */ ({ number, type, label: 'repeated' });
/** @param {number} number @param {Type} type */
const map = (number, type) => /** @type {const} */ ({ number, type, label: 'map' });

const OUTCOMES = ['UNSPECIFIED', 'UNCHANGED', 'CREATED', 'UPDATED', 'DELETED', 'GONE'];
const END_REASONS = ['UNSPECIFIED', 'DESTROYED', 'EMPTIED', 'REVOKED', 'SUPERSEDED', 'IDLE', 'ABSOLUTE', 'EVICTED'];
const WATCH_STATES = ['UNSPECIFIED', 'ALIVE', 'ENDED'];
const APP_KINDS = ['UNSPECIFIED', 'STORED', 'COOKIE', 'EXTERNAL'];

const Header = new Message({ name: plain(1, 'string'), value: plain(2, 'string') });
const Value = new Message({ json: optional(1, 'string'), raw: optional(2, 'bytes') });
const NullSession = new Message({ reason: plain(1, 'string'), message: plain(2, 'string') });
const CookieAttributes = new Message({
  domain: optional(1, 'string'),
  path: optional(2, 'string'),
  secure: optional(3, 'bool'),
  samesite: optional(4, 'string'),
});
const RequestContext = new Message({ userAgent: plain(1, 'string'), remoteAddress: plain(2, 'string') });

const Session = new Message({
  id: plain(1, 'string'),
  token: plain(2, 'string'),
  entries: map(3, Value),
  permanent: optional(4, 'bool'),
  new: plain(5, 'bool'),
  etag: plain(6, 'string'),
  subject: plain(7, 'string'),
  createTime: optional(8, 'milliseconds'),
  accessTime: optional(9, 'milliseconds'),
  authenticateTime: optional(10, 'milliseconds'),
  expireTime: optional(11, 'milliseconds'),
  idleTimeout: optional(12, 'milliseconds'),
  nullSession: optional(13, NullSession),
});

const Changes = new Message({
  clear: plain(1, 'bool'),
  unset: repeated(2, 'string'),
  set: map(3, Value),
  increment: map(4, 'int64'),
  permanent: optional(5, 'bool'),
  subject: optional(6, 'string'),
  idleTimeout: optional(7, 'milliseconds'),
  deadlineTime: optional(8, 'milliseconds'),
  defaultLifetime: optional(9, 'bool'),
  authenticated: plain(10, 'bool'),
});

const OpenSessionRequest = new Message({
  app: plain(1, 'string'),
  cookieHeader: optional(2, 'string'),
  token: optional(3, 'string'),
  cookieName: plain(4, 'string'),
  context: optional(5, RequestContext),
  maxAuthenticateAge: optional(6, 'milliseconds'),
  cookieAttributes: optional(7, CookieAttributes),
  noTouch: plain(8, 'bool'),
  requestAge: optional(9, 'milliseconds'),
  key: optional(15, 'bytes'),
});

const OpenSessionResponse = new Message({
  session: optional(1, Session),
  readHeaders: repeated(2, Header),
  untouchedHeaders: repeated(3, Header),
  recentlyAuthenticated: plain(4, 'bool'),
  cookieOutdated: plain(5, 'bool'),
  endReason: plain(6, END_REASONS),
});

const SaveSessionRequest = new Message({
  app: plain(1, 'string'),
  token: optional(2, 'string'),
  cookieHeader: optional(3, 'string'),
  changes: optional(4, Changes),
  accessed: plain(5, 'bool'),
  etag: plain(6, 'string'),
  requestId: plain(7, 'string'),
  rotate: plain(8, 'bool'),
  keepEmpty: plain(9, 'bool'),
  cookieName: plain(10, 'string'),
  context: optional(11, RequestContext),
  cookieOutdated: plain(12, 'bool'),
  cookieAttributes: optional(13, CookieAttributes),
  requestAge: optional(14, 'milliseconds'),
  key: optional(15, 'bytes'),
});

const SaveSessionResponse = new Message({
  outcome: plain(1, OUTCOMES),
  endReason: plain(2, END_REASONS),
  session: optional(3, Session),
  headers: repeated(4, Header),
  counters: map(5, 'int64'),
});

const DestroySessionRequest = new Message({
  app: plain(1, 'string'),
  token: optional(2, 'string'),
  cookieHeader: optional(3, 'string'),
  requestId: plain(4, 'string'),
  cookieName: plain(5, 'string'),
  cookieAttributes: optional(6, CookieAttributes),
  key: optional(15, 'bytes'),
});

const DestroySessionResponse = new Message({
  outcome: plain(1, OUTCOMES),
  endReason: plain(2, END_REASONS),
  headers: repeated(3, Header),
});

const GetAppPolicyRequest = new Message({ app: plain(1, 'string') });

const GetAppPolicyResponse = new Message({
  app: plain(1, 'string'),
  kind: plain(2, APP_KINDS),
  cookieName: plain(3, 'string'),
  cookieDomain: plain(4, 'string'),
  cookiePath: plain(5, 'string'),
  cookieHttponly: plain(6, 'bool'),
  cookieSecure: plain(7, 'bool'),
  cookieSamesite: plain(8, 'string'),
  cookiePartitioned: plain(9, 'bool'),
  pickleBased: plain(10, 'bool'),
  refreshEachRequest: plain(11, 'bool'),
  idleTimeout: optional(12, 'milliseconds'),
  absoluteTimeout: optional(13, 'milliseconds'),
  rotationGrace: optional(14, 'milliseconds'),
  maxEntries: plain(15, 'uint32'),
  maxSessionBytes: plain(16, 'uint32'),
  subjectKey: plain(17, 'string'),
  nullSession: optional(18, NullSession),
  anonymousIdleTimeout: optional(19, 'milliseconds'),
  anonymousAbsoluteTimeout: optional(20, 'milliseconds'),
  legacyCookieNames: repeated(21, 'string'),
});

const WatchSessionRequest = new Message({
  app: plain(1, 'string'),
  token: optional(2, 'string'),
  cookieHeader: optional(3, 'string'),
  cookieName: plain(4, 'string'),
  key: optional(15, 'bytes'),
});

const WatchSessionResponse = new Message({
  state: plain(1, WATCH_STATES),
  endReason: plain(2, END_REASONS),
  expireTime: optional(3, 'milliseconds'),
});

/**
 * An RPC.
 * @typedef {{ name: string, path: string, request: Message, response: Message }} Method
 */

/** @param {string} name @param {Message} request @param {Message} response @returns {Method} */
const method = (name, request, response) =>
  ({ name, path: `/cloakroom.v1.SessionService/${name}`, request, response });

const OPEN = method('OpenSession', OpenSessionRequest, OpenSessionResponse);
const SAVE = method('SaveSession', SaveSessionRequest, SaveSessionResponse);
const DESTROY = method('DestroySession', DestroySessionRequest, DestroySessionResponse);
const POLICY = method('GetAppPolicy', GetAppPolicyRequest, GetAppPolicyResponse);
const WATCH = method('WatchSession', WatchSessionRequest, WatchSessionResponse);

const MESSAGES = {
  Changes, CookieAttributes, DestroySessionRequest, DestroySessionResponse, GetAppPolicyRequest, GetAppPolicyResponse,
  Header, NullSession, OpenSessionRequest, OpenSessionResponse, RequestContext, SaveSessionRequest, SaveSessionResponse,
  Session, Value, WatchSessionRequest, WatchSessionResponse,
};

module.exports = {
  DESTROY, END_REASONS, MESSAGES, OPEN, OUTCOMES, POLICY, SAVE, WATCH, map, optional, plain, repeated,
};
