// `cloakroom-sessions/testing`: an application's tests with it, and what time does. What it answers to calls at one time is
// compared with the service in testing_pair.test.mjs.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import express from 'express';
import { CallFailed, Client, ConnectTransport, Session, SessionRefused } from 'cloakroom-sessions';
import { AdminClient } from 'cloakroom-sessions/admin';
import { sessions } from 'cloakroom-sessions/express';
import { MemoryTransport } from 'cloakroom-sessions/testing';
import { DESTROY, OPEN, SAVE } from '../src/messages.js';
import { Browser, serve } from './app.mjs';
import { App } from '../src/testing/app.js';
import { Service, defaultsOfApps } from './service.mjs';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

test('the defaults of an app are those of the service', () => {
  const given = defaultsOfApps();
  const { settings } = new App();
  const spans = { idleTimeout: `${settings.idleTimeout / DAY}d`, absoluteTimeout: `${settings.absoluteTimeout / DAY}d` };
  const unset = ['name', 'anonymousIdleTimeout', 'anonymousAbsoluteTimeout'];
  for (const [name, value] of Object.entries({ ...settings, ...spans })) {
    const snake = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    const place = snake.replace(/^cookie_/, 'cookie.').replace(/^max_(entries|session_bytes)$/, 'limits.$&');
    if (!unset.includes(name)) assert.deepEqual([place, value], [place, given.get(`apps.default.${place}`)]);
  }
});

// An application of Express, as one to be tested: it takes where its service is.
async function start(t, service) {
  const app = express().use(express.urlencoded({ extended: false }));
  app.use(sessions({ service, app: 'shop', cookie: { secure: 'auto' } }));
  app.post('/login', async (request, response) => {
    await request.session.regenerate();
    request.session.subject = request.session.name = request.body.user;
    response.json({});
  });
  app.get('/count', ({ session }, response) => response.json(session.increment('count').count));
  app.get('/', ({ session }, response) => response.send(`Hello, ${session.name}`));
  app.use((error, request, response, next) => response.status(error.status).end());
  const { url, stop } = await serve(app);
  t.after(stop);
  return new Browser(url);
}

// Stops the clock, so that a test may depend on seconds. Returns what moves it, in days from the begin.
function freeze(t) {
  const begin = Date.now();
  let moved = 0;
  t.mock.method(Date, 'now', () => begin + moved);
  return (days) => { moved = days * DAY; };
}

const logIn = async (browser, user = 'ada') => assert.equal((await browser.post('/login', { user })).status, 200);
const textOf = async (browser, path = '/') => (await browser.get(path)).text;

test('an application logs in and out without a service', async (t) => {
  const browser = await start(t, new MemoryTransport());
  await logIn(browser);
  assert.equal(await textOf(browser), 'Hello, ada');
  browser.cookies.clear();
  assert.equal(await textOf(browser), 'Hello, undefined');
});

test('each transport has sessions of its own, and applications may share one', async (t) => {
  const [transport, other] = [new MemoryTransport(), new MemoryTransport()];
  const [browser, second, third] = await Promise.all([start(t, transport), start(t, transport), start(t, other)]);
  await logIn(browser);
  for (const each of [second, third]) each.cookies = browser.cookies;
  assert.equal(await textOf(second), 'Hello, ada');
  assert.equal(await textOf(third), 'Hello, undefined');
});

test('sessions expire when the test moves the time', async (t) => {
  const transport = new MemoryTransport({ name: 'shop', idleTimeout: HOUR });
  const browser = await start(t, transport);
  await logIn(browser);
  transport.advance(59 * MINUTE);
  assert.equal(await textOf(browser), 'Hello, ada');
  transport.advance(59 * MINUTE);
  assert.equal(await textOf(browser), 'Hello, ada', 'the read before was a use');
  transport.advance(61 * MINUTE);
  assert.equal(await textOf(browser), 'Hello, undefined');
});

