// Reads and writes lists of header fields of HTTP/2 (HPACK, RFC 7541), without the dynamic table.
//
// A client that announces SETTINGS_HEADER_TABLE_SIZE 0 gets no reference to an earlier list. So a list means the same
// wherever it stands, and what one was read to can be kept for the next one of the same bytes.
'use strict';

/** The bytes are no list of header fields. */
class MalformedHeaders extends Error {}

/**
 * Returns the fields in their order.
 * @param {Buffer} bytes
 * @returns {[name: string, value: string][]}
 */
function readFields(bytes) {
  const reader = new Reader(bytes);
  /** @type {[string, string][]} */
  const fields = [];
  while (reader.at < bytes.length) {
    const first = bytes[reader.at];
    if (first >= 0x80) fields.push(knownField(reader.integer(7)));
    else if (first >= 0x40) fields.push(readLiteral(reader, 6));
    else if (first < 0x20) fields.push(readLiteral(reader, 4));
    else if (reader.integer(5) !== 0) throw new MalformedHeaders('a table of header fields that was not allowed');
  }
  return fields;
}

/** @param {Reader} reader @param {number} prefix Bits of the name's index. @returns {[string, string]} */
function readLiteral(reader, prefix) {
  const index = reader.integer(prefix);
  const name = index === 0 ? reader.text() : knownField(index)[0];
  return [name, reader.text()];
}

/** @param {number} index */
function knownField(index) {
  if (index === 0 || index > STATIC_TABLE.length) throw new MalformedHeaders(`no header field has the index ${index}`);
  return STATIC_TABLE[index - 1];
}

class Reader {
  at = 0;
  #bytes;

  /** @param {Buffer} bytes */
  constructor(bytes) {
    this.#bytes = bytes;
  }

