// Records by app and id.
'use strict';

const { NO_FINGERPRINT } = require('./record.js');

/** @typedef {import('./record.js').Record} Record */
/** @typedef {import('./record.js').Precondition} Precondition */
/** A write that was done: the record after it, its effect, and the new values of counters.
 * @typedef {{ record: Record, effect: string, counters: Map<string, bigint> }} Applied */
/** @typedef {{ id: string, record: Record }} Listed */

class Store {
  /** @type {Map<string, Map<string, Record>>} */
  #apps = new Map();
  /** @type {Map<string, number>} */
  #generations = new Map();

  /** @param {string} app */
  generation(app) {
    return this.#generations.get(app) ?? 0;
  }

  /** Ends all sessions that an app has. @param {string} app */
  revokeApp(app) {
    this.#generations.set(app, this.generation(app) + 1);
  }

  /** Returns a session or its tombstone. @param {string} app @param {string} id @param {number} now */
  load(app, id, now) {
    const found = this.#records(app).get(id);
    if (!found?.isForgotten(now)) return found;
    this.#records(app).delete(id);
    return undefined;
  }

  /** Stores a new session. Returns false if there was one, or a tombstone.
   * @param {string} app @param {string} id @param {Record} record @param {number} now */
  create(app, id, record, now) {
    if (this.load(app, id, now) !== undefined) return false;
    record.generation = this.generation(app);
    this.#records(app).set(id, record);
    return true;
  }

  /** Edits a session, or ends it for a reason if there is no edit, if the judge allows it.
   * @param {string} app @param {string} id @param {Precondition} on @param {import('./edit.js').Edit | undefined} edit
   * @param {string} [reason] @returns {{ applied: Applied } | { applied?: undefined, judged: import('./record.js').Judgement }} */
  apply(app, id, on, edit, reason = 'EMPTIED') {
    const { by = NO_FINGERPRINT, now } = on;
    const before = this.load(app, id, now);
    if (before === undefined) return { judged: { verdict: 'missing' } };
    const judged = before.judge(this.generation(app), on);
    if (judged.verdict !== 'allowed') return { judged };
    const applied = edit?.apply(before, now) ?? { record: before, effect: 'DELETED', counters: new Map() };
    if (applied.effect === 'DELETED') applied.record = applied.record.tombstone(reason, by, now);
    else applied.record.remember(by, now, applied.effect);
    this.#records(app).set(id, applied.record);
    return { applied };
  }

  /** Records a use of a live session that changes nothing else, if that is due.
   * @param {Record} record @param {any} context @param {number} now */
  touch(record, context, now) {
    if (now - record.used < record.idleTimeout / 20) return;
    record.used = now;
    record.setContext(context);
  }

  /** Returns the live sessions of an app, or of one of its subjects, sorted by id.
   * @param {string} app @param {string} subject @param {number} now @returns {Listed[]} */
  live(app, subject, now) {
    const found = [];
    for (const id of [...this.#records(app).keys()].sort()) {
      const record = this.load(app, id, now);
      if (record === undefined || (subject !== '' && record.subject !== subject)) continue;
      if (record.whyEnded(this.generation(app), now) === undefined) found.push({ id, record });
    }
    return found;
  }

  /** @param {string} app */
  #records(app) {
    const found = this.#apps.get(app) ?? new Map();
    this.#apps.set(app, found);
    return found;
  }
}

module.exports = { Store };
