// Fastify's `request.session`, by a plugin with hooks of the request.
'use strict';

const errors = require('./errors.js');
const { checkOptions } = require('./options.js');
const { RequestSession, answer } = require('./request_session.js');
const { RequestState } = require('./request_state.js');
const { isOfBody, letGo, variesBy } = require('./response_hold.js');

const { CallFailed, CloakroomError, SessionNotOpened, SessionRefused, SessionUnavailable } = errors;

/**
 * @typedef {import('fastify').FastifyReply} Reply
 * @typedef {(error?: any) => void} Done
 */

/**
 * The plugin. It holds for the instance that registers it, and for the plugins of that.
 * @param {import('fastify').FastifyInstance} fastify
 * @param {import('../types/fastify').Options} options @param {Done} done
 */
function sessions(fastify, options, done) {
  const { settings, client } = checkOptions(options, { onUnavailable: 'answer a SessionUnavailable in setErrorHandler()' });
  fastify.decorateRequest(/** @type {any} */ (STATE), null);
  fastify.decorateRequest('session', /** @type {any} */ (SESSION_PROPERTY));

  fastify.addHook('onRequest', (/** @type {any} */ request, reply, next) => {
    const state = request[STATE] = new FastifyState(client, settings, request, reply);
    // Without a cookie there is nothing to open.
    if (settings.lazy || !request.headers.cookie) next();
    else state.session.openUpFront().then(() => next(), (error) => state.fail(error, next));
  });
  fastify.addHook('onSend', (/** @type {any} */ request, reply, payload, next) => {
    const state = request[STATE];
    // An earlier hook has answered.
    if (state === null) next();
    else state.beforeHead(payload, next);
  });
  fastify.addHook('onResponse', (/** @type {any} */ request, reply, next) => {
    const state = request[STATE];
    if (state?.isUsed && !state.hasFailed && state.mustWait()) state.saveLate().then(next, next);
    else next();
  });
  done();
}

/**
 * A hook for routes with the option `lazy`: opens the session before the handler. Use it as `preHandler`.
 * @param {import('fastify').FastifyRequest} request
 */
async function openSession(request) {
  if (!request.session) throw new TypeError('openSession needs the plugin sessions');
  await request.session.open();
}

/** What request.session is, with the methods that plugins of Fastify use. */
class FastifySession extends RequestSession {
  /** @param {string} name @returns {any} */
  get(name) { return /** @type {any} */ (this)[name]; }

  /** @param {string} name @param {unknown} value */
  set(name, value) { /** @type {any} */ (this)[name] = value; }

  /**
   * Removes all entries but some, and replaces the token with the next save.
   * @param {string[] | Done} [kept] @param {Done} [callback]
   */
  regenerate(kept, callback) {
    if (typeof kept === 'function') return super.regenerate(kept);
    const state = stateOf(this);
    const entries = (kept ?? []).map((name) => [name, state.session.get(name)]);
    const regenerated = /** @type {Promise<void>} */ (super.regenerate()).then(() => {
      for (const [name, value] of entries) if (value !== undefined) state.session.set(name, value);
    });
    return answer(this, regenerated, callback);
  }
}

class FastifyState extends RequestState {
  hasFailed = false;
  /** The headers of the session in the reply. @type {{ name: string, value: string }[]} */
  #sent = [];

  /**
   * @param {import('./client.js').Client} client @param {import('../types/fastify').Options} settings
   * @param {any} request @param {Reply} reply
   */
  constructor(client, settings, request, reply) {
    super(client, settings, request);
    this.reply = reply;
  }

  get isHeadSent() {
    return this.reply.raw.headersSent;
  }

  get sessionClass() {
    return FastifySession;
  }

  /** @param {string} reason */
  onGone(reason) {
    const { settings, request, reply } = this;
    if (settings.onGone) settings.onGone(reason, request, reply);
    else request.log.warn("the request's changes were not saved, for its session has ended: %s", reason);
  }

  /** @param {string} text */
  warn(text) {
    this.request.log.warn(text);
  }

  /** Saves the session and adds its headers to the reply. @param {any} payload What the reply sends. @param {Done} next */
  beforeHead(payload, next) {
    // The cookie that an earlier save has set is on every response: the browser's is worth nothing any more.
    if (this.hasFailed && this.session.hasAnswered) this.#addHeaders(next);
    else if (this.hasFailed || !(this.isUsed || this.settings.saveUninitialized)) next();
    else if (this.mustWait()) this.#saveBefore(payload, next);
    else this.#addHeaders(next);
  }

  /** Fastify listens to a stream only after all hooks. An error that nobody hears until then would end the process.
   * @param {any} payload @param {Done} next */
  #saveBefore(payload, next) {
    /** @type {any} */
    let failure;
    const onError = (/** @type {any} */ error) => { failure = error; };
    payload?.on?.('error', onError);
    const send = () => (failure === undefined ? this.#addHeaders(next) : this.#replace(payload, failure, next));
    this.finish()
      .then(send, (error) => (this.acceptsFailure(error, this.reply.statusCode) ? send() : this.#replace(payload, error, next)))
      .finally(() => payload?.off?.('error', onError));
  }

  /** @param {Done} next */
  #addHeaders(next) {
    const { reply } = this;
    const headers = this.headers();
    // A later hook may have failed, and its error is a second reply. Those that were added to the first one go.
    const earlier = this.#sent.filter(({ name }) => name === 'Set-Cookie').map(({ value }) => value);
    if (earlier.length > 0) {
      const others = [reply.getHeader('Set-Cookie') ?? []].flat().filter((each) => !earlier.includes(String(each)));
      reply.removeHeader('Set-Cookie');
      for (const value of others) reply.header('Set-Cookie', value);
    }
    for (const { name, value } of headers) {
      if (name !== 'Vary') reply.header(name, value);
      else if (!variesBy(reply.getHeader('Vary'), value)) reply.header(name, [reply.getHeader('Vary') ?? [], value].flat().join(', '));
    }
    this.#sent = headers;
    next();
  }

  /** Hands an error to Fastify in the place of a payload. @param {any} payload @param {any} error @param {Done} next */
  #replace(payload, error, next) {
    letGo(payload);
    this.fail(error, next);
  }

  /** Hands an error to Fastify. @param {any} error @param {Done} next */
  fail(error, next) {
    this.hasFailed = true;
    // An error handler can read what is known.
    if (!this.session.isOpen) this.remove();
    // What the handler has said about its own response goes.
    for (const name of Object.keys(this.reply.getHeaders())) if (isOfBody(name)) this.reply.removeHeader(name);
    this.reply.code(error.status ?? 500);
    next(error);
  }

  /** Saves what has changed since the head was sent, or in a request whose reply is the application's own. */
  async saveLate() {
    try {
      await this.finish();
    } catch (error) {
      this.request.log.error(error, 'changes of a session were not saved after the head of the response');
    }
  }
}

const STATE = Symbol('session state');
const SESSION_PROPERTY = {
  /** @this {any} */
  getter() { return this[STATE]?.get(); },
  /** @this {any} @param {any} value */
  setter(value) { this[STATE].set(value); },
};

/** @param {any} session @returns {FastifyState} */
const stateOf = (session) => session.req[STATE];

// What the package fastify-plugin would add.
Object.assign(sessions, {
  [Symbol.for('skip-override')]: true,
  [Symbol.for('fastify.display-name')]: 'cloakroom-sessions',
  [Symbol.for('plugin-meta')]: { fastify: '>=4', name: 'cloakroom-sessions' },
});

module.exports = { CallFailed, CloakroomError, SessionNotOpened, SessionRefused, SessionUnavailable, openSession, sessions };
