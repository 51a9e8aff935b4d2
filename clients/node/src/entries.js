// Tracks a session's entries in one request, and what the request changes.
//
// Makes no calls: `lookup` returns UNKNOWN where the session must be opened first. So a write needs no read, and neither
// does a read of an entry that was just written. Values are decoded at their first use. Values that can change in place
// are compared before the save with the text that they were decoded from.
'use strict';

/** What `lookup` returns instead of a value: the session must be opened to know it. */
const UNKNOWN = Symbol('unknown');

/** @typedef {{ json?: string, raw?: Buffer }} StoredValue JSON text, or bytes that another client wrote. */

class Entries {
  /** @type {Map<string, StoredValue>} */
  #stored = new Map();
  /** Decoded values that were read or written. @type {Map<string, unknown>} */
  #values = new Map();
  /** @type {Set<string>} */
  #written = new Set();
  /** @type {Set<string>} */
  #removed = new Set();
  /** @type {Map<string, number>} */
  #increments = new Map();
  /** Whether the earlier entries are another user's: the service removes them in the save that changes the subject. */
  areOthers = false;
  /** What was known of another user's entries before `markSaved` has removed them.
   * @type {{ stored: Map<string, StoredValue>, values: Map<string, unknown> } | undefined} */
  #others;
  /** Whether all earlier entries were removed. */
  isCleared = false;
  /** Whether all entries of the session are known. */
  isComplete = false;

  /** Returns the entries after all of them were removed. The session need not be opened for them. */
  static cleared() {
    const entries = new Entries();
    entries.isComplete = entries.isCleared = true;
    return entries;
  }

