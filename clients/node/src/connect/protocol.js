// The Connect protocol for unary calls: writes a call as an HTTP request, and reads the response of one.
// docs/wire.md describes it.
'use strict';

const { CallFailed } = require('../errors.js');

/** @typedef {import('../messages.js').Method} Method */

/** Writes the requests to one host. */
class RequestWriter {
  #fields;
  /** @type {Map<string, string>} */
  #heads = new Map();

  /** @param {string} host @param {string} token */
  constructor(host, token) {
    /** Of a stream, which is written elsewhere. @type {Record<string, string>} */
    this.headers = token === '' ? { host } : { host, authorization: `Bearer ${token}` };
    const authorization = token === '' ? '' : `authorization: Bearer ${token}\r\n`;
    this.#fields = `host: ${host}\r\ncontent-type: application/proto\r\n${authorization}connect-timeout-ms: `;
  }

  /**
   * Returns the whole request, for a service that may take `timeout` milliseconds.
   * @param {Method} method @param {Buffer} message @param {number} timeout
   */
  write(method, message, timeout) {
    let head = this.#heads.get(method.path);
    if (head === undefined) {
      head = `POST ${method.path} HTTP/1.1\r\n${this.#fields}`;
      this.#heads.set(method.path, head);
    }
    const text = `${head}${timeoutHeader(timeout)}\r\ncontent-length: ${message.length}\r\n\r\n`;
    const bytes = Buffer.allocUnsafe(text.length + message.length);
    bytes.write(text, 'latin1');
    bytes.set(message, text.length);
    return bytes;
  }
}

/**
 * Returns the message of a response. Throws `CallFailed`.
 * @param {Method} method @param {import('./http1.js').Response} response
 */
function readResponse(method, response) {
  const { status, headers, body } = response;
  if (status !== 200) throw callFailed(status, headers.get('cloakroom-reason') ?? '', body);
  if (headers.get('content-type') !== 'application/proto') {
    throw new CallFailed('INTERNAL', '', 'what answered is not the service: its response is no message');
  }
  try {
    return method.response.decode(body);
  } catch {
    throw new CallFailed('INTERNAL', '', `the response is no message of ${method.path}`);
  }
}

/** Returns the value of the header `connect-timeout-ms`. @param {number} timeout */
const timeoutHeader = (timeout) => String(Math.min(Math.ceil(Math.max(timeout, 1)), MAX_MILLISECONDS));

/** Returns what a response with another status than 200 stands for.
 * @param {number} status @param {string} reason @param {Buffer} body */
function callFailed(status, reason, body) {
  let code = '';
  let message = '';
  try {
    const error = JSON.parse(body.toString());
    if (typeof error.code === 'string') code = error.code.toUpperCase();
    message = String(error.message ?? '');
  } catch {
    // A proxy has answered.
  }
  code ||= CODES.get(status) ?? 'UNKNOWN';
  return new CallFailed(code, reason, message || `HTTP status ${status}`);
}

/** What the HTTP status means where the body does not say it, by Connect's specification. */
const CODES = new Map([
  [400, 'INTERNAL'],
  [401, 'UNAUTHENTICATED'],
  [403, 'PERMISSION_DENIED'],
  [404, 'UNIMPLEMENTED'],
  [429, 'UNAVAILABLE'],
  [502, 'UNAVAILABLE'],
  [503, 'UNAVAILABLE'],
  [504, 'UNAVAILABLE'],
]);
/** The service takes ten digits. */
const MAX_MILLISECONDS = 9_999_999_999;

module.exports = { RequestWriter, callFailed, readResponse, timeoutHeader };
