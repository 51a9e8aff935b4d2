// Sessions and headers as a caller sees them.
'use strict';

const { idOf } = require('./token.js');

/** @typedef {import('./call.js').Call} Call */
/** @typedef {import('./record.js').Record} Record */
/** @typedef {{ name: string, value: string }} Header */

const VARY = { name: 'Vary', value: 'Cookie' };

/** Returns a session that is not stored yet.
 * @param {Call} call @param {import('./token.js').Token} token @param {import('./token.js').Note} note */
function newSession({ app, signer, now }, token, note) {
  const { idle, absolute } = app.anonymous;
  return {
    id: idOf(app.name, token), token: signer.ticket(app.name, token, note, now), new: true, etag: '0', accessTime: now,
    expireTime: now + Math.min(idle, absolute), idleTimeout: idle,
  };
}

/** Returns a session as used now. The text of the token is empty if this caller may not get it.
 * @param {Record} record @param {string} id @param {string} text @param {number} now */
function storedSession(record, id, text, now) {
  return {
    id, token: text, permanent: record.permanent, etag: String(record.version), subject: record.subject,
    createTime: record.created, accessTime: Math.max(record.used, now), authenticateTime: record.authenticated,
    expireTime: record.expires(now), idleTimeout: record.idleTimeout,
  };
}

/** Returns a session as an operator sees it.
 * @param {import('./store.js').Listed} listed @param {string | undefined} endReason @param {boolean} withEntries */
function sessionInfo({ id, record }, endReason, withEntries) {
  const { userAgent, remoteAddress } = record;
  return {
    id, subject: record.subject, permanent: record.permanent, etag: String(record.version), createTime: record.created,
    accessTime: record.used, authenticateTime: record.authenticated, expireTime: record.expires(),
    context: { userAgent, remoteAddress }, entryCount: record.entries.size, entryBytes: record.entryBytes(),
    entries: withEntries && endReason === undefined ? record.entries : new Map(), endReason: endReason ?? 'UNSPECIFIED',
    endTime: record.end?.time,
  };
}

/** Returns the headers of a response with a session, in order.
 * @param {Call} call @param {any} session @param {{ setsCookie: boolean, varies: boolean }} what @returns {Header[]} */
function headersOf({ app, now }, session, { setsCookie, varies }) {
  if (!setsCookie || session.token === '') return varies ? [VARY] : [];
  return [app.setCookie(session.token, session.permanent ? session.expireTime : undefined, now), VARY];
}

module.exports = { VARY, headersOf, newSession, sessionInfo, storedSession };
