// The connections of a process to one endpoint.
'use strict';

const { now } = require('../clock.js');
const { TimedOut } = require('./connection.js');

/** @typedef {import('./connection.js').Connection} Connection */

class Pool {
  /** Those that no call uses; the one that was used last is at the end. @type {Connection[]} */
  #idle = [];
  /** All that may be used, those in calls too. @type {Set<Connection>} */
  #connections = new Set();
  /** Calls that connect. */
  #connecting = 0;
  /** Those who wait, by their order. @type {Set<() => void>} */
  #waiting = new Set();
  /** The calls for which they wait. */
  #waitingCalls = 0;

  /** @param {(end: number) => Promise<Connection>} connect Connects until a time, or fails. */
  constructor(connect) {
    this.connect = connect;
  }

  /** Whether a call has a connection, or connects. */
  get isInUse() {
    return this.#connections.size > this.#idle.length || this.#connecting > 0;
  }

  /** Whether a call would not have to wait for others. */
  get hasRoom() {
    return this.#idle.length > 0 || this.#connections.size + this.#connecting < MAX_CONNECTIONS;
  }

  /**
   * Returns a connection that was used a moment ago, without waiting. Undefined: `take` finds or makes one.
   * @returns {Connection | undefined}
   */
  takeRecent() {
    const last = this.#idle.at(-1);
    return last !== undefined && now() - last.lastUse <= MAX_UNSEEN_TIME ? this.#idle.pop() : undefined;
  }

  /**
   * Returns a connection, which must be given back to `put` or `drop`. Fails if none can be had until the time `end`.
   * @param {number} end @param {number} calls How many calls want it.
   * @returns {Promise<Connection>}
   */
  async take(end, calls) {
    for (;;) {
      while (!this.hasRoom) await this.#wait(end, calls);
      const connection = this.#idle.pop();
      if (connection === undefined) break;
      const idleTime = now() - connection.lastUse;
      // If the service has closed it meanwhile, the event loop knows that after its next look at the sockets.
      if (idleTime > MAX_UNSEEN_TIME) await new Promise(setImmediate);
      if (!connection.isEnded && idleTime < MAX_IDLE_TIME) return connection;
      this.drop(connection);
    }
    this.#connecting += 1;
    try {
      const connection = await this.connect(end);
      this.#connections.add(connection);
      connection.onIdleEnd = () => this.drop(connection);
      return connection;
    } catch (error) {
      this.#wakeOne();
      throw error;
    } finally {
      this.#connecting -= 1;
    }
  }

  /** @param {Connection} connection One that can carry another call. */
  put(connection) {
    if (!this.#connections.has(connection)) {
      // The pool was closed meanwhile.
      connection.close();
      return;
    }
    this.#idle.push(connection);
    if (connection.lastUse - this.#idle[0].lastUse >= MAX_IDLE_TIME) this.drop(this.#idle[0]);
    this.#wakeOne();
  }

  /** @param {Connection} connection Is closed. */
  drop(connection) {
    this.#connections.delete(connection);
    const at = this.#idle.indexOf(connection);
    if (at >= 0) this.#idle.splice(at, 1);
    connection.close();
    this.#wakeOne();
  }

  /** Closes all connections that no call uses. */
  dropIdle() {
    for (const connection of [...this.#idle]) this.drop(connection);
  }

  /** Closes all connections; those in use after their calls. */
  close() {
    const idle = this.#idle;
    this.#idle = [];
    this.#connections.clear();
    for (const connection of idle) connection.close();
  }

  #wakeOne() {
    const [first] = this.#waiting;
    first?.();
  }

  /** @param {number} end @param {number} calls @returns {Promise<void>} */
  #wait(end, calls) {
    return new Promise((resolve, reject) => {
      if (this.#waitingCalls + calls > MAX_WAITING) {
        reject(new Error(`all ${MAX_CONNECTIONS} connections are in use already, and ${MAX_WAITING} more wait`));
        return;
      }
      const leave = () => {
        this.#waiting.delete(wake);
        this.#waitingCalls -= calls;
      };
      const wake = () => {
        clearTimeout(timer);
        leave();
        resolve();
      };
      const timer = setTimeout(() => {
        leave();
        reject(new TimedOut(`all ${MAX_CONNECTIONS} connections are in use already`));
      }, Math.max(end - now(), 0));
      this.#waiting.add(wake);
      this.#waitingCalls += calls;
    });
  }
}

/** From one process to one endpoint. More calls wait for one of them. */
const MAX_CONNECTIONS = 64;
/** Calls that wait. More fail at once. */
const MAX_WAITING = 4096;
/** Milliseconds after which a connection without a call is left. The service closes it after 15 minutes. */
const MAX_IDLE_TIME = 60_000;
/** Milliseconds after which an idle connection is looked at before it is used. */
const MAX_UNSEEN_TIME = 10;

module.exports = { MAX_CONNECTIONS, MAX_WAITING, Pool };
