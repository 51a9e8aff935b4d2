// express-session itself on the store, with passport: logins, logouts, and requests at the same time.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import express from 'express';
import session from 'express-session';
import passport from 'passport';
import { Strategy } from 'passport-local';
import { RedisStore } from 'connect-redis';
import { createClient } from 'redis';
import { CloakroomStore } from 'connect-cloakroom';
import { Client } from 'cloakroom-sessions';
import { RecordingTransport } from '../../node/tests/recording_transport.mjs';
import { Service } from '../../node/tests/service.mjs';
import { startRedis } from './redis.mjs';

const APPS = `
[apps.express]
kind = "external"
subject_key = "passport.user"
`;

let service;
let redis;
let redisClient;
const servers = [];

before(async () => {
  service = await Service.start({ more: APPS });
  redis = await startRedis();
  redisClient = await createClient({ url: `redis://127.0.0.1:${redis.port}` }).connect();
});

after(async () => {
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
  }
  redisClient?.destroy();
  await redis?.stop();
  await service?.remove();
});

const cloakroomStore = () =>
  new CloakroomStore({ service: service.address, app: 'express', deadline: 30_000, onGone: () => {} });

/** An application, and a browser with its cookies. */
async function serve(store, options) {
  const authenticator = new passport.Passport();
  authenticator.use(new Strategy((name, password, done) => done(null, password === 'correct' && { name })));
  authenticator.serializeUser((user, done) => done(null, user.name));
  authenticator.deserializeUser((name, done) => done(null, { name }));
  const app = express();
  const held = new Map();
  app.use(express.urlencoded({ extended: false }));
  app.use(session({ store, secret: 'a secret', resave: false, saveUninitialized: false, ...options }));
  app.use(authenticator.session());
  app.get('/', ({ session: { cookie, ...entries }, user, sessionID }, response) =>
    response.json({ entries, user: user?.name ?? null, id: sessionID, maxAge: cookie.originalMaxAge }));
  // Sets an entry, and answers when the other requests with the same gate have come as far.
  app.get('/set', async ({ session: kept, query: { name, value, gate, count } }, response) => {
    kept[name] = JSON.parse(value);
    if (gate) await passGate(gate, Number(count));
    response.json(kept[name]);
  });
  app.get('/fill', ({ session: kept, query: { size } }, response) => {
    kept.text = 'x'.repeat(Number(size));
    kept.save((error) => response.json({ reason: error?.reason ?? null, message: error?.message ?? null }));
  });
  app.get('/remove', ({ session: kept, query: { name } }, response) => {
    delete kept[name];
    response.json({});
  });
  const passGate = (gate, count) => new Promise((resolve) => {
    const waiting = held.get(gate) ?? [];
    held.set(gate, [...waiting, resolve]);
    if (waiting.length + 1 === count) held.get(gate).forEach((each) => each());
  });
  app.get('/hold', async ({ session: kept }, response) => {
    kept.late = true;
    await new Promise((resolve) => { held.set('hold', [resolve]); });
    response.json({});
  });
  app.get('/release', (request, response) => {
    held.get('hold')[0]();
    response.json({});
  });
  app.post('/login', authenticator.authenticate('local'), ({ user }, response) => response.json(user.name));
  app.post('/logout', (request, response, next) =>
    request.logout((error) => (error ? next(error) : response.json({}))));
  app.post('/destroy', (request, response, next) =>
    request.session.destroy((error) => (error ? next(error) : response.json({}))));
  app.get('/max-age', ({ session: kept }, response) => {
    kept.cookie.maxAge = 120_000;
    response.json({});
  });
  app.use((error, request, response, next) => response.status(error.status ?? 500).json({ error: error.message }));
  const server = app.listen(0, '127.0.0.1');
  servers.push(server);
  await new Promise((resolve) => { server.once('listening', resolve); });
  const browser = {
    held,
    cookie: '',
    async get(path, init) {
      const headers = { ...(browser.cookie && { cookie: browser.cookie }), ...init?.headers };
      const response = await fetch(`http://127.0.0.1:${server.address().port}${path}`, { ...init, headers });
      const [set] = response.headers.getSetCookie();
      if (set) browser.cookie = set.split(';')[0];
      assert.ok(response.ok, `${path}: ${response.status}`);
      return response.json();
    },
    post(path, body = {}) {
      return browser.get(path, { method: 'POST', body: new URLSearchParams(body) });
    },
  };
  return browser;
}

const at = (name, value, more = '') => `/set?name=${name}&value=${encodeURIComponent(JSON.stringify(value))}${more}`;

// express-session reads the clock twice for a maxAge, so it may be some milliseconds less.
const isAbout = (maxAge, wanted) => maxAge <= wanted && maxAge > wanted - 30_000;

test('entries are kept, changed and removed', async () => {
  const browser = await serve(cloakroomStore());
  assert.deepEqual((await browser.get('/')).entries, {});
  assert.equal(browser.cookie, '', 'an untouched session is not stored');

  await browser.get(at('cart', { items: [1, 2] }));
  const { id } = await browser.get('/');
  await browser.get(at('note', 'ünïcode'));

  const page = await browser.get('/');
  assert.deepEqual([page.entries, page.id], [{ cart: { items: [1, 2] }, note: 'ünïcode' }, id]);
});

