// The transports of this process.
'use strict';

const { ConnectTransport } = require('./connect/transport.js');
const { GrpcTransport } = require('./grpc/transport.js');

/** @typedef {import('./connect/credentials.js').Credentials} Credentials */

/**
 * Returns the transport that this process has for a protocol, an address and credentials. It is made at the first use.
 * @param {string} kind `connect` or `grpc`. @param {string} address @param {Credentials} [credentials]
 */
function sharedTransport(kind, address, credentials = {}) {
  if (!['connect', 'grpc'].includes(kind)) throw new TypeError(`transport is "${kind}"; it is "connect" or "grpc"`);
  const { token, caFile, certificateFile, keyFile } = credentials;
  const key = JSON.stringify([kind, address, token, caFile, certificateFile, keyFile]);
  let transport = shared.get(key);
  if (transport === undefined) {
    transport = kind === 'grpc' ? new GrpcTransport(address, credentials) : new ConnectTransport(address, credentials);
    shared.set(key, transport);
  }
  return transport;
}

/** @type {Map<string, ConnectTransport | GrpcTransport>} */
const shared = new Map();

module.exports = { sharedTransport };
