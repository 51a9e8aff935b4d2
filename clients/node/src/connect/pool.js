// The connections of a process to one endpoint.
'use strict';

const { now, timeUntil } = require('../clock.js');
const { TimedOut } = require('./socket.js');

/** @typedef {import('./open.js').Connection} Connection */
/** Gives a call a connection, has it look again, or ends its waiting. @typedef {(connection?: Connection, error?: Error) => void} Wake */
/** What the pool knows of a connection: how many calls it carries, and whether it is closed after them. @typedef {{ calls: number, isLeft: boolean }} Use */

class Pool {
  /** Those that could carry another call when they were put here. The last one is taken first. @type {Connection[]} */
  #free = [];
  /** Of all connections. @type {Map<Connection, Use>} */
  #uses = new Map();
  /** Calls that have a connection. */
  #calls = 0;
  /** Connections that are being opened, each for one call. */
  #opening = 0;
  /** Whether a connection is being opened for all calls that wait. */
  #isOpening = false;
  /** Calls that wait, by their order. @type {Set<Wake>} */
  #waiting = new Set();
  /** Whether calls share a connection. That is not known before the first one is open. */
  #isShared = true;
  /** How often all connections were closed. */
  #closings = 0;

  /** @param {(end: number) => Promise<Connection>} open Opens a connection until a time, or fails. */
  constructor(open) {
    this.open = open;
  }

  /**
   * Returns a connection that was used a moment ago, without waiting. Undefined: `take` finds or opens one.
   * @returns {Connection | undefined}
   */
  takeRecent() {
    const last = this.#lastFree();
    return last !== undefined && this.#isSeen(last) ? this.#use(last) : undefined;
  }

