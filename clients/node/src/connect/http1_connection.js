// One connection to the service by HTTP/1.1. It carries one call at a time.
'use strict';

const { now, timeUntil } = require('../clock.js');
const { ResponseReader, readWhole } = require('./http1.js');
const { TimedOut } = require('./socket.js');

/** @typedef {import('../messages.js').Method} Method */
/** @typedef {import('./response.js').Response} Response */

class Http1Connection {
  /** Whether no call was answered on it yet. */
  isNew = true;
  lastUse = now();
  /** Whether it can carry no call any more. */
  isEnded = false;
  /** Calls at a time. */
  maxCalls = 1;
  /** Called when it can carry no other call. @type {() => void} */
  onEnd = () => {};
  /** Is for HTTP/2. */
  onLimit = () => {};
  /** @type {import('node:net').Socket} */
  #socket;
  #writer;
  /** @type {{ resolve: (response: Response) => void, reject: (error: Error) => void } | undefined} */
  #call;
  /** @type {ResponseReader | undefined} */
  #reader;
  /** @type {NodeJS.Timeout | undefined} */
  #timer;

  /** @param {import('node:net').Socket} socket @param {import('./protocol.js').RequestWriter} writer */
  constructor(socket, writer) {
    this.#socket = socket;
    this.#writer = writer;
    socket.on('error', (error) => this.#end(error));
    socket.on('end', () => this.#end(new Error('the connection was closed')));
    socket.on('close', () => this.#end(new Error('the connection was closed')));
    socket.unref();
  }

  /**
   * Sends a request and returns its response. After a failure, or if the response is not reusable, the connection must
   * be closed.
   * @param {Method} method @param {Buffer} message
   * @param {number} timeout Milliseconds that the service may take.
   * @param {number} end When it fails with TimedOut.
   * @returns {Promise<Response>}
   */
  call(method, message, timeout, end) {
    return new Promise((resolve, reject) => {
      if (this.isEnded) {
        reject(new Error('the connection was closed'));
        return;
      }
      this.#call = { resolve, reject };
      this.#timer = setTimeout(() => this.#end(new TimedOut('no answer in time')), timeUntil(end));
      this.#socket.ref();
      this.#socket.write(this.#writer.write(method, message, timeout));
    });
  }

  close() {
    this.#end(new Error('the connection was closed'));
  }

  /** @param {Buffer} data What has arrived. */
  receive(data) {
    const call = this.#call;
    if (call === undefined) {
      // Nobody has asked for it.
      this.close();
      return;
    }
    let response;
    try {
      response = this.#reader === undefined ? readWhole(data) : this.#reader.receive(data);
      if (response === undefined && this.#reader === undefined) {
        this.#reader = new ResponseReader();
        response = this.#reader.receive(data);
      }
    } catch (error) {
      this.#end(/** @type {Error} */ (error));
      return;
    }
    if (response === undefined) return;
    this.#finishCall();
    this.isNew = false;
    this.lastUse = now();
    this.#socket.unref();
    call.resolve(response);
  }

  #finishCall() {
    clearTimeout(this.#timer);
    this.#call = this.#reader = this.#timer = undefined;
  }

  /** @param {Error} error */
  #end(error) {
    if (this.isEnded) return;
    this.isEnded = true;
    this.#socket.destroy();
    const call = this.#call;
    this.#finishCall();
    call?.reject(error);
    this.onEnd();
  }
}

module.exports = { Http1Connection };
