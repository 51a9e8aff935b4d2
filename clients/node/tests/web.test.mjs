// Sessions for the Web's Request and Response, in Hono and without a framework, against the real service.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { serve } from '@hono/node-server';
import { Hono } from 'hono';
import { Client } from 'cloakroom-sessions';
import { SessionUnavailable, sessions } from 'cloakroom-sessions/web';
import { Browser } from './app.mjs';
import { RecordingTransport } from './recording_transport.mjs';
import { Service } from './service.mjs';

let service;
let transport;
let store;
const stops = [];

before(async () => {
  service = await Service.start();
  transport = new RecordingTransport(service.address);
  store = sessions({ client: new Client({ service: transport, app: 'shop', deadline: 10_000 }) });
});

after(async () => {
  for (const stop of stops) stop();
  await service?.remove();
});

const requestWith = (cookie) => new Request('http://shop.test/', { headers: cookie ? { Cookie: cookie, 'User-Agent': 'Test' } : {} });
const cookieOf = (response) => response.headers.getSetCookie().join().split(';')[0];

// Makes a session with entries, and returns its cookie.
async function fill(entries = { user: { name: 'Ada', cart: [1] } }) {
  const session = await store.open(requestWith());
  Object.assign(session, entries);
  return cookieOf(await session.respond(new Response('filled')));
}

test('a session is kept from request to request, and its calls are as few as possible', async () => {
  transport.takeCalls();
  const untouched = await (await store.open(requestWith())).respond(new Response('untouched'));
  const cookie = await fill();
  const writes = transport.takeNames();
  const session = await store.open(requestWith(cookie));
  session.user.cart.push(2);
  const pushed = await session.respond(new Response('pushed'));
  const [, save] = transport.takeCalls();
  const again = await store.open(requestWith(cookie));

  assert.deepEqual([[...untouched.headers.keys()].includes('vary'), writes], [false, ['GetAppPolicy', 'SaveSession']]);
  assert.deepEqual([pushed.headers.getSetCookie(), pushed.headers.get('vary')], [[], 'Cookie']);
  assert.deepEqual([...save.request.changes.set], [['user', { json: '{"name":"Ada","cart":[1,2]}' }]]);
  assert.deepEqual({ ...again }, { user: { name: 'Ada', cart: [1, 2] } });
});

test('a response that a handler returns to several users gets no cookie of one of them', async () => {
  const shared = new Response(null, { status: 204 });
  const [one, other] = [await store.open(requestWith()), await store.open(requestWith())];
  one.a = 1;
  other.a = 2;

  const answers = [await one.respond(shared), await other.respond(shared)];

  assert.deepEqual(answers.map(({ status, headers }) => [status, headers.getSetCookie().length]), [[204, 1], [204, 1]]);
  assert.deepEqual([...shared.headers], []);

  const used = new Response('used');
  await used.text();
  const third = await store.open(requestWith());
  third.a = 3;
  await assert.rejects(third.respond(used), TypeError);
  assert.equal(used.headers.getSetCookie().length, 0);
});

test('a request, its headers and its Cookie header name the same session', async () => {
  const cookie = await fill({ a: 1 });

  for (const from of [requestWith(cookie), requestWith(cookie).headers, cookie]) {
    assert.deepEqual({ ...await store.open(from) }, { a: 1 });
  }
  await assert.rejects(() => store.open({}), /takes a Request/);
});

test('the session goes on after a logout and a login in one request', async () => {
  const cookie = await fill({ a: 1 });

  const session = await store.open(requestWith(cookie));
  await session.destroy();
  const empty = { ...session };
  session.subject = 'ada';
  session.b = 2;
  const response = await session.respond(new Response());
  await session.regenerate();
  const cleared = { ...session };

  assert.deepEqual([empty, cleared], [{}, {}]);
  assert.equal(response.headers.getSetCookie().length, 1);
  assert.deepEqual({ ...await store.open(cookieOf(response)) }, { b: 2 });
  assert.deepEqual({ ...await store.open(cookie) }, {});
});

test('a response whose headers cannot be changed is copied', async () => {
  const session = await store.open(requestWith());
  session.a = 1;

  const response = await session.respond(Response.redirect('http://shop.test/next', 303));

  assert.deepEqual([response.status, response.headers.get('location')], [303, 'http://shop.test/next']);
  assert.equal(response.headers.getSetCookie().length, 1);
});

