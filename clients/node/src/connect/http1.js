// Reads responses of HTTP/1.1 (RFC 9112). Makes no calls: the bytes come from a socket or a test.
//
// A response that two programs could read differently is refused, because the next one on its connection would be
// misread: two lengths, a length beside chunks, white space before a colon, a line that ends in LF alone, and a body
// that only the end of the connection ends.
'use strict';

const { KnownHeads, MAX_BODY, MAX_KNOWN_HEAD, addField } = require('./response.js');

/** @typedef {import('./response.js').Response} Response */

/** The bytes are not one clear response. The connection cannot be used any more. */
class Malformed extends Error {}

/**
 * `length` is that of the body, or undefined if it is chunked. `end` is the position behind the head.
 * @typedef {{ status: number, headers: Map<string, string>, length: number | undefined, keepsConnection: boolean,
 *   end: number }} Head
 */

/**
 * Returns a response that has arrived whole and has a head like an earlier one. Undefined: `ResponseReader` reads it.
 *
 * The heads of the service differ in the length only, so most responses are read here.
 * @param {Buffer} data
 * @returns {Response | undefined}
 */
function readWhole(data) {
  const end = data.indexOf(HEAD_END);
  if (end < 0 || end > MAX_KNOWN_HEAD) return undefined;
  const head = knownHeads.get(data.toString('latin1', 0, end));
  if (head === undefined || data.length !== head.end + /** @type {number} */ (head.length)) return undefined;
  const { status, headers, keepsConnection } = head;
  return { status, headers, body: data.subarray(head.end), isReusable: keepsConnection };
}

/** Reads one response from bytes as they arrive. */
class ResponseReader {
  /** What has arrived, but for the chunks that were read. @type {Buffer[]} */
  #parts = [];
  #size = 0;
  /** How many of these bytes it takes to read on. */
  #needed = 0;
  /** @type {Head | undefined} */
  #head;
  /** @type {ChunkedBody | undefined} */
  #chunks;

  /**
   * Takes the next bytes, and returns the response when it is complete. Throws `Malformed`.
   * @param {Buffer} data
   * @returns {Response | undefined}
   */
  receive(data) {
    this.#parts.push(data);
    this.#size += data.length;
    // A long body or chunk is joined once.
    if (this.#size < this.#needed) return undefined;
    const all = this.#parts.length === 1 ? data : Buffer.concat(this.#parts);
    this.#parts = [all];
    return this.#next(all);
  }

  /** @param {Buffer} data @returns {Response | undefined} */
  #next(data) {
    const head = this.#head ??= readHead(data);
    if (head === undefined) return undefined;
    if (head.status < 200) return this.#skipInterim(data, head);
    if (head.length === undefined) return this.#readChunks(data, head);
    const end = this.#needed = head.end + head.length;
    if (data.length < end) return undefined;
    return toResponse(head, data.subarray(head.end, end), data.length === end);
  }

  /** @param {Buffer} data @param {Head} head @returns {Response | undefined} */
  #readChunks(data, head) {
    const unread = this.#chunks === undefined ? data.subarray(head.end) : data;
    const chunks = this.#chunks ??= new ChunkedBody();
    if (chunks.receive(unread)) return toResponse(head, Buffer.concat(chunks.content), chunks.at === unread.length);
    const rest = unread.subarray(chunks.at);
    this.#parts = rest.length > 0 ? [rest] : [];
    this.#size = rest.length;
    this.#needed = chunks.needed;
    return undefined;
  }

  /** @param {Buffer} data @param {Head} head */
  #skipInterim(data, head) {
    if (head.status === 101) throw new Malformed('the connection was switched to another protocol, which nobody asked for');
    const rest = data.subarray(head.end);
    this.#head = undefined;
    this.#parts = [];
    this.#size = 0;
    return rest.length > 0 ? this.receive(rest) : undefined;
  }
}

/** @param {Head} head @param {Buffer} body @param {boolean} isAll Whether nothing follows that belongs to no request. */
const toResponse = ({ status, headers, keepsConnection }, body, isAll) =>
  ({ status, headers, body, isReusable: keepsConnection && isAll });

/** @param {Buffer} data @returns {Head | undefined} */
function readHead(data) {
  const end = data.indexOf(HEAD_END);
  if (end > MAX_HEAD || (end < 0 && data.length > MAX_HEAD)) {
    throw new Malformed(`the head of the response is over ${MAX_HEAD} bytes`);
  }
  if (end < 0) return undefined;
  const head = data.toString('latin1', 0, end);
  const [statusLine, ...lines] = head.split('\r\n');
  const found = STATUS_LINE.exec(statusLine);
  if (found === null) throw new Malformed(`not a response of HTTP/1.1: ${JSON.stringify(statusLine.slice(0, 80))}`);
  const status = Number(found[2]);
  const isHttp11 = found[1] === '1';
  if (status < 200 && !isHttp11) throw new Malformed('an interim response of HTTP/1.0');
  const headers = readFields(lines);
  const options = headers.get('connection')?.toLowerCase();
  const keepsConnection = options ? keepsByOptions(options, isHttp11) : isHttp11;
  const read = { status, headers, length: bodyLength(status, headers, isHttp11), keepsConnection, end: end + 4 };
  if (status === 200 && read.length !== undefined && end <= MAX_KNOWN_HEAD) {
    knownHeads.add(head, read);
  }
  return read;
}

