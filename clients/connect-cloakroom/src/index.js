// A store for express-session: sessions in an app of kind `external`.
//
// express-session makes the session id and the cookie. The id is the key of the session in Cloakroom. A save sends only
// the entries that differ from what the same request has loaded, so that requests at the same time keep each other's.
'use strict';

const { randomBytes } = require('node:crypto');
const { callbackify } = require('node:util');
const { Client } = require('cloakroom-sessions');
const { Store } = require('express-session');
const { changesOf, decode, hasEndedEarly, isOver, isShort, lifetime, membersOf, textsOf } = require('./changes.js');
const { Listing } = require('./listing.js');

class CloakroomStore extends Store {
  /** What each session object has in the service. Of an object that is not in here, that is not known.
   * @type {WeakMap<object, Map<string, string>>} */
  #stored = new WeakMap();
  /** The last save of each session object. @type {WeakMap<object, Promise<void>>} */
  #saves = new WeakMap();
  /** Its calls are not in the public types. @type {any} */
  #client;
  #listing;
  #onGone;
  #sendContext;

  /** @param {import('../types/index').Options} [options] */
  constructor({ client, admin, onGone = warn, sendContext = true, ...options } = {}) {
    super();
    this.#client = client ?? new Client(options);
    this.#listing = new Listing(admin, this.#client.app);
    this.#onGone = onGone;
    this.#sendContext = sendContext;
  }

  /** Loads a session. One that is unknown or has ended, or whose id cannot be a key, is null, and express-session makes another id.
   * @param {string} sid @param {Callback} callback */
  get(sid, callback) {
    callbackify(() => this.#load(sid))(callback);
  }

  /** Saves what differs from what was loaded. Of an object that was not loaded, all of it replaces the session.
   * @param {string} sid @param {any} session @param {Callback} [callback] */
  set(sid, session, callback = ignore) {
    callbackify(() => this.#inTurn(session, () => this.#save(sid, session)))(callback);
  }

  /** Ends a session. Nothing revives it.
   * @param {string} sid @param {Callback} [callback] */
  destroy(sid, callback = ignore) {
    callbackify(async () => void await this.#client.destroy({ ...this.#named(sid), requestId: requestId() }))(callback);
  }

  /** Prolongs a session. If it was loaded, this makes no call: the service counts a load as a use. The lifetime of another
   * object's cookie is saved, and nothing else of it.
   * @param {string} sid @param {any} session @param {Callback} [callback] */
  touch(sid, session, callback = ignore) {
    callbackify(() => this.#inTurn(session, () => this.#touch(sid, session)))(callback);
  }

  /** Returns all sessions, each with its public id as `id`. It makes a call for every 1000 of them.
   * @param {Callback} callback */
  all(callback) {
    callbackify(() => this.#listing.all())(callback);
  }

  /** Returns the public ids of all sessions. They open nothing: the service does not know the session ids.
   * @param {Callback} callback */
  ids(callback) {
    callbackify(() => this.#listing.ids())(callback);
  }

  /** Returns the exact number of sessions, at the cost of `ids`.
   * @param {Callback} callback */
  length(callback) {
    callbackify(() => this.#listing.length())(callback);
  }

  /** Ends all sessions of the app, in one call. Nothing revives them.
   * @param {Callback} [callback] */
  clear(callback = ignore) {
    callbackify(() => this.#listing.clear())(callback);
  }

  /** Makes the session of a request from what `get` has returned. express-session calls it.
   * @param {any} request @param {any} loaded */
  createSession(request, loaded) {
    const session = super.createSession(request, loaded);
    const stored = this.#stored.get(loaded);
    if (stored !== undefined) this.#stored.set(session, membersOf(stored, session));
    return session;
  }

  /** @param {string} sid */
  #named(sid) {
    return { app: this.#client.app, key: Buffer.from(sid) };
  }

  /** @param {string} sid */
  async #load(sid) {
    // A cookie of before the move may have a shorter id, with a signature that is still right.
    if (!isKey(sid)) return null;
    const { session } = await this.#client.open(this.#named(sid));
    if (session.new || session.nullSession) return null;
    const loaded = decode(session);
    if (hasEndedEarly(loaded.cookie)) return null;
    this.#stored.set(loaded, textsOf(session.entries));
    return loaded;
  }

  /** Saves of one object take turns: each sends what the service does not have, which the answers before it say.
   * @param {object} session @param {() => Promise<void>} save */
  #inTurn(session, save) {
    const before = this.#saves.get(session);
    const saved = before === undefined ? save() : before.then(save, save);
    this.#saves.set(session, saved);
    // The next one need not wait for it then.
    const forget = () => { if (this.#saves.get(session) === saved) this.#saves.delete(session); };
    saved.then(forget, forget);
    return saved;
  }

  /** @param {string} sid @param {any} session */
  async #save(sid, session) {
    // The application has set an expiry in the past.
    if (isOver(session.cookie)) return void await this.#client.destroy({ ...this.#named(sid), requestId: requestId() });
    // A session that express-session has just made has nothing in the service. Of another object nothing is known.
    const stored = this.#stored.get(session) ?? (session.req ? new Map() : undefined);
    const { changes, texts } = changesOf(session, stored);
    const { outcome, endReason } = await this.#client.save({
      ...this.#named(sid), changes, keepEmpty: true, requestId: requestId(), context: this.#context(session.req),
    });
    if (outcome === 'GONE') return void this.#onGone(endReason, session);
    this.#stored.set(session, texts);
  }

  /** @param {string} sid @param {any} session */
  async #touch(sid, session) {
    const stored = this.#stored.get(session);
    if (stored === undefined) {
      const changes = lifetime(session.cookie);
      return void await this.#client.save({ ...this.#named(sid), changes, requestId: requestId() });
    }
    const before = JSON.parse(stored.get('cookie') ?? '{}')?.originalMaxAge ?? null;
    // express-session does not count a change of the cookie as a change of the session.
    const isChanged = before !== (session.cookie?.originalMaxAge ?? null);
    if (isChanged || isShort(session.cookie)) await this.#save(sid, session);
  }

  /** @param {any} request */
  #context(request) {
    if (!this.#sendContext || !request?.socket) return undefined;
    const remoteAddress = request.ip ?? request.socket.remoteAddress ?? '';
    return { userAgent: request.headers?.['user-agent'] ?? '', remoteAddress };
  }
}

/** @typedef {(error?: any, result?: any) => void} Callback */

/** @param {string} sid */
const isKey = (sid) => Buffer.byteLength(sid) >= SHORTEST_KEY && Buffer.byteLength(sid) <= LONGEST_KEY;

/** Bytes. */
const SHORTEST_KEY = 16;
const LONGEST_KEY = 256;

const requestId = () => randomBytes(16).toString('base64url');

const ignore = () => {};

/** @param {string} reason */
function warn(reason) {
  process.emitWarning(`a session had ended (${reason}) before it was saved; nothing was written`, 'CloakroomWarning');
}

module.exports = { CloakroomStore };
