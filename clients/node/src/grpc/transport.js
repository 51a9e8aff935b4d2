// A transport by gRPC, to one or several addresses, with the package @grpc/grpc-js. The application installs that.
'use strict';

const { now } = require('../clock.js');
const { describeEndpoint } = require('../connect/address.js');
const { TlsContexts, checkCredentials } = require('../connect/credentials.js');
const pool = require('../connect/pool.js');
const { Replicas } = require('../connect/replicas.js');
const { CallFailed } = require('../errors.js');
const { Channel, isUnanswered } = require('./channel.js');

/** @typedef {import('../connect/credentials.js').Credentials} Credentials */
/** @typedef {import('../messages.js').Method} Method */
/** @typedef {import('../connect/replicas.js').Replica<Channel>} Replica */

/** Makes calls to the replicas of a service, which take turns. Connects at the first call. */
class GrpcTransport {
  #replicas;
  /** Calls that are under way. */
  #count = 0;

  /**
   * Throws TypeError if an address is not valid, if the credentials need TLS and an address is without, or if the package
   * @grpc/grpc-js is not there.
   * @param {string} address As for `ConnectTransport`. @param {Credentials} [credentials]
   */
  constructor(address, credentials = {}) {
    const grpc = loadGrpc();
    const tls = new TlsContexts(credentials);
    /** @type {Replicas<Channel>} */
    this.#replicas = new Replicas(
      address,
      (endpoint) => new Channel(grpc, endpoint, tls, credentials.token ?? ''),
      (channel) => channel.close(),
    );
    checkCredentials(credentials, this.#replicas.addresses);
  }

  /**
   * Makes one attempt of a call. Throws `CallFailed`.
   * @param {Method} method @param {Record<string, any>} request @param {number} timeout Milliseconds.
   * @returns {Promise<any>}
   */
  async call(method, request, timeout) {
    if (this.#count >= MAX_CALLS) throw new CallFailed('UNAVAILABLE', '', `${MAX_CALLS} calls are under way already`);
    const end = now() + timeout;
    const message = method.request.encode(request);
    this.#count += 1;
    try {
      if (this.#replicas.names.length > 0) await this.#replicas.lookUp(end);
      return await this.#callReplicas(method, message, end);
    } finally {
      this.#count -= 1;
    }
  }

  /**
   * Begins a call that is answered by a stream. Throws `CallFailed`.
   * @param {Method} method @param {Record<string, any>} request
   * @param {number} timeout Milliseconds until the first message.
   * @returns {Promise<{ first: any, stream: import('./stream.js').GrpcStream }>}
   */
  async stream(method, request, timeout) {
    const end = now() + timeout;
    if (this.#replicas.names.length > 0) await this.#replicas.lookUp(end);
    const replica = this.#replicas.next(method.name, []);
    const stream = replica.peer.stream(method, method.request.encode(request));
    // Where there is another replica, half of the time is left for it.
    const attemptEnd = this.#replicas.all.length > 1 ? (now() + end) / 2 : end;
    try {
      const first = await stream.next(attemptEnd);
      replica.answered();
      return { first, stream };
    } catch (error) {
      stream.close();
      if (isUnanswered(error)) replica.peer.close();
      throw this.#failed(replica, error, attemptEnd < end);
    }
  }

  /** Closes all connections after the calls that are under way. The next call connects again. */
  close() {
    for (const { peer } of this.#replicas.all) peer.close();
  }

  /** @param {Method} method @param {Buffer} message @param {number} end */
  async #callReplicas(method, message, end) {
    /** @type {Replica[]} */
    const tried = [];
    for (;;) {
      const replica = this.#replicas.next(method.name, tried);
      try {
        return await this.#attempt(replica, method, message, end);
      } catch (error) {
        tried.push(replica);
        // The call may be repeated, so another replica may have it at once.
        const hasOther = isUnanswered(error) && this.#replicas.all.some((each) => !tried.includes(each));
        if (!hasOther || now() >= end) throw error;
      }
    }
  }

  /** @param {Replica} replica @param {Method} method @param {Buffer} message @param {number} end */
  async #attempt(replica, method, message, end) {
    const channel = replica.peer;
    // Where there is another way, half of the time is left for it.
    const hasOtherWay = channel.hasAnswered || this.#replicas.all.length > 1;
    const attemptEnd = hasOtherWay ? (now() + end) / 2 : end;
    try {
      const response = await channel.call(method, message, attemptEnd, end);
      replica.answered();
      return response;
    } catch (error) {
      throw this.#failed(replica, error, attemptEnd < end);
    }
  }

  /**
   * Notes that a replica did not answer, and returns the failure with its address.
   * @param {Replica} replica @param {any} error @param {boolean} [hasTime] Whether a repeat has time left.
   */
  #failed(replica, error, hasTime = false) {
    if (!isUnanswered(error)) {
      if (error.reason !== '') replica.answered();
      return error;
    }
    const message = `no answer from ${describeEndpoint(replica.endpoint)}: ${error.message}`;
    const failed = this.#replicas.notConnected(replica, message, UNTRUSTED.test(error.message));
    return error.code === 'DEADLINE_EXCEEDED' && !hasTime ? error : failed;
  }
}

/** @returns {typeof import('@grpc/grpc-js')} */
function loadGrpc() {
  try {
    return require('@grpc/grpc-js');
  } catch (error) {
    if (/** @type {any} */ (error).code !== 'MODULE_NOT_FOUND') throw error;
    throw new TypeError('transport: "grpc" needs the package @grpc/grpc-js: run "npm install @grpc/grpc-js"');
  }
}

/** How gRPC describes a certificate of another authority or name. An alert is about the certificate of the caller. */
const UNTRUSTED = /^No connection established\. Last error: (?!.*\balert\b).*(certificate|altnames)/s;
/** Calls at a time of one transport. More fail at once. */
const MAX_CALLS = pool.MAX_CALLS + pool.MAX_WAITING;

module.exports = { GrpcTransport };
