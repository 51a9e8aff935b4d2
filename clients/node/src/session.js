// A request's session. It is opened when it is asked for, and a save sends only what changed.
//
// Depends on no framework. A framework's integration creates one session per request, and calls `finish` to save it and
// to learn the headers of the response.
'use strict';

const { randomUUID } = require('node:crypto');
const { isDeepStrictEqual } = require('node:util');
const { now } = require('./clock.js');
const { Entries, UNKNOWN } = require('./entries.js');
const { CloakroomError, SessionNotOpened, SessionRefused, SessionUnavailable } = require('./errors.js');
const { subjectOf } = require('./subject.js');
const { entriesOf, subjectChange } = require('./subject_key.js');
const { SessionWatch } = require('./watch.js');

/** @typedef {{ name: string, value: string }} Header */

/**
 * What a session needs to know of its request.
 * @typedef {object} RequestInfo
 * @property {string} [cookieHeader] The whole Cookie header, its bytes decoded as Latin-1. Several are joined by "; ".
 * @property {string} [cookieName] The cookie's name, if it differs from the one in the app's policy.
 * @property {{ domain?: string, path?: string, secure?: boolean, samesite?: string }} [cookieAttributes] The cookie's
 *   attributes that differ from the app's.
 * @property {() => { userAgent?: string, remoteAddress?: string }} [context] Returns where the request comes from.
 *   Called only if there is a call to make.
 * @property {number} [maxAuthenticateAge] Milliseconds for which an authentication counts as recent.
 * @property {boolean} [keepEmpty] Whether to store a session without content.
 * @property {(names: Iterable<string>) => void} [onOpen] Is called with the names of the entries that the service has.
 * @property {number} [receiveTime] When the request was received, by `performance.now()`. Undefined: now.
 */

class Session {
  #client;
  #requestInfo;
  #entries = new Entries();
  /** @type {{ token: string } | { cookieHeader: string }} */
  #credential;
  /** What the service answered to the open. @type {any} */
  #opened;
  /** The session's properties as the service returned them last. @type {any} */
  #info;
  /** When that was. */
  #infoTime = 0;
  /** When the request was received, or has ended its last session. */
  #receiveTime;
  /** The changes of the next save that are not entries: permanent, lifetime, subject and authentication.
   * @type {Record<string, any>} */
  #otherChanges = {};
  #rotateRequested = false;
  /** Whether to save even if no entry has changed. */
  #needsSave = false;
  /** Why this session cannot be written. Every write throws it. @type {CloakroomError | undefined} */
  #writeError;
  /** A save whose result is unknown, exactly as it was sent. @type {Record<string, any> | undefined} */
  #unconfirmedSave;
  /** The entries that the changes of that save came from. @type {Entries | undefined} */
  #unconfirmedEntries;
  /** The save that the service has refused, if nothing was written to the session since. @type {{ changes: object, rotate: boolean } | undefined} */
  #refusedSave;
  /** Whether a change may have passed the session to another user, which no read has looked at yet. */
  #mayBecomeOthers = false;
  /** Whether the browser does not have the token of the open yet, so that a save sets it. */
  #cookieOutdated = false;
  /** The headers that the saves or the end of the session returned. @type {Header[] | undefined} */
  #headers;
  /** The calls take turns. @type {Promise<unknown>} */
  #lastCall = Promise.resolve();
  /** Calls under way. */
  #calls = 0;

  /** Whether the request has used its session. */
  accessed = false;
  /** Why the last call failed, if the service did not answer it. @type {SessionUnavailable | undefined} */
  unavailable;
  /** Why the session had ended before it was saved, such as `SUPERSEDED`. @type {string | undefined} */
  gone;

  /** @param {import('./client.js').Client} client @param {RequestInfo} [requestInfo] */
  constructor(client, requestInfo = {}) {
    this.#client = client;
    this.#requestInfo = requestInfo;
    const cookieHeader = requestInfo.cookieHeader ?? '';
    this.#credential = { cookieHeader };
    this.#receiveTime = requestInfo.receiveTime ?? now();
    // Without a cookie, the session is empty.
    if (cookieHeader === '') this.#entries.load(new Map());
  }

  // Entries.

  /** Whether entries can be read. */
  get isOpen() {
    return this.#entries.isComplete;
  }

