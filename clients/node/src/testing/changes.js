// The changes of one request, checked: aliases are resolved, and values are as they are stored.
'use strict';

const { invalid, permanentInvalid, repeatedEntry, subjectInvalid } = require('./refusals.js');

/** @typedef {import('./record.js').Value} Value */

class Changes {
  /** @type {boolean | undefined} */
  permanent;
  changesPermanent = false;
  /** Undefined: not changed. @type {string | undefined} */
  subject;

  /** @param {any} message @param {string} subjectKey */
  constructor(message, subjectKey) {
    if (message.unset.length + message.set.size + message.increment.size > MAX_NAMES) {
      throw invalid('TOO_MANY_CHANGES', `the limit of entries in one save is ${MAX_NAMES}`);
    }
    checkNames(message);
    this.clear = message.clear;
    this.authenticated = message.authenticated;
    /** @type {string[]} */
    this.unset = [...new Set(message.unset)].filter((name) => name !== PERMANENT).sort();
    /** @type {Map<string, Value>} */
    this.set = new Map([...message.set].filter(([name]) => name !== PERMANENT));
    /** @type {Map<string, bigint>} */
    this.increment = new Map([...message.increment].map(([name, by]) => [name, BigInt(by)]));
    this.#resolvePermanent(message);
    this.#resolveSubject(message, subjectKey);
    /** @type {{ idleTimeout?: number, deadlineTime?: number, defaultLifetime?: boolean }} */
    this.lifetime = lifetimeOf(message);
  }

  get touchesPermanent() {
    return this.clear || this.changesPermanent;
  }

  /** Returns text that is equal exactly if the changes are. */
  canonical() {
    const { clear, authenticated, unset, permanent, changesPermanent, subject, lifetime } = this;
    const set = [...this.set].map(([name, { json, raw }]) => [name, json ?? null, raw?.toString('hex') ?? null]).sort();
    const increment = [...this.increment].map(([name, by]) => [name, String(by)]).sort();
    return JSON.stringify([clear, authenticated, unset, permanent, changesPermanent, subject, lifetime, set, increment]);
  }

  /** @param {any} message */
  #resolvePermanent({ permanent, unset, set, increment }) {
    if (increment.has(PERMANENT)) throw permanentInvalid();
    this.permanent = permanent;
    this.changesPermanent = permanent !== undefined;
    const isUnset = unset.includes(PERMANENT);
    if (!isUnset && !set.has(PERMANENT)) return;
    const alias = isUnset ? undefined : PERMANENT_VALUES.get(trim(set.get(PERMANENT).json));
    if (!isUnset && alias === undefined) throw permanentInvalid();
    if (this.changesPermanent && alias !== permanent) throw repeatedEntry(PERMANENT);
    this.permanent = alias;
    this.changesPermanent = true;
  }

  /** @param {any} message @param {string} key */
  #resolveSubject({ subject, unset, set, increment }, key) {
    this.subject = subject;
    if (key === '') return;
    if (increment.has(key)) throw subjectInvalid();
    if (!unset.includes(key) && !set.has(key)) return;
    const alias = set.has(key) ? subjectIn(set.get(key)) : '';
    if (subject !== undefined && alias !== subject) throw repeatedEntry(key);
    this.subject = alias;
  }
}

/** Whether the changes leave nothing of the session before them: a clear, or another subject.
 * @param {any} message @param {string} subjectKey */
function mayBeginAnew(message, subjectKey) {
  if (message === undefined) return false;
  const isAlias = subjectKey !== '' && (message.set.has(subjectKey) || message.unset.includes(subjectKey));
  return message.clear || message.subject !== undefined || isAlias;
}

/** Checks what can be wrong in the changes by themselves. @param {any} message */
function checkValues(message) {
  if (message === undefined) return;
  for (const [name, { json, raw }] of message.set) {
    if (json === undefined && raw === undefined) {
      throw invalid('VALUE_INVALID', `changes.set["${name}"]: a value needs a kind, json or raw`);
    }
    if (json !== undefined && !isJson(json)) {
      throw invalid('VALUE_INVALID', `changes.set["${name}"]: json is not RFC 8259 text of at most ${MAX_DEPTH} levels`);
    }
  }
  if (Buffer.byteLength(message.subject ?? '') > MAX_SUBJECT) throw subjectInvalid();
  if (message.idleTimeout < 1000) throw invalid('LIFETIME_INVALID', 'changes.idle_timeout: it has to be at least 1 s');
  if (message.deadlineTime < 0) throw invalid('LIFETIME_INVALID', 'changes.deadline_time: it has to be a valid time');
}

/** @param {any} message */
function checkNames({ unset, set, increment }) {
  for (const name of [...unset, ...set.keys(), ...increment.keys()]) {
    const size = Buffer.byteLength(name);
    if (size < 1 || size > 256) throw invalid('ENTRY_NAME_INVALID', 'an entry\'s name needs 1 to 256 bytes');
  }
  for (const name of increment.keys()) if (set.has(name) || unset.includes(name)) throw repeatedEntry(name);
  for (const name of unset) if (set.has(name)) throw repeatedEntry(name);
}

/** @param {any} message */
function lifetimeOf({ idleTimeout, deadlineTime, defaultLifetime }) {
  if (idleTimeout !== undefined) return { idleTimeout };
  return deadlineTime === undefined ? { defaultLifetime } : { deadlineTime };
}

/** Reads a value as a subject: a string as it is, an integer as its digits, and null as none. @param {Value} value */
function subjectIn({ json }) {
  const text = trim(json);
  if (text === 'null') return '';
  if (text === '-0') return '0';
  const isString = text.startsWith('"');
  if (!isString && !INTEGER.test(text)) throw subjectInvalid();
  const found = isString ? JSON.parse(text) : text;
  if (LONE_SURROGATE.test(found) || Buffer.byteLength(found) > MAX_SUBJECT) throw subjectInvalid();
  return found;
}

/** Removes the white space of JSON. @param {string} [text] */
const trim = (text = '') => text.replace(/^[ \t\n\r]+|[ \t\n\r]+$/g, '');

/** @param {string} text */
function isJson(text) {
  try {
    JSON.parse(text);
  } catch {
    return false;
  }
  let depth = 0;
  for (const [bracket] of text.replace(/"(?:[^"\\]|\\.)*"/g, '').matchAll(/[[\]{}]/g)) {
    depth += '[{'.includes(bracket) ? 1 : -1;
    if (depth > MAX_DEPTH) return false;
  }
  return true;
}

const PERMANENT = '_permanent';
const PERMANENT_VALUES = new Map([['true', true], ['false', false]]);
const INTEGER = /^(?:0|-?[1-9][0-9]*)$/;
const LONE_SURROGATE = /\p{Surrogate}/u;
const MAX_NAMES = 8192;
const MAX_DEPTH = 127;
/** Bytes. */
const MAX_SUBJECT = 256;

module.exports = { Changes, MAX_SUBJECT, checkValues, mayBeginAnew };