test('time is that of Date.now, so a mocked clock moves it too', async (t) => {
  const setDays = freeze(t);
  const browser = await start(t, new MemoryTransport());
  await logIn(browser);
  setDays(30);
  assert.equal(await textOf(browser), 'Hello, ada');
  setDays(61);
  assert.equal(await textOf(browser), 'Hello, undefined');
});

test('an outage is a 503 at once, and logs nobody out', async (t) => {
  const transport = new MemoryTransport();
  const browser = await start(t, transport);
  await logIn(browser);
  transport.isAvailable = false;
  assert.equal((await browser.get('/')).status, 503);
  transport.isAvailable = true;
  assert.equal(await textOf(browser), 'Hello, ada');
});

test('requests at the same time lose no count', async (t) => {
  const browser = await start(t, new MemoryTransport());
  await logIn(browser);
  await Promise.all(Array.from({ length: 50 }, () => browser.get('/count')));
  assert.equal(await textOf(browser, '/count'), '51');
});

test('an AdminClient lists and ends the sessions of a user', async (t) => {
  const transport = new MemoryTransport();
  const browsers = await Promise.all([start(t, transport), start(t, transport), start(t, transport)]);
  for (const browser of browsers) await logIn(browser);
  const admin = new AdminClient({ service: transport, app: 'shop' });

  const [first] = await admin.listSubject('ada', { withEntries: true });
  assert.deepEqual([first.entries.get('name'), (await admin.listSubject('ada')).length], ['"ada"', 3]);
  const paged = [];
  for await (const { id } of admin.listAll({ pageSize: 1 })) paged.push(id);
  assert.equal(new Set(paged).size, 3);
  assert.equal(await admin.revokeSubject('ada', { exceptId: first.id }), 2);
  assert.deepEqual(await Promise.all(browsers.map((browser) => textOf(browser))).then((texts) => texts.sort()),
    ['Hello, ada', 'Hello, undefined', 'Hello, undefined']);
  await admin.revokeApp();
  assert.equal((await admin.listSubject('ada')).length, 0);
});

test('a watch ends with a revocation and with time, and outlives an outage', async () => {
  const transport = new MemoryTransport();
  const client = new Client({ service: transport, app: 'shop' });
  const admin = new AdminClient({ service: transport, app: 'shop' });
  const begin = async () => {
    const session = new Session(client);
    session.subject = 'ada';
    const [{ value }] = await session.finish();
    return { id: session.id, watch: await new Session(client, { cookieHeader: value.split(';')[0] }).watch() };
  };
  const [revoked, expired, closed] = [await begin(), await begin(), await begin()];
  closed.watch.close();
  assert.equal(await closed.watch.ended, undefined);
  transport.isAvailable = false;
  transport.advance(SECOND);
  // The watches have looked by then.
  await new Promise((resolve) => { setImmediate(resolve); });
  transport.isAvailable = true;

  await admin.revokeSession(revoked.id, { subject: 'ada' });
  assert.equal(await revoked.watch.ended, 'REVOKED');
  transport.advance(31 * DAY);
  assert.equal(await expired.watch.ended, 'IDLE');
});

test('what the application keeps of a response is not the stored session', async () => {
  const transport = new MemoryTransport();
  const raw = Buffer.from([1]);
  const { session: { token } } = await save(transport, { set: { raw: { raw } } });
  raw[0] = 2;
  const { session } = await open(transport, token);
  session.entries.get('raw').raw[0] = 3;
  assert.equal((await open(transport, token)).session.entries.get('raw').raw[0], 1);
});

// Calls by themselves.

const open = (transport, token, more) => transport.call(OPEN, { app: 'shop', cookieHeader: `session=${token}`, ...more });

function save(transport, { token, set = { a: { json: '1' } }, more, ...changes }) {
  const credential = token === undefined ? { cookieHeader: '' } : { token };
  return transport.call(SAVE, { app: 'shop', changes: { set: new Map(Object.entries(set)), ...changes }, ...credential, ...more });
}

