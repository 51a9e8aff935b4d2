// Writes tests/it/express/vectors.json: sessions as the real express-session signs them and connect-redis stores them,
// and what express-session reads of them.
//
//     npm --prefix clients/node ci
//     node tests/express/vectors.mjs
//
// connect-redis gets a client that keeps what it is told to store. No Redis is needed.

import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { createRequire } from 'node:module';

const require = createRequire(new URL('../../clients/node/package.json', import.meta.url));
const session = require('express-session');
const { RedisStore } = require('connect-redis');
function version(name) {
  const file = new URL(`../../clients/node/node_modules/${name}/package.json`, import.meta.url);
  return JSON.parse(readFileSync(file)).version;
}

const NOW = Date.UTC(2026, 10, 26, 12);
const SECRETS = ['keyboard cat', 'what signed until last year'];
const realNow = Date.now;
Date.now = () => NOW;

/** Keeps records as Redis does. */
class Client {
  records = new Map();
  get = async (key) => this.records.get(key)?.value ?? null;
  set = async (key, value, options) => void this.records.set(key, { value, seconds: options?.expiration?.value ?? null });
  expire = async () => {};
  del = async () => {};
}

/** Serves one request with a session and returns its cookie, its record and what is loaded of it. */
async function record(name, options, fill, { loadedWith = SECRETS, storeOptions = {} } = {}) {
  const client = new Client();
  const store = new RedisStore({ client, ...storeOptions });
  const middleware = (secret) => session({ secret, store, resave: false, saveUninitialized: false, ...options });
  const respond = (secret, handle) => request(middleware(secret), handle);
  const set = await respond(options.secret ?? SECRETS, { handle: fill });
  const cookie = set.headers['set-cookie'][0].split(';')[0].split('=').slice(1).join('=');
  const [[key, { value, seconds }]] = [...client.records];
  const loaded = await request(
    session({ secret: loadedWith, store, resave: false, saveUninitialized: false }),
    { cookie: `connect.sid=${cookie}`, handle: () => {} },
  );
  return { name, cookie, key, value, seconds, loaded: loaded.entries };
}

/** Sends one request through the middleware. `entries` is the session, as JSON by name; null if it is new. */
async function request(middleware, { cookie, handle }) {
  let entries;
  const server = http.createServer((req, res) =>
    middleware(req, res, () => {
      const { cookie: _, ...rest } = JSON.parse(JSON.stringify(req.session));
      const isNew = Object.keys(rest).length === 0;
      entries = isNew ? null : Object.fromEntries(Object.entries(rest).map(([key, value]) => [key, JSON.stringify(value)]));
      handle(req.session);
      res.end();
    }),
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const sent = http.get({ port: server.address().port, headers: cookie ? { cookie } : {}, agent: false });
  const [response] = await once(sent, 'response');
  response.resume();
  await once(response, 'end');
  server.close();
  return { headers: response.headers, entries };
}

const login = (data) => Object.assign(data, { passport: { user: 'anna' }, n: 1 });
const DAY = 24 * 60 * 60 * 1000;
const sessions = [
  await record('with_the_browser', {}, login),
  await record('max_age', { cookie: { maxAge: DAY } }, login),
  await record('expires', {}, (data) => {
    login(data);
    data.cookie.expires = new Date(NOW + 2 * DAY);
  }),
  await record('every_kind_of_value', {}, (data) =>
    Object.assign(data, {
      text: 'Zoë "quoted" \\ \u2028 \ud83d\ude00',
      empty: '',
      number: -0.1,
      large: 2 ** 53,
      huge: 1e300,
      nothing: null,
      yes: true,
      list: [1, [2, {}], 'x'],
      nested: { 'a.b': { c: [] } },
      date: new Date(NOW),
      buffer: Buffer.from([0, 255]),
      'name with ümlaut': 1,
      missing: undefined,
    }),
  ),
  await record('lone_surrogate', {}, (data) => Object.assign(data, { text: '\ud800' })),
  await record('lone_surrogate_in_a_name', {}, (data) => Object.assign(data, { '\ud800': 1 })),
  await record('older_secret', { secret: SECRETS[1] }, login),
  await record('secret_of_another_application', { secret: 'another' }, login),
  await record('own_id', { genid: () => 'user-1/ü+x.y:z =;,' }, login),
  await record('other_prefix', {}, login, { storeOptions: { prefix: 'shop:' } }),
  await record('without_expiry_in_redis', { cookie: { maxAge: DAY } }, login, { storeOptions: { disableTTL: true } }),
];

Date.now = realNow;
const meta = {
  secrets: SECRETS,
  now: NOW / 1000,
  'express-session': version('express-session'),
  'connect-redis': version('connect-redis'),
};
const out = new URL('../it/express/vectors.json', import.meta.url);
writeFileSync(out, `${JSON.stringify({ meta, sessions }, null, 1)}\n`);
