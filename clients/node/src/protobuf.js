// Reads and writes protobuf messages that are described by tables, as far as the messages of the service need it.
//
// A message is an object. A field without presence has its default (0, false, '', [] or an empty Map), and every other
// field is undefined if it is not set. A Duration or Timestamp is a number of milliseconds, an enum is the name of its value without
// the prefix, and an int64 is a number, or a bigint if a number cannot hold it.
'use strict';

/**
 * @typedef {'string' | 'bool' | 'bytes' | 'int32' | 'int64' | 'uint32' | 'uint64' | 'milliseconds' | readonly string[] |
 *   Message} Type A list of names is an enum.
 * @typedef {{ number: number, type: Type, label: 'plain' | 'optional' | 'repeated' | 'map' }} Field
 * @typedef {Record<string, any>} Values
 */

/** A kind of message. */
class Message {
  /** @param {Record<string, Field>} fields By the names in lowerCamelCase. */
  constructor(fields) {
    this.fields = fields;
    /** @type {[string, Field][]} */
    this.list = Object.entries(fields);
    /** @type {([string, Field] | undefined)[]} */
    this.byNumber = [];
    for (const named of this.list) this.byNumber[named[1].number] = named;
    /** @type {Values} */
    this.defaults = {};
    /** @type {[string, Field][]} */
    this.collections = this.list.filter(([, { label }]) => label === 'repeated' || label === 'map');
    for (const [name, field] of this.list) this.defaults[name] = defaultOf(field);
  }

  /**
   * Returns the bytes of a message. Fields that are missing are not set.
   * @param {Values} values
   * @returns {Buffer}
   */
  encode(values) {
    writer.at = 0;
    writeMessage(this, values);
    return Buffer.from(writer.buffer.subarray(0, writer.at));
  }

  /**
   * Reads a message. Throws RangeError or TypeError if the bytes are none.
   * @param {Buffer} bytes
   * @returns {any}
   */
  decode(bytes) {
    return readMessage(this, new Reader(bytes, 0, bytes.length));
  }
}

/** @param {Field} field */
function defaultOf({ type, label }) {
  if (label !== 'plain') return undefined;
  if (type === 'string') return '';
  if (type === 'bool') return false;
  if (type === 'bytes') return EMPTY;
  if (Array.isArray(type)) return type[0];
  return NUMBERS.includes(/** @type {string} */ (type)) ? 0 : undefined;
}

const EMPTY = Buffer.alloc(0);
const NUMBERS = ['int32', 'int64', 'uint32', 'uint64'];

// Reading.

class Reader {
  /** @param {Buffer} bytes @param {number} at @param {number} end */
  constructor(bytes, at, end) {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
  }

  /** @returns {number} Exact up to 2**53. */
  varint() {
    const { bytes } = this;
    let value = 0;
    let scale = 1;
    for (let size = 1; size <= 10; size += 1) {
      if (this.at >= this.end) throw new RangeError('the message ends in a number');
      const byte = bytes[this.at++];
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 128;
    }
    throw new RangeError('a number of the message is too long');
  }

  /** @returns {number | bigint} */
  int64() {
    const begin = this.at;
    const value = this.varint();
    if (value <= Number.MAX_SAFE_INTEGER) return value;
    let exact = 0n;
    for (let i = this.at - 1; i >= begin; i -= 1) exact = (exact << 7n) | BigInt(this.bytes[i] & 0x7f);
    exact = BigInt.asIntN(64, exact);
    const number = Number(exact);
    return Number.isSafeInteger(number) ? number : exact;
  }

  /** @returns {number} The end of a field whose length comes next. */
  fieldEnd() {
    const length = this.varint();
    const end = this.at + length;
    if (end > this.end) throw new RangeError('the message ends in a field');
    return end;
  }

  /** @param {number} wireType */
  skip(wireType) {
    if (wireType === 0) this.varint();
    else if (wireType === 1) this.at += 8;
    else if (wireType === 2) this.at = this.fieldEnd();
    else if (wireType === 5) this.at += 4;
    else throw new TypeError(`the message has a field of the unknown wire type ${wireType}`);
    if (this.at > this.end) throw new RangeError('the message ends in a field');
  }
}