const newToken = async (transport, changes = {}) => (await save(transport, changes)).session.token;
const isLive = async (transport, token) => !(await open(transport, token)).session.new;
const setsCookie = (headers) => headers.some(({ name }) => name === 'Set-Cookie');

test('a session ends at its absolute timeout however much it is used', async () => {
  const transport = new MemoryTransport({ name: 'shop', absoluteTimeout: 40 * DAY });
  const token = await newToken(transport);
  for (const _ of [1, 2, 3]) {
    transport.advance(10 * DAY);
    assert.ok(await isLive(transport, token));
  }
  transport.advance(10 * DAY);
  assert.equal((await save(transport, { token })).endReason, 'ABSOLUTE');
});

test('a use without changes counts after a twentieth of the idle timeout, and a look never does', async (t) => {
  freeze(t);
  for (const [more, wait, isLiveThen] of [[{}, 59, false], [{}, 60, true], [{ noTouch: true }, 60, false]]) {
    const transport = new MemoryTransport({ name: 'shop', idleTimeout: 20 * MINUTE });
    const token = await newToken(transport);
    transport.advance(wait * SECOND);
    await open(transport, token, more);
    transport.advance(20 * MINUTE - SECOND);
    assert.equal(await isLive(transport, token), isLiveThen, JSON.stringify([more, wait]));
  }
});

test('a save may ask for a shorter life', async () => {
  const transport = new MemoryTransport();
  const token = await newToken(transport, { idleTimeout: MINUTE });
  transport.advance(MINUTE);
  assert.equal((await save(transport, { token })).endReason, 'IDLE');
});

test('the reason of an end is known for 16 minutes', async () => {
  const transport = new MemoryTransport();
  const token = await newToken(transport);
  await transport.call(DESTROY, { app: 'shop', token });
  transport.advance(15 * MINUTE);
  assert.equal((await save(transport, { token })).endReason, 'DESTROYED');
  transport.advance(MINUTE);
  const { outcome, endReason } = await save(transport, { token });
  assert.deepEqual([outcome, endReason], ['GONE', 'UNSPECIFIED']);
});

test('a ticket is good for 15 minutes', async (t) => {
  freeze(t);
  const transport = new MemoryTransport();
  const [first, second] = await Promise.all([open(transport, ''), open(transport, '')]);
  transport.advance(15 * MINUTE);
  assert.equal((await save(transport, { token: first.session.token })).outcome, 'CREATED');
  transport.advance(SECOND);
  await assert.rejects(save(transport, { token: second.session.token }), { reason: 'TOKEN_INVALID' });
});

test('a request_id is remembered for 10 minutes', async () => {
  const transport = new MemoryTransport();
  const token = await newToken(transport);
  const count = async () => (await save(transport, {
    token, set: {}, increment: new Map([['n', 1]]), more: { requestId: 'once' },
  })).counters.get('n');
  const counts = [await count(), await count()];
  transport.advance(10 * MINUTE);
  assert.deepEqual([...counts, await count()], [1, 1, 2]);
});

test('a recovery session sets no cookie for 30 seconds except at a login', async (t) => {
  freeze(t);
  const transport = new MemoryTransport();
  const old = await newToken(transport);
  await save(transport, { token: old, subject: 'ada' });
  const opened = await open(transport, old);
  const kept = await save(transport, { token: opened.session.token, set: { csrf: { json: '"x"' } } });
  assert.deepEqual([opened.session.new, kept.outcome, kept.session.token, setsCookie(kept.headers)], [true, 'CREATED', '', false]);

  transport.advance(30 * SECOND);
  const later = await open(transport, old);
  assert.deepEqual([later.session.entries.get('csrf').json, setsCookie(later.readHeaders)], ['"x"', true]);
  const login = await save(transport, { token: later.session.token, subject: 'ada' });
  assert.ok(setsCookie(login.headers));
  assert.notEqual((await open(transport, old)).session.id, later.session.id);
});

