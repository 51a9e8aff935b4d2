// Express' and Connect's `req.session`, as applications know it from express-session.
'use strict';

const { Client } = require('./client.js');
const errors = require('./errors.js');
const { ResponseHold } = require('./response_hold.js');
const { Session } = require('./session.js');
const { keepEntries, makeRequestSession } = require('./request_session.js');

const { CallFailed, CloakroomError, RETRY_AFTER, SessionNotOpened, SessionRefused, SessionUnavailable } = errors;

/**
 * @typedef {import('node:http').IncomingMessage & { session?: any, ip?: string }} Request
 * @typedef {import('node:http').ServerResponse} Response
 * @typedef {(error?: any) => void} Next
 */

/**
 * Returns the middleware that gives each request its `req.session`.
 * @param {import('../types/express').Options} [options]
 */
function sessions(options = {}) {
  const settings = check(options);
  const client = /** @type {Client} */ (settings.client ?? new Client(settings));

  /** @param {Request} request @param {Response} response @param {Next} next */
  return function session(request, response, next) {
    // As in express-session, another middleware may have made it.
    if (request.session) {
      next();
      return;
    }
    const state = new RequestState(client, settings, request, response, next);
    // An option that stores every session has to see the end of every response.
    if (settings.saveUninitialized) state.watchResponse();
    // Without a cookie there is nothing to open.
    if (settings.lazy || !request.headers.cookie) {
      next();
      return;
    }
    state.session.openUpFront().then(() => next(), (error) => state.fail(error));
  };
}

/**
 * A middleware for routes of `sessions({ lazy: true })`: opens the session before the next handler.
 * @param {Request} request @param {Response} response @param {Next} next
 */
function openSession(request, response, next) {
  if (!request.session) next(new TypeError('openSession comes behind sessions()'));
  else request.session.open().then(() => next(), next);
}

/** What a request and its response need to know of the session. */
class RequestState {
  /** What `req.session` is. Undefined: not asked for yet. Null: the application has removed it. @type {any} */
  #requestSession;
  /** @type {Session | undefined} */
  #session;
  /** @type {ResponseHold | undefined} */
  #hold;

  /**
   * @param {Client} client @param {import('../types/express').Options} settings
   * @param {Request} request @param {Response} response @param {Next} next
   */
  constructor(client, settings, request, response, next) {
    this.client = client;
    this.settings = settings;
    this.request = request;
    this.response = response;
    this.next = next;
    /** @type {any} */ (request)[STATE] = this;
    Object.defineProperties(request, REQUEST_PROPERTIES);
  }