  /** Reads a number whose first bits are the last ones of a byte (section 5.1). @param {number} prefix */
  integer(prefix) {
    const most = (1 << prefix) - 1;
    let value = this.#next() & most;
    if (value < most) return value;
    for (let shift = 0; ; shift += 7) {
      const byte = this.#next();
      // A length that is longer fits into no list anyway.
      if (shift > 21) throw new MalformedHeaders('a number is too large');
      value += (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  }

  /** Reads a text (section 5.2). */
  text() {
    const isCoded = (this.#bytes[this.at] & 0x80) !== 0;
    const length = this.integer(7);
    const start = this.at;
    this.at += length;
    if (this.at > this.#bytes.length) throw new MalformedHeaders('a text is cut off');
    if (!isCoded) return this.#bytes.toString('latin1', start, this.at);
    return decodeHuffman(this.#bytes.subarray(start, this.at));
  }

  #next() {
    if (this.at >= this.#bytes.length) throw new MalformedHeaders('a number is cut off');
    return this.#bytes[this.at++];
  }
}

/** @param {Buffer} bytes */
function decodeHuffman(bytes) {
  let text = '';
  let code = 0;
  let length = 0;
  for (const byte of bytes) {
    for (let bit = 7; bit >= 0; bit -= 1) {
      code = (code << 1) | ((byte >> bit) & 1);
      length += 1;
      const { first, symbols } = HUFFMAN[length];
      if (code - first >= symbols.length) continue;
      const symbol = symbols[code - first];
      if (symbol === END_OF_TEXT) throw new MalformedHeaders('a text goes on behind its end');
      text += String.fromCharCode(symbol);
      code = length = 0;
    }
  }
  // The last byte is filled up with the first bits of the end's code, which are all ones.
  if (length > 7 || code !== (1 << length) - 1) throw new MalformedHeaders('the last byte of a text is not filled with ones');
  return text;
}

/**
 * Returns a field with a name of the static table or another one, as it is never to be kept in a table.
 * @param {string} name In lower case. @param {string} value
 */
function writeField(name, value) {
  const index = STATIC_NAMES.get(name);
  const start = index === undefined ? [Buffer.from([NEVER_INDEXED]), writeText(name)] : [writeInteger(NEVER_INDEXED, 4, index)];
  return Buffer.concat([...start, writeText(value)]);
}

/** Returns a field whose value is in the static table too. @param {string} name @param {string} value */
function writeKnownField(name, value) {
  const at = STATIC_TABLE.findIndex(([known, same]) => known === name && same === value);
  return Buffer.from([0x80 | (at + 1)]);
}

/** @param {string} text */
const writeText = (text) => Buffer.concat([writeInteger(0, 7, text.length), Buffer.from(text, 'latin1')]);

/** @param {number} flags The first bits of the first byte. @param {number} prefix @param {number} value */
function writeInteger(flags, prefix, value) {
  const most = (1 << prefix) - 1;
  if (value < most) return Buffer.from([flags | value]);
  const bytes = [flags | most];
  let rest = value - most;
  for (; rest >= 0x80; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  bytes.push(rest);
  return Buffer.from(bytes);
}

const NEVER_INDEXED = 0x10;

/** Section A. @type {[name: string, value: string][]} */
const STATIC_TABLE = [
  [':authority', ''], [':method', 'GET'], [':method', 'POST'], [':path', '/'], [':path', '/index.html'],
  [':scheme', 'http'], [':scheme', 'https'], [':status', '200'], [':status', '204'], [':status', '206'],
  [':status', '304'], [':status', '400'], [':status', '404'], [':status', '500'], ['accept-charset', ''],
  ['accept-encoding', 'gzip, deflate'], ['accept-language', ''], ['accept-ranges', ''], ['accept', ''],
  ['access-control-allow-origin', ''], ['age', ''], ['allow', ''], ['authorization', ''], ['cache-control', ''],
  ['content-disposition', ''], ['content-encoding', ''], ['content-language', ''], ['content-length', ''],
  ['content-location', ''], ['content-range', ''], ['content-type', ''], ['cookie', ''], ['date', ''], ['etag', ''],
  ['expect', ''], ['expires', ''], ['from', ''], ['host', ''], ['if-match', ''], ['if-modified-since', ''],
  ['if-none-match', ''], ['if-range', ''], ['if-unmodified-since', ''], ['last-modified', ''], ['link', ''],
  ['location', ''], ['max-forwards', ''], ['proxy-authenticate', ''], ['proxy-authorization', ''], ['range', ''],
  ['referer', ''], ['refresh', ''], ['retry-after', ''], ['server', ''], ['set-cookie', ''],
  ['strict-transport-security', ''], ['transfer-encoding', ''], ['user-agent', ''], ['vary', ''], ['via', ''],
  ['www-authenticate', ''],
];
/** The index of the first field with a name. */
const STATIC_NAMES = new Map(STATIC_TABLE.map(([name], at) => /** @type {[string, number]} */ ([name, at + 1])).reverse());

/** The lengths in bits of the codes of section B, each a digit of base 36: of the bytes 0 to 255, and of the end. */
const CODE_LENGTHS = 'dnsssssssoussussssssssusssssssss6aacd68baa8b8666555666666678f6ca'
  + 'd67777777777777777777777878djde6f56565666577666567655677777fbeds'
  + 'kmkkmmmnmnnnnnonoomnonnnnlmnmnnomlkmmnnlnmmolmnnllmlnmnnkmmmnmmn'
  + 'qqkjmnmpqqqrrqopjlqrrqrollqqsrrrkoklmllnmmppooqnqrqqrrrrrsrrrrrqu';
const END_OF_TEXT = 256;
/** By length: the first code, and what it and those that follow it stand for. The code is canonical. */
const HUFFMAN = makeHuffman();

function makeHuffman() {
  const lengths = [...CODE_LENGTHS].map((digit) => Number.parseInt(digit, 36));
  let first = 0;
  return Array.from({ length: 31 }, (_, length) => {
    const symbols = lengths.flatMap((each, symbol) => (each === length ? [symbol] : []));
    const group = { first, symbols };
    first = (first + symbols.length) << 1;
    return group;
  });
}

module.exports = { MalformedHeaders, readFields, writeField, writeKnownField };
