// What `req.session` is: its properties are the entries of the session, and it has the members of express-session.
'use strict';

const { inspect } = require('node:util');
const { SessionNotOpened } = require('./errors.js');

const STATE = Symbol('state');
/** The entries of a session that was regenerated or reloaded meanwhile. Null: they were never known. */
const LEFT = Symbol('left');

/** @typedef {(error?: any) => void} Callback */

/** The members that are no entries. `this` is the proxy that `makeRequestSession` returns. */
class RequestSession {
  /** @type {any} */
  [STATE];
  /** @type {Map<string, unknown> | null | undefined} */
  [LEFT];

  get id() { return session(this).id; }
  get req() { return this[STATE].request; }
  get cookie() { return new Cookie(session(this), this[STATE].settings.maxAge); }
  get isNew() { return session(this).isNew; }
  get isNull() { return session(this).isNull; }
  get isOpen() { return session(this).isOpen; }
  get gone() { return session(this).gone; }
  get expireTime() { return session(this).expireTime; }
  get authenticateTime() { return session(this).authenticateTime; }
  get recentlyAuthenticated() { return session(this).recentlyAuthenticated; }
  get permanent() { return session(this).permanent; }
  set permanent(value) { session(this).permanent = value; }
  get subject() { return session(this).subject; }
  set subject(value) {
    if (this[STATE].settings.subject !== undefined) {
      throw new TypeError('subject is what the option subject returns: set the entries that it reads');
    }
    session(this).subject = value;
  }

  /** @returns {Promise<void>} */
  open() { return session(this).open(); }
  /** @param {string} name @param {number} [by] */
  increment(name, by) { session(this).increment(name, by); return this; }
  rotate() { session(this).rotate(); return this; }
  markAuthenticated() { session(this).markAuthenticated(); return this; }
  watch() { return session(this).watch(); }
  /** The service counts each open as a use. */
  touch() { return this; }
  resetMaxAge() { return this; }
  /** @param {Callback} [callback] */
  save(callback) { return answer(this, this[STATE].save(), callback); }
  /** @param {Callback} [callback] */
  destroy(callback) { return answer(this, this[STATE].destroy(), callback); }
  /** @param {Callback} [callback] */
  reload(callback) { return answer(this, this[STATE].reload(), callback); }
  /** @param {Callback} [callback] */
  regenerate(callback) {
    const done = new Promise((resolve) => { resolve(this[STATE].regenerate()); });
    return answer(this, done, callback);
  }

  [inspect.custom]() {
    const { isOpen } = session(this);
    if (!isOpen && this[LEFT] === undefined) return '[Session not opened]';
    // `this` is the proxy, so its own properties are the entries.
    return { ...this };
  }
}

/**
 * Calls back as express-session does, or returns a promise if there is no callback. A callback that takes an error is told of a
 * failure by it.
 * @param {RequestSession} self @param {Promise<void>} done @param {Callback} [callback]
 */
function answer(self, done, callback) {
  if (callback === undefined) {
    // An application that does not wait for it is told of a failure by nobody, but goes on.
    done.catch(() => {});
    return done;
  }
  // Outside of the promise, so that what a callback throws is no rejection.
  done.then(() => setImmediate(callback), (error) => {
    if (callback.length > 0) self[STATE].toldOf = error;
    setImmediate(callback, error);
  });
  return self;
}

/** The part of express-session's `cookie` that a request can decide. */
class Cookie {
  #session;
  #maxAgeOfNew;

  /** @param {import('./session.js').Session} owner @param {number} [maxAgeOfNew] That of a session that is not stored yet. */
  constructor(owner, maxAgeOfNew) {
    this.#session = owner;
    this.#maxAgeOfNew = owner.isOpen && owner.isNew ? maxAgeOfNew : undefined;
    // Other attributes are settings of the service: setting one here is an error.
    Object.freeze(this);
  }

  /** Milliseconds that the session has left, or null if the cookie ends with the browser. */
  get maxAge() {
    const { expires } = this;
    return expires === null ? null : expires.getTime() - Date.now();
  }

  set maxAge(value) {
    if (value === null || value === undefined) {
      this.#session.permanent = false;
      return;
    }
    if (!(value >= 1000)) throw new TypeError('cookie.maxAge is at least 1000 milliseconds; call destroy() to end a session');
    this.#session.permanent = true;
    this.#session.idleTimeout = value;
  }

