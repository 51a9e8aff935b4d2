// A transport by the Connect protocol to one or several addresses, with Node's own sockets: over HTTP/2, or over HTTP/1.1
// where that is all that is spoken. A stream goes over HTTP/1.1.
'use strict';

const { now } = require('../clock.js');
const { CallFailed } = require('../errors.js');
const { describeEndpoint } = require('./address.js');
const { TlsContexts, checkCredentials } = require('./credentials.js');
const { Opener } = require('./open.js');
const { Pool } = require('./pool.js');
const { readResponse, timeoutHeader } = require('./protocol.js');
const { Replicas } = require('./replicas.js');
const { TimedOut, UntrustedCertificate } = require('./socket.js');
const { Stream } = require('./stream.js');

/** @typedef {import('./credentials.js').Credentials} Credentials */
/** @typedef {import('../messages.js').Method} Method */
/**
 * What the calls to one endpoint need.
 * @typedef {{ pool: Pool, opener: Opener }} Peer
 */
/** @typedef {import('./replicas.js').Replica<Peer>} Replica */

/** Makes calls to the replicas of a service, which take turns. Connects at the first call. */
class ConnectTransport {
  #replicas;
  #tls;
  #token;

  /**
   * Throws TypeError if an address is not valid, or if the credentials need TLS and an address is without.
   * @param {string} address Such as `localhost:50051`, `https://cloakroom:50051` with TLS, or `unix:/path`. Several
   *   addresses are separated by commas. A name stands for all addresses that it has.
   * @param {Credentials} [credentials] What the calls are authenticated by.
   */
  constructor(address, credentials = {}) {
    this.address = address;
    this.#token = credentials.token ?? '';
    this.#tls = new TlsContexts(credentials);
    /** @type {Replicas<Peer>} */
    this.#replicas = new Replicas(address, (endpoint) => this.#makePeer(endpoint), ({ pool }) => pool.close());
    checkCredentials(credentials, this.#replicas.addresses);
  }

  /**
   * Makes one attempt of a call. Throws `CallFailed`.
   * @param {Method} method @param {Record<string, any>} request @param {number} timeout Milliseconds.
   * @returns {Promise<any>}
   */
  async call(method, request, timeout) {
    const end = now() + timeout;
    const message = method.request.encode(request);
    if (this.#replicas.names.length > 0) await this.#replicas.lookUp(end);
    /** @type {Replica[]} */
    const tried = [];
    for (;;) {
      const replica = this.#replicas.next(method.name, tried);
      tried.push(replica);
      const { pool } = replica.peer;
      let connection = pool.takeRecent();
      if (connection === undefined) {
        const isLast = this.#replicas.all.every((each) => tried.includes(each));
        try {
          connection = await pool.take(isLast ? end : (now() + end) / 2);
        } catch (error) {
          const failed = this.#notConnected(replica, error);
          // Nothing was sent, so another replica may have the call at once. A look-up may have changed them meanwhile.
          if (this.#replicas.all.some((each) => !tried.includes(each)) && now() < end) continue;
          throw failed;
        }
      }
      return this.#exchange(replica, connection, method, message, end);
    }
  }

  /**
   * Begins a call that is answered by a stream, on a connection of its own. Throws `CallFailed`.
   * @param {Method} method @param {Record<string, any>} request
   * @param {number} timeout Milliseconds until the first message.
   * @returns {Promise<{ first: any, stream: Stream }>}
   */
  async stream(method, request, timeout) {
    const end = now() + timeout;
    if (this.#replicas.names.length > 0) await this.#replicas.lookUp(end);
    const replica = this.#replicas.next(method.name, []);
    const { opener } = replica.peer;
    // Where there is another replica, half of the time is left for it.
    const attemptEnd = this.#replicas.all.length > 1 ? (now() + end) / 2 : end;
    let socket;
    try {
      socket = await opener.openSocket(attemptEnd);
    } catch (error) {
      throw this.#notConnected(replica, error);
    }
    const headers = { ...opener.headers, 'connect-timeout-ms': timeoutHeader(end - now()) };
    const stream = new Stream(socket, method, headers, method.request.encode(request));
    try {
      const first = await stream.next(attemptEnd);
      replica.answered();
      return { first, stream };
    } catch (error) {
      stream.close();
      const { code, reason } = /** @type {CallFailed} */ (error);
      if (reason !== '') throw error;
      this.#replicas.didNotAnswer(replica);
      if (code !== 'DEADLINE_EXCEEDED' || attemptEnd === end) throw error;
      throw new CallFailed('UNAVAILABLE', '', `no answer from ${describe(replica, error)}`);
    }
  }

  /** Closes all connections, those in use after their calls. The next call connects again. Streams go on. */
  close() {
    for (const { peer } of this.#replicas.all) peer.pool.close();
  }

  /**
   * @param {Replica} replica @param {import('./open.js').Connection} connection
   * @param {Method} method @param {Buffer} message @param {number} end
   */
  async #exchange(replica, connection, method, message, end) {
    const { pool } = replica.peer;
    const start = now();
    // Where there is another way, half of the time is left for it.
    const hasOtherWay = !connection.isNew || this.#replicas.all.length > 1;
    const attemptEnd = hasOtherWay ? (start + end) / 2 : end;
    let response;
    try {
      response = await connection.call(method, message, end - start, attemptEnd);
    } catch (error) {
      this.#replicas.didNotAnswer(replica);
      // If another call was answered not long ago, the connection is well.
      const isAnswering = !connection.isEnded && connection.lastUse > (start + now()) / 2;
      if (isAnswering) pool.put(connection);
      else pool.drop(connection);
      if (error instanceof TimedOut) {
        // The idle ones may lead to the same silence.
        if (!isAnswering) pool.dropIdle();
        if (attemptEnd === end) throw new CallFailed('DEADLINE_EXCEEDED', '', 'no answer within the deadline');
      }
      throw new CallFailed('UNAVAILABLE', '', `no answer from ${describe(replica, error)}`);
    }
    if (response.isReusable) pool.put(connection);
    else pool.drop(connection);
    replica.answered();
    return readResponse(method, response);
  }

  /** @param {Replica} replica @param {any} error */
  #notConnected(replica, error) {
    const message = `cannot connect to ${describe(replica, error)}`;
    return this.#replicas.notConnected(replica, message, error instanceof UntrustedCertificate);
  }

  /** @param {import('./address.js').Endpoint} endpoint @returns {Peer} */
  #makePeer(endpoint) {
    const opener = new Opener(endpoint, this.#tls, this.#token);
    return { opener, pool: new Pool((end) => opener.open(end)) };
  }
}

/** @param {Replica} replica @param {any} error */
const describe = ({ endpoint }, error) => `${describeEndpoint(endpoint)}: ${error.message}`;

module.exports = { ConnectTransport };
