// Makes random calls to a Pair: good and bad ones, of few browsers and users, so that much happens to each.
import { ADMIN_METHODS } from '../src/admin_messages.js';
import { DESTROY, OPEN, SAVE, WATCH } from '../src/messages.js';

const { GET, LIST, REVOKE, REVOKE_APP, REVOKE_SUBJECT } = ADMIN_METHODS;
const HOUR = 3_600_000;

// Each app with its settings in the configuration of the service.
export const APPS = [
  [{ name: 'plain' }, ''],
  [{
    name: 'cookies', subjectKey: 'user', refreshEachRequest: false, cookieName: '__Secure-id', cookieSecure: true,
    cookieDomain: 'example.org', cookiePath: '/shop', cookieHttponly: false, cookieSamesite: 'None', cookiePartitioned: true,
  }, `subject_key = "user"
refresh_each_request = false
[apps.cookies.cookie]
name = "__Secure-id"
secure = true
domain = "example.org"
path = "/shop"
httponly = false
samesite = "None"
partitioned = true`],
  [{
    name: 'anonymous', idleTimeout: 20 * HOUR, absoluteTimeout: 30 * HOUR, anonymousIdleTimeout: 2 * HOUR,
    anonymousAbsoluteTimeout: 3 * HOUR,
  }, `idle_timeout = "20h"
absolute_timeout = "30h"
[apps.anonymous.anonymous]
idle_timeout = "2h"
absolute_timeout = "3h"`],
  [{ name: 'evicting', maxSessionsPerSubject: 2 }, 'max_sessions_per_subject = 2'],
  [{ name: 'refusing', maxSessionsPerSubject: 2, onSessionLimit: 'refuse', subjectKey: 'user' }, `max_sessions_per_subject = 2
on_session_limit = "refuse"
subject_key = "user"`],
  [{ name: 'small', maxEntries: 2, maxSessionBytes: 1024 }, `[apps.small.limits]
max_entries = 2
max_session_bytes = 1024`],
];

export const CONFIGURATION = APPS.map(([{ name }, more]) => `[apps.${name}]\nkeys = ["{key}"]\n${more}\n`).join('');

const NAMES = APPS.map(([{ name }]) => name);
const COOKIE_NAMES = new Map(APPS.map(([{ name, cookieName = 'session' }]) => [name, cookieName]));
const ENTRIES = ['a', 'b', 'c', 'user', '_permanent'];
const VALUES = [
  '1', '-7', 'true', 'false', 'null', '"ada"', '"bob"', '7', '9223372036854775807', '1.5', '[1, {}]', '""', ' 2', '-0 ',
  '9'.repeat(30), '"\\ud83d"', '1e400',
];
const BAD_VALUES = [
  '', '{', 'NaN', '01', '"\t"', '['.repeat(128) + ']'.repeat(128), "'a'", `"${'x'.repeat(2000)}"`, '9'.repeat(257),
];
const ATTRIBUTES = {
  domain: ['', 'tenant.example', 'a.b-c.example', '-a', 'a..b', 'a:1', 'x'.repeat(64)],
  path: ['/', '/a;b', 'a', '', '/shop/', `/${'x'.repeat(1024)}`],
  secure: [true, true, true, false],
  samesite: ['', 'Lax', 'Strict', 'None'],
};

export class Player {
  // How often each call had each result.
  seen = new Map();
  #app = 'plain';
  // Of each app, the numbers of the symbols that are tokens, and of those that are ids.
  #tokens = new Map(NAMES.map((name) => [name, []]));
  #ids = new Map(NAMES.map((name) => [name, []]));
  #saves = [];
  // The last credential of each app.
  #last = new Map();
  #state;

  constructor(pair, seed) {
    this.pair = pair;
    this.#state = seed;
  }

