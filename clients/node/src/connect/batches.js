// The calls to one endpoint. Those that begin in one turn of the event loop share a connection, a few each: their requests
// are one write, and their answers often one read.
//
// The service answers the calls of a connection in their order, so a slow one delays those behind it. Therefore only few
// share, and none joins later. If an answer is late while calls that were sent long after it have theirs, those behind it are
// made again on connections of their own, and no calls share for a while.
'use strict';

const { now } = require('../clock.js');
const { LATE } = require('./connection.js');

/** @typedef {import('./connection.js').Call} Call */
/** @typedef {import('./connection.js').Connection} Connection */
/** @typedef {import('./http1.js').Response} Response */

class Batches {
  #pool;
  #writer;
  #hasOtherReplica;
  /** Those that wait for others of this turn. @type {Call[]} */
  #next = [];
  #isSendDue = false;
  /** Until then, each call has a connection of its own. */
  #aloneUntil = 0;
  /** When the call was sent that was sent last among those with an answer. */
  #answeredSendTime = 0;

  /**
   * @param {import('./pool.js').Pool} pool @param {import('./protocol.js').RequestWriter} writer
   * @param {() => boolean} hasOtherReplica Whether a call that gets no answer here can be made elsewhere.
   */
  constructor(pool, writer, hasOtherReplica) {
    this.#pool = pool;
    this.#writer = writer;
    this.#hasOtherReplica = hasOtherReplica;
  }

  /**
   * Makes a call, which has no `attemptEnd` if it fails before it was sent.
   * @param {Call} call @param {boolean} mayShare Whether it may have a connection together with others.
   * @returns {Promise<Response>}
   */
  call(call, mayShare) {
    return new Promise((resolve, reject) => {
      call.resolve = resolve;
      call.reject = reject;
      // The first call need not wait for others.
      if (!mayShare || !this.#pool.isInUse || now() < this.#aloneUntil) {
        this.#send([call]);
        return;
      }
      this.#next.push(call);
      if (this.#next.length === MAX_CALLS) this.#sendNext();
      else if (!this.#isSendDue) {
        this.#isSendDue = true;
        setImmediate(() => {
          this.#isSendDue = false;
          if (this.#next.length > 0) this.#sendNext();
        });
      }
    });
  }

  /** @param {Connection} connection */
  onFree(connection) {
    if (connection.isEnded) this.#pool.drop(connection);
    else this.#pool.put(connection);
  }

  /** @param {number} sendTime */
  onAnswer(sendTime) {
    this.#answeredSendTime = Math.max(this.#answeredSendTime, sendTime);
  }

  /** What is between may not pass on several requests at once. */
  onSharedSilence() {
    this.#aloneUntil = now() + TIME_ALONE_AFTER_SILENCE;
  }

  /** @param {number} since */
  mayMove(since) {
    // If the service is slow as a whole, to make calls twice would only slow it more.
    if (this.#answeredSendTime <= since + LATE || !this.#pool.hasRoom) return false;
    this.#aloneUntil = Math.max(this.#aloneUntil, now() + TIME_ALONE);
    return true;
  }

  #sendNext() {
    const calls = this.#next;
    this.#next = [];
    this.#send(calls);
  }

  /** @param {Call[]} calls */
  #send(calls) {
    const connection = this.#pool.takeRecent();
    if (connection !== undefined) {
      this.#sendOn(connection, calls);
      return;
    }
    const end = calls.length === 1 ? calls[0].end : Math.min(...calls.map((call) => call.end));
    this.#pool.take(end, calls.length).then((taken) => this.#sendOn(taken, calls), (error) => {
      for (const { reject } of calls) reject(error);
    });
  }

  /** @param {Connection} connection @param {Call[]} calls */
  #sendOn(connection, calls) {
    const start = now();
    // Where there is another way, half of the time is left for it.
    const hasOtherWay = calls.length > 1 || !connection.isNew || this.#hasOtherReplica();
    for (const call of calls) call.attemptEnd = hasOtherWay ? (start + call.end) / 2 : call.end;
    connection.send(this.#writer.write(calls, start), calls, this);
  }
}

/** Calls that share a connection. */
const MAX_CALLS = 8;
/** Milliseconds for which no calls share a connection after an answer was late. */
const TIME_ALONE = 1000;
/** The same after there was none in time. */
const TIME_ALONE_AFTER_SILENCE = 60_000;

module.exports = { Batches, MAX_CALLS };