  get originalMaxAge() {
    return (this.#session.permanent ? this.#session.idleTimeout : this.#maxAgeOfNew) ?? null;
  }

  /** @returns {Date | null} */
  get expires() {
    const { permanent, expireTime } = this.#session;
    if (permanent && expireTime !== undefined) return expireTime;
    const { originalMaxAge } = this;
    return originalMaxAge === null ? null : new Date(Date.now() + originalMaxAge);
  }

  set expires(value) {
    this.maxAge = value ? new Date(value).getTime() - Date.now() : null;
  }
}

/** @param {RequestSession} self @returns {import('./session.js').Session} */
const session = (self) => self[STATE].session;

/** @param {RequestSession} self @param {string} name @returns {unknown} */
const read = (self, name) => (self[LEFT] === undefined ? session(self).get(name) : left(self).get(name));

/** `await` looks for an entry of this name: a session is no promise, and is not used by that.
 * @param {RequestSession} self */
function readThen(self) {
  const owner = session(self);
  if (!owner.isOpen) return undefined;
  const { accessed } = owner;
  const value = read(self, 'then');
  if (value === undefined) owner.accessed = accessed;
  return value;
}

/** @param {RequestSession} self */
function left(self) {
  if (!self[LEFT]) throw new SessionNotOpened('reading what came before regenerate()');
  return self[LEFT];
}

/** Entries whose names are members can't be reached as properties. @param {RequestSession} self @returns {string[]} */
const namesOf = (self) =>
  (self[LEFT] === undefined ? session(self).names() : [...left(self).keys()]).filter((name) => !isMember(self, name));

/** The object itself has no properties with a name, so all of them are those of its class.
 * @param {RequestSession} self @param {string | symbol} name @returns {name is symbol} */
const isMember = (self, name) => typeof name === 'symbol' || name in self;

/** @type {ProxyHandler<RequestSession>} */
const HANDLER = {
  get(self, name, proxy) {
    if (isMember(self, name)) return Reflect.get(self, name, proxy);
    return name === 'then' ? readThen(self) : read(self, name);
  },
  set(self, name, value) {
    if (isMember(self, name)) {
      // Outside of strict mode, an application would not learn of a `false`.
      if (!isSettable(name)) throw isTaken(name);
      return Reflect.set(self, name, value);
    }
    if (self[LEFT] === undefined) session(self).set(name, value);
    else left(self).set(name, value);
    return true;
  },
  deleteProperty(self, name) {
    if (typeof name === 'symbol') return Reflect.deleteProperty(self, name);
    if (isMember(self, name)) throw isTaken(name);
    if (self[LEFT] === undefined) session(self).delete(name);
    else left(self).delete(name);
    return true;
  },
  has(self, name) {
    return isMember(self, name) || read(self, name) !== undefined;
  },
  ownKeys(self) {
    return namesOf(self);
  },
  getOwnPropertyDescriptor(self, name) {
    const value = isMember(self, name) ? undefined : read(self, name);
    return value === undefined ? undefined : { value, writable: true, enumerable: true, configurable: true };
  },
  defineProperty(self, name, descriptor) {
    if (isMember(self, name)) throw isTaken(name);
    if (!('value' in descriptor)) throw new TypeError(`the entry "${name}" is a value, and has no getter`);
    return HANDLER.set?.(self, name, descriptor.value, self) === true;
  },
};

/** Whether a member may be set: methods may not, and neither may `__proto__`.
 * @param {string | symbol} name */
const isSettable = (name) =>
  typeof name === 'symbol' || Object.getOwnPropertyDescriptor(RequestSession.prototype, name)?.set !== undefined;

/** @param {string | symbol} name */
const isTaken = (name) => new TypeError(`"${String(name)}" is a member of the session, so it cannot be set, and no entry can have this name`);

/**
 * Warns of entries that another client or an earlier library has stored by the name of a member, once for each name. They
 * stay, because they may be of use to that client.
 * @param {typeof RequestSession} sessionClass @param {Iterable<string>} names @param {(text: string) => void} warn
 */
function warnOfHidden({ prototype }, names, warn) {
  for (const name of names) {
    if (!(name in prototype) || warnedOf.has(name)) continue;
    warnedOf.add(name);
    warn(`a session has an entry "${name}", which the application does not see: this is a member of the session, so give the entry another name`);
  }
}

/** @type {Set<string>} */
const warnedOf = new Set();

/** @param {any} state @returns {any} */
function makeRequestSession(state) {
  const target = new state.sessionClass();
  target[STATE] = state;
  return new Proxy(target, HANDLER);
}

/** Lets an earlier `req.session` keep its entries, to be read. It is called before they change.
 * @param {any} requestSession */
function keepEntries(requestSession) {
  if (!requestSession || requestSession[LEFT] !== undefined) return;
  const owner = session(requestSession);
  requestSession[LEFT] = owner.isOpen ? new Map(owner.names().map((name) => [name, owner.get(name)])) : null;
}

module.exports = { RequestSession, answer, keepEntries, makeRequestSession, warnOfHidden };
