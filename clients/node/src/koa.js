// Koa's `ctx.session`.
'use strict';

const errors = require('./errors.js');
const { HttpState, removeEntityHeaders } = require('./http_state.js');
const { checkOptions } = require('./options.js');
const { letGo } = require('./response_hold.js');

const { CallFailed, CloakroomError, SessionNotOpened, SessionRefused, SessionUnavailable } = errors;

/** @typedef {() => Promise<any>} Next */

/**
 * Returns the middleware that gives each request its `ctx.session`.
 * @param {import('../types/koa').Options} [options]
 */
function sessions(options = {}) {
  // As in koa-session, `ctx.session = null` ends the session.
  const { settings, client } = checkOptions({ unset: /** @type {const} */ ('destroy'), ...options });

  /** @param {any} ctx @param {Next} next */
  return async function session(ctx, next) {
    if (ctx[STATE] !== undefined) return next();
    const state = new KoaState(client, settings, ctx);
    if (settings.saveUninitialized) state.watchResponse();
    // Without a cookie there is nothing to open.
    const isOpen = settings.lazy || !ctx.req.headers.cookie || await state.try(() => state.session.openUpFront());
    if (!isOpen) return undefined;
    try {
      await next();
    } catch (error) {
      state.watchAnswer(error);
      throw error;
    }
    // What fails here goes to the middlewares before this one. A response that the application writes by itself, or that
    // answers an error, is saved by its own end.
    const isByKoa = ctx.respond !== false && !ctx.headerSent;
    if (state.isUsed && isByKoa && state.mustWait()) await state.try(() => state.finish());
    return undefined;
  };
}

/**
 * A middleware for routes of `sessions({ lazy: true })`: opens the session before the next handler.
 * @param {any} ctx @param {Next} next
 */
async function openSession(ctx, next) {
  if (ctx[STATE] === undefined) throw new TypeError('openSession comes behind sessions()');
  await ctx.session.open();
  return next();
}

class KoaState extends HttpState {
  /** Whether a middleware before this one answers an error that this one has let through. */
  #isErrorHandled = false;

  /** @param {import('./client.js').Client} client @param {import('../types/koa').Options} settings @param {any} ctx */
  constructor(client, settings, ctx) {
    super(client, settings, ctx.req, ctx.res);
    this.ctx = ctx;
    ctx[STATE] = this;
    Object.defineProperties(ctx, CONTEXT_PROPERTIES);
  }

  get frameworkRequest() {
    return this.ctx;
  }

  get isSecure() {
    return this.ctx.secure;
  }

  get context() {
    const { ctx } = this;
    return { userAgent: ctx.get('User-Agent'), remoteAddress: ctx.ip };
  }

  /** The status of an error that nobody handles does not tell: Koa itself has answered it, and `onUnavailable` or Koa answers anew.
   * @param {number} status @param {any} error */
  answersError(status, error) {
    const isAnswered = error instanceof SessionUnavailable && this.settings.onUnavailable !== undefined;
    return super.answersError(status, error) && this.#isErrorHandled && !isAnswered;
  }

  /** Notices whether a middleware before this one answers an error, or Koa itself. @param {any} error */
  watchAnswer(error) {
    const { ctx } = this;
    const { onerror } = ctx;
    this.#isErrorHandled = true;
    this.toldOf = error;
    ctx.onerror = (/** @type {any} */ unhandled) => {
      // Koa calls it at the end of each response, too.
      if (unhandled) [this.#isErrorHandled, this.toldOf] = [false, undefined];
      return onerror.call(ctx, unhandled);
    };
  }

  /** @param {string} reason */
  onGone(reason) {
    if (this.settings.onGone) this.letChange(() => this.settings.onGone?.(reason, this.ctx));
    else super.onGone(reason);
  }

  /** Makes calls. Returns false if the service did not answer and the application has answered the request.
   * @param {() => Promise<void>} call */
  async try(call) {
    try {
      await call();
      return true;
    } catch (error) {
      this.giveUp();
      if (!(error instanceof SessionUnavailable) || !this.settings.onUnavailable) throw this.withHeaders(error);
      const { ctx } = this;
      letGo(ctx.body);
      // First, for a body of JSON would be the text `null`.
      removeEntityHeaders(ctx.res);
      ctx.body = undefined;
      ctx.status = error.status;
      await this.settings.onUnavailable(error, ctx);
      return false;
    }
  }

  /** Koa takes all headers from a response to an error, but for the error's own. @param {any} error */
  withHeaders(error) {
    if (!this.session.hasAnswered || typeof error !== 'object' || error === null) return error;
    /** @type {Record<string, string[]>} */
    const headers = {};
    for (const { name, value } of this.headers()) (headers[name] ??= []).push(value);
    // The error may be one that other requests get as well.
    return Object.create(error, { headers: { value: { ...error.headers, ...headers }, enumerable: true } });
  }

  /** The middlewares have all returned, or are not waited for. @param {any} error */
  answer(error) {
    const { ctx, settings: { onUnavailable } } = this;
    if (!(error instanceof SessionUnavailable) || !onUnavailable) {
      ctx.onerror(this.withHeaders(error));
      return;
    }
    // What Koa has sent, or was told not to send, is replaced.
    ctx.respond = true;
    ctx.app.handleRequest(ctx, async () => {
      ctx.status = error.status;
      await onUnavailable(error, ctx);
    });
  }
}

const STATE = Symbol('session state');
// The same functions for all requests, so that all have the same shape.
/** @type {PropertyDescriptorMap & ThisType<any>} */
const CONTEXT_PROPERTIES = {
  session: {
    configurable: true,
    enumerable: true,
    get() { return this[STATE].get(); },
    set(value) { this[STATE].set(value); },
  },
};

module.exports = { CallFailed, CloakroomError, SessionNotOpened, SessionRefused, SessionUnavailable, openSession, sessions };