/** @param {Message} message @param {Reader} reader @returns {Values} */
function readMessage(message, reader) {
  /** @type {Values} */
  const values = { ...message.defaults };
  for (const [name, { label }] of message.collections) values[name] = label === 'map' ? new Map() : [];
  while (reader.at < reader.end) {
    const tag = reader.varint();
    const wireType = tag % 8;
    const named = message.byNumber[(tag - wireType) / 8];
    if (named === undefined) {
      reader.skip(wireType);
      continue;
    }
    const [name, { type, label }] = named;
    if (label === 'map') readMapEntry(type, reader, wireType, values[name]);
    else if (label === 'repeated') values[name].push(readValue(type, reader, wireType));
    else values[name] = readValue(type, reader, wireType);
  }
  return values;
}

/** @param {Type} type @param {Reader} reader @param {number} wireType @param {Map<string, any>} map */
function readMapEntry(type, reader, wireType, map) {
  if (wireType !== 2) throw new TypeError('a field of the message has another type');
  const { end } = reader;
  reader.end = reader.fieldEnd();
  let key = '';
  let value;
  while (reader.at < reader.end) {
    const tag = reader.varint();
    if (tag === 10) key = readValue('string', reader, 2);
    else if (tag >> 3 === 2) value = readValue(type, reader, tag & 7);
    else reader.skip(tag & 7);
  }
  map.set(key, value ?? (type instanceof Message ? { ...type.defaults } : 0));
  reader.end = end;
}

/** @param {Type} type @param {Reader} reader @param {number} wireType @returns {any} */
function readValue(type, reader, wireType) {
  const isDelimited = type === 'string' || type === 'bytes' || type === 'milliseconds' || type instanceof Message;
  if (wireType !== (isDelimited ? 2 : 0)) throw new TypeError('a field of the message has another type');
  if (!isDelimited) {
    if (type === 'int64' || type === 'int32' || type === 'uint64') return reader.int64();
    const number = reader.varint();
    if (type === 'bool') return number !== 0;
    // A newer service may know more values.
    return type === 'uint32' ? number : /** @type {readonly string[]} */ (type)[number] ?? String(number);
  }
  const fieldEnd = reader.fieldEnd();
  if (type === 'string') {
    const text = reader.bytes.toString('utf8', reader.at, fieldEnd);
    reader.at = fieldEnd;
    return text;
  }
  if (type === 'bytes') {
    // A copy, for the rest of the response is not kept.
    const bytes = Buffer.from(reader.bytes.subarray(reader.at, fieldEnd));
    reader.at = fieldEnd;
    return bytes;
  }
  const { end } = reader;
  reader.end = fieldEnd;
  const value = type === 'milliseconds' ? readMilliseconds(reader) : readMessage(/** @type {Message} */ (type), reader);
  reader.end = end;
  return value;
}

/** @param {Reader} reader */
function readMilliseconds(reader) {
  let milliseconds = 0;
  while (reader.at < reader.end) {
    const tag = reader.varint();
    if (tag === 8) milliseconds += Number(reader.int64()) * 1000;
    else if (tag === 16) milliseconds += Number(reader.int64()) / 1e6;
    else reader.skip(tag & 7);
  }
  return milliseconds;
}

// Writing.

// One for all messages, because encoding never waits.
const writer = { buffer: Buffer.allocUnsafe(16 * 1024), at: 0 };

/** @param {number} size Makes room for so many bytes. */
function reserve(size) {
  const needed = writer.at + size;
  if (needed <= writer.buffer.length) return;
  const larger = Buffer.allocUnsafe(Math.max(needed, 2 * writer.buffer.length));
  writer.buffer.copy(larger, 0, 0, writer.at);
  writer.buffer = larger;
}

/** @param {Message} message @param {Values} values */
function writeMessage(message, values) {
  for (let i = 0; i < message.list.length; i += 1) {
    const [name, { number, type, label }] = message.list[i];
    const value = values[name];
    if (value === undefined) continue;
    if (label === 'repeated') for (const each of value) writeField(number, type, each);
    else if (label === 'map') for (const [key, each] of value) writeMapEntry(number, type, key, each);
    else if (label === 'optional' || !isDefault(value)) writeField(number, type, value);
  }
}

