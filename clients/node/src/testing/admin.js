// AdminService in memory: lists and ends sessions.
'use strict';

const { CallFailed } = require('../errors.js');
const { MAX_SUBJECT } = require('./changes.js');
const { invalid, subjectInvalid } = require('./refusals.js');
const { sessionInfo } = require('./view.js');

/** @typedef {import('./call.js').Call} Call */

/** @param {Call} call @param {any} request */
function listSessions({ app, store, now }, { subject, pageSize, pageToken, withEntries }) {
  if (pageSize < 0) throw invalid('PAGE_SIZE_INVALID', 'page_size: it is 1 to 1000, or 0 for 100');
  if (pageToken !== '' && (subject !== '' || !ID.test(pageToken))) {
    throw invalid('PAGE_TOKEN_INVALID', 'page_token: it has to be the next_page_token of the same listing');
  }
  if (Buffer.byteLength(subject) > MAX_SUBJECT) throw subjectInvalid();
  const size = Math.min(pageSize || 100, 1000);
  let found = store.live(app.name, subject, now);
  if (subject !== '') found.reverse().sort(({ record: a }, { record: b }) => b.used - a.used);
  else found = found.filter(({ id }) => id > pageToken).slice(0, size);
  const isFull = subject === '' && found.length === size;
  return {
    sessions: found.map((each) => sessionInfo(each, undefined, withEntries)),
    nextPageToken: isFull ? found[size - 1].id : '',
  };
}

/** @param {Call} call @param {any} request */
function getSession({ app, store, now }, { id, withEntries }) {
  checkId('id', id);
  const record = store.load(app.name, id, now);
  if (record === undefined) throw new CallFailed('NOT_FOUND', 'SESSION_UNKNOWN', 'the store has no session of this id');
  return { session: sessionInfo({ id, record }, record.whyEnded(store.generation(app.name), now), withEntries) };
}

/** @param {Call} call @param {any} request */
function revokeSession({ app, store, now }, { id }) {
  checkId('id', id);
  const result = store.apply(app.name, id, { now }, undefined, 'REVOKED');
  if (result.applied === undefined) return { outcome: 'GONE', endReason: result.judged.reason };
  return { outcome: 'DELETED', endReason: 'REVOKED' };
}

/** @param {Call} call @param {any} request */
function revokeSubject({ app, store, now }, { subject, exceptId }) {
  if (subject === '' || Buffer.byteLength(subject) > MAX_SUBJECT) throw subjectInvalid();
  if (exceptId !== '') checkId('except_id', exceptId);
  const found = store.live(app.name, subject, now).filter(({ id }) => id !== exceptId);
  for (const { id } of found) store.apply(app.name, id, { now }, undefined, 'REVOKED');
  return { revoked: found.length };
}

/** @param {Call} call */
function revokeApp({ app, store }) {
  store.revokeApp(app.name);
  return {};
}

/** @param {string} field @param {string} id */
function checkId(field, id) {
  if (!ID.test(id)) throw invalid('SESSION_ID_INVALID', `${field}: a session's id is 32 lower-case hexadecimal digits`);
}

const ID = /^[0-9a-f]{32}$/;

module.exports = { getSession, listSessions, revokeApp, revokeSession, revokeSubject };
