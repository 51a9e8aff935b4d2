// A call that is answered by a stream of messages, on a connection of its own. docs/wire.md describes the envelopes.
'use strict';

const http = require('node:http');
const { timeUntil } = require('../clock.js');
const { CallFailed } = require('../errors.js');
const { callFailed } = require('./protocol.js');

/** @typedef {import('../messages.js').Method} Method */

/** Reads the messages in the body of a response as it arrives. */
class EnvelopeReader {
  /** @type {Buffer[]} What has arrived of the next envelope. */
  #parts = [];
  #size = 0;
  /** How many bytes it takes to read on. */
  #needed = PREFIX;
  #method;
  /** Whether the end has arrived. */
  isEnded = false;

  /** @param {Method} method */
  constructor(method) {
    this.#method = method;
  }

  /**
   * Takes the next bytes and returns the messages that are complete. Throws `CallFailed`.
   * @param {Buffer} data
   * @returns {any[]}
   */
  receive(data) {
    this.#parts.push(data);
    this.#size += data.length;
    // A long message is joined once.
    if (this.#size < this.#needed) return [];
    let bytes = this.#parts.length === 1 ? data : Buffer.concat(this.#parts);
    const messages = [];
    this.#needed = PREFIX;
    while (bytes.length >= PREFIX && !this.isEnded) {
      const length = bytes.readUInt32BE(1);
      if (length > MAX_MESSAGE) throw notTheService(`a message of the stream is over ${MAX_MESSAGE} bytes`);
      if (bytes.length < PREFIX + length) {
        this.#needed = PREFIX + length;
        break;
      }
      const content = bytes.subarray(PREFIX, PREFIX + length);
      if (bytes[0] === END) this.#end(content);
      else if (bytes[0] === 0) messages.push(this.#read(content));
      else throw notTheService(`the flags of an envelope are ${bytes[0]}`);
      bytes = bytes.subarray(PREFIX + length);
    }
    this.#parts = bytes.length > 0 ? [bytes] : [];
    this.#size = bytes.length;
    return messages;
  }

  /** @param {Buffer} content */
  #read(content) {
    try {
      return this.#method.response.decode(content);
    } catch {
      throw notTheService(`a message of the stream is none of ${this.#method.path}`);
    }
  }

  /** @param {Buffer} content */
  #end(content) {
    let end;
    try {
      end = JSON.parse(content.toString());
    } catch {
      throw notTheService('the end of the stream is not JSON');
    }
    this.isEnded = true;
    const error = end?.error;
    if (error === undefined) return;
    const detail = Array.isArray(error?.details) ? error.details.find((/** @type {any} */ each) => each?.debug) : undefined;
    throw new CallFailed(String(error?.code ?? 'UNKNOWN').toUpperCase(), detail?.debug.reason ?? '', String(error?.message ?? ''));
  }
}

/** The messages of one call. */
class Stream {
  /** @type {http.ClientRequest} */
  #request;
  /** @type {http.IncomingMessage | undefined} */
  #response;
  /** @type {any[]} */
  #messages = [];
  /** @type {CallFailed | undefined} */
  #failed;
  #isOver = false;
  /** @type {(() => void) | undefined} Wakes the caller of `next`. */
  #wake;