  /** Sets what the service has stored. The changes of this request stay and take precedence.
   * @param {Map<string, StoredValue>} stored */
  load(stored) {
    // Another request may have saved something else meanwhile.
    for (const [name, value] of this.#values) {
      const isChanged = stored.get(name)?.json !== this.#stored.get(name)?.json;
      if (isChanged && !this.#written.has(name) && !this.#isMutated(name, value)) this.#values.delete(name);
    }
    this.#stored = stored;
    this.isComplete = true;
  }

  /** Forgets what the service has removed: all that was stored before, but for what a save has set.
   * @param {Map<string, StoredValue>} set */
  keepOnly(set) {
    for (const name of this.#values.keys()) if (!set.has(name) && !this.#written.has(name)) this.#values.delete(name);
    this.load(new Map(set));
    this.areOthers = false;
  }

  /** Returns the value of an entry, undefined if there is none, or UNKNOWN.
   * @param {string} name @returns {unknown} */
  lookup(name) {
    if (this.#values.has(name) && this.#isOwn(name)) return this.#values.get(name);
    if (this.#removed.has(name)) return undefined;
    const stored = this.areOthers ? undefined : this.#stored.get(name);
    if (stored === undefined) return this.isComplete ? this.#increments.get(name) : UNKNOWN;
    const value = decode(stored);
    const by = this.#increments.get(name);
    if (by !== undefined) return /** @type {number} */ (value) + by;
    this.#values.set(name, value);
    return value;
  }

  /** Returns the names of all entries. Needs `isComplete`. */
  names() {
    const names = new Set(this.areOthers ? [] : this.#stored.keys());
    for (const name of this.#removed) names.delete(name);
    for (const name of this.#increments.keys()) names.add(name);
    for (const name of this.#written) {
      if (this.#values.get(name) === undefined) names.delete(name);
      else names.add(name);
    }
    return [...names];
  }

  /** @param {string} name @param {unknown} value */
  set(name, value) {
    this.#values.set(name, value);
    this.#written.add(name);
    this.#removed.delete(name);
    this.#increments.delete(name);
  }

  /** Removes an entry, whether it exists or not. @param {string} name */
  remove(name) {
    this.#values.delete(name);
    this.#written.delete(name);
    this.#increments.delete(name);
    this.#removed.add(name);
  }

  /** @param {string} name @param {number} by */
  increment(name, by) {
    if (!Number.isSafeInteger(by)) throw new TypeError(`a counter is increased by an integer, not by ${by}`);
    if (this.#written.has(name)) this.#values.set(name, /** @type {number} */ (this.#values.get(name)) + by);
    else if (this.#removed.has(name)) this.set(name, by);
    else {
      this.#values.delete(name);
      this.#increments.set(name, (this.#increments.get(name) ?? 0) + by);
    }
  }

  /** Whether a value is the session's, and not another user's. @param {string} name */
  #isOwn(name) {
    return !this.areOthers || this.#written.has(name);
  }

  /** Returns what a save must send. Throws TypeError for a value that cannot be written as JSON. */
  changes() {
    const unset = [...this.#removed];
    /** @type {Map<string, StoredValue>} */
    const set = new Map();
    for (const [name, value] of this.#values) {
      const isWritten = this.#written.has(name);
      if (!isWritten && !this.#isMutated(name, value)) continue;
      const json = JSON.stringify(value);
      // As JSON does: an undefined member is left out.
      if (json === undefined) unset.push(name);
      else set.set(name, { json });
    }
    return { clear: this.isCleared, unset, set, increment: new Map(this.#increments) };
  }

  /** The JSON text that the next save gives an entry: '' if it removes it, undefined if it stays. A value that cannot be
   * written counts as one that stays: its save fails. @param {string} name */
  changedText(name) {
    if (this.#removed.has(name)) return '';
    const value = this.#values.get(name);
    if (this.#written.has(name)) return value === undefined ? '' : textOf(value);
    const json = this.#stored.get(name)?.json;
    return json !== undefined && isChanged(value, json) ? textOf(value) : undefined;
  }

  /** Treats a value that has changed in place as one that was assigned. @param {string} name */
  assignChanged(name) {
    if (this.#values.has(name) && this.changedText(name) !== undefined) this.#written.add(name);
  }

  /** Whether there is something to save, changes inside of values included. */
  hasChanges() {
    if (this.isCleared || this.#removed.size > 0 || this.#written.size > 0 || this.#increments.size > 0) return true;
    for (const [name, value] of this.#values) if (this.#isMutated(name, value)) return true;
    return false;
  }

  /** Treats these changes as stored. Later changes belong to the next save.
   * @param {{ unset: string[], set: Map<string, StoredValue>, increment: Map<string, number> }} changes */
  markSaved({ unset, set, increment }) {
    this.#others = this.areOthers ? { stored: this.#stored, values: new Map(this.#values) } : undefined;
    if (this.areOthers) this.keepOnly(new Map());
    for (const name of unset) {
      this.#stored.delete(name);
      this.#values.delete(name);
    }
    for (const [name, value] of set) this.#stored.set(name, value);
    for (const [name, by] of increment) {
      const stored = this.#stored.get(name);
      if (stored !== undefined || this.isComplete) {
        this.#stored.set(name, { json: String(Number(stored === undefined ? 0 : decode(stored)) + by) });
      }
    }
    this.#written.clear();
    this.#removed.clear();
    this.#increments.clear();
    this.isCleared = false;
  }

  /** Takes changes back that were treated as stored, because the service has refused them. Later ones take precedence.
   * @param {{ clear: boolean, unset: string[], set: Map<string, StoredValue>, increment: Map<string, number> }} refused */
  takeBack({ clear, unset, set, increment }) {
    const later = [...this.#written].map((name) => /** @type {const} */ ([name, this.#values.get(name)]));
    const [laterRemoved, laterIncrements] = [this.#removed, this.#increments];
    this.isCleared = clear;
    this.#removed = new Set(unset);
    this.#written = new Set(set.keys());
    this.#increments = new Map(increment);
    for (const [name, value] of set) if (!this.#values.has(name)) this.#values.set(name, decode(value));
    for (const [name, by] of increment) {
      const stored = this.#stored.get(name);
      if (stored !== undefined) this.#stored.set(name, { json: String(Number(decode(stored)) - by) });
    }
    if (this.#others !== undefined) {
      this.#stored = this.#others.stored;
      this.#values = new Map([...this.#others.values, ...this.#values]);
    }
    for (const name of laterRemoved) this.remove(name);
    for (const [name, value] of later) this.set(name, value);
    for (const [name, by] of laterIncrements) this.increment(name, by);
  }

  /** Sets counters to the values that a save returned. @param {Map<string, number | bigint>} counters */
  updateCounters(counters) {
    for (const [name, value] of counters) this.#stored.set(name, { json: String(value) });
  }

  /** Whether a value changed in place after it was decoded. @param {string} name @param {unknown} value */
  #isMutated(name, value) {
    const json = this.#isOwn(name) ? this.#stored.get(name)?.json : undefined;
    return json !== undefined && isChanged(value, json);
  }
}

/** Whether a value has changed since it was decoded from a JSON text. @param {unknown} value @param {string} json */
function isChanged(value, json) {
  if (typeof value !== 'object' || value === null) return false;
  const text = textOf(value);
  // A client in another language may have written the same value as a different JSON text.
  return text !== json && text !== JSON.stringify(JSON.parse(json));
}

/** The JSON of a value, or undefined if it has none. Then it has changed, and its save fails.
 * @param {unknown} value */
function textOf(value) {
  try {
    return JSON.stringify(value);
  } catch {
    return undefined;
  }
}

/** @param {StoredValue} stored @returns {unknown} */
const decode = ({ json, raw }) => (json === undefined ? raw : JSON.parse(json));

module.exports = { Entries, UNKNOWN };
