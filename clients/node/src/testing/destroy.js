// DestroySession: ends the sessions that a request names.
'use strict';

const { NOTE } = require('./token.js');
const { VARY } = require('./view.js');
const { checkRequestId, fingerprintOf, writeTo } = require('./write.js');

/** @typedef {import('./call.js').Call} Call */
/** @typedef {{ outcome: string, endReason?: string }} End */

/** @param {Call} call @param {any} request */
function destroy(call, request) {
  checkRequestId(request.requestId);
  call.accept(request);
  const by = fingerprintOf(request.requestId, 'destroy');
  const named = request.cookieHeader === undefined ? call.ofWrite(request) : undefined;
  const end = named === undefined ? destroyAll(call, request.cookieHeader, by) : destroyOne(call, named.token, by);
  // The browser may have the current token in a cookie of the same name, or be about to get the one of a login.
  const keepsCookie = (end.outcome === 'GONE' && end.endReason === 'SUPERSEDED') || named?.note === NOTE.keep;
  return { ...end, headers: keepsCookie ? [] : [call.app.deleteCookie(), VARY] };
}

/** Ends all sessions in a header. The answer prefers a session that this call ended, and a reason to none.
 * @param {Call} call @param {string} header @param {import('./record.js').Fingerprint} by */
function destroyAll(call, header, by) {
  /** @type {End} */
  let answer = { outcome: 'GONE' };
  const add = (/** @type {End} */ end) => {
    if (answer.outcome !== 'DELETED' && (end.outcome !== 'GONE' || end.endReason !== undefined)) answer = end;
  };
  for (const { token } of call.inHeader(header)) {
    const end = destroyOne(call, token, by);
    add(end);
    // A token that was superseded a short time ago still ends its session, and leads to a recovery session as well.
    const isKnown = end.outcome !== 'GONE' || end.endReason !== undefined;
    const recovery = isKnown ? call.recoveryOf(token) : undefined;
    if (recovery !== undefined) add(destroyOne(call, recovery.token, by));
  }
  return answer;
}

/** @param {Call} call @param {import('./token.js').Token} token @param {import('./record.js').Fingerprint} by @returns {End} */
function destroyOne(call, token, by) {
  const { outcome, reason } = writeTo(call, { token, by });
  return { outcome, endReason: reason };
}

module.exports = { destroy, destroyAll };
