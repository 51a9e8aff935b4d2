// Holds the head of a response back until the session is saved, because its headers depend on that.
'use strict';

/**
 * What the response asks the session.
 * @typedef {object} Holder
 * @property {() => boolean} mustWait Whether calls have to be made, or are under way.
 * @property {() => Promise<void>} finish Makes them.
 * @property {() => { name: string, value: string }[]} headers The headers for the response, when that is done.
 * @property {(error: any) => void} fail Answers the request if they failed and the head was not sent.
 */

class ResponseHold {
  #response;
  #holder;
  /** @type {'open' | 'waiting' | 'headReady' | 'released'} */
  #state = 'open';
  /** What waits, in its order. @type {(() => void)[]} */
  #held = [];
  #needsDrain = false;

  /** @param {import('node:http').ServerResponse} response @param {Holder} holder */
  constructor(response, holder) {
    this.#response = response;
    this.#holder = holder;
    const { writeHead, flushHeaders, write, end } = response;
    const hold = this;

    /** @param {any[]} args @returns {any} */
    response.writeHead = function heldWriteHead(...args) {
      if (hold.#passes()) return writeHead.apply(response, /** @type {any} */ (args));
      const status = hold.#takeHead(args);
      return hold.#waitOrDo(() => { if (!response.headersSent) writeHead.apply(response, status); }, response);
    };
    response.flushHeaders = function heldFlushHeaders() {
      if (hold.#passes()) return flushHeaders.call(response);
      return hold.#waitOrDo(() => flushHeaders.call(response), undefined);
    };
    /** @param {any[]} args @returns {any} */
    response.write = function heldWrite(...args) {
      if (hold.#passes()) return write.apply(response, /** @type {any} */ (args));
      hold.#needsDrain = true;
      return hold.#waitOrDo(() => write.apply(response, /** @type {any} */ (args)), false);
    };
    /** @param {any[]} args @returns {any} */
    response.end = function heldEnd(...args) {
      if (hold.#passes() && !hold.#hasLateChanges()) return end.apply(response, /** @type {any} */ (args));
      return hold.#waitOrDo(() => end.apply(response, /** @type {any} */ (args)), response);
    };
  }

  /** Lets everything through that comes from now on, and forgets what waits. */
  release() {
    this.#state = 'released';
    this.#held = [];
  }

  #passes() {
    return this.#state === 'headReady' || this.#state === 'released';
  }

  /** Whether something changed after the head was sent. Its save can set no cookie any more. */
  #hasLateChanges() {
    return this.#state === 'headReady' && this.#holder.mustWait();
  }

  /**
   * Applies the headers of a `writeHead` now, so that the session's are appended to them and not replaced by them.
   * @param {any[]} args @returns {any} The arguments without the headers.
   */
  #takeHead([status, ...rest]) {
    const response = this.#response;
    const message = typeof rest[0] === 'string' ? rest[0] : undefined;
    const headers = message === undefined ? rest[0] ?? rest[1] : rest[1];
    if (Array.isArray(headers)) {
      const pairs = Array.isArray(headers[0]) ? headers : pairsOf(headers);
      for (const [name] of pairs) response.removeHeader(name);
      for (const [name, value] of pairs) response.appendHeader(name, value);
    } else if (headers) {
      for (const [name, value] of Object.entries(headers)) if (value !== undefined) response.setHeader(name, value);
    }
    return message === undefined ? [status] : [status, message];
  }

  /** @template Result @param {() => any} send @param {Result} resultIfHeld @returns {Result | any} */
  #waitOrDo(send, resultIfHeld) {
    if (this.#state === 'waiting') {
      this.#held.push(send);
      return resultIfHeld;
    }
    if (!this.#holder.mustWait()) {
      this.#makeHead();
      return send();
    }
    const isHeadSent = this.#state === 'headReady';
    this.#state = 'waiting';
    this.#held.push(send);
    this.#holder.finish().then(() => this.#sendHeld(isHeadSent), (error) => this.#fail(error, isHeadSent));
    return resultIfHeld;
  }

  #makeHead() {
    const response = this.#response;
    this.#state = 'headReady';
    if (response.headersSent) return;
    for (const { name, value } of this.#holder.headers()) {
      if (name !== 'Vary' || !variesBy(response.getHeader('Vary'), value)) response.appendHeader(name, value);
    }
  }

  /** @param {boolean} isHeadSent */
  #sendHeld(isHeadSent) {
    const held = this.#held;
    this.#held = [];
    if (isHeadSent) this.#state = 'headReady';
    else this.#makeHead();
    try {
      for (const send of held) send();
    } catch (error) {
      // As if it had been thrown by the call that was held. Nobody is there to catch it.
      this.#response.destroy(/** @type {Error} */ (error));
      return;
    }
    if (this.#needsDrain && !this.#response.writableEnded) {
      this.#needsDrain = false;
      this.#response.emit('drain');
    }
  }

  /** @param {any} error @param {boolean} isHeadSent */
  #fail(error, isHeadSent) {
    if (!isHeadSent) {
      this.#holder.fail(error);
      return;
    }
    // The head has said that all is well. The connection ends, so that nobody takes the response for complete.
    console.warn('changes of a session were not saved after the head of the response: %s', error.message);
    this.#response.destroy();
  }
}

/** @param {any} vary @param {string} name */
const variesBy = (vary, name) => [vary ?? []].flat().join().toLowerCase().split(/[\s,]+/).includes(name.toLowerCase());

/** @param {any[]} flat @returns {[string, any][]} */
function pairsOf(flat) {
  /** @type {[string, any][]} */
  const pairs = [];
  for (let i = 0; i + 1 < flat.length; i += 2) pairs.push([flat[i], flat[i + 1]]);
  return pairs;
}

module.exports = { ResponseHold };
