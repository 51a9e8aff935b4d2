// Tokens of the service in memory. They have another form than the service's and are as hard to guess.
'use strict';

const { createHash, createHmac, randomBytes, timingSafeEqual } = require('node:crypto');

/**
 * What a token says before it is signed, in hexadecimal: the selector finds the session, and the verifier opens it.
 * @typedef {{ readonly selector: string, readonly verifier: string }} Token
 */

/** What an open tells the save of the same request about the cookie. @typedef {'' | 's' | 'k'} Note */

const NOTE = /** @type {const} */ ({
  /** The browser has this token, or no cookie leads to the new session of this ticket. */
  none: '',
  /** The browser has another credential of this session. Every response sets the cookie. */
  set: 's',
  /** The browser may be about to get the cookie of a login. Only a response to a rotation sets the cookie. */
  keep: 'k',
});

const TOKEN = 'testing-v1';
const TICKET = 'testing-t1';

const randomHalf = () => randomBytes(16).toString('hex');

/** @returns {Token} */
const randomToken = () => ({ selector: randomHalf(), verifier: randomHalf() });

/** @param {Token} one @param {Token} other */
const isSame = (one, other) => one.selector === other.selector && one.verifier === other.verifier;

/** @param {string} purpose @param {string} app @param {string} bytes In hexadecimal. */
const hash = (purpose, app, bytes) =>
  createHash('sha256').update(`${purpose}\0${app}\0`).update(Buffer.from(bytes, 'hex')).digest('hex');

/** Returns the id of the session. @param {string} app @param {Token} token */
const idOf = (app, { selector }) => hash('id', app, selector).slice(0, 32);

/** Returns the token of the session that a token leads to once it opens its own no more.
 * @param {string} app @param {Token} token @returns {Token} */
function recoveryTokenOf(app, { selector, verifier }) {
  const sum = hash('recovery', app, selector + verifier);
  return { selector: sum.slice(0, 32), verifier: sum.slice(32) };
}

/** Signs and verifies with a key of its own. */
class Signer {
  #key = randomBytes(32);

  /** @param {string} app @param {Token} token @param {Note} note */
  token(app, token, note) {
    return this.#sign(`${TOKEN}${note}.`, app, token);
  }

  /** @param {string} app @param {Token} token @param {Note} note @param {number} now */
  ticket(app, token, note, now) {
    return this.#sign(`${TICKET}${note}.${Math.floor(now / 1000)}.`, app, token);
  }

  /** Returns the token in a text of a kind. Undefined: it is none of the app.
   * @param {string} kind @param {string} app @param {string} text @param {number} now
   * @returns {{ token: Token, note: Note } | undefined} */
  verify(kind, app, text, now) {
    const [, start, found, note, issued, data] = TEXT.exec(text) ?? [];
    if (found !== kind || (issued !== undefined) !== (kind === TICKET)) return undefined;
    const bytes = Buffer.from(data, 'base64url').toString('hex');
    const token = { selector: bytes.slice(0, 32), verifier: bytes.slice(32) };
    const signed = Buffer.from(this.#sign(start, app, token));
    if (signed.length !== text.length || !timingSafeEqual(signed, Buffer.from(text))) return undefined;
    if (issued !== undefined && Math.floor(now / 1000) - Number(issued) > TICKET_LIFE) return undefined;
    return { token, note: /** @type {Note} */ (note) };
  }

  /** @param {string} start @param {string} app @param {Token} token */
  #sign(start, app, { selector, verifier }) {
    const data = Buffer.from(selector + verifier, 'hex');
    const mac = createHmac('sha256', this.#key).update(`${start}\0${app}\0`).update(data).digest('base64url');
    return `${start}${data.toString('base64url')}.${mac}`;
  }
}

const TEXT = /^((testing-[vt]1)([sk]?)\.(?:(0|[1-9][0-9]{0,14})\.)?)([A-Za-z0-9_-]{43})\.([A-Za-z0-9_-]{43})$/;
/** Seconds. */
const TICKET_LIFE = 15 * 60;

module.exports = { NOTE, Signer, TICKET, TOKEN, idOf, isSame, randomHalf, randomToken, recoveryTokenOf };