  /** @param {string} name @returns {any} */
  get(name) {
    this.accessed = true;
    this.#findOtherUser();
    const value = this.#entries.lookup(name);
    if (value === UNKNOWN) throw new SessionNotOpened(`reading "${name}"`);
    return value;
  }

  /** @param {string} name */
  has(name) {
    return this.get(name) !== undefined;
  }

  names() {
    this.accessed = true;
    this.#findOtherUser();
    if (!this.#entries.isComplete) throw new SessionNotOpened('listing the entries');
    return this.#entries.names();
  }

  /** @param {string} name @param {unknown} value Anything that JSON can hold. Undefined removes the entry. */
  set(name, value) {
    if (value === undefined) {
      this.delete(name);
      return;
    }
    this.#markModified();
    this.#entries.set(name, value);
  }

  /** @param {string} name */
  delete(name) {
    this.#checkWritable();
    this.accessed = true;
    this.#findOtherUser();
    // Without this, each page that removes what it has shown would save the session of a visitor who has none.
    if (this.#entries.lookup(name) === undefined) return;
    this.#markModified();
    this.#entries.remove(name);
  }

  /**
   * Removes all entries and the subject, and gives the session the app's own lifetime again. The save also replaces the token.
   *
   * If the request has the cookies of two live sessions, the save ends both.
   */
  clear() {
    this.#beginAnew();
    this.#markModified();
    this.#entries = Entries.cleared();
    this.#otherChanges = {};
  }

  /** Adds to a counter. Concurrent requests lose no counts. A missing counter starts at 0.
   * @param {string} name @param {number} [by] */
  increment(name, by = 1) {
    this.#markModified();
    this.#entries.increment(name, by);
  }

  // Properties of the session besides its entries.

  /** The session's public id, which is safe to log. Undefined if it is not known yet: the session was neither opened
   * nor saved. It stays the same when the token is replaced. @returns {string | undefined} */
  get id() {
    this.accessed = true;
    return this.#info?.id || undefined;
  }

  /** Whether the session is not stored yet. */
  get isNew() {
    this.accessed = true;
    if (this.#info === undefined && !this.#entries.isComplete) throw new SessionNotOpened('isNew');
    return this.#info === undefined || this.#info.new || this.#info.id === '';
  }

  /** Whether no session is possible, because the request has the cookies of two of them, or the app has no key. */
  get isNull() {
    return this.#opened?.session.nullSession !== undefined;
  }

  /** The id of the user to whom the session belongs. Setting it is a login: the same save replaces the token.
   * @returns {string | undefined} */
  get subject() {
    this.accessed = true;
    const subject = this.#nextSubject;
    if (subject !== undefined) return subject || undefined;
    if (!this.#entries.isComplete) throw new SessionNotOpened('subject');
    // A cleared session has none until then.
    return (this.#entries.isCleared ? '' : this.#info?.subject) || undefined;
  }

  set subject(/** @type {string | number | bigint | null | undefined} */ id) {
    const value = subjectOf(id, 'subject is the id of the user, a string or an integer');
    this.#beginAnew();
    this.#markModified();
    this.#otherChanges.subject = value ?? '';
  }

  /** Whether the cookie outlives the browser. */
  get permanent() {
    this.accessed = true;
    return this.#otherChanges.permanent ?? this.#kept?.permanent ?? false;
  }

  set permanent(value) {
    this.#markModified();
    this.#otherChanges.permanent = Boolean(value);
  }

  /** Whether the next save says that the cookie outlives the browser, or that it does not. */
  get changesPermanent() {
    return this.#otherChanges.permanent !== undefined;
  }

  /** Whether the next save gives the session another idle timeout. */
  get changesIdleTimeout() {
    return this.#otherChanges.idleTimeout !== undefined;
  }

  /** Milliseconds that the session lives without use. @returns {number | undefined} */
  get idleTimeout() {
    return this.#otherChanges.idleTimeout ?? this.#kept?.idleTimeout;
  }

  set idleTimeout(value) {
    this.#markModified();
    this.#otherChanges.idleTimeout = value;
  }

  /** When the session ends without further use. @returns {Date | undefined} */
  get expireTime() {
    const { idleTimeout } = this.#otherChanges;
    const time = idleTimeout === undefined ? this.#kept?.expireTime : Date.now() + idleTimeout;
    return time === undefined ? undefined : new Date(time);
  }

  /** When the subject last authenticated. @returns {Date | undefined} */
  get authenticateTime() {
    const time = this.#isOfSameUser ? this.#info?.authenticateTime : undefined;
    return time === undefined ? undefined : new Date(time);
  }

  /** Whether the subject authenticated less than `maxAuthenticateAge` ago, by the service's clock. It becomes false while
   * the session is open, as in a long websocket, and true by a save after `markAuthenticated`. */
  get recentlyAuthenticated() {
    this.accessed = true;
    const { authenticateTime, accessTime } = this.#info ?? {};
    const longest = this.#requestInfo.maxAuthenticateAge;
    if (longest === undefined || authenticateTime === undefined || accessTime === undefined || !this.#isOfSameUser) return false;
    // Both are of the service. What has passed since needs no clock of the day.
    return accessTime - authenticateTime + now() - this.#infoTime < longest;
  }

  /** Records that the subject has just authenticated again. The same save replaces the token. */
  markAuthenticated() {
    this.#markModified();
    this.#otherChanges.authenticated = true;
  }

  /** Replaces the token with the next save, and so invalidates older tokens. */
  rotate() {
    this.#markModified();
    this.#rotateRequested = true;
  }

  // Calls. Each may throw `SessionUnavailable` or `SessionRefused`.

  /** Opens the session if it is not open yet. */
  async open() {
    this.accessed = true;
    await this.openUpFront();
  }

  /** Does so before the application asks for it: the request has not used its session by that. */
  openUpFront() {
    return this.#inTurn(async () => {
      // After a save without an open, what the session had before is not known yet.
      const isKnown = this.#info !== undefined && this.#entries.isComplete;
      if (this.#opened !== undefined || this.#writeError !== undefined || isKnown) return;
      if (isEmpty(this.#credential)) {
        // There is no session, so it has no entries.
        if (!this.#entries.isComplete) this.#entries.load(new Map());
        return;
      }
      const { cookieName, cookieAttributes, maxAuthenticateAge, context } = this.#requestInfo;
      const age = now() - this.#receiveTime;
      const request = {
        app: this.#client.app, cookieName, cookieAttributes, context: context?.(), maxAuthenticateAge, ...this.#credential,
        // An open as soon as the request arrives needs none.
        requestAge: 'cookieHeader' in this.#credential && age >= 1 ? age : undefined,
      };
      const opened = await this.#client.open(request);
      // What is written later may name another user, and a read after that does not wait.
      if (opened.session.subject) await this.#client.policy();
      this.#applyOpen(opened);
    });
  }

  /** Opens the session anew, and forgets the changes that were not saved. Returns whether it still exists. */
  async reload() {
    const wasStored = this.#info !== undefined && !this.#info.new && this.#info.id !== '';
    this.#opened = this.#info = this.#writeError = undefined;
    this.#otherChanges = {};
    this.#rotateRequested = this.#needsSave = false;
    this.#entries = new Entries();
    await this.open();
    return !wasStored || !this.isNew;
  }

  /** Saves the changes now. A new cookie can only be sent if the response's headers have not been sent yet.
   *
   * After `SessionRefused` nothing of them is stored, and the next save sends them again, with what was changed since. */
  async save() {
    this.#refusedSave = undefined;
    await this.finish();
  }

  /** Ends the session at once. The response deletes the cookie; later writes start another session. */
  destroy() {
    return this.#inTurn(async () => {
      this.#beginAnew();
      this.#checkWritable();
      if (!isEmpty(this.#credential)) {
        const { cookieName, cookieAttributes, cookieHeader = '' } = this.#requestInfo;
        // The cookies may also lead to a login whose answer the browser does not have yet.
        const isUnsaved = this.#headers === undefined && cookieHeader !== '';
        const credential = isUnsaved ? { cookieHeader } : this.#credential;
        const request = { app: this.#client.app, cookieName, cookieAttributes, requestId: newRequestId(), ...credential };
        const { headers } = await this.#client.destroy(request);
        this.#headers = headers;
      }
      this.#entries = new Entries();
      this.#entries.load(new Map());
      this.#otherChanges = {};
      this.#rotateRequested = this.#needsSave = false;
      this.#opened = this.#unconfirmedSave = undefined;
      this.#info = EMPTY_INFO;
      this.#credential = { cookieHeader: '' };
      this.#cookieOutdated = false;
      this.accessed = true;
    });
  }

  /**
   * Saves the changes and returns the headers of the response. It may be called again.
   *
   * It does not send a save again that was refused, unless something was changed since.
   * @returns {Promise<Header[]>}
   */
  finish() {
    return this.#inTurn(async () => {
      for (let save = this.#nextSave(); save !== undefined; save = this.#nextSave()) {
        try {
          await this.#addToken(save);
          if (save.cookieHeader) save.requestAge = now() - this.#receiveTime;
          await this.#applySave(await this.#client.save(save));
        } catch (error) {
          if (error instanceof SessionRefused) this.#takeBack();
          if (!(error instanceof SessionUnavailable)) this.#unconfirmedSave = undefined;
          throw error;
        }
      }
      return this.headers();
    });
  }

  /** Watches the session for as long as a websocket or a stream of events is open. It is no use of the session, and sees
   * nothing that is not saved yet. */
  async watch() {
    await this.settle();
    const { cookieName } = this.#requestInfo;
    return SessionWatch.begin(this.#client, { app: this.#client.app, cookieName, ...this.#credential });
  }

  /**
   * The headers of a response to which nothing has to be saved.
   * @returns {Header[]}
   */
  headers() {
    if (this.#headers !== undefined) return this.#headers;
    if (this.#opened !== undefined) return this.accessed ? this.#opened.readHeaders : this.#opened.untouchedHeaders;
    return this.accessed ? VARY_HEADERS : [];
  }

  /** Whether the headers are those of a save or of the session's end. */
  get hasAnswered() {
    return this.#headers !== undefined;
  }

  /** Makes the next save even if nothing has changed. */
  saveInAnyCase() {
    if (this.#writeError === undefined) this.#needsSave = true;
  }

  /** Whether the next save removes all that the session had, by `clear` or for another user. */
  get beginsAnew() {
    this.#findOtherUser();
    return this.#entries.isCleared || this.#entries.areOthers;
  }

  /** What the service knows of the session, unless the next save removes it. */
  get #kept() {
    return this.beginsAnew ? undefined : this.#info;
  }

  /** Whether the session has ended, or had no content to store. */
  get isEnded() {
    return this.#info === EMPTY_INFO;
  }

  /** Waits for the calls under way. */
  settle() {
    return this.#inTurn(async () => {});
  }

  /** Whether a call of the session has no answer yet. */
  get isBusy() {
    return this.#calls > 0;
  }

  /** Whether a save would send something. Changes of a session that cannot be written do not count. */
  hasUnsavedChanges() {
    return this.#unconfirmedSave !== undefined || this.hasNewChanges;
  }

  /** Whether there are changes that no save has sent yet. */
  get hasNewChanges() {
    return this.#writeError === undefined && (this.#needsSave || this.#entries.hasChanges());
  }

  // Private.

  /** @template Result @param {() => Promise<Result>} call @returns {Promise<Result>} */
  #inTurn(call) {
    const run = async () => {
      try {
        return await call();
      } catch (error) {
        if (error instanceof SessionUnavailable) this.unavailable = error;
        throw error;
      } finally {
        this.#calls -= 1;
      }
    };
    const result = this.#calls === 0 ? run() : this.#lastCall.then(run, run);
    this.#calls += 1;
    this.#lastCall = result;
    return result;
  }

  /** @param {any} opened */
  #applyOpen(opened) {
    const { session } = opened;
    this.#opened = opened;
    this.#info = session;
    this.#infoTime = now();
    this.unavailable = undefined;
    this.#requestInfo.onOpen?.(session.entries.keys());
    if (session.nullSession !== undefined) {
      const { reason, message } = session.nullSession;
      // What was written before is still sent: the service refuses it, or it is a login, which ends both sessions.
      if (!this.hasUnsavedChanges()) this.#writeError = new SessionRefused(message, 'FAILED_PRECONDITION', reason);
    } else if (session.token !== '') {
      this.#credential = { token: session.token };
      this.#cookieOutdated = opened.cookieOutdated;
    }
    if (!this.#entries.isComplete) this.#entries.load(session.entries);
    // The login of another user, without a look at the session before it.
    const unconfirmed = this.#unconfirmedSave?.changes;
    if (unconfirmed !== undefined && isOther(session.subject, subjectAfter(unconfirmed, this.#client.knownPolicy?.subjectKey))) {
      this.#entries.keepOnly(unconfirmed.set);
    }
    this.#mayBecomeOthers = true;
  }

  /** Returns the save to send next. Undefined: there is nothing to save.
   *
   * A save whose result is unknown is repeated with the same request_id, so that it is applied only once. */
  #nextSave() {
    if (this.#unconfirmedSave === undefined) {
      this.#unconfirmedSave = this.#buildSave();
      this.#unconfirmedEntries = this.#entries;
    }
    return this.#unconfirmedSave;
  }

  #buildSave() {
    if (!this.hasUnsavedChanges()) return undefined;
    this.#findOtherUser();
    const entryChanges = this.#entries.changes();
    const changes = { ...entryChanges, ...this.#otherChanges };
    const rotate = this.#rotateRequested;
    if (this.#refusedSave !== undefined && isDeepStrictEqual(this.#refusedSave, { changes, rotate })) return undefined;
    const { cookieName, cookieAttributes, context, keepEmpty } = this.#requestInfo;
    const request = {
      app: this.#client.app,
      changes,
      accessed: true,
      requestId: newRequestId(),
      rotate,
      keepEmpty,
      cookieName,
      cookieAttributes,
      context: context?.(),
      cookieOutdated: this.#cookieOutdated,
      ...this.#credential,
    };
    this.#entries.markSaved(entryChanges);
    this.#otherChanges = {};
    this.#rotateRequested = this.#needsSave = false;
    return request;
  }

  /** Makes the changes of the refused save changes of the next one, unless the session was cleared or read anew since. */
  #takeBack() {
    const { changes, rotate } = /** @type {Record<string, any>} */ (this.#unconfirmedSave);
    this.#refusedSave = { changes, rotate };
    // The service has answered.
    this.unavailable = undefined;
    if (this.#unconfirmedEntries !== this.#entries) return;
    const { clear, unset, set, increment, ...otherChanges } = changes;
    this.#entries.takeBack({ clear, unset, set, increment });
    this.#otherChanges = { ...otherChanges, ...this.#otherChanges };
    this.#rotateRequested ||= rotate;
    this.#needsSave = true;
    this.#mayBecomeOthers = true;
  }

  /**
   * Opens the session of a save by the Cookie header if the save is a login. Repeated by the header, each save could begin
   * another session, which would be in the user's list and count for the limit of their number. By a token, all are one.
   * @param {Record<string, any>} save
   */
  async #addToken(save) {
    if (save.token !== undefined || !await this.#isLogin(save)) return;
    const { app, cookieHeader, cookieName, cookieAttributes, context } = save;
    const { session, cookieOutdated } = await this.#client.open({ app, cookieHeader, cookieName, cookieAttributes, context });
    // A null session has none. The service refuses the save then, unless it ends the sessions of two cookies.
    if (session.token !== '') Object.assign(save, { token: session.token, cookieHeader: undefined, cookieOutdated });
  }

  /** @param {any} saved */
  async #applySave(saved) {
    const request = /** @type {Record<string, any>} */ (this.#unconfirmedSave);
    this.unavailable = undefined;
    if (saved.outcome === 'GONE') {
      if (await this.#replacesSession(request)) {
        this.#unconfirmedSave = forNewSession(request);
        this.#entries.keepOnly(request.changes.set);
        this.#credential = { cookieHeader: '' };
        this.#info = EMPTY_INFO;
        return;
      }
      this.gone = saved.endReason;
    }
    this.#unconfirmedSave = undefined;
    this.#mergeHeaders(saved);
    if (isOther(this.#info?.subject, saved.session?.subject)) this.#entries.keepOnly(request.changes.set);
    this.#entries.updateCounters(saved.counters);
    if (saved.outcome === 'DELETED') {
      // If the cookie stays, it leads to another session from now on.
      const cookieHeader = setsCookie(saved.headers) ? '' : this.#requestInfo.cookieHeader ?? '';
      this.#credential = { cookieHeader };
      // This request itself has ended the session, which does not hinder its next save.
      this.#receiveTime = now();
      this.#cookieOutdated = false;
      this.#info = EMPTY_INFO;
    } else if (saved.session !== undefined) {
      this.#info = saved.session;
      this.#infoTime = now();
      if (saved.session.token !== '') {
        this.#credential = { token: saved.session.token };
        this.#cookieOutdated = false;
      }
    }
  }

  /** After several saves, the headers are those of the last one with a Set-Cookie, or else of the last one.
   * @param {any} saved */
  #mergeHeaders({ outcome, headers }) {
    const keepsEarlier = outcome !== 'GONE' && this.#headers !== undefined && setsCookie(this.#headers);
    if (!keepsEarlier || setsCookie(headers)) this.#headers = headers;
  }

  /** Whether this save may start a new session after the old one has ended, as a login does.
   * @param {Record<string, any>} request */
  async #replacesSession(request) {
    const { changes, rotate } = request;
    if (changes.set.size > 0 && (rotate || changes.clear)) return true;
    return this.#isLogin(request);
  }

  /** @param {Record<string, any>} request */
  async #isLogin({ changes }) {
    if (changes.subject) return true;
    return changes.set.size > 0 && Boolean(subjectAfter(changes, (await this.#client.policy()).subjectKey));
  }

  /** The subject that the next save gives: '' if it removes it, undefined if it leaves it as it is.
   * @returns {string | undefined} */
  get #nextSubject() {
    const subjectKey = this.#client.knownPolicy?.subjectKey ?? '';
    return this.#otherChanges.subject ?? subjectChange((name) => this.#entries.changedText(name), subjectKey);
  }

  /** Whether the next save leaves the session to its user. */
  get #isOfSameUser() {
    const subject = this.#nextSubject;
    return !this.#entries.isCleared && (subject === undefined || subject === (this.#info?.subject ?? ''));
  }

  /** Finds out whether the next save passes the session to another user. Then its entries are not seen any more. */
  #findOtherUser() {
    if (!this.#mayBecomeOthers) return;
    const before = this.#info?.subject;
    const names = before ? entriesOf(this.#client.knownPolicy?.subjectKey ?? '') : [];
    // A part of an entry may change in place.
    this.#mayBecomeOthers = names.length > 1;
    const becomesOthers = Boolean(before) && isOther(before, this.#nextSubject);
    if (becomesOthers && !this.#entries.areOthers) for (const name of names) this.#entries.assignChanged(name);
    this.#entries.areOthers = becomesOthers;
  }

  #markModified() {
    this.#checkWritable();
    this.accessed = this.#needsSave = this.#mayBecomeOthers = true;
    this.#refusedSave = undefined;
  }

  /** Allows writes again if the cookies name two live sessions: what follows leaves nothing of either. */
  #beginAnew() {
    if (this.#writeError?.reason === 'COOKIES_AMBIGUOUS') this.#writeError = undefined;
  }

  #checkWritable() {
    if (this.#writeError !== undefined) throw this.#writeError;
  }
}

/** The subject that a save gives: '' if it removes it, undefined if it leaves it as it is.
 * @param {Record<string, any>} changes @param {string} [subjectKey] @returns {string | undefined} */
function subjectAfter({ subject, set, unset }, subjectKey = '') {
  const textOf = (/** @type {string} */ name) => (set.has(name) ? set.get(name).json ?? '' : unset.includes(name) ? '' : undefined);
  return subject ?? subjectChange(textOf, subjectKey);
}

/** Returns the same save for a session that does not exist yet. @param {Record<string, any>} request */
function forNewSession(request) {
  const changes = { ...request.changes, clear: false, unset: [] };
  return { ...request, changes, token: undefined, cookieHeader: '', requestId: newRequestId(), rotate: false };
}

/** @param {Header[]} headers */
const setsCookie = (headers) => headers.some(({ name }) => name === 'Set-Cookie');

/** Whether a session passes from one user to another: then the service removes what the first one left.
 * @param {string | null} [before] @param {string | null} [after] */
const isOther = (before, after) => Boolean(before) && Boolean(after) && before !== after;

/** Whether a request has neither a cookie nor a session yet. @param {{ token?: string, cookieHeader?: string }} credential */
const isEmpty = ({ cookieHeader }) => cookieHeader === '';

/** Node draws the random bytes of many UUIDs at once, so one costs little. */
const newRequestId = () => randomUUID();

/** Of a session that does not exist. */
const EMPTY_INFO = Object.freeze({ id: '', new: true });
/** Of a request without a cookie that looked at its session. */
const VARY_HEADERS = [{ name: 'Vary', value: 'Cookie' }];

module.exports = { Session };
