// Waits for the end of a session, without calls in between: for websockets and other long responses.
'use strict';

const { now } = require('./clock.js');
const { CallFailed, SessionUnavailable } = require('./errors.js');
const { WATCH } = require('./messages.js');

/** @typedef {import('../types/index').ResponseStream} Stream */

/**
 * Learns within half a second that a session has ended, or that its token was replaced. It begins again by itself when
 * its connection ends, also after an outage, which says nothing about the session.
 */
class SessionWatch {
  #client;
  #request;
  /** @type {Stream | undefined} */
  #stream;
  #isClosed = false;
  /** Ends a pause between two attempts. @type {(() => void) | undefined} */
  #endPause;
  /** When the session ends if it is not used, as of the begin of the watch. @type {Date | undefined} */
  expireTime;
  /**
   * Why the session has ended, such as `DESTROYED`, `REVOKED` or `SUPERSEDED`; `UNKNOWN` if the service does not know it.
   * Undefined after `close`. @type {Promise<string | undefined>}
   */
  ended;

  /** @param {import('./client.js').Client} client @param {Record<string, any>} request */
  constructor(client, request) {
    this.#client = client;
    this.#request = request;
    this.ended = Promise.resolve(undefined);
  }

  /**
   * Begins a watch. Throws `SessionUnavailable`, or `SessionRefused` if the request names no session that can be watched.
   * @param {import('./client.js').Client} client @param {Record<string, any>} request
   */
  static async begin(client, request) {
    const watch = new SessionWatch(client, request);
    const reason = await watch.#begin();
    watch.ended = reason === undefined ? watch.#wait() : Promise.resolve(reason);
    // A caller that does not wait for it need not handle that it fails.
    watch.ended.catch(() => {});
    return watch;
  }

  /** Ends the watch. */
  close() {
    this.#isClosed = true;
    this.#stream?.close();
    this.#endPause?.();
  }

  /** Returns the reason if the session has ended already. @returns {Promise<string | undefined>} */
  async #begin() {
    const { first, stream } = await this.#client.stream(WATCH, this.#request);
    this.#stream = stream;
    if (this.#isClosed) stream.close();
    return this.#reasonIn(first);
  }

  async #wait() {
    for (let failures = 0; !this.#isClosed;) {
      try {
        const reason = this.#stream === undefined ? await this.#begin() : await this.#next(this.#stream);
        if (reason !== undefined) return reason;
        failures = 0;
      } catch (error) {
        if (!(error instanceof SessionUnavailable) && !(error instanceof CallFailed)) throw error;
        await this.#pause(failures);
        failures += 1;
      }
    }
    return undefined;
  }

  /** @param {Stream} stream */
  async #next(stream) {
    const end = endOfStream();
    try {
      const message = await stream.next(end);
      if (message !== undefined) return this.#reasonIn(message);
    } catch (error) {
      if (!(error instanceof CallFailed)) throw error;
      if (now() < end && error.reason === '') await this.#pause(0);
    }
    stream.close();
    this.#stream = undefined;
    return undefined;
  }

  /** @param {any} message */
  #reasonIn(message) {
    this.expireTime = message?.expireTime === undefined ? undefined : new Date(message.expireTime);
    if (message?.state !== 'ENDED') return undefined;
    this.#stream?.close();
    return message.endReason === 'UNSPECIFIED' ? 'UNKNOWN' : message.endReason;
  }

  /** Random, so that many watches do not begin again at the same time. @param {number} failures */
  #pause(failures) {
    if (this.#isClosed) return undefined;
    const milliseconds = Math.min(FIRST_PAUSE * 2 ** failures, LAST_PAUSE) * (0.5 + 0.5 * Math.random());
    return new Promise((/** @type {(value?: any) => void} */ resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.#endPause = () => { clearTimeout(timer); resolve(); };
    });
  }
}

// Milliseconds.
const LONGEST_STREAM = 300_000;
const FIRST_PAUSE = 50;
const LAST_PAUSE = 2000;

/** When to renew a stream: a connection may be silent because the service hangs. */
const endOfStream = () => now() + LONGEST_STREAM * (0.5 + 0.5 * Math.random());

module.exports = { SessionWatch, endOfStream };
