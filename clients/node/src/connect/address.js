// Addresses of the service, as an application writes them, and what they stand for.
'use strict';

const net = require('node:net');

/**
 * One address: of a Unix socket, or a host and a port.
 * @typedef {{ path: string, host: string, port: number, isTls: boolean }} Address
 *
 * What a socket connects to. `host` is for the header `host`. `tlsName` is the name or IP address that the service's
 * certificate must have; it is empty without TLS.
 * @typedef {{ path: string, ip: string, port: number, host: string, tlsName: string }} Endpoint
 */

const DEFAULT_PORT = 50051;

/**
 * Returns the addresses in a list that is separated by commas. Throws TypeError.
 * @param {string} text
 * @returns {Address[]}
 */
function parseAddresses(text) {
  const parts = text.split(',').map((part) => part.trim()).filter((part) => part !== '');
  if (parts.length === 0) throw new TypeError("the service's address is empty; it is, for example, localhost:50051");
  return parts.map(parseOne);
}

/** @param {Address} address Whether it has to be looked up. */
const isName = (address) => address.path === '' && net.isIP(address.host) === 0;

/** @param {Address} address @param {string} ip The address's own, or one that its name has. @returns {Endpoint} */
function endpointOf(address, ip) {
  if (address.path !== '') return { path: address.path, ip: '', port: 0, host: 'localhost', tlsName: '' };
  // On loopback the service takes no name: it could be a web page's, by DNS rebinding.
  const name = !address.isTls && isLoopback(ip) ? ip : address.host;
  const host = name.includes(':') ? `[${name}]:${address.port}` : `${name}:${address.port}`;
  return { path: '', ip, port: address.port, host, tlsName: address.isTls ? address.host : '' };
}

/** @param {Endpoint} endpoint Equal endpoints have the same key. */
const endpointKey = ({ path, ip, port, host, tlsName }) => JSON.stringify([path, ip, port, host, tlsName]);

/** @param {Endpoint} endpoint */
const describeEndpoint = ({ path, ip, port }) => (path === '' ? `${ip} port ${port}` : `unix:${path}`);

/** @param {string} ip */
const isLoopback = (ip) => ip.startsWith('127.') || ip === '::1';

/** @param {string} text @returns {Address} */
function parseOne(text) {
  if (text.startsWith('unix:')) {
    // unix:///run/x.sock is the form of a URL.
    const path = text.slice('unix:'.length).replace(/^\/\/\//, '/');
    if (path === '') throw new TypeError(`"${text}" has no path; it is, for example, unix:/run/cloakroom/cloakroom.sock`);
    return { path, host: '', port: 0, isTls: false };
  }
  const [, scheme, rest] = /** @type {RegExpMatchArray} */ (text.match(/^(https:\/\/|http:\/\/|dns:\/\/\/)?(.*?)\/?$/s));
  const isTls = scheme === 'https://';
  if (/[/@]/.test(rest) || (scheme === undefined && text.endsWith('/'))) {
    throw new TypeError(
      `"${text}" is no address of the service; it is, for example, localhost:50051, https://cloakroom:50051 or ` +
      'unix:/run/cloakroom/cloakroom.sock',
    );
  }
  const { host, port } = splitPort(rest, text);
  return { path: '', host, port, isTls };
}

/** @param {string} rest @param {string} text */
function splitPort(rest, text) {
  let [host, port] = [rest, ''];
  if (rest.startsWith('[')) {
    const end = rest.indexOf(']');
    const behind = end < 0 ? '' : rest.slice(end + 1);
    host = rest.slice(1, end < 0 ? undefined : end);
    if (behind !== '' && !behind.startsWith(':')) throw new TypeError(`"${text}": a port is written as [${host}]:50051`);
    port = behind.slice(1);
  } else if (rest.split(':').length === 2) {
    [host, port] = rest.split(':');
  }
  if (!/^[!-~]+$/.test(host)) throw new TypeError(`"${text}" has no valid host; it is, for example, localhost:50051`);
  if (port !== '' && !(/^[0-9]{1,5}$/.test(port) && Number(port) > 0 && Number(port) < 65536)) {
    throw new TypeError(`"${text}": the port is a number from 1 to 65535`);
  }
  return { host, port: port === '' ? DEFAULT_PORT : Number(port) };
}

module.exports = { describeEndpoint, endpointKey, endpointOf, isName, parseAddresses };
