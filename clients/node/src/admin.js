// Lists and ends sessions: for pages of a user's devices, and for operators.
'use strict';

const { ADMIN_METHODS } = require('./admin_messages.js');
const { Client } = require('./client.js');
const { EventStream } = require('./admin_events.js');
const { CallFailed, CloakroomError, SessionRefused, SessionUnavailable } = require('./errors.js');

const { EXPLAIN, GET, LIST, REVOKE, REVOKE_APP, REVOKE_SUBJECT, STATS } = ADMIN_METHODS;

/** @typedef {import('../types/admin').SessionInfo} SessionInfo */

/**
 * Calls AdminService, which has a listener of its own. It may do so for all users: check who asks.
 *
 * Every call throws the errors of `Client`.
 */
class AdminClient {
  #client;

  /** @param {import('../types/index').ClientOptions} [options] */
  constructor({ service = 'localhost:50052', ...options } = {}) {
    this.#client = new Client({ service, ...options });
  }

  get app() {
    return this.#client.app;
  }

  /** Returns the live sessions of a user, the one used last first.
   * @param {string} subject @param {{ withEntries?: boolean }} [options] @returns {Promise<SessionInfo[]>} */
  async listSubject(subject, { withEntries = false } = {}) {
    checkSubject(subject);
    const { sessions } = await this.#client.call(LIST, { app: this.app, subject, withEntries });
    return sessions.map(sessionInfo);
  }

  /** Returns some of the app's live sessions, in no order. A page may be empty and not be the last one.
   * @param {{ pageToken?: string, pageSize?: number, withEntries?: boolean }} [options] */
  async listPage({ pageToken = '', pageSize = 100, withEntries = false } = {}) {
    const page = await this.#client.call(LIST, { app: this.app, pageToken, pageSize, withEntries });
    return { sessions: page.sessions.map(sessionInfo), nextPageToken: page.nextPageToken };
  }

  /** Returns all live sessions of the app, in no order, by a call for each page.
   * @param {{ pageSize?: number, withEntries?: boolean }} [options] @returns {AsyncGenerator<SessionInfo>} */
  async* listAll(options = {}) {
    let pageToken = '';
    do {
      const page = await this.listPage({ ...options, pageToken });
      yield* page.sessions;
      pageToken = page.nextPageToken;
    } while (pageToken !== '');
  }

  /** Returns one session, live or ended in the last 16 minutes. Undefined: there is none.
   * @param {string} id @param {{ withEntries?: boolean }} [options] @returns {Promise<SessionInfo | undefined>} */
  async getSession(id, { withEntries = false } = {}) {
    try {
      const { session } = await this.#client.call(GET, { app: this.app, id, withEntries });
      return sessionInfo(session);
    } catch (error) {
      if (error instanceof CloakroomError && error.reason === 'SESSION_UNKNOWN') return undefined;
      throw error;
    }
  }

  /**
   * Ends one session. From then on no token opens it. Returns whether this call ended it.
   * @param {string} id
   * @param {{ subject?: string }} [options] With a subject, it ends the session only if it belongs to that user. That is
   *   needed wherever a user gives the id, which may then be any text.
   */
  async revokeSession(id, { subject } = {}) {
    if (subject !== undefined) {
      checkSubject(subject);
      if (!await this.#belongsTo(id, subject)) return false;
    }
    const { outcome } = await this.#client.call(REVOKE, { app: this.app, id });
    return outcome === 'DELETED';
  }

  /** @param {string} id @param {string} subject */
  async #belongsTo(id, subject) {
    try {
      return (await this.getSession(id))?.subject === subject;
    } catch (error) {
      if (error instanceof CloakroomError && error.reason === 'SESSION_ID_INVALID') return false;
      throw error;
    }
  }

  /** Ends every session of a user, or every session except one. Returns how many this call ended. After an error some may
   * have ended: call it again.
   * @param {string} subject @param {{ exceptId?: string }} [options] @returns {Promise<number>} */
  async revokeSubject(subject, { exceptId = '' } = {}) {
    checkSubject(subject);
    const { revoked } = await this.#client.call(REVOKE_SUBJECT, { app: this.app, subject, exceptId });
    return revoked;
  }

  /** Ends every session of the app that was created before: logs everybody out. */
  async revokeApp() {
    await this.#client.call(REVOKE_APP, { app: this.app });
  }

  /** Explains what a cookie, a token or a ticket leads to, and why it opens nothing. Changes nothing.
   * @param {{ cookieHeader: string, cookieName?: string } | { token: string, cookieName?: string }} credential */
  async explain(credential) {
    const { explanations } = await this.#client.call(EXPLAIN, { app: this.app, ...credential });
    return explanations.map((/** @type {any} */ { endReason, endTime, session, ...rest }) => ({
      ...rest, ...endOf(endReason, endTime), session: session === undefined ? undefined : sessionInfo(session),
    }));
  }

  /** Returns the numbers of the app, as the replica that answers has them. */
  async stats() {
    const stats = await this.#client.call(STATS, { app: this.app });
    return {
      ...stats,
      startTime: new Date(stats.startTime),
      scanTime: dateOf(stats.scanTime),
      ended: Object.fromEntries(stats.ended),
      migrations: stats.migrations.map((/** @type {any} */ source) => ({
        ...source,
        until: new Date(source.until),
        refused: Object.fromEntries(source.refused),
        lastImportTime: dateOf(source.lastImportTime),
      })),
    };
  }

  /**
   * Follows what happens to the app's sessions, from now on or from a cursor. Expiry sends no event.
   * @param {{ cursor?: string }} [options] The cursor of the last batch that was processed.
   */
  events({ cursor = '' } = {}) {
    return new EventStream(this.#client, cursor);
  }
}

/** @param {any} info @returns {SessionInfo} */
function sessionInfo({ context, endReason, endTime, entries, subject, ...rest }) {
  return {
    ...rest,
    subject: subject || undefined,
    createTime: new Date(rest.createTime),
    accessTime: new Date(rest.accessTime),
    authenticateTime: dateOf(rest.authenticateTime),
    expireTime: new Date(rest.expireTime),
    userAgent: context?.userAgent ?? '',
    remoteAddress: context?.remoteAddress ?? '',
    entries: new Map([...entries].map(([name, { json, raw }]) => [name, json ?? raw])),
    ...endOf(endReason, endTime),
  };
}

/** @param {string} reason @param {number | undefined} time */
const endOf = (reason, time) => ({ endReason: reason === 'UNSPECIFIED' ? undefined : reason, endTime: dateOf(time) });

/** @param {number | undefined} time */
const dateOf = (time) => (time === undefined ? undefined : new Date(time));

/** An empty subject would be every session of the app. @param {string} subject */
function checkSubject(subject) {
  if (typeof subject !== 'string' || subject === '') throw new TypeError('the subject is a text that is not empty');
}

module.exports = { AdminClient, CallFailed, CloakroomError, SessionRefused, SessionUnavailable };
