// The limit of sessions that a subject may have.
'use strict';

const { refused } = require('./refusals.js');
const { idOf } = require('./token.js');
const { preconditionOf } = require('./write.js');

/** @typedef {import('./call.js').Call} Call */
/** @typedef {import('./prepared_save.js').PreparedSave} PreparedSave */

/** Refuses a login if its subject has as many sessions as it may have. @param {Call} call @param {PreparedSave} prepared */
function enforceLimit(call, prepared) {
  const { app, store, now } = call;
  const { maxSessionsPerSubject: limit, onSessionLimit } = app.settings;
  if (prepared.loginSubject === '' || limit === 0 || onSessionLimit !== 'refuse') return;
  const sessions = store.live(app.name, prepared.loginSubject, now);
  const own = idOf(app.name, prepared.presented.token);
  if (sessions.length < limit || sessions.some(({ id }) => id === own) || !wouldWrite(call, prepared)) return;
  throw refused('TOO_MANY_SESSIONS', `the subject has ${sessions.length} sessions already, which is the limit`);
}

/** Whether the save would be written but for the limit. @param {Call} call @param {PreparedSave} prepared */
function wouldWrite(call, { presented, write, mayCreate }) {
  const record = call.load(presented.token);
  if (record === undefined) return presented.isTicket && mayCreate;
  return record.judge(call.store.generation(call.app.name), preconditionOf(write, call.now)).verdict === 'allowed';
}

/** Ends the oldest sessions of a subject that has more than it may have after a login.
 * @param {Call} call @param {PreparedSave} prepared @param {import('./write.js').Done} done */
function evict({ app, store, now }, prepared, { record }) {
  const { maxSessionsPerSubject: limit, onSessionLimit } = app.settings;
  if (limit === 0 || onSessionLimit === 'refuse' || prepared.loginSubject === '' || !record?.subject) return;
  const sessions = store.live(app.name, record.subject, now);
  sessions.sort(({ record: a, id }, { record: b, id: other }) =>
    (a.authenticated ?? 0) - (b.authenticated ?? 0) || a.created - b.created || (id < other ? -1 : 1));
  for (const { id } of sessions.slice(0, Math.max(sessions.length - limit, 0))) {
    store.apply(app.name, id, { now }, undefined, 'EVICTED');
  }
}

module.exports = { enforceLimit, evict };
