// One connection to the service. It carries one call at a time, or a few whose requests are sent together: then their
// answers come in the same order.
'use strict';

const net = require('node:net');
const tls = require('node:tls');
const { now } = require('../clock.js');
const { ResponseReader, readWhole } = require('./http1.js');

/** @typedef {import('./http1.js').Response} Response */

/**
 * A call that is under way. `end` is its deadline, and `attemptEnd` the end of this attempt, which is set when it is sent.
 * @typedef {object} Call
 * @property {import('../messages.js').Method} method
 * @property {Buffer} message
 * @property {number} end
 * @property {number | undefined} attemptEnd
 * @property {(response: Response) => void} resolve
 * @property {(error: Error) => void} reject
 */

/**
 * Who has a connection while calls use it.
 * @typedef {object} User
 * @property {(sendTime: number) => void} onAnswer Called if calls that were sent at this time have an answer.
 * @property {(connection: Connection) => void} onFree Called once, when all calls have their answers or have failed.
 * @property {() => void} onSharedSilence Called if a call that has shared the connection has no answer in time.
 * @property {(since: number) => boolean} mayMove Called if the next answer has been missing since this time, which is
 *   late. Returns whether to make the calls behind it elsewhere.
 */

/** There was no answer in time. */
class TimedOut extends Error {}

/** A call has no answer, but nothing is wrong with it: it has to be made on a connection of its own. */
class Moved extends Error {}

/** The certificate of the service is of another authority, or for another name. */
class UntrustedCertificate extends Error {}

class Connection {
  /** Whether no call was answered on it yet. */
  isNew = true;
  /** When the last calls were sent, or the last answer came. */
  lastUse = now();
  #sendTime = 0;
  /** Whether the calls were several. */
  #isShared = false;
  /** Whether it can carry no call any more. */
  isEnded = false;
  /** Called when it ends while no call uses it. @type {() => void} */
  onIdleEnd = () => {};
  /** @type {net.Socket} */
  #socket;
  /** Those without an answer, in the order of their requests. @type {Call[]} */
  #calls = [];
  /** Set while there are calls. @type {User | undefined} */
  #user;
  /** Whether what comes behind the next answer is wanted by nobody. */
  #isLast = false;
  /** @type {ResponseReader | undefined} */
  #reader;
  /** @type {NodeJS.Timeout | undefined} */
  #timer;