/** @param {string[]} lines */
function readFields(lines) {
  /** @type {Map<string, string>} */
  const headers = new Map();
  for (const line of lines) {
    const found = FIELD.exec(line);
    if (found === null) throw new Malformed(`not a header: ${JSON.stringify(line.slice(0, 40))}`);
    const name = found[1].toLowerCase();
    const value = found[2].replace(TRAILING_SPACE, '');
    if (LENGTH_FIELDS.includes(name) && (headers.has(name) || value !== found[2])) {
      throw new Malformed(`the response has two fields ${name}, or white space behind one`);
    }
    addField(headers, name, value);
  }
  return headers;
}

/** @param {string} options @param {boolean} isHttp11 */
function keepsByOptions(options, isHttp11) {
  const names = options.split(',').map((name) => name.trim());
  return !names.includes('close') && (isHttp11 || names.includes('keep-alive'));
}

/** Returns the length of the body, or undefined if it is chunked.
 * @param {number} status @param {Map<string, string>} headers @param {boolean} isHttp11 */
function bodyLength(status, headers, isHttp11) {
  const length = headers.get('content-length');
  const encoding = headers.get('transfer-encoding');
  if (status < 200 || status === 204 || status === 304) {
    if (encoding !== undefined || (length !== undefined && length !== '0')) {
      throw new Malformed(`a response with status ${status} has no body, and this one names a length`);
    }
    return 0;
  }
  if (encoding !== undefined) {
    if (length !== undefined) throw new Malformed('the response has a content-length beside its transfer-encoding');
    if (encoding.toLowerCase() !== 'chunked' || !isHttp11) {
      throw new Malformed(`the transfer-encoding is not supported: ${JSON.stringify(encoding.slice(0, 40))}`);
    }
    return undefined;
  }
  if (length === undefined) throw new Malformed('the response does not say how long it is');
  if (!/^[0-9]{1,10}$/.test(length) || Number(length) > MAX_BODY) {
    throw new Malformed(`not a content-length up to ${MAX_BODY}: ${JSON.stringify(length.slice(0, 40))}`);
  }
  return Number(length);
}

/** Reads a body in chunks. */
class ChunkedBody {
  /** @type {Buffer[]} */
  content = [];
  /** The position behind what was read of the last bytes. */
  at = 0;
  /** How many bytes from there on it takes to read on. */
  needed = 0;
  #size = 0;
  #isInTrailers = false;
  #trailersSize = 0;

  /**
   * Reads on in the bytes that follow those that were read. Returns whether the body is complete.
   * @param {Buffer} data
   */
  receive(data) {
    this.at = this.needed = 0;
    while (!this.#isInTrailers) {
      const lineEnd = data.indexOf('\r\n', this.at, 'latin1');
      if (lineEnd < 0 ? data.length - this.at >= MAX_CHUNK_LINE : lineEnd - this.at > MAX_CHUNK_LINE) {
        throw new Malformed('the line before a chunk is too long');
      }
      if (lineEnd < 0) return false;
      const line = data.toString('latin1', this.at, lineEnd);
      const found = CHUNK_LINE.exec(line);
      if (found === null) throw new Malformed(`not the size of a chunk: ${JSON.stringify(line.slice(0, 40))}`);
      const size = Number.parseInt(found[1], 16);
      if (size === 0) {
        this.at = lineEnd + 2;
        this.#isInTrailers = true;
        break;
      }
      const end = lineEnd + 2 + size;
      if (this.#size + size > MAX_BODY) throw new Malformed(`the body of the response is over ${MAX_BODY} bytes`);
      if (data.length < end + 2) {
        this.needed = end + 2 - this.at;
        return false;
      }
      if (data[end] !== 13 || data[end + 1] !== 10) throw new Malformed('a chunk is longer than it says');
      this.content.push(data.subarray(lineEnd + 2, end));
      this.#size += size;
      this.at = end + 2;
    }
    return this.#skipTrailers(data);
  }

  /** @param {Buffer} data */
  #skipTrailers(data) {
    for (;;) {
      const lineEnd = data.indexOf('\r\n', this.at, 'latin1');
      const left = MAX_HEAD - this.#trailersSize;
      if (lineEnd < 0 ? data.length - this.at >= left : lineEnd + 2 - this.at > left) {
        throw new Malformed('the trailers of the response are too long');
      }
      if (lineEnd < 0) return false;
      const line = data.toString('latin1', this.at, lineEnd);
      this.#trailersSize += lineEnd + 2 - this.at;
      this.at = lineEnd + 2;
      if (line === '') return true;
      if (!FIELD.test(line)) throw new Malformed(`not a trailer: ${JSON.stringify(line.slice(0, 40))}`);
    }
  }
}

const HEAD_END = Buffer.from('\r\n\r\n');
const STATUS_LINE = /^HTTP\/1\.([01]) ([1-9][0-9][0-9])(?: [\t\x20-\x7e\x80-\xff]*)?$/;
const FIELD = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t\x20-\x7e\x80-\xff]*)$/;
const TRAILING_SPACE = /[ \t]+$/;
const CHUNK_LINE = /^([0-9A-Fa-f]{1,8})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?$/;
const LENGTH_FIELDS = ['content-length', 'transfer-encoding'];
/** Heads with a content-length, without the empty line. @type {KnownHeads<Head>} */
const knownHeads = new KnownHeads();
// Bytes.
const MAX_HEAD = 64 * 1024;
const MAX_CHUNK_LINE = 4096;

module.exports = { Malformed, ResponseReader, readWhole };
