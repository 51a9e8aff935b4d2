// One call for one app, at one time: the tokens that it shows, and what they are to their sessions.
'use strict';

const { AMBIGUOUS, invalid } = require('./refusals.js');
const { NOTE, TICKET, TOKEN, idOf, isSame, randomToken, recoveryTokenOf } = require('./token.js');

/** @typedef {import('./token.js').Token} Token */
/** @typedef {import('./token.js').Note} Note */
/** @typedef {import('./record.js').Record} Record */
/**
 * A token that a request shows. `isTicket`: the session may not be stored yet. `isCookie`: it came in a cookie, so a save
 * begins anew if its session has ended.
 * @typedef {{ token: Token, note: Note, isTicket: boolean, isCookie: boolean }} Presented
 */
/**
 * What a token is to its session. `record` is there if the token opens it. `isReplaced`: another token has replaced this
 * one, or its session has ended since; then `rotated` is the time of the last rotation.
 * @typedef {{ record?: Record, reason?: string, isReplaced: boolean, rotated: number, isKnown: boolean }} State
 */
/** The session that a superseded token leads to. Without a record it is not stored yet. `ended`: when the one before it was
 * over by a call; 0: none was.
 * @typedef {{ token: Token, record?: Record, note: Note, ended: number }} Recovery */

class Call {
  /** @param {import('./app.js').App} app @param {import('./store.js').Store} store @param {import('./token.js').Signer} signer
   * @param {number} now */
  constructor(app, store, signer, now) {
    this.app = app;
    this.store = store;
    this.signer = signer;
    this.now = now;
  }

  /** Checks the Cookie header of a request, and takes the cookie that it asks for. @param {any} request */
  accept(request) {
    if (Buffer.byteLength(request.cookieHeader ?? '') > MAX_HEADER) {
      throw invalid('COOKIE_HEADER_TOO_LARGE', 'cookie_header: the limit is 1 MiB');
    }
    if (request.key !== undefined) {
      const message = 'the service in memory has no apps of kind `external`; set token or cookie_header, and not key';
      throw invalid('CREDENTIAL_NOT_OF_KIND', message);
    }
    this.app = this.app.forRequest(request);
  }

  /** @param {Token} token */
  load(token) {
    return this.store.load(this.app.name, idOf(this.app.name, token), this.now);
  }

  /** Returns the tokens in a Cookie header, each once. @param {string} header @returns {Presented[]} */
  inHeader(header) {
    /** @type {Presented[]} */
    const found = [];
    for (const value of cookieValues(header, this.app.settings.cookieName)) {
      const verified = this.signer.verify(TOKEN, this.app.name, value, this.now);
      if (verified === undefined) continue;
      const note = verified.note === NOTE.none ? NOTE.none : NOTE.set;
      const same = found.find(({ token }) => isSame(token, verified.token));
      // Of two texts of one token, the one that the browser can keep.
      if (same === undefined) found.push({ token: verified.token, note, isTicket: false, isCookie: true });
      else if (note === NOTE.none) same.note = note;
    }
    return found;
  }

  /** Verifies a token or a ticket by itself. @param {string} text @returns {Presented} */
  verify(text) {
    const isTicket = text.startsWith(TICKET);
    const verified = this.signer.verify(isTicket ? TICKET : TOKEN, this.app.name, text, this.now);
    if (verified === undefined) throw invalid('TOKEN_INVALID', 'token does not verify; open the session again');
    return { ...verified, isTicket, isCookie: false };
  }

  /** @param {Token} token @returns {State} */
  state(token) {
    const record = this.load(token);
    if (record === undefined) return { isReplaced: false, rotated: 0, isKnown: false };
    const { verdict, reason } = record.judge(this.store.generation(this.app.name), { verifier: token.verifier, now: this.now });
    const isReplaced = record.verifier !== token.verifier;
    const rotated = record.rotation?.time ?? record.created;
    return { record: verdict === 'allowed' ? record : undefined, reason, isReplaced, rotated, isKnown: true };
  }

  /** Returns the token that a write is made with: to a repeated one, that of the session that it was done in. Undefined:
   * the request has no session.
   * @param {any} request @returns {Presented | undefined} */
  ofWrite({ cookieHeader, token, requestId }) {
    if (cookieHeader === undefined) {
      if (!token) throw invalid('TOKEN_MISSING', 'set token to what OpenSession gave, or cookie_header to the Cookie header');
      return this.verify(token);
    }
    /** @type {Presented | undefined} */
    let best;
    let bestRelevance = -1;
    /** @type {{ each: Presented, rotated: number }[]} */
    const superseded = [];
    for (const each of this.inHeader(cookieHeader)) {
      if (this.#hasDone(each.token, requestId)) return each;
      const state = this.state(each.token);
      const relevance = relevanceOf(state);
      if (relevance === SUPERSEDED) superseded.push({ each, rotated: state.rotated });
      const isSecond = relevance === LIVE && bestRelevance === LIVE && best?.token.selector !== each.token.selector;
      if (isSecond) throw invalid('COOKIES_AMBIGUOUS', AMBIGUOUS);
      if (relevance > bestRelevance) [best, bestRelevance] = [each, relevance];
    }
    if (bestRelevance !== SUPERSEDED) return best;
    // As an open does.
    const found = superseded.find(({ each, rotated }) => this.findRecovery(each.token, rotated, requestId).record !== undefined);
    return found?.each ?? best;
  }

  /** Whether the session of a token remembers a call. @param {Token} token @param {string} [requestId] */
  #hasDone(token, requestId = '') {
    return this.load(token)?.findCall(requestId, this.now) !== undefined;
  }

