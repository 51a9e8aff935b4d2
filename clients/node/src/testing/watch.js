// WatchSession: what a token is to its session now, and the stream that tells its end.
'use strict';

const { now } = require('../clock.js');
const { CallFailed } = require('../errors.js');

/** @param {import('./call.js').Call} call @param {any} request */
function watch(call, request) {
  call.accept(request);
  const presented = call.ofWrite(request);
  if (presented === undefined) return { state: 'ENDED' };
  const { record, reason } = call.state(presented.token);
  return record === undefined ? { state: 'ENDED', endReason: reason } : { state: 'ALIVE', expireTime: record.expires() };
}

/** The messages of one watch after the first one: there is one, at the end of the session. */
class WatchStream {
  #look;
  isDone = false;
  /** Ends the wait of `next`. @type {(() => void) | undefined} */
  #wake;

  /** @param {() => any} look Returns what a watch finds now. @param {boolean} isEnded */
  constructor(look, isEnded) {
    this.#look = look;
    this.isDone = isEnded;
  }

  /** Looks again: something has happened. */
  notify() {
    this.#wake?.();
  }

  /** @param {number} [end] A time of `performance.now()`. @returns {Promise<any>} */
  async next(end = Infinity) {
    while (!this.isDone) {
      const message = this.#look();
      this.isDone = message.state === 'ENDED';
      if (this.isDone) return message;
      if (now() >= end) throw new CallFailed('DEADLINE_EXCEEDED', '', 'nothing has happened in time');
      await this.#wait(Math.min(EXPIRY_INTERVAL, end - now()));
    }
    return undefined;
  }

  close() {
    this.isDone = true;
    this.#wake?.();
  }

  /** @param {number} milliseconds */
  #wait(milliseconds) {
    return new Promise((/** @type {(value?: any) => void} */ resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.#wake = () => { clearTimeout(timer); resolve(); };
    });
  }
}

/** Milliseconds after which a watch looks whether its session has expired. */
const EXPIRY_INTERVAL = 100;

module.exports = { WatchStream, watch };
