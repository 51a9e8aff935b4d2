// Sessions for servers with the Web's `Request` and `Response`, such as Next.js, Hono, Deno and Bun.
'use strict';

const errors = require('./errors.js');
const { checkOptions } = require('./options.js');
const { RequestSession } = require('./request_session.js');
const { RequestState } = require('./request_state.js');
const { variesBy } = require('./response_hold.js');

const { CallFailed, CloakroomError, RETRY_AFTER, SessionNotOpened, SessionRefused, SessionUnavailable } = errors;

/** @typedef {import('../types/web').RequestLike} RequestLike */

/**
 * Returns what opens the sessions of requests.
 * @param {import('../types/web').Options} [options]
 */
function sessions(options = {}) {
  return new Sessions(options);
}

class Sessions {
  #client;
  #settings;

  /** @param {import('../types/web').Options} options */
  constructor(options) {
    const { settings, client } = checkOptions(options, { unset: 'call destroy()' });
    this.#settings = settings;
    this.#client = client;
  }

  /**
   * Opens the session of a request. With the option `lazy`, that is left to `session.open()`.
   * @param {RequestLike} request A request, its headers, or its Cookie header.
   * @param {{ remoteAddress?: string }} [info]
   * @returns {Promise<any>}
   */
  async open(request, info = {}) {
    const state = new WebState(this.#client, this.#settings, request, info);
    const session = state.get();
    // Nobody has used it yet.
    state.session.accessed = false;
    if (!this.#settings.lazy && state.cookieHeader) await state.session.openUpFront();
    return session;
  }

  /**
   * Opens the session, calls the handler, saves, and answers 503 in an outage.
   * @param {RequestLike} request @param {(session: any) => Response | Promise<Response>} handler
   * @param {{ remoteAddress?: string }} [info]
   * @returns {Promise<Response>}
   */
  async handle(request, handler, info) {
    let session;
    /** @type {Response | undefined} */
    let unsent;
    try {
      session = await this.open(request, info);
      unsent = await handler(session);
      return await session.respond(unsent);
    } catch (error) {
      // Whatever its body reads from would stay open. What is locked cannot be cancelled here.
      unsent?.body?.cancel?.().catch(() => {});
      if (!(error instanceof SessionUnavailable)) throw error;
      const response = await this.#answer(error, request);
      // The cookie that an earlier save has set: the browser's is worth nothing any more.
      const state = session && stateOf(session);
      return state?.session.hasAnswered ? withHeaders(response, state.headers()) : response;
    }
  }

  /** @param {any} error @param {RequestLike} request @returns {Response | Promise<Response>} */
  #answer(error, request) {
    const { onUnavailable } = this.#settings;
    if (onUnavailable) return onUnavailable(error, request);
    console.warn('the session service does not answer: %s', error.message);
    return new Response('Service Unavailable\n', { status: 503, headers: { 'Retry-After': String(RETRY_AFTER) } });
  }
}

/** What `open` returns. It stays the same object until the request ends. */
class WebSession extends RequestSession {
  /**
   * Saves the changes and returns the response with the headers of the session. Later changes are lost.
   * @param {Response} response
   */
  async respond(response) {
    return withHeaders(response, await this.finish());
  }

  /** Saves the changes and returns the headers of the session, to be appended to a response. */
  async finish() {
    const state = stateOf(this);
    await state.finish();
    return state.headers();
  }

  /**
   * Saves the changes and sets the cookie where a framework has an object for that, as `cookies()` of Next.js.
   *
   * If the save fails, it sets the cookie that an earlier one has given: the browser's is worth nothing any more.
   * @param {import('../types/web').CookieStore} cookies
   */
  async applyTo(cookies) {
    const state = stateOf(this);
    try {
      await state.finish();
    } catch (error) {
      if (state.session.hasAnswered) applyAll(cookies, state.headers());
      throw error;
    }
    applyAll(cookies, state.headers());
  }
}

/** @type {WeakMap<object, WebState>} By what an application sees. */
const states = new WeakMap();

/** @param {any} session @returns {WebState} */
const stateOf = (session) => /** @type {WebState} */ (states.get(session));

class WebState extends RequestState {
  /**
   * @param {import('./client.js').Client} client @param {import('../types/web').Options} settings
   * @param {RequestLike} request @param {{ remoteAddress?: string }} info
   */
  constructor(client, settings, request, info) {
    super(client, settings, request);
    this.info = info;
    /** @type {(name: string) => string | undefined} */
    this.header = headerReader(request);
  }

