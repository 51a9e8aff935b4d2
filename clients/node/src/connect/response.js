// What responses have in common by HTTP/1.1 and by HTTP/2.
'use strict';

/**
 * One whole response. `headers` are by their names in lower case; the values of equal names are joined by ", ".
 * `isReusable` is whether another request may be sent on the connection.
 * @typedef {{ status: number, headers: Map<string, string>, body: Buffer, isReusable: boolean }} Response
 */

/**
 * The heads of responses that were read before, because most of them are like earlier ones.
 * @template Head
 */
class KnownHeads {
  /** @type {Map<string, Head>} */
  #heads = new Map();

  /** @param {string} bytes @returns {Head | undefined} */
  get(bytes) {
    return this.#heads.get(bytes);
  }

  /** @param {string} bytes @param {Head} head */
  add(bytes, head) {
    if (this.#heads.size >= MAX_KNOWN_HEADS) this.#heads.clear();
    this.#heads.set(bytes, head);
  }
}

/** @param {Map<string, string>} headers @param {string} name @param {string} value */
function addField(headers, name, value) {
  const earlier = headers.get(name);
  headers.set(name, earlier === undefined ? value : `${earlier}, ${value}`);
}

const MAX_KNOWN_HEADS = 1024;
// Bytes.
/** Longer heads are not kept. */
const MAX_KNOWN_HEAD = 512;
const MAX_BODY = 64 * 1024 * 1024;

module.exports = { KnownHeads, MAX_BODY, MAX_KNOWN_HEAD, addField };