test('two requests at the same time keep both entries, of which connect-redis loses one', async () => {
  const run = async (store) => {
    const browser = await serve(store);
    await browser.get(at('first', 1));
    const gate = '&gate=both&count=2';
    await Promise.all([browser.get(at('left', 'l', gate)), browser.get(at('right', 'r', gate))]);
    return (await browser.get('/')).entries;
  };

  const [kept, lossy] = [await run(cloakroomStore()), await run(new RedisStore({ client: redisClient }))];

  assert.deepEqual(kept, { first: 1, left: 'l', right: 'r' });
  assert.equal(Object.keys(lossy).length, 2, `connect-redis: ${JSON.stringify(lossy)}`);
});

test('entries of other languages stay whose names express-session has for itself', async () => {
  const browser = await serve(cloakroomStore());
  await browser.get(at('cart', 1));
  const { id } = await browser.get('/');
  const others = ['id', 'req', 'save', 'touch', 'reload', 'constructor', '__proto__'];
  const client = new Client({ service: service.address, app: 'express', deadline: 30_000 });
  const session = { app: 'express', key: Buffer.from(id) };
  const set = new Map(others.map((name) => [name, { json: '{"isAdmin":true}' }]));
  await client.save({ ...session, changes: { set }, requestId: 'r'.repeat(16) });

  assert.deepEqual((await browser.get('/')).entries, { cart: 1 });
  await browser.get(at('mine', 1));
  await browser.get('/remove?name=cart');

  const { session: { entries } } = await client.open(session);
  assert.deepEqual([...entries.keys()].sort(), [...others, 'cookie', 'mine'].sort());
  assert.ok(others.every((name) => entries.get(name).json === '{"isAdmin":true}'));
});

test('a save that is refused says why before the answer, and nothing is written', async () => {
  const browser = await serve(cloakroomStore());
  await browser.get(at('cart', 1));

  const refused = await browser.get('/fill?size=66000');
  const later = (await browser.get('/')).entries;
  const accepted = await browser.get('/fill?size=60000');

  assert.equal(refused.reason, 'SESSION_TOO_LARGE');
  assert.match(refused.message, /65536/);
  assert.deepEqual(later, { cart: 1 });
  assert.equal(accepted.reason, null);
});

test('a login makes another id and a logout ends it', async () => {
  const browser = await serve(cloakroomStore());
  await browser.get(at('cart', 1));
  const before = { ...await browser.get('/'), cookie: browser.cookie };

  assert.equal(await browser.post('/login', { username: 'ann', password: 'correct' }), 'ann');
  const loggedIn = await browser.get('/');
  const thief = await serve(cloakroomStore());
  thief.cookie = before.cookie;

  assert.notEqual(loggedIn.id, before.id);
  assert.equal(loggedIn.user, 'ann');
  assert.equal((await thief.get('/')).user, null, 'the id before the login opens nothing');
  assert.equal(service.sessions('--app', 'express', 'list', '--subject', 'ann').length, 1);

  const stolen = browser.cookie;
  await browser.post('/logout');
  assert.equal((await browser.get('/')).user, null);
  thief.cookie = stolen;
  assert.equal((await thief.get('/')).user, null);
  assert.equal(service.sessions('--app', 'express', 'list', '--subject', 'ann').length, 0);
});

test('a slow request does not revive a session that a logout has ended', async () => {
  const browser = await serve(cloakroomStore());
  await browser.post('/login', { username: 'bob', password: 'correct' });
  const { cookie } = browser;

  const slow = browser.get('/hold');
  while (!browser.held.has('hold')) await new Promise((resolve) => { setImmediate(resolve); });
  await browser.post('/destroy');
  await browser.get('/release');
  await slow;

  browser.cookie = cookie;
  const page = await browser.get('/');
  assert.deepEqual([page.user, page.entries], [null, {}]);
  assert.equal(service.sessions('--app', 'express', 'list', '--subject', 'bob').length, 0);
});

test('revoke-subject logs a user out everywhere', async () => {
  const browsers = await Promise.all([serve(cloakroomStore()), serve(cloakroomStore())]);
  for (const browser of browsers) await browser.post('/login', { username: 'eve', password: 'correct' });

  service.sessions('--app', 'express', 'revoke-subject', 'eve');

  for (const browser of browsers) assert.equal((await browser.get('/')).user, null);
});

test('a request that only reads makes one call, and a change of the cookie alone is kept', async () => {
  const transport = new RecordingTransport(service.address);
  const store = new CloakroomStore({ service: transport, app: 'express', deadline: 30_000 });
  const browser = await serve(store, { cookie: { maxAge: 60_000 } });
  await browser.get(at('a', 1));
  transport.takeNames();
  assert.ok(isAbout((await browser.get('/')).maxAge, 60_000));
  assert.deepEqual(transport.takeNames(), ['OpenSession']);

  await browser.get('/max-age');
  const page = await browser.get('/');
  assert.ok(isAbout(page.maxAge, 120_000), page.maxAge);
  assert.deepEqual(page.entries, { a: 1 });
  const { sessions: [found] } = { sessions: service.sessions('--app', 'express', 'list') };
  assert.ok(found);
});