  get cookieHeader() {
    return this.header('cookie');
  }

  get isSecure() {
    return this.request?.url?.startsWith('https:') ?? false;
  }

  get context() {
    return { userAgent: this.header('user-agent'), remoteAddress: this.info.remoteAddress };
  }

  get sessionClass() {
    return WebSession;
  }

  get() {
    const session = super.get();
    states.set(session, this);
    return session;
  }

  // The application has the object in a variable of its own, so these leave it as it is.

  regenerate() {
    this.session.clear();
  }

  async destroy() {
    await this.session.destroy();
  }

  async reload() {
    if (!await this.session.reload()) throw new CloakroomError('failed to load session', 'NOT_FOUND', '');
  }
}

/** @param {any} request @returns {(name: string) => string | undefined} */
function headerReader(request) {
  if (typeof request === 'string') return (name) => (name === 'cookie' ? request : undefined);
  const headers = typeof request?.headers?.get === 'function' ? request.headers : request;
  if (typeof headers?.get !== 'function') throw new TypeError('open() takes a Request, its headers, or its Cookie header');
  return (name) => headers.get(name) ?? undefined;
}

/** @param {Response} response @param {{ name: string, value: string }[]} headers */
function withHeaders(response, headers) {
  if (headers.length === 0) return response;
  const copy = copyOf(response);
  appendAll(copy.headers, headers);
  return copy;
}

/** A handler may return one and the same response to several users, so its own headers stay as they are.
 * @param {Response} response */
function copyOf(response) {
  // The answer to an upgrade of the connection cannot be copied, and is made for one request.
  return response.status === 101 ? response : new Response(response.body, response);
}

/** @param {Headers} target @param {{ name: string, value: string }[]} headers */
function appendAll(target, headers) {
  for (const { name, value } of headers) {
    if (name !== 'Vary' || !variesBy(target.get('Vary') ?? undefined, value)) target.append(name, value);
  }
}

/** @param {import('../types/web').CookieStore} cookies @param {{ name: string, value: string }[]} headers */
function applyAll(cookies, headers) {
  for (const { name, value } of headers) {
    if (name === 'Set-Cookie') cookies.set(.../** @type {[string, string, any]} */ (parseSetCookie(value)));
  }
}

/** @param {string} header */
function parseSetCookie(header) {
  const [pair, ...attributes] = header.split('; ');
  const at = pair.indexOf('=');
  /** @type {Record<string, any>} */
  const options = {};
  for (const attribute of attributes) {
    const [, name, value] = /** @type {RegExpMatchArray} */ (attribute.match(/^([^=]*)=?(.*)$/));
    const read = ATTRIBUTES[name];
    if (read) options[read.name] = read.value(value);
  }
  return [pair.slice(0, at), pair.slice(at + 1), options];
}

/** @type {Record<string, { name: string, value: (text: string) => any }>} */
const ATTRIBUTES = {
  Domain: { name: 'domain', value: String },
  Expires: { name: 'expires', value: (text) => new Date(text) },
  HttpOnly: { name: 'httpOnly', value: () => true },
  'Max-Age': { name: 'maxAge', value: Number },
  Partitioned: { name: 'partitioned', value: () => true },
  Path: { name: 'path', value: String },
  SameSite: { name: 'sameSite', value: (text) => text.toLowerCase() },
  Secure: { name: 'secure', value: () => true },
};

module.exports = { CallFailed, CloakroomError, SessionNotOpened, SessionRefused, SessionUnavailable, sessions };