  /** Made at its first use: a request that does not touch its session pays for nothing. */
  get session() {
    if (this.#session !== undefined) return this.#session;
    const { client, settings, request, response } = this;
    this.#session = new Session(client, {
      // Node reads it as Latin-1 and joins several lines by "; ".
      cookieHeader: request.headers.cookie,
      cookieName: settings.name,
      context: settings.sendContext === false ? undefined : () => contextOf(request),
      maxAuthenticateAge: settings.maxAuthenticateAge,
      keepEmpty: settings.saveUninitialized,
    });
    this.#hold = new ResponseHold(response, this);
    return this.#session;
  }

  /** Has the end of the response seen, whether the request uses its session or not. */
  watchResponse() {
    void this.session;
  }

  get() {
    if (this.#requestSession !== undefined) return this.#requestSession ?? undefined;
    this.session.accessed = true;
    this.#requestSession = makeRequestSession(this);
    return this.#requestSession;
  }

  /** @param {any} value */
  set(value) {
    if (value !== undefined && value !== null) {
      throw new TypeError('req.session can only be set to null or undefined: set its properties instead');
    }
    this.#requestSession = null;
  }

  /** Removes all entries, and gives the request a new `req.session`. The one before keeps what it has, to be read. */
  regenerate() {
    keepEntries(this.#requestSession);
    this.session.clear();
    this.#requestSession = makeRequestSession(this);
  }

  async destroy() {
    await this.session.destroy();
    this.#requestSession = null;
  }

  async reload() {
    keepEntries(this.#requestSession);
    const isThere = await this.session.reload();
    if (!isThere) throw new CloakroomError('failed to load session: it has ended', 'NOT_FOUND', '');
    this.#requestSession = makeRequestSession(this);
  }

  /** Saves the changes, with what the options add to them. */
  async save() {
    if (this.#requestSession !== null) this.#addByOptions();
    await this.session.save();
  }

  #addByOptions() {
    const { session, settings } = this;
    if (!session.hasUnsavedChanges()) return;
    if (settings.maxAge !== undefined && this.#isNew() && !session.permanent) {
      session.permanent = true;
      session.idleTimeout ??= settings.maxAge;
    }
    if (settings.subject !== undefined && session.isOpen) {
      const subject = settings.subject(this.get()) ?? undefined;
      if (subject !== session.subject) session.subject = subject;
    }
  }

  #isNew() {
    return !this.session.isOpen || this.session.isCleared || this.session.isNew;
  }

  // For ResponseHold.

  /** Whether the head of the response has to wait. */
  mustWait() {
    const { session, settings } = this;
    if (this.#requestSession === null && settings.unset !== 'destroy') return session.isBusy;
    return session.isBusy || session.hasUnsavedChanges() || this.#mustStoreEmpty() || this.#mustEnd();
  }

  /** Whether a new session is stored although nothing has changed. */
  #mustStoreEmpty() {
    const { session, settings } = this;
    return settings.saveUninitialized === true && this.#requestSession !== null && session.isOpen && !session.isNull &&
      session.isNew && !this.response.headersSent;
  }

  #mustEnd() {
    return this.#requestSession === null && this.settings.unset === 'destroy' && !this.session.isEnded;
  }

  /** Makes the calls at the end of the request. */
  async finish() {
    const { session } = this;
    // The request has waited for the service already.
    if (session.unavailable !== undefined && session.hasUnsavedChanges()) throw session.unavailable;
    if (this.#mustEnd()) await session.destroy();
    else if (this.#requestSession !== null) {
      if (this.#mustStoreEmpty()) session.saveInAnyCase();
      const wasGone = session.gone;
      this.#addByOptions();
      await session.finish();
      if (session.gone !== undefined && wasGone === undefined) this.#tellGone(session.gone);
    } else {
      // What was saved before stays saved, and nothing more is.
      await session.settle();
    }
  }

  /** @param {string} reason */
  #tellGone(reason) {
    const { settings, request, response } = this;
    if (settings.onGone) settings.onGone(reason, request, response);
    else console.warn("a request's changes were not saved, for its session has ended: %s", reason);
  }

  /** The headers for the response, which are all of the service's. */
  headers() {
    return this.session.headers();
  }

  /** Answers a request whose session could not be opened or saved. @param {any} error */
  fail(error) {
    const { settings, request, response, next } = this;
    // An error handler can read what is known.
    if (!this.session.isOpen) this.#requestSession = null;
    this.#hold?.release();
    removeEntityHeaders(response);
    if (!(error instanceof SessionUnavailable)) {
      next(error);
      return;
    }
    if (settings.onUnavailable) {
      settings.onUnavailable(error, request, response, next);
      return;
    }
    console.warn('the session service does not answer: %s', error.message);
    response.statusCode = 503;
    response.statusMessage = '';
    response.setHeader('Retry-After', String(RETRY_AFTER));
    response.setHeader('Content-Type', 'text/plain; charset=utf-8');
    response.end('Service Unavailable\n');
  }
}

const STATE = Symbol('session state');
// The same functions for all requests, so that all have the same shape.
/** @type {PropertyDescriptorMap & ThisType<any>} */
const REQUEST_PROPERTIES = {
  session: {
    configurable: true,
    enumerable: true,
    get() { return this[STATE].get(); },
    set(value) { this[STATE].set(value); },
  },
  sessionID: { configurable: true, enumerable: true, get() { return this[STATE].session.id; } },
};

/** Removes what was said about a body that is not sent. Others stay, such as those for CORS. @param {Response} response */
function removeEntityHeaders(response) {
  if (response.headersSent) return;
  for (const name of response.getHeaderNames()) {
    if (name.startsWith('content-') && name !== 'content-security-policy') response.removeHeader(name);
  }
  for (const name of ['Accept-Ranges', 'Cache-Control', 'ETag', 'Last-Modified', 'Location', 'Transfer-Encoding']) {
    response.removeHeader(name);
  }
}

/** @param {Request} request */
const contextOf = (request) =>
  ({ userAgent: request.headers['user-agent'], remoteAddress: request.ip ?? request.socket.remoteAddress });

/** @param {Record<string, any>} options @returns {import('../types/express').Options} */
function check(options) {
  for (const name of Object.keys(options)) {
    if (ADVICE[name] !== undefined) throw new TypeError(`sessions() has no option ${name}: ${ADVICE[name]}`);
    if (!OPTIONS.includes(name)) throw new TypeError(`sessions() has no option ${name}`);
  }
  if (options.resave) throw new TypeError('resave has no meaning: a read session counts as used, and changes alone are saved');
  if (options.unset !== undefined && !['keep', 'destroy'].includes(options.unset)) {
    throw new TypeError('unset is "keep" or "destroy"');
  }
  if (options.maxAge !== undefined && !(options.maxAge >= 1000)) throw new TypeError('maxAge is at least 1000 milliseconds');
  return options;
}

const OPTIONS = [
  'app', 'client', 'credentials', 'deadline', 'lazy', 'maxAge', 'maxAuthenticateAge', 'name', 'onGone', 'onUnavailable',
  'resave', 'saveUninitialized', 'sendContext', 'service', 'subject', 'unset',
];
/** @type {Record<string, string>} */
const ADVICE = {
  cookie: 'the attributes of the cookie are settings of the service, [apps.<name>.cookie]; maxAge is an option by itself',
  genid: 'the service makes the ids',
  key: 'the name of the cookie is the option name, or a setting of the service',
  proxy: 'whether the cookie is Secure is a setting of the service, [apps.<name>.cookie] secure',
  rolling: 'it is a setting of the service, [apps.<name>] refresh_each_request',
  secret: 'the keys are settings of the service, [apps.<name>] keys',
  store: 'the service has the store',
};

module.exports = { CallFailed, CloakroomError, SessionNotOpened, SessionRefused, SessionUnavailable, openSession, sessions };
