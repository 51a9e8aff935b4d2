// A write by the holder of a token: an edit, or the end of the session.
'use strict';

const { aborted, deadlinePassed, etagMismatch, invalid } = require('./refusals.js');
const { counterIn } = require('./edit.js');
const { idOf, randomHalf } = require('./token.js');

/** @typedef {import('./call.js').Call} Call */
/** @typedef {import('./token.js').Token} Token */
/** @typedef {import('./record.js').Record} Record */
/** Without an edit, it ends the session.
 * @typedef {{ token: Token, edit?: import('./edit.js').Edit, etag?: number, by: import('./record.js').Fingerprint }} Write */
/**
 * The result of a write, by this call or by an earlier one with the same request_id. Without a record the session has
 * ended, and without a token this caller may not get it.
 * @typedef {{ verdict: string, outcome: string, reason?: string, record?: Record, token?: Token, counters: Map<string, bigint> }} Done
 */

/** Returns the same write with a new token. @param {Write} write @param {boolean} onlyForSubject @param {number} now @returns {Write} */
function rotating(write, onlyForSubject, now) {
  const rotation = { replaced: write.token.verifier, next: randomHalf(), time: now, by: write.by };
  return { ...write, edit: write.edit?.withRotation(rotation, onlyForSubject) };
}

/** @param {Write} write @param {number} now @returns {import('./record.js').Precondition} */
const preconditionOf = ({ token, edit, etag, by }, now) =>
  ({ verifier: token.verifier, mayOnlyEnd: edit === undefined, etag, by, now });

/** @param {Call} call @param {Write} write @returns {Done} */
function writeTo(call, write) {
  const { app, store, now } = call;
  const { token, edit } = write;
  const result = store.apply(app.name, idOf(app.name, token), preconditionOf(write, now), edit, edit ? 'EMPTIED' : 'DESTROYED');
  if (result.applied !== undefined) {
    const { record, effect, counters } = result.applied;
    const isRotated = edit?.rotating !== undefined && edit.rotating.rotation.next === record.verifier;
    return {
      verdict: 'allowed', outcome: effect, reason: record.end?.reason, record: record.end ? undefined : record,
      token: isRotated ? { ...token, verifier: record.verifier } : token, counters,
    };
  }
  const { verdict, reason, effect = '' } = result.judged;
  if (verdict === 'replayed') return replay(call, write, effect);
  if (verdict === 'otherEtag') throw etagError(write);
  if (verdict === 'reused') {
    const message = 'this request_id was used for another call on this session; make a new one for each save';
    throw aborted('REQUEST_ID_REUSED', message);
  }
  return { verdict, reason, outcome: 'GONE', counters: new Map() };
}

/** Answers a call that was done before: with the same outcome, and the session as it is now.
 * @param {Call} call @param {Write} write @param {string} outcome @returns {Done} */
function replay({ app, store, now }, { token, edit, by }, outcome) {
  const record = /** @type {Record} */ (store.load(app.name, idOf(app.name, token), now));
  const counted = [...edit?.changes?.increment.keys() ?? []].map((name) => [name, counterIn(record.entries.get(name))]);
  return {
    verdict: 'allowed', outcome,
    reason: outcome === 'DELETED' ? record.end?.reason ?? 'DESTROYED' : undefined,
    record: record.whyEnded(store.generation(app.name), now) === undefined ? record : undefined,
    token: tokenNow(record, token, by, now),
    counters: new Map(/** @type {[string, bigint][]} */ (counted.filter(([, number]) => number !== undefined))),
  };
}

/** Returns the token that the caller of a repeated write may have.
 * @param {Record} record @param {Token} token @param {import('./record.js').Fingerprint} by @param {number} now */
function tokenNow(record, token, by, now) {
  if (record.verifier === token.verifier) return token;
  const rotation = record.replacedBy(token.verifier, now);
  const isOwn = rotation?.by.requestId === by.requestId && rotation.by.content === by.content;
  return rotation && isOwn ? { ...token, verifier: rotation.next } : undefined;
}

/** Returns the error if the session does not have the etag. @param {Write} write */
const etagError = ({ etag }) => (etag === IMPOSSIBLE_ETAG ? deadlinePassed() : etagMismatch());

/** @param {string} text */
function etagIn(text) {
  if (text === '') return undefined;
  const number = Number(text);
  if (!/^(?:0|[1-9][0-9]*)$/.test(text) || number >= 2 ** 53) {
    throw invalid('ETAG_INVALID', 'etag: it has to be one that this service gave out');
  }
  return number;
}

/** Returns what identifies a call. @param {string} requestId @param {string} content */
function fingerprintOf(requestId, content) {
  return requestId === '' ? { requestId, content: '' } : { requestId, content };
}

/** @param {string} requestId */
function checkRequestId(requestId) {
  if (Buffer.byteLength(requestId) > 64) throw invalid('REQUEST_ID_INVALID', 'request_id: the limit is 64 bytes');
}

/** @param {number | undefined} age */
function checkRequestAge(age) {
  if (age !== undefined && age < 0) {
    throw invalid('REQUEST_AGE_INVALID', 'request_age: it has to be a valid span that is not negative');
  }
}

/** The etag that no session ever has: with it, a save whose deadline has passed writes nothing. */
const IMPOSSIBLE_ETAG = Infinity;

module.exports = { IMPOSSIBLE_ETAG, checkRequestAge, checkRequestId, etagError, etagIn, fingerprintOf, preconditionOf, rotating, writeTo };
