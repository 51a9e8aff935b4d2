// The entries of a session, and what a save has to send of them. Each member of `req.session` is an entry, `cookie` as well.
'use strict';

/** @typedef {{ json?: string, raw?: Buffer }} StoredValue JSON text, or bytes that another client wrote. */

/** Returns the data of a session as express-session wants them. Bytes that another client wrote are left out.
 * @param {{ entries: Map<string, StoredValue>, expireTime: number }} session */
function decode({ entries, expireTime }) {
  // Not by assignment: an entry `__proto__` would become the prototype.
  /** @type {Record<string, any>} */
  const loaded = Object.fromEntries([...textsOf(entries)].map(([name, json]) => [name, JSON.parse(json)]));
  // A client in another language began the session.
  if (!(loaded.cookie instanceof Object)) loaded.cookie = { originalMaxAge: null };
  // The cookie was saved when the session changed, and the session was used since.
  if (loaded.cookie.expires && !isShort(loaded.cookie)) loaded.cookie.expires = new Date(expireTime).toISOString();
  return loaded;
}

/** Returns the JSON text of each entry. @param {Map<string, StoredValue>} entries @returns {Map<string, string>} */
const textsOf = (entries) => new Map([...entries].flatMap(([name, { json }]) => (json === undefined ? [] : [[name, json]])));

/** Returns those texts whose entries are members of the session. express-session leaves out names that it has for itself,
 * such as `id`: the application has not removed these.
 * @param {Map<string, string>} texts @param {object} session */
function membersOf(texts, session) {
  const members = new Set(Object.keys(session));
  return new Map([...texts].filter(([name]) => members.has(name)));
}

/** Returns what differs from what is stored. If that is not known, the session replaces all of it.
 * @param {any} session @param {Map<string, string> | undefined} stored */
function changesOf(session, stored) {
  /** @type {Map<string, string>} */
  const texts = new Map();
  for (const name of Object.keys(session)) {
    const json = JSON.stringify(session[name]);
    // As JSON does: an undefined member is left out.
    if (json !== undefined) texts.set(name, json);
  }
  const changed = [...texts].filter(([name, json]) => !isSame(stored?.get(name), json));
  const set = new Map(changed.map(([name, json]) => [name, { json }]));
  // If the save brings another user, the service removes what it does not send: the cookie would lose its attributes.
  const cookie = texts.get('cookie');
  if (set.size > 0 && cookie !== undefined) set.set('cookie', { json: cookie });
  const unset = [...(stored?.keys() ?? [])].filter((name) => !texts.has(name));
  return { changes: { clear: stored === undefined, unset, set, ...lifetime(session.cookie) }, texts };
}

/** A client in another language may have written the same value as a different JSON text.
 * @param {string | undefined} stored @param {string} json */
const isSame = (stored, json) => stored === json || (stored !== undefined && JSON.stringify(JSON.parse(stored)) === json);

/** A session lives without use as long as its cookie; one that ends with the browser as long as the app's do. So does one
 * whose cookie has no valid date: express-session reports that itself.
 * @param {any} cookie */
function lifetime(cookie) {
  const end = cookie?.expires ? new Date(cookie.expires).getTime() : NaN;
  if (Number.isNaN(end)) return { defaultLifetime: true };
  return { idleTimeout: Math.max(cookie.originalMaxAge ?? end - Date.now(), SHORTEST_LIFETIME) };
}

/** Whether the lifetime is shorter than the service's shortest. Then the cookie alone says when the session is over.
 * @param {any} cookie */
const isShort = (cookie) => typeof cookie?.originalMaxAge === 'number' && cookie.originalMaxAge < SHORTEST_LIFETIME;

/** Whether the cookie has an expiry in the past. @param {any} cookie */
const isOver = (cookie) => Boolean(cookie?.expires) && new Date(cookie.expires).getTime() <= Date.now();

/** Whether the session is over although the service still has it. @param {any} cookie */
const hasEndedEarly = (cookie) => isShort(cookie) && isOver(cookie);

/** Milliseconds. The service accepts no shorter one. */
const SHORTEST_LIFETIME = 1000;

module.exports = { changesOf, decode, hasEndedEarly, isOver, isShort, lifetime, membersOf, textsOf };