  async step() {
    // Two sessions that were used in one millisecond would have no order.
    for (const began = Date.now(); Date.now() === began;);
    if (this.#chance(0.03)) this.#app = this.#pick(NAMES);
    const { pairs } = this.pair.symbols;
    const known = pairs.length;
    const [name, act] = this.#choose();
    const result = await act.call(this);
    for (let number = known; number < pairs.length; number += 1) {
      const numbers = /^[0-9a-f]{32}$/.test(pairs[number][0]) ? this.#ids : this.#tokens;
      numbers.get(this.#app).push(number);
    }
    const key = `${name} ${result}`;
    this.seen.set(key, (this.seen.get(key) ?? 0) + 1);
  }

  #choose() {
    const acts = [
      [20, 'open', this.#open], [38, 'save', this.#save], [10, 'repeat', this.#repeat], [12, 'log in', this.#logIn],
      [5, 'destroy', this.#destroy], [5, 'list', this.#list], [4, 'get', this.#get], [3, 'watch', this.#watch],
      [3, 'revoke', this.#revoke],
    ];
    let number = this.#random() * 100;
    return acts.find(([weight]) => (number -= weight) < 0).slice(1);
  }

  #open() {
    const fields = {
      cookieName: this.#cookieName(), cookieAttributes: this.#cookieAttributes(), context: this.#context(),
      noTouch: this.#chance(0.2), maxAuthenticateAge: this.#chance(0.2) ? this.#pick([-1000, 0, 600_000]) : undefined,
      requestAge: this.#chance(0.3) ? this.#pick([-1000, 0, 3_600_000]) : undefined,
    };
    return this.#call(OPEN, fields, this.#chance(0.05) ? {} : this.#credential());
  }

  #save() {
    const fields = {
      accessed: this.#chance(0.5), etag: this.#rarely(0.15, ['0', '1', '2', '3', 'x', '01', '9007199254740992']),
      requestId: this.#requestId(), rotate: this.#chance(0.1), keepEmpty: this.#chance(0.1), cookieOutdated: this.#chance(0.1),
      cookieName: this.#cookieName(), cookieAttributes: this.#cookieAttributes(), context: this.#context(),
      changes: this.#chance(0.9) ? this.#changes() : undefined,
      requestAge: this.#chance(0.3) ? this.#pick([-1000, 0, 3_600_000]) : undefined,
    };
    return this.#makeSave(fields, this.#credential());
  }

  // Makes a save that nothing refuses but the limit of sessions.
  #logIn() {
    if (this.#chance(0.3)) this.#last.set(this.#app, { cookieHeader: [''] });
    const changes = { subject: this.#pick(['ada', '7']), set: new Map([['a', { json: '1' }]]) };
    return this.#makeSave({ requestId: this.#requestId(), changes }, this.#credential());
  }

  #makeSave(fields, credential) {
    this.#saves.push([this.#app, fields, credential]);
    return this.#call(SAVE, fields, credential);
  }

  // Makes a save again, as it was or with other content.
  #repeat() {
    const same = this.#saves.slice(-50).filter(([app]) => app === this.#app).slice(-4);
    if (same.length === 0) return this.#save();
    const [, fields, credential] = this.#chance(0.5) ? same.at(-1) : this.#pick(same);
    return this.#call(SAVE, this.#chance(0.2) ? { ...fields, changes: this.#changes() } : fields, credential);
  }

  #destroy() {
    const fields = { requestId: this.#requestId(), cookieName: this.#cookieName(), cookieAttributes: this.#cookieAttributes() };
    return this.#call(DESTROY, fields, this.#credential());
  }

  #watch() {
    return this.#call(WATCH, { cookieName: this.#cookieName() }, this.#credential());
  }

  #list() {
    const what = this.#pick(['subject', 'subject', 'subject', 'pageToken', 'bad size', 'all', 'all']);
    const fields = { withEntries: this.#chance(0.5), pageSize: what === 'bad size' ? -1 : 1000 };
    if (what === 'subject') fields.subject = this.#pick(['ada', '7', 'x'.repeat(257)]);
    if (what === 'pageToken') fields.pageToken = 'x';
    return this.#call(LIST, fields);
  }