test('a cookie goes to an object of the framework with all of its attributes', async () => {
  const session = await store.open(requestWith());
  session.a = 1;
  session.cookie.maxAge = 3_600_000;
  const set = [];

  await session.applyTo({ set: (...args) => set.push(args) });

  const [[name, value, { expires, ...attributes }], ...others] = set;
  assert.deepEqual([name, others, attributes], ['session', [], { httpOnly: true, path: '/', sameSite: 'lax' }]);
  assert.ok(Math.abs(expires.getTime() - Date.now() - 3_600_000) < 60_000, `${expires}`);
  assert.deepEqual({ ...await store.open(`${name}=${value}`) }, { a: 1 });
});

test('a save is told that the session has ended meanwhile', async (t) => {
  const warn = t.mock.method(console, 'warn', () => {});
  const cookie = await fill({ a: 1 });
  const slow = await store.open(requestWith(cookie));
  await (await store.open(requestWith(cookie))).destroy();

  slow.a = 2;
  await slow.save();

  assert.deepEqual([slow.gone, (await slow.respond(new Response())).headers.getSetCookie()], ['DESTROYED', []]);
  assert.equal(warn.mock.callCount(), 0);
});

test('with lazy, nothing is called before the session is used', async () => {
  const lazy = sessions({ client: new Client({ service: transport, app: 'shop' }), lazy: true });
  const cookie = await fill({ a: 1 });
  transport.takeCalls();

  const untouched = await lazy.open(requestWith(cookie));
  const response = await untouched.respond(new Response());
  const writes = await lazy.open(requestWith(cookie));
  writes.increment('a');
  await writes.respond(new Response());
  const calls = transport.takeNames();
  const reads = await lazy.open(requestWith(cookie));
  assert.throws(() => reads.a, /needs the open session/);
  await reads.open();

  assert.deepEqual([response.headers.has('vary'), calls, reads.a], [false, ['SaveSession'], 2]);
});

test('the context of a request is in the list of devices', async () => {
  const session = await store.open(requestWith('other=1'), { remoteAddress: '192.0.2.7' });
  Object.assign(session, { subject: 'context', a: 1 });
  await session.respond(new Response());

  const [listed] = service.sessions('list', '--app', 'shop', '--subject', 'context');
  assert.match(JSON.stringify(listed), /"Test".*"192\.0\.2\.7"/s);
});

test('an outage is a 503 by handle, and an error by itself', async (t) => {
  const warn = t.mock.method(console, 'warn', () => {});
  const own = await Service.start();
  t.after(() => own.remove());
  const plain = sessions({ service: own.address, app: 'shop', deadline: 2000 });
  const told = sessions({ service: own.address, app: 'shop', deadline: 2000, onUnavailable: () => new Response('later', { status: 503 }) });
  await own.stop('SIGKILL');
  const write = (session) => { session.a = 1; return new Response('lost'); };

  const read = await plain.handle(requestWith('session=x'), () => assert.fail('the handler ran'));
  const written = await plain.handle(requestWith(), write);
  const replaced = await told.handle(requestWith(), write);

  assert.deepEqual([read.status, read.headers.get('retry-after'), written.status], [503, '5', 503]);
  assert.deepEqual([await replaced.text(), warn.mock.callCount()], ['later', 2]);
  await assert.rejects(() => plain.open(requestWith('session=x')), SessionUnavailable);
  await assert.rejects(() => plain.handle(requestWith(), () => { throw new RangeError('of the handler'); }), RangeError);
});

test('a middleware of Hono gives its handlers the session', async () => {
  const app = new Hono();
  app.use(async (c, next) => {
    const session = await store.open(c.req.raw);
    c.set('session', session);
    await next();
    for (const { name, value } of await session.finish()) c.header(name, value, { append: true });
  });
  app.get('/count', (c) => {
    const session = c.get('session');
    session.count = (session.count ?? 0) + 1;
    c.header('Set-Cookie', 'own=1', { append: true });
    return c.text(String(session.count));
  });
  app.get('/redirect', (c) => {
    c.get('session').rotate();
    return Response.redirect('http://shop.test/next');
  });
  const server = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' });
  await once(server, 'listening');
  stops.push(() => { server.close(); server.closeAllConnections(); });
  const browser = new Browser(`http://127.0.0.1:${server.address().port}`);

  const first = await browser.get('/count');
  const second = await browser.get('/count');
  const redirected = await browser.get('/redirect');
  const third = await browser.get('/count');

  assert.deepEqual([first.text, second.text, third.text], ['1', '2', '3']);
  assert.deepEqual([first.setCookies.length, second.setCookies, redirected.setCookies.length], [2, ['own=1'], 1]);
  assert.equal(redirected.status, 302);
});

test('options of other frameworks are refused with advice', () => {
  assert.throws(() => sessions({ secret: 'x' }), /settings of the service/);
  assert.throws(() => sessions({ unset: 'destroy' }), /call destroy/);
});
