// The stream of what happens to an app's sessions.
'use strict';

const { ADMIN_METHODS } = require('./admin_messages.js');
const { errorOf } = require('./client.js');
const { now } = require('./clock.js');
const { CallFailed } = require('./errors.js');
const { endOfStream } = require('./watch.js');

/** @typedef {import('../types/admin').EventBatch} EventBatch */

/**
 * Batches of events, by `for await`. The first one comes at once and may be empty: a list that is made after it misses
 * nothing. When the connection ends, the loop throws `SessionUnavailable`; a loop over the same object resumes at `cursor`.
 */
class EventStream {
  #client;
  /** @type {import('../types/index').ResponseStream | undefined} */
  #stream;
  #isClosed = false;
  /** Resumes after the last batch that was returned. */
  cursor;

  /** @param {import('./client.js').Client} client @param {string} cursor */
  constructor(client, cursor) {
    this.#client = client;
    this.cursor = cursor;
  }

  /** @returns {AsyncGenerator<EventBatch, void>} */
  async* [Symbol.asyncIterator]() {
    try {
      while (!this.#isClosed) {
        const batch = await this.#next();
        if (batch === undefined) return;
        yield batch;
      }
    } finally {
      this.#leave();
    }
  }

  /** Ends the loop, also while it waits. */
  close() {
    this.#isClosed = true;
    this.#leave();
  }

  async #next() {
    try {
      const message = await this.#message();
      if (message === undefined) return undefined;
      this.cursor = message.cursor;
      return { events: message.events.map(eventOf), cursor: message.cursor };
    } catch (error) {
      throw error instanceof CallFailed ? errorOf(error) : error;
    }
  }

  async #message() {
    if (this.#stream === undefined) return this.#begin();
    const end = endOfStream();
    try {
      return await this.#stream.next(end);
    } catch (error) {
      if (now() < end) throw error;
      this.#leave();
      return this.#begin();
    }
  }

  async #begin() {
    const { first, stream } = await this.#client.stream(ADMIN_METHODS.WATCH_EVENTS, { app: this.#client.app, cursor: this.cursor });
    if (this.#isClosed) {
      stream.close();
      return undefined;
    }
    this.#stream = stream;
    return first;
  }

  #leave() {
    this.#stream?.close();
    this.#stream = undefined;
  }
}

/** @param {any} event @returns {import('../types/admin').Event} */
const eventOf = ({ id, kind, endReason, time }) =>
  ({ id, kind, endReason: endReason === 'UNSPECIFIED' ? undefined : endReason, time: new Date(time) });

module.exports = { EventStream };
