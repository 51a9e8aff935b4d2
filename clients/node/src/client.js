// Makes calls with one deadline for all attempts, and retries those that are safe to repeat.
'use strict';

const { setTimeout: delay } = require('node:timers/promises');
const { now } = require('./clock.js');
const { CallFailed, CloakroomError, SessionRefused, SessionUnavailable, Untrusted } = require('./errors.js');
const { DESTROY, OPEN, POLICY, SAVE } = require('./messages.js');
const { sharedTransport } = require('./shared_transport.js');

/** @typedef {import('./messages.js').Method} Method */
/** @typedef {import('../types/index').Transport} Transport */

/**
 * Calls one service for the sessions of one app.
 *
 * Every call throws `SessionUnavailable` if it got no answer in time, `SessionRefused` if the service rejects the
 * request, and `CloakroomError` for any other failure.
 */
class Client {
  /** @type {any} */
  #policy;

  /**
   * @param {object} [options]
   * @param {string | Transport} [options.service] The service's address, such as `localhost:50051`,
   *   `https://cloakroom:50051` or `unix:/path`, or a transport. Clients of the same address and credentials share
   *   connections.
   * @param {'connect' | 'grpc'} [options.transport] The protocol. `grpc` needs the package grpc-js.
   * @param {string} [options.app] The app's name in the service's configuration. Empty means `default`.
   * @param {number} [options.deadline] Milliseconds that one call may take, its retries included.
   * @param {import('./connect/credentials.js').Credentials} [options.credentials] What the calls are authenticated by.
   */
  constructor({ service = 'localhost:50051', transport, app = '', deadline = 2000, credentials } = {}) {
    if (typeof service !== 'string' && (credentials !== undefined || transport !== undefined)) {
      throw new TypeError('the service is a transport, which has its own protocol and credentials');
    }
    if (!(deadline > 0 && deadline <= MAX_DEADLINE)) {
      throw new TypeError(`deadline is ${deadline}; it is a number of milliseconds up to ${MAX_DEADLINE}`);
    }
    this.app = app;
    this.deadline = deadline;
    /** @type {Transport} */
    this.transport = typeof service === 'string' ? sharedTransport(transport ?? 'connect', service, credentials) : service;
  }

  /** @param {Record<string, any>} request */
  open(request) {
    return this.call(OPEN, request);
  }

  /** @param {Record<string, any>} request Must have a requestId, so that a retry is not applied twice. */
  save(request) {
    return this.call(SAVE, request);
  }

  /** @param {Record<string, any>} request */
  destroy(request) {
    return this.call(DESTROY, request);
  }

  /** Returns the app's policy. Fetches it once. */
  async policy() {
    this.#policy ??= await this.call(POLICY, { app: this.app });
    return this.#policy;
  }

  /** The app's policy if it was fetched. @returns {any} */
  get knownPolicy() {
    return this.#policy;
  }

  /**
   * Makes a call that may be repeated, and repeats it until the deadline.
   * @param {Method} method @param {Record<string, any>} request
   */
  call(method, request) {
    return this.#untilDeadline((timeout) => this.transport.call(method, request, timeout));
  }

  /**
   * Begins a call that is answered by a stream. Returns the first message, and the stream of the others.
   * @param {Method} method @param {Record<string, any>} request
   * @returns {Promise<{ first: any, stream: import('../types/index').ResponseStream }>}
   */
  async stream(method, request) {
    const { transport } = this;
    if (transport.stream === undefined) throw new TypeError('the transport has no method stream, which this call needs');
    return this.#untilDeadline((timeout) => transport.stream?.(method, request, timeout));
  }

  /** @param {(timeout: number) => Promise<any> | undefined} attempt */
  async #untilDeadline(attempt) {
    const end = now() + this.deadline;
    /** @type {CallFailed | undefined} */
    let before;
    for (let retries = 0; ; retries += 1) {
      let pause;
      try {
        return await attempt(Math.max(end - now(), 1));
      } catch (error) {
        if (!(error instanceof CallFailed)) throw error;
        pause = retryDelay(error, retries);
        // A timer may fire up to a millisecond early.
        const isLate = error.code === 'DEADLINE_EXCEEDED' || now() >= end;
        if (pause === undefined || now() + pause >= end) throw errorOf(isLate ? withReason(error, before) : error);
        before = error;
      }
      // Random, so that many processes do not retry at the same time.
      await delay(pause * (0.5 + 0.5 * Math.random()));
    }
  }
}

/** Returns the failure of a repeat. That there was no time left for it does not say why the call was repeated.
 * @param {CallFailed} failed @param {CallFailed | undefined} before */
function withReason({ code, reason, message }, before) {
  return new CallFailed(code, reason, before ? `${message}; the attempt before: ${before.message}` : message);
}

/** Returns the longest delay before a call is repeated. Undefined: a retry would fail as well.
 * @param {CallFailed} failed @param {number} retries */
function retryDelay(failed, retries) {
  if (failed instanceof Untrusted) return undefined;
  const longer = FIRST_DELAY * 2 ** retries;
  const isUnanswered = failed.reason === '' && (failed.code === 'UNAVAILABLE' || isBrokenConnection(failed));
  if (isUnanswered) return Math.min(longer, LAST_DELAY);
  // The service works, but something that it needs does not. Many retries would only be a load.
  if (failed.code === 'UNAVAILABLE' || failed.reason === 'OVERLOADED') return Math.min(longer, LAST_DELAY_OF_ANSWERED);
  return undefined;
}

/** Whether a transport may also report so that a connection ended in the middle of a call.
 * @param {CallFailed} failed */
const isBrokenConnection = ({ code, reason }) => (code === 'CANCELLED' || code === 'INTERNAL') && reason === '';

/** Returns the error that applications see. @param {CallFailed} failed */
function errorOf(failed) {
  const { message, code, reason } = failed;
  const ErrorClass = UNAVAILABLE_CODES.includes(code) || isBrokenConnection(failed)
    ? SessionUnavailable
    : REFUSED_CODES.includes(code) ? SessionRefused : CloakroomError;
  return new ErrorClass(message, code, reason);
}

const UNAVAILABLE_CODES = ['UNAVAILABLE', 'DEADLINE_EXCEEDED', 'RESOURCE_EXHAUSTED', 'CANCELLED'];
const REFUSED_CODES = [
  'INVALID_ARGUMENT', 'FAILED_PRECONDITION', 'ABORTED', 'NOT_FOUND', 'PERMISSION_DENIED', 'UNAUTHENTICATED',
  'UNIMPLEMENTED',
];
// Milliseconds.
const MAX_DEADLINE = 3_600_000;
/** Before the first retry. The delay doubles for each further retry, up to the last delay. */
const FIRST_DELAY = 50;
const LAST_DELAY = 200;
/** The last delay if the service has answered. */
const LAST_DELAY_OF_ANSWERED = 1000;

module.exports = { Client, errorOf };
