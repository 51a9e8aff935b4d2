import type { ClientOptions } from './index';

export { CallFailed, CloakroomError, SessionRefused, SessionUnavailable } from './index';

/** Why a session has ended. A newer service may know more reasons. */
export type EndReason = 'DESTROYED' | 'EMPTIED' | 'REVOKED' | 'SUPERSEDED' | 'IDLE' | 'ABSOLUTE' | 'EVICTED';

/** A session as an operator sees it. No field opens it. */
export interface SessionInfo {
  /** Public and safe to log. It stays the same when the token is replaced. */
  id: string;
  /** The user to whom the session belongs. Undefined: it is anonymous. */
  subject: string | undefined;
  /** Whether the cookie outlives the browser. Undefined: nobody has set it. */
  permanent: boolean | undefined;
  /** The version. */
  etag: string;
  createTime: Date;
  /** Of the last use that was written, which is one in each twentieth of the idle timeout. */
  accessTime: Date;
  /** When the user last authenticated. */
  authenticateTime: Date | undefined;
  /** When it ends if it is not used again. */
  expireTime: Date;
  /** The browser and the address of the last use. Empty if the frontend sends none. */
  userAgent: string;
  remoteAddress: string;
  entryCount: number;
  /** Bytes of names and values together. */
  entryBytes: number;
  /** JSON text, or raw bytes. Empty unless asked for. */
  entries: Map<string, string | Buffer>;
  /** Undefined: it lives. */
  endReason: EndReason | undefined;
  /** When a call ended it. */
  endTime: Date | undefined;
}

/** What one cookie, token or ticket leads to. */
export interface Explanation {
  state: 'LIVE' | 'SUPERSEDED' | 'ENDED' | 'UNKNOWN' | 'UNUSED' | 'REJECTED';
  endReason: EndReason | undefined;
  endTime: Date | undefined;
  id: string;
  session: SessionInfo | undefined;
  /** With REJECTED: why it does not verify. */
  rejection: string;
  keyId: string;
  otherApp: string;
}

/** The numbers of one place that legacy sessions are imported from. */
export interface MigrationStats {
  source: string;
  until: Date;
  imported: number;
  found: number;
  refused: Record<string, number>;
  lastImportTime: Date | undefined;
}

/** The numbers of an app, as one replica has them. */
export interface Stats {
  /** Since when this replica counts. */
  startTime: Date;
  opened: number;
  created: number;
  /** Sessions that a call ended, by reason. Those that `revokeApp` ended are not counted. */
  ended: Record<string, number>;
  /** Live sessions at the last count of the store, within 5 %. Undefined: not known. */
  live: number | undefined;
  liveAnonymous: number | undefined;
  scanTime: Date | undefined;
  migrations: MigrationStats[];
}

export interface Event {
  kind: 'CREATED' | 'ROTATED' | 'SUBJECT_CHANGED' | 'ENDED' | 'APP_REVOKED';
  /** Of the session. Empty with APP_REVOKED. */
  id: string;
  /** With ENDED. */
  endReason: EndReason | undefined;
  time: Date;
}

/** Events, those of one session in their order. */
export interface EventBatch {
  events: Event[];
  /** Resumes after these events. */
  cursor: string;
}

/** Batches of events. When a loop over it throws `SessionUnavailable`, another one resumes. */
export interface EventStream extends AsyncIterable<EventBatch> {
  readonly cursor: string;
  /** Ends the loop, also while it waits. */
  close(): void;
}

/** Calls AdminService. It may do so for all users: check who asks. */
export class AdminClient {
  /** @param options As of `Client`. `service` is the address of the listener for administration; default: `localhost:50052`. */
  constructor(options?: ClientOptions);
  readonly app: string;
  /** Returns the live sessions of a user, the one used last first. */
  listSubject(subject: string, options?: { withEntries?: boolean }): Promise<SessionInfo[]>;
  /** Returns some of the app's live sessions, in no order. */
  listPage(options?: { pageToken?: string; pageSize?: number; withEntries?: boolean }):
    Promise<{ sessions: SessionInfo[]; nextPageToken: string }>;
  /** Returns all live sessions of the app, in no order. */
  listAll(options?: { pageSize?: number; withEntries?: boolean }): AsyncGenerator<SessionInfo>;
  /** Returns one session, live or ended in the last 16 minutes. */
  getSession(id: string, options?: { withEntries?: boolean }): Promise<SessionInfo | undefined>;
  /** Ends one session, with `subject` only if it belongs to that user. Returns whether this call ended it. */
  revokeSession(id: string, options?: { subject?: string }): Promise<boolean>;
  /** Ends every session of a user, or every session except one. Returns how many this call ended. */
  revokeSubject(subject: string, options?: { exceptId?: string }): Promise<number>;
  /** Ends every session of the app that was created before: logs everybody out. */
  revokeApp(): Promise<void>;
  /** Explains what a cookie, a token or a ticket leads to. Changes nothing. */
  explain(credential: { cookieHeader: string; cookieName?: string } | { token: string; cookieName?: string }): Promise<Explanation[]>;
  stats(): Promise<Stats>;
  /** Follows what happens to the app's sessions. Expiry sends no event. */
  events(options?: { cursor?: string }): EventStream;
}
