// Opens connections to one endpoint, by HTTP/2 if it can be.
'use strict';

const { now } = require('../clock.js');
const { Http1Connection } = require('./http1_connection.js');
const { Http2Connection, NotHttp2 } = require('./http2_connection.js');
const { Http2RequestWriter } = require('./http2.js');
const { RequestWriter } = require('./protocol.js');
const { connectSocket } = require('./socket.js');

/** @typedef {Http1Connection | Http2Connection} Connection */

class Opener {
  #endpoint;
  #tls;
  #http1;
  #http2;
  /** Whether the endpoint has answered otherwise when it was spoken to by HTTP/2, as a proxy may. */
  #isHttp1 = false;

  /**
   * @param {import('./address.js').Endpoint} endpoint @param {import('./credentials.js').TlsContexts} tls
   * @param {string} token
   */
  constructor(endpoint, tls, token) {
    this.#endpoint = endpoint;
    this.#tls = tls;
    this.#http1 = new RequestWriter(endpoint.host, token);
    this.#http2 = new Http2RequestWriter(endpoint.host, token, endpoint.tlsName !== '');
  }

  /** The headers of each stream. */
  get headers() {
    return this.#http1.headers;
  }

  /**
   * Connects until a time, or fails.
   * @param {number} end
   * @returns {Promise<Connection>}
   */
  async open(end) {
    if (this.#isHttp1) return this.#openHttp1(end);
    try {
      return await this.#openAny(connectEnd(end));
    } catch (error) {
      if (!(error instanceof NotHttp2)) throw error;
      this.#isHttp1 = error.hasAnswered;
      return this.#openHttp1(end);
    }
  }

  /**
   * Returns a socket for a stream, which goes by HTTP/1.1.
   * @param {number} end
   */
  openSocket(end) {
    return this.#connect(end, [HTTP1]);
  }

  /** @param {number} end */
  async #openAny(end) {
    const arrival = new Arrival();
    const socket = await this.#connect(end, [HTTP2, HTTP1], arrival.receive);
    const isHttp1 = 'alpnProtocol' in socket && socket.alpnProtocol !== HTTP2;
    if (isHttp1) return arrival.goTo(new Http1Connection(socket, this.#http1));
    const connection = arrival.goTo(new Http2Connection(socket, this.#http2));
    await connection.whenReady(end);
    return connection;
  }

  /** @param {number} end */
  async #openHttp1(end) {
    const arrival = new Arrival();
    const socket = await this.#connect(end, [HTTP1], arrival.receive);
    return arrival.goTo(new Http1Connection(socket, this.#http1));
  }

  /** @param {number} end @param {string[]} protocols @param {(data: Buffer) => void} [receive] */
  #connect(end, protocols, receive) {
    const context = this.#endpoint.tlsName === '' ? undefined : this.#tls.context();
    return connectSocket(this.#endpoint, context, connectEnd(end), protocols, receive);
  }
}

/** What arrives at a socket, for a connection that is made when the socket is connected. */
class Arrival {
  /** @type {Buffer[]} */
  #early = [];
  /** @type {Connection | undefined} */
  #connection;

  /** @param {Buffer} data */
  receive = (data) => {
    if (this.#connection === undefined) this.#early.push(data);
    else this.#connection.receive(data);
  };

  /** @template {Connection} T @param {T} connection @returns {T} */
  goTo(connection) {
    this.#connection = connection;
    for (const data of this.#early) connection.receive(data);
    return connection;
  }
}

/** @param {number} end */
const connectEnd = (end) => Math.min(end, now() + CONNECT_TIMEOUT);

/** Milliseconds that the opening of a connection may take. */
const CONNECT_TIMEOUT = 1000;
// The names of ALPN.
const HTTP1 = 'http/1.1';
const HTTP2 = 'h2';

module.exports = { Opener };
