// The messages of AdminService. A test compares them with proto/cloakroom/v1/admin_service.proto.
'use strict';

const { END_REASONS, MESSAGES, OUTCOMES, map, optional, plain, repeated } = require('./messages.js');
const { Message } = require('./protobuf.js');

const STATES = ['UNSPECIFIED', 'LIVE', 'SUPERSEDED', 'ENDED', 'UNKNOWN', 'UNUSED', 'REJECTED'];
const EVENT_KINDS = ['UNSPECIFIED', 'CREATED', 'ROTATED', 'SUBJECT_CHANGED', 'ENDED', 'APP_REVOKED'];

const SessionInfo = new Message({
  id: plain(1, 'string'),
  subject: plain(2, 'string'),
  permanent: optional(3, 'bool'),
  etag: plain(4, 'string'),
  createTime: optional(5, 'milliseconds'),
  accessTime: optional(6, 'milliseconds'),
  authenticateTime: optional(7, 'milliseconds'),
  expireTime: optional(8, 'milliseconds'),
  context: optional(9, MESSAGES.RequestContext),
  entryCount: plain(10, 'uint32'),
  entryBytes: plain(11, 'uint32'),
  entries: map(12, MESSAGES.Value),
  endReason: plain(13, END_REASONS),
  endTime: optional(14, 'milliseconds'),
});

const ListSessionsRequest = new Message({
  app: plain(1, 'string'),
  subject: plain(2, 'string'),
  pageSize: plain(3, 'int32'),
  pageToken: plain(4, 'string'),
  withEntries: plain(5, 'bool'),
});
const ListSessionsResponse = new Message({ sessions: repeated(1, SessionInfo), nextPageToken: plain(2, 'string') });

const GetSessionRequest = new Message({ app: plain(1, 'string'), id: plain(2, 'string'), withEntries: plain(3, 'bool') });
const GetSessionResponse = new Message({ session: optional(1, SessionInfo) });

const RevokeSessionRequest = new Message({ app: plain(1, 'string'), id: plain(2, 'string') });
const RevokeSessionResponse = new Message({ outcome: plain(1, OUTCOMES), endReason: plain(2, END_REASONS) });

const RevokeSubjectRequest = new Message({ app: plain(1, 'string'), subject: plain(2, 'string'), exceptId: plain(3, 'string') });
const RevokeSubjectResponse = new Message({ revoked: plain(1, 'uint32') });

const RevokeAppRequest = new Message({ app: plain(1, 'string') });
const RevokeAppResponse = new Message({});

const ExplainCredentialRequest = new Message({
  app: plain(1, 'string'),
  cookieHeader: optional(2, 'string'),
  token: optional(3, 'string'),
  cookieName: plain(4, 'string'),
  key: optional(15, 'bytes'),
});
const CredentialExplanation = new Message({
  state: plain(1, STATES),
  endReason: plain(2, END_REASONS),
  endTime: optional(3, 'milliseconds'),
  id: plain(4, 'string'),
  session: optional(5, SessionInfo),
  rejection: plain(6, 'string'),
  keyId: plain(7, 'string'),
  otherApp: plain(8, 'string'),
});
const ExplainCredentialResponse = new Message({ explanations: repeated(1, CredentialExplanation) });

const GetStatsRequest = new Message({ app: plain(1, 'string') });
const MigrationStats = new Message({
  source: plain(1, 'string'),
  until: optional(2, 'milliseconds'),
  imported: plain(3, 'uint64'),
  found: plain(4, 'uint64'),
  refused: map(5, 'uint64'),
  lastImportTime: optional(6, 'milliseconds'),
});
const GetStatsResponse = new Message({
  startTime: optional(1, 'milliseconds'),
  opened: plain(2, 'uint64'),
  created: plain(3, 'uint64'),
  ended: map(4, 'uint64'),
  live: optional(5, 'uint64'),
  liveAnonymous: optional(6, 'uint64'),
  scanTime: optional(7, 'milliseconds'),
  migrations: repeated(8, MigrationStats),
});

const WatchEventsRequest = new Message({ app: plain(1, 'string'), cursor: plain(2, 'string') });
const SessionEvent = new Message({
  id: plain(1, 'string'),
  kind: plain(2, EVENT_KINDS),
  endReason: plain(3, END_REASONS),
  time: optional(4, 'milliseconds'),
});
const WatchEventsResponse = new Message({ events: repeated(1, SessionEvent), cursor: plain(2, 'string') });

/** @param {string} name @param {Message} request @param {Message} response @returns {import('./messages.js').Method} */
const method = (name, request, response) => ({ name, path: `/cloakroom.v1.AdminService/${name}`, request, response });

const ADMIN_METHODS = {
  EXPLAIN: method('ExplainCredential', ExplainCredentialRequest, ExplainCredentialResponse),
  GET: method('GetSession', GetSessionRequest, GetSessionResponse),
  LIST: method('ListSessions', ListSessionsRequest, ListSessionsResponse),
  REVOKE: method('RevokeSession', RevokeSessionRequest, RevokeSessionResponse),
  REVOKE_APP: method('RevokeApp', RevokeAppRequest, RevokeAppResponse),
  REVOKE_SUBJECT: method('RevokeSubject', RevokeSubjectRequest, RevokeSubjectResponse),
  STATS: method('GetStats', GetStatsRequest, GetStatsResponse),
  WATCH_EVENTS: method('WatchEvents', WatchEventsRequest, WatchEventsResponse),
};

const ADMIN_MESSAGES = {
  CredentialExplanation, ExplainCredentialRequest, ExplainCredentialResponse, GetSessionRequest, GetSessionResponse,
  GetStatsRequest, GetStatsResponse, ListSessionsRequest, ListSessionsResponse, MigrationStats, RevokeAppRequest,
  RevokeAppResponse, RevokeSessionRequest, RevokeSessionResponse, RevokeSubjectRequest, RevokeSubjectResponse, SessionEvent,
  SessionInfo, WatchEventsRequest, WatchEventsResponse,
};

module.exports = { ADMIN_MESSAGES, ADMIN_METHODS };
