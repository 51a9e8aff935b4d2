// Express' and Connect's `req.session`, as applications know it from express-session.
'use strict';

const errors = require('./errors.js');
const { HttpState } = require('./http_state.js');
const { checkOptions } = require('./options.js');

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
  const { settings, client } = checkOptions(options);

  /** @param {Request} request @param {Response} response @param {Next} next */
  return function session(request, response, next) {
    // As in express-session, another middleware may have made it.
    if (request.session) {
      next();
      return;
    }
    const state = new ExpressState(client, settings, request, response, next);
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

class ExpressState extends HttpState {
  /**
   * @param {import('./client.js').Client} client @param {import('../types/express').Options} settings
   * @param {Request} request @param {Response} response @param {Next} next
   */
  constructor(client, settings, request, response, next) {
    super(client, settings, request, response);
    this.next = next;
    // Each property costs a copy of the request's shape, since Express has replaced its prototype. So there are few.
    Object.defineProperty(request, 'session', {
      configurable: true, enumerable: true, get: () => this.get(), set: (value) => this.set(value),
    });
    Object.defineProperty(request, 'sessionID', { configurable: true, enumerable: true, get: () => this.session.id });
  }

  /** What it throws goes to Express' error handlers. @param {any} error */
  async callOnUnavailable(error) {
    const { settings, request, response, next } = this;
    await settings.onUnavailable?.(error, request, response, next);
  }

  /** @param {any} error */
  answer(error) {
    const { settings, response, next } = this;
    if (!(error instanceof SessionUnavailable)) {
      next(error);
      return;
    }
    if (settings.onUnavailable) {
      this.callOnUnavailable(error).catch(next);
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

module.exports = { CallFailed, CloakroomError, SessionNotOpened, SessionRefused, SessionUnavailable, openSession, sessions };