  /** @param {net.Socket} socket */
  constructor(socket) {
    this.#socket = socket;
    socket.on('data', (data) => this.#receive(data));
    socket.on('error', (error) => this.#end(error));
    socket.on('end', () => this.#end(new Error('the connection was closed')));
    socket.on('close', () => this.#end(new Error('the connection was closed')));
    socket.unref();
  }

  /**
   * Sends the requests of calls. Each call is resolved or rejected: with TimedOut at its end, with Moved if it has to be
   * made elsewhere, or with what has ended the connection.
   * @param {Buffer} requests @param {Call[]} calls @param {User} user
   */
  send(requests, calls, user) {
    this.#calls = calls;
    this.#isShared = calls.length > 1;
    this.#user = user;
    if (this.isEnded) {
      this.#fail(new Error('the connection was closed'));
      return;
    }
    this.lastUse = this.#sendTime = now();
    this.#wait();
    this.#socket.ref();
    this.#socket.write(requests);
  }

  close() {
    this.#end(new Error('the connection was closed'));
  }

  /** @param {Buffer} data */
  #receive(data) {
    const answers = [];
    try {
      for (let rest = data; rest.length > 0;) {
        // Nobody has asked for more.
        if (answers.length === this.#calls.length) throw new Error('the service has sent more than was asked for');
        const response = this.#readNext(rest);
        if (response === undefined) break;
        answers.push(response);
        if (!response.keepsConnection || this.#isLast) break;
        rest = response.rest;
      }
    } catch (error) {
      this.#deliver(answers);
      this.#end(/** @type {Error} */ (error));
      return;
    }
    if (answers.length > 0) this.#deliver(answers);
  }

  /** Reads an answer from the bytes behind the last one. @param {Buffer} data @returns {Response | undefined} */
  #readNext(data) {
    if (this.#reader === undefined) {
      const response = readWhole(data);
      if (response !== undefined) return response;
      this.#reader = new ResponseReader();
    }
    const response = this.#reader.receive(data);
    if (response !== undefined) this.#reader = undefined;
    return response;
  }

  /** @param {Response[]} answers */
  #deliver(answers) {
    if (answers.length === 0) return;
    const answered = this.#calls.splice(0, answers.length);
    this.isNew = false;
    this.lastUse = now();
    this.#user?.onAnswer(this.#sendTime);
    const isLast = this.#isLast || !answers[answers.length - 1].keepsConnection;
    if (isLast) this.#end(new Moved('the connection ends with the answer to an earlier call'));
    else if (this.#calls.length === 0) {
      this.#socket.unref();
      this.#free();
    }
    for (let i = 0; i < answers.length; i += 1) answered[i].resolve(answers[i]);
  }

  /** Waits until a call has no time left, or the first one is late. */
  #wait() {
    let time = this.#calls.length > 1 ? LATE : Infinity;
    for (const { attemptEnd } of this.#calls) time = Math.min(time, /** @type {number} */ (attemptEnd) - now());
    // An answer may have arrived while the process was busy: the event loop looks at its sockets first.
    this.#timer = setTimeout(() => setImmediate(() => this.#check()), Math.max(time, 1));
  }

  #check() {
    if (this.#calls.length === 0) return;
    clearTimeout(this.#timer);
    const time = now();
    const overdue = this.#calls.filter(({ attemptEnd }) => /** @type {number} */ (attemptEnd) <= time);
    if (overdue.length > 0) {
      if (this.#isShared) this.#user?.onSharedSilence();
      this.#calls = this.#calls.filter((call) => !overdue.includes(call));
      this.#end(new Moved('another call on the connection had no answer in time'));
      for (const { reject } of overdue) reject(new TimedOut('no answer in time'));
      return;
    }
    const isLate = this.#calls.length > 1 && time - this.lastUse >= LATE;
    const moved = isLate && this.#user?.mayMove(this.lastUse) ? this.#calls.splice(1) : [];
    if (moved.length > 0) this.#isLast = true;
    this.#wait();
    for (const { reject } of moved) reject(new Moved('the answer to an earlier call is late'));
  }

  /** @param {Error} error Of the calls without an answer. */
  #end(error) {
    if (this.isEnded) return;
    this.isEnded = true;
    this.#socket.destroy();
    if (this.#user === undefined) this.onIdleEnd();
    else this.#fail(error);
  }

  /** @param {Error} error */
  #fail(error) {
    const calls = this.#calls;
    this.#free();
    for (const { reject } of calls) reject(error);
  }

  #free() {
    clearTimeout(this.#timer);
    const user = this.#user;
    this.#calls = [];
    this.#user = this.#reader = this.#timer = undefined;
    user?.onFree(this);
  }
}

/**
 * Connects, and fails if that is not possible until the time `end`.
 * @param {import('./address.js').Endpoint} endpoint
 * @param {tls.SecureContext | undefined} context With TLS.
 * @param {number} end
 * @returns {Promise<net.Socket>}
 */
function connectSocket({ path, ip, port, tlsName }, context, end) {
  return new Promise((resolve, reject) => {
    const isName = net.isIP(tlsName) === 0;
    const socket = context === undefined
      ? net.connect(path === '' ? { host: ip, port } : { path })
      : tls.connect({
        host: ip,
        port,
        secureContext: context,
        servername: isName ? tlsName : undefined,
        ALPNProtocols: ['http/1.1'],
        // Whatever the environment says.
        rejectUnauthorized: true,
      });
    const timer = setTimeout(() => fail(new TimedOut('no connection in time')), Math.max(end - now(), 0));
    /** @param {Error} error */
    const fail = (error) => {
      clearTimeout(timer);
      socket.destroy();
      const isUntrusted = socket instanceof tls.TLSSocket && Boolean(socket.authorizationError);
      reject(isUntrusted ? new UntrustedCertificate(error.message) : error);
    };
    socket.on('error', fail);
    socket.once('close', () => fail(new Error('the connection was closed')));
    socket.once(context === undefined ? 'connect' : 'secureConnect', () => {
      clearTimeout(timer);
      socket.removeAllListeners('close');
      socket.off('error', fail);
      if (path === '') socket.setNoDelay(true).setKeepAlive(true, KEEPALIVE_DELAY);
      resolve(socket);
    });
  });
}

/** Milliseconds of silence after which TCP looks whether the peer is still there. */
const KEEPALIVE_DELAY = 10_000;
/** Milliseconds. An answer that takes longer is late: the calls behind it may be made elsewhere. */
const LATE = 100;

module.exports = { Connection, LATE, Moved, TimedOut, UntrustedCertificate, connectSocket };