  #get() {
    return this.#call(GET, { withEntries: this.#chance(0.5) }, { id: this.#sessionId() });
  }

  #revoke() {
    if (this.#chance(0.6)) return this.#call(REVOKE, {}, { id: this.#sessionId() });
    if (this.#chance(0.15)) return this.#call(REVOKE_APP, {});
    const exceptId = this.#chance(0.5) ? this.#sessionId() : [''];
    return this.#call(REVOKE_SUBJECT, { subject: this.#pick(['ada', '7', '']) }, { exceptId });
  }

  // Makes a call with fields that are the same for both, and texts with numbers of symbols in them that are not.
  #call(method, fields, texts = {}) {
    const { pairs } = this.pair.symbols;
    const app = this.#app;
    const textOf = (parts, side) => parts.map((part) => (typeof part === 'number' ? pairs[part][side] : part)).join('');
    return this.pair.call(method, (side) =>
      ({ app, ...fields, ...Object.fromEntries(Object.entries(texts).map(([name, parts]) => [name, textOf(parts, side)])) }));
  }

  #credential() {
    const last = this.#last.get(this.#app);
    if (last !== undefined && this.#chance(0.3)) return last;
    const credential = this.#newCredential();
    this.#last.set(this.#app, credential);
    return credential;
  }

  #newCredential() {
    const tokens = this.#tokens.get(this.#chance(0.97) ? this.#app : this.#pick(NAMES)).slice(-8);
    const kind = this.#random();
    if (kind < 0.4 && tokens.length > 0) return { token: [this.#pick(tokens)] };
    if (kind < 0.43) return { token: [this.#pick(['', 'x', 'v1.a.b.c', 't1.a.b'])] };
    if (kind < 0.55 || tokens.length === 0) return { cookieHeader: [this.#pick(['', 'other=1', 'session=x; __Secure-id=y'])] };
    const header = [];
    for (let count = this.#pick([1, 1, 1, 2, 3]); count > 0; count -= 1) {
      const name = this.#chance(0.95) ? COOKIE_NAMES.get(this.#app) : 'id';
      header.push(this.#pick(['', ' ', 'a=b;', ';;']), name, '=', this.#pick(tokens), this.#pick([';', ' ;', '']), ';');
    }
    return { cookieHeader: header };
  }

  #changes() {
    const changes = { clear: this.#chance(0.05), unset: [], set: new Map(), increment: new Map(), authenticated: this.#chance(0.1) };
    const names = ENTRIES.toSorted(() => this.#random() - 0.5).slice(0, this.#pick([0, 1, 1, 1, 2, 3]));
    for (const name of names) this.#change(changes, this.#rarely(0.02, ['', 'x'.repeat(257), '_permanent']) || name);
    if (this.#chance(0.02)) changes.unset.push(this.#pick(ENTRIES));
    if (this.#chance(0.1)) changes.permanent = this.#chance(0.5);
    if (this.#chance(0.3)) changes.subject = this.#pick(['ada', '7', 'ada', '7', 'ada', '7', '', 'x'.repeat(257)]);
    const lifetime = this.#random();
    if (lifetime < 0.1) changes.idleTimeout = this.#pick([500, HOUR, 2.5 * HOUR, 1e11]);
    else if (lifetime < 0.2) changes.deadlineTime = Date.now() + this.#pick([-5000, HOUR, 11 * HOUR, 1e11]);
    else if (lifetime < 0.25) changes.defaultLifetime = true;
    return changes;
  }

  #change({ set, increment, unset }, name) {
    const kind = this.#random();
    if (kind < 0.55) set.set(name, { json: this.#pick(this.#chance(0.05) ? BAD_VALUES : VALUES) });
    else if (kind < 0.6) set.set(name, { raw: this.#pick([Buffer.alloc(0), Buffer.from([0, 255]), Buffer.from('1')]) });
    else if (kind < 0.62) set.set(name, {});
    else if (kind < 0.8) increment.set(name, this.#pick([1, -3, 0, 2n ** 63n - 1n]));
    else unset.push(name);
  }

  #requestId() {
    if (this.#chance(0.4)) return '';
    return this.#rarely(0.2, ['once', 'twice', 'é'.repeat(33)]) || String(this.#random());
  }

  #context() {
    if (this.#chance(0.8)) return undefined;
    const text = this.#pick(['', 'Firefox', 'é'.repeat(200)]);
    return { userAgent: text, remoteAddress: text };
  }

  #cookieName() {
    return this.#rarely(0.03, ['id', 'a b', '__Host-id', 'x'.repeat(257)]);
  }

  #cookieAttributes() {
    if (this.#chance(0.85)) return undefined;
    const names = Object.keys(ATTRIBUTES).filter(() => this.#chance(0.4));
    return Object.fromEntries(names.map((name) => [name, this.#pick(ATTRIBUTES[name])]));
  }

  #sessionId() {
    const ids = this.#ids.get(this.#app).slice(-8);
    return [ids.length === 0 || this.#chance(0.1) ? this.#pick(['x', '0'.repeat(32)]) : this.#pick(ids)];
  }

  #rarely(chance, values) {
    return this.#chance(chance) ? this.#pick(values) : '';
  }

  #pick(values) {
    return values[Math.floor(this.#random() * values.length)];
  }

  #chance(of) {
    return this.#random() < of;
  }

  // The generator mulberry32: the same numbers for the same seed.
  #random() {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }
}
