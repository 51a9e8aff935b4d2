// The work of a save: what it makes of a record.
'use strict';

const { refused } = require('./refusals.js');

/** @typedef {import('./app.js').App} App */
/** @typedef {import('./changes.js').Changes} Changes */
/** @typedef {import('./record.js').Record} Record */
/** How long a session lives; `latest` is the latest deadline. @typedef {{ idle: number, absolute: number, latest?: number }} Lifetime */

class Edit {
  /** The rotation, if it may happen, and whether it happens only if the subject changes.
   * @type {{ rotation: import('./record.js').Rotation, onlyForSubject: boolean } | undefined} */
  rotating;

  /**
   * @param {App} app @param {Changes | undefined} changes Undefined: the call only rotates.
   * @param {{ keepEmpty: boolean, context?: any }} how
   */
  constructor(app, changes, { keepEmpty, context }) {
    this.app = app;
    this.changes = changes;
    this.keepEmpty = keepEmpty;
    this.context = context;
    this.lifetime = changes && newLifetime(app, changes);
  }

  /** @param {import('./record.js').Rotation} rotation @param {boolean} onlyForSubject */
  withRotation(rotation, onlyForSubject) {
    return Object.assign(Object.create(Edit.prototype), this, { rotating: { rotation, onlyForSubject } });
  }

  /** Returns the record after the edit, which does not remember the call yet.
   * @param {Record} before @param {number} now @returns {import('./store.js').Applied} */
  apply(before, now) {
    const { app, changes } = this;
    const record = before.clone();
    const subject = subjectAfter(before, changes);
    /** @type {Map<string, bigint>} */
    let counters = new Map();
    let clears = false;
    if (changes !== undefined) {
      if (changes.authenticated && subject === '') {
        throw refused('SUBJECT_MISSING', 'changes.authenticated needs a session with a subject');
      }
      const isOther = before.subject !== '' && subject !== '' && before.subject !== subject;
      clears = changes.clear || isOther;
      counters = applyChanges(record, changes, clears, now);
    }
    checkLimits(before, record, app.settings);
    const isEmpty = record.entries.size === 0 && subject === '' && record.permanent === undefined;
    if (changes !== undefined && isEmpty && !this.keepEmpty) return { record, effect: 'DELETED', counters };
    if (this.rotating && (!this.rotating.onlyForSubject || subject !== before.subject)) {
      record.rotation = this.rotating.rotation;
      record.verifier = record.rotation.next;
    }
    setLifetime(record, subject, this.lifetime ?? (clears ? app.own : undefined), app, now);
    record.subject = subject;
    record.setContext(this.context);
    record.used = Math.max(record.used, now);
    return { record, effect: 'UPDATED', counters };
  }
}

/** @param {Record} before @param {Changes | undefined} changes */
function subjectAfter(before, changes) {
  if (changes?.subject !== undefined) return changes.subject;
  return changes?.clear ? '' : before.subject;
}

/** @param {Record} record @param {Changes} changes @param {boolean} clears @param {number} now */
function applyChanges(record, changes, clears, now) {
  if (clears) {
    record.entries = new Map();
    record.permanent = record.authenticated = undefined;
  }
  const counters = new Map([...changes.increment].map(([name, by]) => [name, incremented(record, name, by)]));
  for (const name of changes.unset) record.entries.delete(name);
  for (const [name, value] of changes.set) record.entries.set(name, value);
  for (const [name, number] of counters) record.entries.set(name, { json: String(number) });
  record.version += 1;
  if (changes.changesPermanent) record.permanent = changes.permanent;
  if (changes.subject !== undefined) record.authenticated = changes.subject === '' ? undefined : now;
  if (changes.authenticated) record.authenticated = now;
  return counters;
}

/** @param {Record} record @param {string} name @param {bigint} by */
function incremented(record, name, by) {
  const number = record.entries.has(name) ? counterIn(record.entries.get(name)) : 0n;
  if (number === undefined || !isInt64(number + by)) {
    throw refused('NOT_A_COUNTER', `"${name}" is no decimal int64 in JSON, or would leave its range`);
  }
  return number + by;
}

/** Reads a stored value as a counter: a decimal int64 in its canonical spelling.
 * @param {import('./record.js').Value | undefined} value */
function counterIn(value) {
  if (value?.json === undefined || !COUNTER.test(value.json)) return undefined;
  const number = BigInt(value.json);
  return isInt64(number) ? number : undefined;
}

/** @param {bigint} number */
const isInt64 = (number) => BigInt.asIntN(64, number) === number;

/** @param {Record} before @param {Record} after @param {App['settings']} settings */
function checkLimits(before, after, { maxEntries, maxSessionBytes }) {
  const count = after.entries.size;
  if (count > maxEntries && count > before.entries.size) {
    throw refused('TOO_MANY_ENTRIES', `the session would have ${count} entries; the limit is ${maxEntries}`);
  }
  const size = after.entryBytes();
  if (size > maxSessionBytes && size > before.entryBytes()) {
    throw refused('SESSION_TOO_LARGE', `the session would have ${size} bytes; the limit is ${maxSessionBytes}`);
  }
}

/** Returns the lifetime that the changes ask for, within the app's own. Undefined: it stays as it is.
 * @param {App} app @param {Changes} changes @returns {Lifetime | undefined} */
function newLifetime({ own }, { lifetime: { idleTimeout, deadlineTime, defaultLifetime } }) {
  if (idleTimeout !== undefined) return { idle: Math.min(idleTimeout, own.idle), absolute: own.absolute };
  if (deadlineTime !== undefined) return { idle: own.absolute, absolute: own.absolute, latest: deadlineTime };
  return defaultLifetime ? own : undefined;
}

/** Sets the lifetime after a save that makes `subject` the subject; the record has the one before.
 * @param {Record} record @param {string} subject @param {Lifetime | undefined} wanted @param {App} app @param {number} now */
function setLifetime(record, subject, wanted, app, now) {
  if (app.hasAnonymousTimeouts && subject === '') {
    if (record.subject !== '' || wanted !== undefined) setAnonymousLifetime(record, wanted, app.anonymous, now);
    return;
  }
  const isLogin = app.hasAnonymousTimeouts && record.subject === '';
  const lifetime = wanted ?? (isLogin ? app.own : undefined);
  if (lifetime === undefined) return;
  record.idleTimeout = lifetime.idle;
  record.deadline = Math.max(deadlineOf(lifetime, record, now), now);
}

/** @param {Record} record @param {Lifetime | undefined} wanted @param {import('./app.js').Timeouts} limit @param {number} now */
function setAnonymousLifetime(record, wanted, limit, now) {
  const latest = record.subject === '' ? Math.max(record.deadline, record.created + limit.absolute) : now + limit.absolute;
  const deadline = wanted === undefined ? record.deadline : deadlineOf(wanted, record, now);
  record.idleTimeout = Math.min(wanted?.idle ?? record.idleTimeout, limit.idle);
  record.deadline = Math.max(Math.min(deadline, latest), now);
}

/** Returns the deadline of a session that has this record before.
 * @param {Lifetime} lifetime @param {Record} record @param {number} now */
function deadlineOf({ absolute, latest = Infinity }, { created, deadline }, now) {
  // The absolute timeout may have been longer when the session was created.
  const bound = created + absolute > now ? created + absolute : deadline;
  return Math.min(bound, latest);
}

const COUNTER = /^(?:0|-?[1-9][0-9]{0,18})$/;

module.exports = { Edit, counterIn };
