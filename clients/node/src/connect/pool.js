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
  /** Calls that wait, by their order. @type {Set<() => void>} */
  #waiting = new Set();

  /** @param {(end: number) => Promise<Connection>} connect Connects until a time, or fails. */
  constructor(connect) {
    this.connect = connect;
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
   * @param {number} end
   * @returns {Promise<Connection>}
   */
  async take(end) {
    for (;;) {
      while (this.#idle.length === 0 && this.#connections.size + this.#connecting >= MAX_CONNECTIONS) await this.#wait(end);
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

  /** @param {number} end @returns {Promise<void>} */
  #wait(end) {
    return new Promise((resolve, reject) => {
      if (this.#waiting.size >= MAX_WAITING) {
        reject(new Error(`${MAX_CONNECTIONS} calls are under way already, and ${MAX_WAITING} more wait`));
        return;
      }
      const wake = () => {
        clearTimeout(timer);
        this.#waiting.delete(wake);
        resolve();
      };
      const timer = setTimeout(() => {
        this.#waiting.delete(wake);
        reject(new TimedOut(`${MAX_CONNECTIONS} calls are under way already`));
      }, Math.max(end - now(), 0));
      this.#waiting.add(wake);
    });
  }
}

/** Calls at a time from one process to one endpoint. Others wait for a connection. */
const MAX_CONNECTIONS = 64;
/** Calls that wait. More fail at once. */
const MAX_WAITING = 4096;
/** Milliseconds after which a connection without a call is left. The service closes it after 15 minutes. */
const MAX_IDLE_TIME = 60_000;
/** Milliseconds after which an idle connection is looked at before it is used. */
const MAX_UNSEEN_TIME = 10;

module.exports = { MAX_CONNECTIONS, MAX_WAITING, Pool };
