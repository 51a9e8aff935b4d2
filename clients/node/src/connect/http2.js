// The frames of HTTP/2 (RFC 9113), as a client writes and reads them. Makes no calls: the bytes come from a socket or a
// test.
'use strict';

const { MalformedHeaders, readFields, writeField, writeKnownField } = require('./hpack.js');
const { timeoutHeader } = require('./protocol.js');
const { KnownHeads, MAX_BODY, MAX_KNOWN_HEAD, addField } = require('./response.js');

/** @typedef {import('../messages.js').Method} Method */

/** The bytes are no frames that a client may get. The connection cannot be used any more. */
class MalformedFrames extends Error {}

/**
 * What comes before the body of a response. `isInterim` is whether another one follows.
 * @typedef {{ status: number, headers: Map<string, string>, length: number | undefined, isInterim: boolean }} Head
 */

/** Splits what arrives into frames. */
class FrameReader {
  /** What has arrived of the next frame. @type {Buffer[]} */
  #parts = [];
  #size = 0;
  /** Bytes that have to be there to go on. */
  #wanted = FRAME_HEAD;

  /**
   * Takes the next bytes, and gives each frame that is complete to a function. Throws `MalformedFrames`.
   * @param {Buffer} data
   * @param {(type: number, flags: number, stream: number, payload: Buffer) => void} take
   */
  receive(data, take) {
    let bytes = data;
    if (this.#size > 0) {
      this.#parts.push(data);
      this.#size += data.length;
      if (this.#size < this.#wanted) return;
      bytes = Buffer.concat(this.#parts, this.#size);
      this.#parts = [];
    }
    let at = 0;
    this.#wanted = FRAME_HEAD;
    while (bytes.length - at >= FRAME_HEAD) {
      const length = bytes.readUIntBE(at, 3);
      if (length > MAX_FRAME) throw new MalformedFrames(`a frame has over ${MAX_FRAME} bytes`);
      const end = at + FRAME_HEAD + length;
      if (bytes.length < end) {
        this.#wanted = FRAME_HEAD + length;
        break;
      }
      const stream = bytes.readUInt32BE(at + 5) & 0x7fffffff;
      take(bytes[at + 3], bytes[at + 4], stream, bytes.subarray(at + FRAME_HEAD, end));
      at = end;
    }
    this.#size = bytes.length - at;
    if (this.#size > 0) this.#parts.push(bytes.subarray(at));
  }
}

/**
 * Returns the payload without padding (section 6.1), and in front without so many bytes more.
 * @param {number} flags @param {Buffer} payload @param {number} [skipped]
 */
function withoutPadding(flags, payload, skipped = 0) {
  const isPadded = (flags & PADDED) !== 0;
  const start = (isPadded ? 1 : 0) + skipped;
  const end = payload.length - (isPadded ? payload[0] : 0);
  if (start > end) throw new MalformedFrames('the padding of a frame is longer than the frame');
  return start === 0 && end === payload.length ? payload : payload.subarray(start, end);
}

/**
 * Reads the header fields before a body. Throws `MalformedFrames`.
 * @param {Buffer} bytes
 * @returns {Head}
 */
function readHead(bytes) {
  const key = bytes.length <= MAX_KNOWN_HEAD ? bytes.toString('latin1') : '';
  const known = knownHeads.get(key);
  if (known !== undefined) return known;
  const headers = readHeaders(bytes);
  const status = Number(headers.get(':status'));
  if (!/^[1-9][0-9][0-9]$/.test(headers.get(':status') ?? '')) throw new MalformedFrames('a response has no status');
  const length = headers.get('content-length');
  if (length !== undefined && !/^[0-9]{1,10}$/.test(length)) throw new MalformedFrames('the content-length is not a number');
  if (Number(length ?? 0) > MAX_BODY) throw new MalformedFrames(`a body has over ${MAX_BODY} bytes`);
  const head = { status, headers, length: length === undefined ? undefined : Number(length), isInterim: status < 200 };
  if (status === 200 && key !== '') {
    knownHeads.add(key, head);
  }
  return head;
}

/** @param {Buffer} bytes */
function readHeaders(bytes) {
  /** @type {Map<string, string>} */
  const headers = new Map();
  let fields;
  try {
    fields = readFields(bytes);
  } catch (error) {
    if (error instanceof MalformedHeaders) throw new MalformedFrames(error.message);
    throw error;
  }
  for (const [name, value] of fields) {
    if (headers.has(name) && SINGLE_FIELDS.includes(name)) throw new MalformedFrames(`a response has two fields ${name}`);
    addField(headers, name, value);
  }
  return headers;
}

/** Writes the requests to one host. */
class Http2RequestWriter {
  #target;
  #fields;
  /** By path, all header fields that stay the same. @type {Map<string, Buffer>} */
  #heads = new Map();

  /** @param {string} host @param {string} token @param {boolean} isTls */
  constructor(host, token, isTls) {
    const scheme = writeKnownField(':scheme', isTls ? 'https' : 'http');
    this.#target = Buffer.concat([writeKnownField(':method', 'POST'), scheme, writeField(':authority', host)]);
    const authorization = token === '' ? [] : [writeField('authorization', `Bearer ${token}`)];
    this.#fields = Buffer.concat([writeField('content-type', 'application/proto'), ...authorization]);
  }

  /**
   * Returns the frames before a body, and with the body if it has at most so many bytes.
   * @param {number} stream @param {Method} method @param {Buffer} message @param {number} timeout Milliseconds.
   * @param {number} maxBody
   */
  write(stream, method, message, timeout, maxBody) {
    let head = this.#heads.get(method.path);
    if (head === undefined) {
      head = Buffer.concat([this.#target, writeField(':path', method.path), this.#fields]);
      this.#heads.set(method.path, head);
    }
    const time = timeoutHeader(timeout);
    const length = String(message.length);
    const size = head.length + TIMEOUT_NAME.length + time.length + LENGTH_NAME.length + length.length + 2;
    const hasBody = message.length <= maxBody;
    const bytes = Buffer.allocUnsafe(FRAME_HEAD + size + (hasBody ? FRAME_HEAD + message.length : 0));
    let at = writeFrameHead(bytes, 0, size, HEADERS, message.length === 0 ? END_HEADERS | END_STREAM : END_HEADERS, stream);
    bytes.set(head, at);
    at = writeShortField(bytes, at + head.length, TIMEOUT_NAME, time);
    at = writeShortField(bytes, at, LENGTH_NAME, length);
    if (!hasBody) return bytes;
    if (message.length === 0) return bytes.subarray(0, at);
    bytes.set(message, writeFrameHead(bytes, at, message.length, DATA, END_STREAM, stream));
    return bytes;
  }
}

/** @param {Buffer} bytes @param {number} at @param {Buffer} name As it is written. @param {string} value */
function writeShortField(bytes, at, name, value) {
  bytes.set(name, at);
  bytes[at + name.length] = value.length;
  return at + name.length + 1 + bytes.write(value, at + name.length + 1, 'latin1');
}

/**
 * Returns the position behind it.
 * @param {Buffer} bytes @param {number} at @param {number} size Of the payload.
 * @param {number} type @param {number} flags @param {number} stream
 */
function writeFrameHead(bytes, at, size, type, flags, stream) {
  bytes.writeUIntBE(size, at, 3);
  bytes[at + 3] = type;
  bytes[at + 4] = flags;
  return bytes.writeUInt32BE(stream, at + 5);
}

/** @param {number} type @param {number} flags @param {number} stream @param {Buffer} payload */
function writeFrame(type, flags, stream, payload) {
  const bytes = Buffer.allocUnsafe(FRAME_HEAD + payload.length);
  bytes.set(payload, writeFrameHead(bytes, 0, payload.length, type, flags, stream));
  return bytes;
}

/** Returns a frame whose payload is one number, as of RST_STREAM and WINDOW_UPDATE.
 * @param {number} type @param {number} stream @param {number} number */
function writeNumber(type, stream, number) {
  const bytes = Buffer.allocUnsafe(FRAME_HEAD + 4);
  bytes.writeUInt32BE(number, writeFrameHead(bytes, 0, 4, type, 0, stream));
  return bytes;
}

/** Returns what a client sends first. */
function writeStart() {
  const settings = [[HEADER_TABLE_SIZE, 0], [ENABLE_PUSH, 0], [INITIAL_WINDOW_SIZE, MAX_BODY]].map(([name, value]) => {
    const bytes = Buffer.alloc(6);
    bytes.writeUInt32BE(value, bytes.writeUInt16BE(name));
    return bytes;
  });
  return Buffer.concat([
    Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
    writeFrame(SETTINGS, 0, 0, Buffer.concat(settings)),
    writeNumber(WINDOW_UPDATE, 0, MAX_WINDOW - FIRST_WINDOW),
  ]);
}

/** Returns the settings in a payload, by their numbers. @param {Buffer} payload @returns {Map<number, number>} */
function readSettings(payload) {
  if (payload.length % 6 !== 0) throw new MalformedFrames('a setting is cut off');
  const settings = new Map();
  for (let at = 0; at < payload.length; at += 6) settings.set(payload.readUInt16BE(at), payload.readUInt32BE(at + 2));
  return settings;
}

// Types of frames.
const DATA = 0;
const HEADERS = 1;
const RST_STREAM = 3;
const SETTINGS = 4;
const PUSH_PROMISE = 5;
const PING = 6;
const GOAWAY = 7;
const WINDOW_UPDATE = 8;
const CONTINUATION = 9;
// Flags.
const ACK = 1;
const END_STREAM = 1;
const END_HEADERS = 4;
const PADDED = 8;
const PRIORITY = 32;
// Settings.
const HEADER_TABLE_SIZE = 1;
const ENABLE_PUSH = 2;
const MAX_CONCURRENT_STREAMS = 3;
const INITIAL_WINDOW_SIZE = 4;
/** The code of an error by which a client gives up a call. */
const CANCEL = 8;

// Bytes.
const FRAME_HEAD = 9;
/** What each side may send in one frame, unless the other one says more. */
const MAX_FRAME = 16_384;
/** What each side may send before the other one says more. */
const FIRST_WINDOW = 65_535;
const MAX_WINDOW = 0x7fffffff;

/** The names of fields whose value differs, as they are written in front of it. */
const TIMEOUT_NAME = writeField('connect-timeout-ms', '').subarray(0, -1);
const LENGTH_NAME = writeField('content-length', '').subarray(0, -1);
const SINGLE_FIELDS = [':status', 'content-length', 'content-type'];
/** @type {KnownHeads<Head>} */
const knownHeads = new KnownHeads();

module.exports = {
  ACK, CANCEL, CONTINUATION, DATA, END_HEADERS, END_STREAM, FIRST_WINDOW, FrameReader, GOAWAY, HEADERS, Http2RequestWriter,
  INITIAL_WINDOW_SIZE, MAX_CONCURRENT_STREAMS, MAX_FRAME, MAX_WINDOW, MalformedFrames, PING, PRIORITY, PUSH_PROMISE,
  RST_STREAM, SETTINGS, WINDOW_UPDATE, readHead, readSettings, withoutPadding, writeFrame, writeNumber, writeStart,
};
