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
  /** Until this time it is not spoken to by HTTP/2, because it has answered otherwise, as a proxy may. */
  #http1Until = 0;
  /** Whether it has ever answered by HTTP/2. */
  #isHttp2 = false;
  /** Connections in a row that it has closed at once, without an answer. */
  #closed = 0;

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
    if (now() < this.#http1Until) return this.#openHttp1(end);
    try {
      return await this.#openAny(connectEnd(end));
    } catch (error) {
      if (!(error instanceof NotHttp2) || !this.#mayBeHttp1(error)) throw error;
      return this.#openHttp1(end);
    }
  }

  /** @param {NotHttp2} error */
  #mayBeHttp1({ hasAnswered }) {
    if (hasAnswered) {
      this.#http1Until = now() + HTTP1_TIME;
      this.#isHttp2 = false;
      return true;
    }
    this.#closed += 1;
    if (this.#closed >= MAX_CLOSED) this.#isHttp2 = false;
    // A service closes connections at once if it has as many as it may have. HTTP/1.1 would only bring it another one.
    return !this.#isHttp2;
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
    this.#isHttp2 = true;
    this.#closed = 0;
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
/** Milliseconds after which an endpoint that spoke HTTP/1.1 is spoken to by HTTP/2 again: it may have been an error page. */
const HTTP1_TIME = 60_000;
/** After so many connections that were closed at once, HTTP/1.1 is tried too, also where HTTP/2 was spoken before. */
const MAX_CLOSED = 10;
// The names of ALPN.
const HTTP1 = 'http/1.1';
const HTTP2 = 'h2';

module.exports = { Opener };