  /** @param {Token} of @param {number} lastRotation @param {string} [requestId] @returns {Recovery} */
  findRecovery(of, lastRotation, requestId) {
    let [token, rotated, ended] = [of, lastRotation, 0];
    for (let i = 0; i < MAX_RECOVERIES; i += 1) {
      token = recoveryTokenOf(this.app.name, token);
      if (this.#hasDone(token, requestId)) return { token, record: this.load(token), note: this.#recoveryNote(rotated), ended };
      const { record, isReplaced, isKnown, rotated: time } = this.state(token);
      if (!isKnown || record !== undefined) return { token, record, note: this.#recoveryNote(rotated), ended };
      if (isReplaced) rotated = Math.max(rotated, time);
      ended = Math.max(ended, this.endTime(token));
    }
    return { token: randomToken(), note: this.#recoveryNote(rotated), ended };
  }

  /** Returns the credential of a token's recovery session. Undefined: the token is not superseded.
   * @param {Token} of @returns {Presented | undefined} */
  recoveryOf(of) {
    const { record, isReplaced, rotated } = this.state(of);
    if (record !== undefined || !isReplaced) return undefined;
    const { token, note } = this.findRecovery(of, rotated);
    return { token, note, isTicket: true, isCookie: false };
  }

  /** Returns the credential of the session that a dead cookie gets: to a repeated save, the one that it was done in.
   * Undefined: a call has ended its session since the request was received.
   * @param {Token} of @param {{ requestId?: string, requestAge?: number }} request @returns {Presented | undefined} */
  beginAnew(of, { requestId, requestAge }) {
    const received = this.receiveTime({ requestAge });
    if (received < this.endTime(of)) return undefined;
    const { record, isReplaced, rotated } = this.state(of);
    if (record !== undefined || !isReplaced) return newTicket();
    const { token, note, ended } = this.findRecovery(of, rotated, requestId);
    return received < ended ? undefined : { token, note, isTicket: true, isCookie: false };
  }

  /** Returns when the frontend received the request; Infinity: it did not say. @param {{ requestAge?: number }} request */
  receiveTime({ requestAge }) {
    return requestAge === undefined ? Infinity : this.now - Math.floor(requestAge);
  }

  /** @param {Token} token */
  endTime(token) {
    return this.load(token)?.endTime(token.verifier) ?? 0;
  }

  /** @param {number} rotated */
  #recoveryNote(rotated) {
    return this.now < rotated + COOKIE_DELAY ? NOTE.keep : NOTE.set;
  }
}

/** @returns {Presented} */
const newTicket = () => ({ token: randomToken(), note: NOTE.none, isTicket: true, isCookie: false });

/** Whether a response sets the cookie if the session's token is this one, and no write of the call set it.
 * @param {Presented} presented @param {Token} token */
const setsCookieFor = (presented, token) =>
  (presented.note === NOTE.none ? presented.isTicket || !isSame(presented.token, token) : presented.note === NOTE.set);

/** @param {string} header @param {string} name */
function cookieValues(header, name) {
  const pairs = header.split(';').map((pair) => /** @type {const} */ ([pair.indexOf('='), pair]));
  const named = pairs.filter(([end, pair]) => end >= 0 && trim(pair.slice(0, end)) === name);
  return named.slice(0, MAX_CANDIDATES).map(([end, pair]) => trim(pair.slice(end + 1)));
}

/** @param {string} text */
const trim = (text) => text.replace(/^[ \t]+/, '').replace(/[ \t]+$/, '');

/** How much a write can learn from a token. @param {State} state */
function relevanceOf({ record, isReplaced, isKnown }) {
  if (record !== undefined) return LIVE;
  return isReplaced ? SUPERSEDED : Number(isKnown);
}

const LIVE = 3;
const SUPERSEDED = 2;
/** Bytes. */
const MAX_HEADER = 1024 * 1024;
const MAX_CANDIDATES = 8;
const MAX_RECOVERIES = 8;
/** After a rotation, its cookie may be on its way to the browser for so many milliseconds. */
const COOKIE_DELAY = 30_000;

module.exports = { Call, newTicket, setsCookieFor };