test('a logout by the token of a recovery session leaves the cookie of the login', async () => {
  const transport = new MemoryTransport();
  for (const isStored of [false, true]) {
    const old = await newToken(transport);
    await save(transport, { token: old, subject: 'ada' });
    if (isStored) await save(transport, { more: { cookieHeader: `session=${old}` } });
    const { session: { token } } = await open(transport, old);
    const { outcome, headers } = await transport.call(DESTROY, { app: 'shop', token });
    assert.deepEqual([outcome, headers], [isStored ? 'DELETED' : 'GONE', []]);
  }
});

test('an integer is a subject by its digits, and a text cut inside of an emoji is none', async () => {
  const transport = new MemoryTransport({ name: 'shop', subjectKey: 'user' });
  const subjectOf = async (json) => (await save(transport, { set: { user: { json } } })).session.subject;
  for (const [json, subject] of [['123456789012345678901234567890', '123456789012345678901234567890'], ['-7', '-7'], [' -0 ', '0']]) {
    assert.equal(await subjectOf(json), subject);
  }
  for (const json of ['1.5', '1e3', '"\\ud83d"', '1'.repeat(257), '{"id":1e400}']) {
    await assert.rejects(subjectOf(json), { reason: 'SUBJECT_INVALID' }, json);
  }
});

// Counts a login, as a request repeats it that never got the answer.
async function logInTwice(transport, cookieHeader) {
  const login = () => save(transport, {
    subject: 'ada', set: {}, increment: new Map([['logins', 1]]), more: { cookieHeader, requestId: 'once' },
  });
  const answers = [await login(), await login()];
  assert.deepEqual(answers.map(({ outcome, counters }) => [outcome, counters.get('logins')]), [['UPDATED', 1], ['UPDATED', 1]]);
  assert.deepEqual(answers[1].headers, answers[0].headers);
}

// Returns the token of a session that had another one when it ended.
async function supersededToken(transport) {
  const token = await newToken(transport);
  const { session } = await save(transport, { token, more: { rotate: true } });
  await transport.call(DESTROY, { app: 'shop', token: session.token });
  return token;
}

test('a login repeated beside a superseded cookie is one login', async () => {
  const transport = new MemoryTransport();
  await logInTwice(transport, `session=${await supersededToken(transport)}; session=${await newToken(transport)}`);
});

test('a login repeated beside two superseded cookies is one login', async () => {
  const transport = new MemoryTransport();
  const second = await newToken(transport);
  await save(transport, { token: second, more: { rotate: true } });
  await save(transport, { more: { cookieHeader: `session=${second}` } });
  await logInTwice(transport, `session=${await supersededToken(transport)}; session=${second}`);
});

test('a repeated save whose deadline has passed is answered as the first one, and another one writes nothing', async () => {
  const transport = new MemoryTransport();
  let begin = Date.now();
  const saveUntil = (token, requestId, json = '1') =>
    save(transport, { token, set: { b: { json } }, deadlineTime: begin + MINUTE, more: { requestId } });
  const newTicket = async () => (await open(transport, '')).session.token;
  for (const [token, outcome] of [[await newToken(transport), 'UPDATED'], [await newTicket(), 'CREATED']]) {
    assert.equal((await saveUntil(token, 'once')).outcome, outcome);
    transport.advance(2 * MINUTE);
    const again = await saveUntil(token, 'once');
    assert.deepEqual([again.outcome, again.session], [outcome, undefined]);
    await assert.rejects(saveUntil(token, 'once', '2'), { reason: 'REQUEST_ID_REUSED' });
    begin += 2 * MINUTE;
  }
  begin -= 2 * MINUTE;
  const token = await newToken(transport);
  for (const each of [token, await newTicket()]) {
    await assert.rejects(saveUntil(each, 'another'), { reason: 'LIFETIME_INVALID' });
  }
  assert.equal((await open(transport, token)).session.entries.size, 1);
  await transport.call(DESTROY, { app: 'shop', token });
  assert.equal((await saveUntil(token, 'another')).endReason, 'DESTROYED');
});

