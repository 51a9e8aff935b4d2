// One connection to the service. It carries one call at a time.
'use strict';

const net = require('node:net');
const tls = require('node:tls');
const { now } = require('../clock.js');
const { ResponseReader, readWhole } = require('./http1.js');

/** @typedef {import('./http1.js').Response} Response */

/** There was no answer in time. */
class TimedOut extends Error {}

/** The certificate of the service is of another authority, or for another name. */
class UntrustedCertificate extends Error {}

class Connection {
  /** Whether no call was answered on it yet. */
  isNew = true;
  lastUse = now();
  /** Whether it can carry no call any more. */
  isEnded = false;
  /** Called when it ends while no call uses it. @type {() => void} */
  onIdleEnd = () => {};
  /** @type {net.Socket} */
  #socket;
  /** @type {{ resolve: (response: Response) => void, reject: (error: Error) => void } | undefined} */
  #call;
  /** @type {ResponseReader | undefined} */
  #reader;
  /** @type {NodeJS.Timeout | undefined} */
  #timer;

  /**
   * Returns a connection on the socket that a function makes. The function has the socket's bytes given to `receive`.
   * @param {(receive: (data: Buffer) => void) => Promise<net.Socket>} connect
   */
  static async open(connect) {
    /** @type {Connection | undefined} */
    let connection;
    let hasEarlyBytes = false;
    const socket = await connect((data) => {
      if (connection === undefined) hasEarlyBytes = true;
      else connection.#receive(data);
    });
    connection = new Connection(socket);
    // Nobody has asked for them.
    if (hasEarlyBytes) connection.close();
    return connection;
  }

  /** @param {net.Socket} socket */
  constructor(socket) {
    this.#socket = socket;
    socket.on('error', (error) => this.#end(error));
    socket.on('end', () => this.#end(new Error('the connection was closed')));
    socket.on('close', () => this.#end(new Error('the connection was closed')));
    socket.unref();
  }

  /**
   * Sends a request and returns its response. After a failure, or if the response is not reusable, the connection must
   * be closed.
   * @param {Buffer} request
   * @param {number} end When it fails with TimedOut.
   * @returns {Promise<Response>}
   */
  call(request, end) {
    return new Promise((resolve, reject) => {
      if (this.isEnded) {
        reject(new Error('the connection was closed'));
        return;
      }
      this.#call = { resolve, reject };
      this.#timer = setTimeout(() => this.#end(new TimedOut('no answer in time')), end - now());
      this.#socket.ref();
      this.#socket.write(request);
    });
  }

  close() {
    this.#end(new Error('the connection was closed'));
  }

  /** @param {Buffer} data */
  #receive(data) {
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
    if (call === undefined) this.onIdleEnd();
    else call.reject(error);
  }
}

/**
 * Connects, and fails if that is not possible until the time `end`.
 * @param {import('./address.js').Endpoint} endpoint
 * @param {tls.SecureContext | undefined} context With TLS.
 * @param {number} end
 * @param {(data: Buffer) => void} [receive] Is given the bytes that arrive, instead of the events of the socket.
 * @returns {Promise<net.Socket>}
 */
function connectSocket({ path, ip, port, tlsName }, context, end, receive) {
  return new Promise((resolve, reject) => {
    const isName = net.isIP(tlsName) === 0;
    const onread = receive === undefined || !CAN_READ_INTO_A_BUFFER ? undefined : readInto(receive);
    const socket = context === undefined
      ? net.connect({ ...(path === '' ? { host: ip, port } : { path }), onread })
      : tls.connect(/** @type {tls.ConnectionOptions} */ ({
        host: ip,
        port,
        secureContext: context,
        servername: isName ? tlsName : undefined,
        ALPNProtocols: ['http/1.1'],
        // Whatever the environment says.
        rejectUnauthorized: true,
        onread,
      }));
    if (receive !== undefined && onread === undefined) socket.on('data', receive);
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

/**
 * Has a socket read into one buffer. Otherwise it allocates 64 KiB for each read: 5 to 10 % of what a call costs.
 * @param {(data: Buffer) => void} receive
 * @returns {net.OnReadOpts}
 */
const readInto = (receive) => ({
  buffer: Buffer.allocUnsafeSlow(READ_SIZE),
  callback: (size, buffer) => {
    // A copy, because the next read overwrites the buffer.
    receive(Buffer.from(buffer.subarray(0, size)));
    return true;
  },
});

/** Deno fails with `onread` before May 2026, and Bun before 1.1.8 gives the socket's bytes to nobody then. */
const CAN_READ_INTO_A_BUFFER = process.versions.deno === undefined && process.versions.bun === undefined;
/** Bytes. Most responses fit into one read. */
const READ_SIZE = 16 * 1024;
/** Milliseconds of silence after which TCP looks whether the peer is still there. */
const KEEPALIVE_DELAY = 10_000;

module.exports = { Connection, TimedOut, UntrustedCertificate, connectSocket };
