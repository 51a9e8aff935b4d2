// Connects sockets to the service.
'use strict';

const net = require('node:net');
const tls = require('node:tls');
const { timeUntil } = require('../clock.js');

/** There was no answer in time. */
class TimedOut extends Error {}

/** The certificate of the service is of another authority, or for another name. */
class UntrustedCertificate extends Error {}

/**
 * Connects, and fails if that is not possible until the time `end`.
 * @param {import('./address.js').Endpoint} endpoint
 * @param {tls.SecureContext | undefined} context With TLS.
 * @param {number} end
 * @param {string[]} protocols What is offered with TLS, by the names of ALPN.
 * @param {(data: Buffer) => void} [receive] Is given the bytes that arrive, instead of the events of the socket.
 * @returns {Promise<net.Socket>}
 */
function connectSocket({ path, ip, port, tlsName }, context, end, protocols, receive) {
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
        ALPNProtocols: protocols,
        // Whatever the environment says.
        rejectUnauthorized: true,
        onread,
      }));
    if (receive !== undefined && onread === undefined) socket.on('data', receive);
    const timer = setTimeout(() => fail(new TimedOut('no connection in time')), timeUntil(end));
    /** @param {NodeJS.ErrnoException} error */
    const fail = (error) => {
      clearTimeout(timer);
      socket.destroy();
      const isUntrusted = socket instanceof tls.TLSSocket && (Boolean(socket.authorizationError) || isOfCertificate(error));
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

/** Whether a certificate has failed. Deno tells it in no other way. @param {NodeJS.ErrnoException} error */
const isOfCertificate = ({ code }) => /^(CERT|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO)_/.test(code ?? '');

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
/** Bytes. */
const READ_SIZE = 64 * 1024;
/** Milliseconds of silence after which TCP looks whether the peer is still there. */
const KEEPALIVE_DELAY = 10_000;

module.exports = { TimedOut, UntrustedCertificate, connectSocket };