  /**
   * Returns a connection, which must be given back to `put` or `drop`. Fails if none can be had until the time `end`.
   * @param {number} end
   * @returns {Promise<Connection>}
   */
  async take(end) {
    const closings = this.#closings;
    for (;;) {
      const free = await this.#takeFree();
      if (free !== undefined) return free;
      const isFull = this.#isFull();
      if (!isFull && !this.#isShared) return this.#openOne(end, closings);
      const waiting = this.#wait(end);
      if (!isFull) this.#openShared(closings);
      const given = await waiting;
      if (given !== undefined) return given;
    }
  }

  /** @param {Connection} connection One that can carry another call. */
  put(connection) {
    this.#release(connection);
    this.#offer(connection);
    const [oldest] = this.#free;
    if (oldest !== undefined && connection.lastUse - oldest.lastUse >= MAX_IDLE_TIME && this.#isIdle(oldest)) this.#leave(oldest);
    this.#serve();
  }

  /** @param {Connection} connection Is closed when it carries no other call. */
  drop(connection) {
    this.#release(connection);
    this.#leave(connection);
    this.#serve();
  }

  /** Closes all connections that no call uses. */
  dropIdle() {
    for (const connection of [...this.#free]) if (this.#isIdle(connection)) this.#leave(connection);
  }

  /** Closes all connections; those in use, and those that calls wait for, after these calls. */
  close() {
    this.#closings += 1;
    for (const connection of [...this.#uses.keys()]) this.#leave(connection);
  }

  async #takeFree() {
    for (;;) {
      const last = this.#lastFree();
      if (last === undefined || this.#isSeen(last)) return last && this.#use(last);
      // If the service has closed it meanwhile, the event loop knows that after its next look at the sockets.
      await new Promise(setImmediate);
      if (this.#lastFree() !== last) continue;
      if (now() - last.lastUse < MAX_IDLE_TIME || !this.#isIdle(last)) return this.#use(last);
      this.#leave(last);
    }
  }

  /** Undefined: none can carry another call, or there are as many calls as may be. @returns {Connection | undefined} */
  #lastFree() {
    if (this.#isFull()) return undefined;
    for (let last = this.#free.at(-1); last !== undefined; last = this.#free.at(-1)) {
      if (this.#useOf(last).calls < maxCalls(last)) return last;
      // The service has lowered its number of calls.
      this.#free.pop();
    }
    return undefined;
  }

  /** Whether the process would know if the service had closed it. @param {Connection} connection */
  #isSeen(connection) {
    return !this.#isIdle(connection) || now() - connection.lastUse <= MAX_UNSEEN_TIME;
  }

  /** @param {Connection} connection */
  #isIdle(connection) {
    return this.#uses.get(connection)?.calls === 0;
  }

  #isFull() {
    return this.#calls + this.#opening >= MAX_CALLS;
  }

  /** @param {number} closings When the call began that opens it. */
  async #openShared(closings) {
    if (this.#isOpening) return;
    this.#isOpening = true;
    let connection;
    let failed;
    try {
      connection = await this.#open(Infinity);
    } catch (error) {
      failed = /** @type {Error} */ (error);
    }
    this.#isOpening = false;
    if (connection !== undefined) {
      this.#offer(connection);
      this.#serve();
      if (this.#closings !== closings) this.#leave(connection);
      return;
    }
    // Where connections are in use, the calls that wait can have one of them later.
    if ([...this.#uses.values()].some(({ isLeft }) => !isLeft)) return;
    for (const wake of [...this.#waiting]) wake(undefined, failed);
  }

  /** @param {number} end @param {number} closings When the call began that opens it. */
  async #openOne(end, closings) {
    this.#opening += 1;
    let connection;
    try {
      connection = await this.#open(end);
    } finally {
      this.#opening -= 1;
      if (connection === undefined) this.#serve();
    }
    this.#use(connection);
    // It may carry more of them, if the service speaks HTTP/2 by now.
    this.#offer(connection);
    if (this.#closings !== closings) this.#leave(connection);
    this.#serve();
    return connection;
  }

  /** @param {number} end */
  async #open(end) {
    const connection = await this.open(end);
    if (connection.isEnded) {
      connection.close();
      throw new Error('the connection was closed');
    }
    this.#isShared = maxCalls(connection) > 1;
    this.#uses.set(connection, { calls: 0, isLeft: false });
    connection.onEnd = () => this.#leave(connection);
    connection.onLimit = () => {
      this.#isShared = maxCalls(connection) > 1;
      this.#offer(connection);
      this.#serve();
    };
    return connection;
  }

  /** @param {Connection} connection */
  #use(connection) {
    const use = this.#useOf(connection);
    use.calls += 1;
    this.#calls += 1;
    if (use.calls >= maxCalls(connection)) this.#removeFree(connection);
    return connection;
  }

  /** @param {Connection} connection */
  #release(connection) {
    const use = this.#useOf(connection);
    use.calls -= 1;
    this.#calls -= 1;
    if (use.isLeft) this.#closeIdle(connection, use);
  }

  /** Lets other calls have the connection, if it can carry them. @param {Connection} connection */
  #offer(connection) {
    const use = this.#uses.get(connection);
    if (use === undefined || use.isLeft || use.calls >= maxCalls(connection)) return;
    if (!this.#free.includes(connection)) this.#free.push(connection);
  }

  /** No other call gets the connection. @param {Connection} connection */
  #leave(connection) {
    const use = this.#uses.get(connection);
    if (use === undefined || use.isLeft) return;
    use.isLeft = true;
    this.#removeFree(connection);
    this.#closeIdle(connection, use);
    this.#serve();
  }

  /** @param {Connection} connection @param {Use} use */
  #closeIdle(connection, { calls }) {
    if (calls > 0) return;
    this.#uses.delete(connection);
    connection.close();
  }

  /** @param {Connection} connection */
  #removeFree(connection) {
    const at = this.#free.lastIndexOf(connection);
    if (at >= 0) this.#free.splice(at, 1);
  }

  /** @param {Connection} connection @returns {Use} */
  #useOf(connection) {
    return /** @type {Use} */ (this.#uses.get(connection));
  }

  /** Gives connections to the calls that wait, and lets the first one that gets none open one. */
  #serve() {
    for (const wake of this.#waiting) {
      if (this.#isFull()) return;
      const connection = this.#lastFree();
      wake(connection && this.#use(connection));
      if (connection === undefined) return;
    }
  }

  /** Returns the connection that the call is given. Undefined: it has to look again. @param {number} end
   * @returns {Promise<Connection | undefined>} */
  #wait(end) {
    return new Promise((resolve, reject) => {
      if (this.#waiting.size >= MAX_WAITING) {
        reject(new Error(`${MAX_WAITING} calls wait for a connection already`));
        return;
      }
      /** @type {Wake} */
      const wake = (connection, error) => {
        clearTimeout(timer);
        this.#waiting.delete(wake);
        if (error === undefined) resolve(connection);
        else reject(error);
      };
      const giveUp = () => wake(undefined, new TimedOut(this.#isOpening ? 'no connection in time' : `${this.#calls} calls are under way already`));
      const timer = setTimeout(giveUp, timeUntil(end));
      this.#waiting.add(wake);
    });
  }
}

/** @param {Connection} connection */
const maxCalls = (connection) => Math.max(1, Math.min(connection.maxCalls, MAX_CALLS));

/** Calls at a time from one process to one endpoint. Others wait for a connection. */
const MAX_CALLS = 64;
/** Calls that wait. More fail at once. */
const MAX_WAITING = 4096;
/** Milliseconds after which a connection without a call is left. The service closes it after 15 minutes. */
const MAX_IDLE_TIME = 60_000;
/** Milliseconds after which an idle connection is looked at before it is used. */
const MAX_UNSEEN_TIME = 10;

module.exports = { MAX_CALLS, MAX_WAITING, Pool };