test('a session without a subject may have a shorter life', async () => {
  const hours = { anonymousIdleTimeout: HOUR, anonymousAbsoluteTimeout: 2 * HOUR };
  const transport = new MemoryTransport({ name: 'shop', ...hours });
  const anonymous = await newToken(transport);
  const owned = await newToken(transport, { subject: 'ada' });
  transport.advance(HOUR);
  assert.deepEqual([await isLive(transport, anonymous), await isLive(transport, owned)], [false, true]);
});

test('an authentication is recent until its age', async (t) => {
  freeze(t);
  const transport = new MemoryTransport();
  const token = await newToken(transport, { subject: 'ada' });
  const isRecent = async () => (await open(transport, token, { maxAuthenticateAge: MINUTE })).recentlyAuthenticated;
  transport.advance(50 * SECOND);
  assert.equal(await isRecent(), true);
  transport.advance(10 * SECOND);
  assert.equal(await isRecent(), false);
});

test('a token cannot be changed', async () => {
  const transport = new MemoryTransport();
  const token = await newToken(transport);
  for (let at = 0; at < token.length; at += 1) {
    const changed = token.slice(0, at) + (token[at] === 'A' ? 'B' : 'A') + token.slice(at + 1);
    assert.equal(await isLive(transport, changed), false, changed);
  }
});

test('with settings only their apps exist, and without any app of each name', async () => {
  const policy = (transport, app) => new Client({ service: transport, app }).policy();
  assert.equal((await policy(new MemoryTransport(), 'any')).app, 'any');
  await assert.rejects(policy(new MemoryTransport({ name: 'shop' }), 'other'),
    (error) => error instanceof SessionRefused && error.reason === 'APP_UNKNOWN');
});

test('settings that the service refuses are errors, and so is time that goes back', () => {
  for (const [settings, message] of [
    [{ idleTimeout: 1 }, /idleTimeout is 1; it has to be from 60000/],
    [{ maxEntries: 0 }, /maxEntries is 0/],
    [{ cookieName: '__Host-id' }, /browsers refuse/],
    [{ cookieSamesite: 'None' }, /need cookieSecure/],
    [{ subjectKey: 'passport.user' }, /need a real service/],
    [{ maxAge: 1 }, /an app has no setting maxAge/],
  ]) assert.throws(() => new MemoryTransport({ name: 'shop', ...settings }), message);
  assert.throws(() => new MemoryTransport().advance(-1), RangeError);
});

test('what is missing in memory is an error that says so', async () => {
  const transport = new MemoryTransport();
  const admin = new AdminClient({ service: transport, app: 'shop' });
  await assert.rejects(admin.stats(), { code: 'UNIMPLEMENTED', message: /the service in memory has no GetStats/ });
  await assert.rejects(admin.events()[Symbol.asyncIterator]().next(), /the service in memory has no WatchEvents/);
  await assert.rejects(transport.call(OPEN, { key: Buffer.alloc(16) }),
    (error) => error instanceof CallFailed && error.reason === 'CREDENTIAL_NOT_OF_KIND');
});

let service;

before(async () => {
  service = await Service.start();
});

after(() => service?.remove());

test('no service takes its tokens, and it takes none of a service', async (t) => {
  const real = new ConnectTransport(service.address);
  t.after(() => real.close());
  const sides = [new MemoryTransport(), real];
  const call = (transport, method, request) => transport.call(method, { app: 'shop', ...request }, 30_000);
  const changes = { set: new Map([['a', { json: '1' }]]) };
  for (const [one, other] of [sides, sides.toReversed()]) {
    const { session: { token } } = await call(one, SAVE, { changes, cookieHeader: '' });
    assert.equal((await call(other, OPEN, { cookieHeader: `session=${token}` })).session.new, true);
    await assert.rejects(call(other, SAVE, { changes, token }), { reason: 'TOKEN_INVALID' });
  }
});