  /**
   * Sends the request. `next` tells whether that has succeeded.
   * @param {import('node:net').Socket} socket @param {Method} method
   * @param {http.OutgoingHttpHeaders} headers @param {Buffer} message
   */
  constructor(socket, method, headers, message) {
    const body = Buffer.alloc(PREFIX + message.length);
    body.writeUInt32BE(message.length, 1);
    body.set(message, PREFIX);
    this.#request = http.request({
      // Without an agent, no proxy of the environment is used.
      createConnection: () => socket,
      method: 'POST',
      path: method.path,
      headers: { ...headers, 'content-type': CONTENT_TYPE, 'content-length': body.length },
    });
    this.#request.on('response', (response) => this.#receive(method, response));
    this.#request.on('error', (error) => this.#fail(cutOff(error)));
    // An answer that nobody asked for, such as 101, ends it without an error. A response has an end or an error of its own.
    this.#request.on('close', () => {
      if (this.#response === undefined) this.#fail(cutOff(new Error('there was no response')));
    });
    this.#request.end(body);
  }

  /**
   * Returns the next message. Undefined: the stream has ended or was closed. Throws `CallFailed`.
   * @param {number} [end] When it fails with DEADLINE_EXCEEDED. Without it, it waits until there is a message.
   */
  async next(end) {
    while (this.#messages.length === 0 && !this.#isOver) await this.#wait(end);
    if (this.#messages.length > 0) {
      this.#response?.resume();
      return this.#messages.shift();
    }
    if (this.#failed !== undefined) throw this.#failed;
    return undefined;
  }

  /** Ends the stream. Who waits for the next message gets undefined. */
  close() {
    this.#isOver = true;
    this.#messages = [];
    this.#failed = undefined;
    this.#request.destroy();
    this.#wake?.();
  }

  /** @param {number} [end] @returns {Promise<void>} */
  #wait(end) {
    return new Promise((resolve, reject) => {
      const timer = end === undefined ? undefined : setTimeout(() => {
        this.#wake = undefined;
        reject(new CallFailed('DEADLINE_EXCEEDED', '', 'no answer within the deadline'));
      }, timeUntil(end));
      this.#wake = () => {
        clearTimeout(timer);
        this.#wake = undefined;
        resolve();
      };
    });
  }

  /** @param {Method} method @param {http.IncomingMessage} response */
  #receive(method, response) {
    this.#response = response;
    response.on('error', (error) => this.#fail(cutOff(error)));
    if (response.statusCode !== 200) {
      this.#receiveFailure(response);
      return;
    }
    if (response.headers['content-type'] !== CONTENT_TYPE) {
      this.#fail(notTheService('its response is no stream'));
      return;
    }
    const reader = new EnvelopeReader(method);
    response.on('data', (data) => {
      if (reader.isEnded) {
        // Nobody reads what follows the end.
        this.#request.destroy();
        return;
      }
      try {
        this.#messages.push(...reader.receive(data));
      } catch (error) {
        this.#fail(/** @type {CallFailed} */ (error));
        return;
      }
      if (this.#messages.length >= MAX_WAITING) response.pause();
      if (reader.isEnded) this.#isOver = true;
      this.#wake?.();
    });
    response.on('end', () => {
      if (!this.#isOver) this.#fail(cutOff(new Error('it has no end')));
    });
  }

  /** @param {http.IncomingMessage} response */
  #receiveFailure(response) {
    /** @type {Buffer[]} */
    const parts = [];
    let size = 0;
    response.on('data', (data) => {
      size += data.length;
      if (size > MAX_MESSAGE) this.#fail(notTheService('its response is too long'));
      else parts.push(data);
    });
    response.on('end', () => {
      const reason = String(response.headers['cloakroom-reason'] ?? '');
      this.#fail(callFailed(/** @type {number} */ (response.statusCode), reason, Buffer.concat(parts)));
    });
  }

  /** @param {CallFailed} failed */
  #fail(failed) {
    if (!this.#isOver) this.#failed = failed;
    this.#isOver = true;
    this.#request.destroy();
    this.#wake?.();
  }
}

/** @param {string} what */
const notTheService = (what) => new CallFailed('INTERNAL', '', `what answered is not the service: ${what}`);

/** @param {Error} error */
const cutOff = (error) => new CallFailed('UNAVAILABLE', '', `the stream was cut off: ${error.message}`);

/** Bytes: the flags and the length before each message. */
const PREFIX = 5;
/** The flags of the last envelope. */
const END = 2;
const CONTENT_TYPE = 'application/connect+proto';
/** Bytes. The service's own limit of a message is less. */
const MAX_MESSAGE = 16 * 1024 * 1024;
/** Messages that wait for the caller. Then the service waits. */
const MAX_WAITING = 64;

module.exports = { EnvelopeReader, Stream };