/** @param {any} value */
const isDefault = (value) => value === '' || value === false || value === 0;

/** @param {number} number @param {Type} type @param {string} key @param {any} value */
function writeMapEntry(number, type, key, value) {
  writeVarint(number * 8 + 2);
  const begin = beginDelimited();
  writeField(1, 'string', key);
  writeField(2, type, value);
  endDelimited(begin);
}

/** @param {number} number @param {Type} type @param {any} value */
function writeField(number, type, value) {
  if (type === 'bool') {
    writeVarint(number * 8);
    writeVarint(value ? 1 : 0);
  } else if (type === 'int64' || type === 'int32' || type === 'uint64') {
    writeVarint(number * 8);
    writeInt64(BigInt(value));
  } else if (type === 'uint32') {
    writeVarint(number * 8);
    writeVarint(value);
  } else if (type === 'string') {
    writeVarint(number * 8 + 2);
    writeString(value);
  } else if (type === 'bytes') {
    writeVarint(number * 8 + 2);
    writeVarint(value.length);
    reserve(value.length);
    writer.buffer.set(value, writer.at);
    writer.at += value.length;
  } else if (type === 'milliseconds') {
    writeVarint(number * 8 + 2);
    const begin = beginDelimited();
    const seconds = Math.floor(value / 1000);
    writeField(1, 'int64', seconds);
    writeField(2, 'int64', Math.round((value - seconds * 1000) * 1e6));
    endDelimited(begin);
  } else if (type instanceof Message) {
    writeVarint(number * 8 + 2);
    const begin = beginDelimited();
    writeMessage(type, value);
    endDelimited(begin);
  } else {
    writeVarint(number * 8);
    writeVarint(type.indexOf(value));
  }
}

/** @param {number} value */
function writeVarint(value) {
  reserve(10);
  let rest = value;
  while (rest > 0x7f) {
    writer.buffer[writer.at++] = (rest % 128) | 0x80;
    rest = Math.floor(rest / 128);
  }
  writer.buffer[writer.at++] = rest;
}

/** @param {bigint} value */
function writeInt64(value) {
  reserve(10);
  let rest = BigInt.asUintN(64, value);
  if (rest !== (value < 0n ? value + (1n << 64n) : value)) throw new RangeError(`${value} is no 64-bit integer`);
  while (rest > 0x7fn) {
    writer.buffer[writer.at++] = Number(rest & 0x7fn) | 0x80;
    rest >>= 7n;
  }
  writer.buffer[writer.at++] = Number(rest);
}

/** @param {string} text */
function writeString(text) {
  if (text.length <= MAX_SHORT_TEXT) {
    // Its length fits into one byte, whatever its characters are.
    reserve(128);
    const size = writer.buffer.write(text, writer.at + 1, 'utf8');
    writer.buffer[writer.at] = size;
    writer.at += size + 1;
    return;
  }
  const size = Buffer.byteLength(text);
  writeVarint(size);
  reserve(size);
  writer.buffer.write(text, writer.at, 'utf8');
  writer.at += size;
}

// What follows gets its length in front of it, once it is known.
function beginDelimited() {
  reserve(1);
  writer.at += 1;
  return writer.at;
}

/** @param {number} begin */
function endDelimited(begin) {
  const size = writer.at - begin;
  if (size <= 0x7f) {
    writer.buffer[begin - 1] = size;
    return;
  }
  let lengthSize = 1;
  for (let rest = size; rest > 0x7f; rest = Math.floor(rest / 128)) lengthSize += 1;
  reserve(lengthSize);
  writer.buffer.copyWithin(begin - 1 + lengthSize, begin, writer.at);
  writer.at = begin - 1;
  writeVarint(size);
  writer.at += size;
}

/** Characters. Each has at most 3 bytes. */
const MAX_SHORT_TEXT = 42;

module.exports = { Message };
