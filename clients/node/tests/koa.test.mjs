// `ctx.session` in Koa, against the real service.
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { after, before, test } from 'node:test';
import Koa from 'koa';
import { Client } from 'cloakroom-sessions';
import { SessionUnavailable, openSession, sessions } from 'cloakroom-sessions/koa';
import { Browser, serve } from './app.mjs';
import { RecordingTransport } from './recording_transport.mjs';
import { Service } from './service.mjs';

let service;
const servers = [];

before(async () => {
  service = await Service.start();
});

after(async () => {
  for (const server of servers) server.stop();
  await service?.remove();
});

// Serves an application with sessions and some handlers by their paths.
async function start(routes, { first, address = service.address, deadline = 10_000, ...options } = {}) {
  const transport = new RecordingTransport(address);
  const app = new Koa();
  app.silent = true;
  if (first) app.use(first);
  app.use(sessions({ client: new Client({ service: transport, app: 'shop', deadline }), ...options }));
  app.use((ctx) => routes[ctx.path](ctx));
  const server = await serve(app.callback());
  servers.push(server);
  return { app, browser: new Browser(server.url), transport };
}

const ROUTES = {
  '/untouched': (ctx) => { ctx.body = 'untouched'; },
  '/read': (ctx) => { ctx.body = { ...ctx.session }; },
  '/write': (ctx) => { ctx.session.user = { name: 'Ada', cart: [1] }; ctx.body = 'written'; },
  '/nested': (ctx) => { ctx.session.user.cart.push(2); ctx.body = 'pushed'; },
  '/login': async (ctx) => { await ctx.session.regenerate(); ctx.session.subject = 'ada'; ctx.session.name = 'Ada'; ctx.body = 'in'; },
  '/remove': (ctx) => { ctx.session = null; ctx.body = String(ctx.session); },
  '/fail': (ctx) => { ctx.session.failed = true; ctx.throw(418, 'broken'); },
};

test('Koa keeps the entries of a session from request to request', async () => {
  const { browser, transport } = await start(ROUTES);

  const untouched = await browser.get('/untouched');
  const read = await browser.get('/read');
  const written = await browser.get('/write');
  await browser.get('/nested');
  transport.takeCalls();
  const again = await browser.get('/read');

  assert.deepEqual([untouched.headers.vary, read.headers.vary, read.text], [undefined, 'Cookie', '{}']);
  assert.match(written.setCookies.join(), /^session=v1\.[\w.-]+; HttpOnly; Path=\/; SameSite=Lax$/);
  assert.deepEqual(JSON.parse(again.text), { user: { name: 'Ada', cart: [1, 2] } });
  assert.deepEqual(transport.takeNames(), ['OpenSession']);
});

test('regenerate replaces the token, and setting the session to null ends it', async () => {
  const { browser } = await start(ROUTES);
  await browser.get('/write');
  const before = browser.cookies.get('session');

  await browser.get('/login');
  const login = browser.cookies.get('session');
  const read = await browser.get('/read');
  const removed = await browser.get('/remove');

  assert.notEqual(login, before);
  assert.deepEqual(JSON.parse(read.text), { name: 'Ada' });
  assert.deepEqual([removed.text, browser.cookies.has('session')], ['undefined', false]);
  const stolen = new Browser(browser.url);
  stolen.cookies.set('session', login);
  assert.equal((await stolen.get('/read')).text, '{}');
});

test('with unset "keep", setting the session to null saves nothing', async () => {
  const { browser } = await start({ ...ROUTES, '/remove': (ctx) => { ctx.session.lost = 1; ctx.session = null; ctx.body = ''; } }, { unset: 'keep' });
  await browser.get('/write');

  await browser.get('/remove');

  assert.equal(JSON.parse((await browser.get('/read')).text).lost, undefined);
});

test('setting it to null ends the session of a lazy request that did nothing else with it', async () => {
  const { browser } = await start({ ...ROUTES, '/remove': (ctx) => { ctx.session = null; ctx.body = ''; } }, { lazy: true });
  await browser.get('/write');

  const removed = await browser.get('/remove');

  assert.match(removed.setCookies[0], /^session=;/);
});

test('an error of a handler keeps what the request has saved, and its cookie', async () => {
  const { browser } = await start(ROUTES);

  const failed = await browser.get('/fail');

  assert.deepEqual([failed.status, failed.text, failed.setCookies.length], [418, 'broken', 1]);
  assert.deepEqual(JSON.parse((await browser.get('/read')).text), { failed: true });
});

test('streams, redirects and responses of the application have the headers of the session', async () => {
  const { browser } = await start({
    '/stream': (ctx) => { ctx.session.a = 1; ctx.body = Readable.from(['a', 'b']); },
    '/redirect': (ctx) => { ctx.session.b = 1; ctx.append('Set-Cookie', 'own=1'); ctx.redirect('/read'); },
    '/raw': (ctx) => { ctx.respond = false; ctx.session.regenerate(); ctx.session.c = 1; ctx.res.end('raw'); },
    '/read': ROUTES['/read'],
  });

  const stream = await browser.get('/stream');
  const redirect = await browser.get('/redirect');
  const raw = await browser.get('/raw');

  assert.deepEqual([stream.text, stream.setCookies.length, stream.headers.vary], ['ab', 1, 'Cookie']);
  assert.deepEqual([redirect.status, redirect.setCookies], [302, ['own=1']]);
  assert.deepEqual([raw.text, raw.setCookies.length], ['raw', 1]);
  assert.deepEqual(JSON.parse((await browser.get('/read')).text), { c: 1 });
});

test('an outage is a 503, reaches the middlewares before, and logs no user out', async (t) => {
  const own = await Service.start();
  t.after(() => own.remove());
  const seen = [];
  const first = async (ctx, next) => {
    try {
      await next();
    } catch (error) {
      seen.push(error);
      throw error;
    }
  };
  const routes = { ...ROUTES, '/late': (ctx) => { ctx.session.late = 1; ctx.status = 201; ctx.body = { made: true }; } };
  const options = { address: own.address, deadline: 2000 };
  const plain = await start(routes, { ...options, first });
  const lazy = await start(routes, { ...options, first, lazy: true });
  const told = await start(routes, { ...options, onUnavailable: (error, ctx) => { ctx.status = 503; ctx.body = 'later'; } });
  for (const { browser } of [plain, lazy, told]) await browser.get('/write');
  await own.stop('SIGKILL');

  const answers = [
    await plain.browser.get('/read'), await lazy.browser.get('/late'), await lazy.browser.get('/fail'), await told.browser.get('/read'),
  ];

  assert.deepEqual(answers.map(({ status }) => status), [503, 503, 503, 503]);
  assert.deepEqual(answers.map(({ text }) => text), ['Service Unavailable', 'Service Unavailable', 'Service Unavailable', 'later']);
  assert.deepEqual(answers.map(({ headers }) => headers['retry-after']), ['5', '5', '5', undefined]);
  assert.deepEqual(answers.flatMap(({ setCookies }) => setCookies), []);
  assert.ok(seen[0] instanceof SessionUnavailable && seen[1] instanceof SessionUnavailable);
  await own.launch();
  assert.equal(JSON.parse((await plain.browser.get('/read')).text).user.name, 'Ada');
});

test('an outage at the end of a response of the application is answered by onUnavailable', async (t) => {
  const own = await Service.start();
  t.after(() => own.remove());
  const routes = {
    '/raw': (ctx) => { ctx.respond = false; ctx.session.a = 1; ctx.res.setHeader('ETag', 'raw'); ctx.res.end('raw'); },
    '/later': (ctx) => {
      ctx.respond = false;
      ctx.session.a = 1;
      setImmediate(() => ctx.res.writeHead(201, { 'Content-Length': 5 }).end('later'));
    },
    '/piped': (ctx) => { ctx.respond = false; ctx.session.a = 1; Readable.from(['piped']).pipe(ctx.res); },
    '/error': (ctx) => { ctx.session.a = 1; ctx.throw(418, 'broken'); },
    '/untouched': ROUTES['/untouched'],
  };
  const seen = [];
  const first = (ctx, next) => next().then(() => ctx.set('X-Late', ctx.path));
  const onUnavailable = async (error, ctx) => {
    seen.push(error);
    await null;
    ctx.body = { answer: 'Try again.' };
  };
  const options = { address: own.address, deadline: 1000, lazy: true };
  const told = await start(routes, { ...options, first, onUnavailable });
  const failing = await start(routes, { ...options, onUnavailable: () => { throw new TypeError('broken as well'); } });
  const plain = await start(routes, options);
  await own.stop('SIGKILL');

  const answers = [];
  for (const path of ['/raw', '/later', '/piped', '/error']) answers.push(await told.browser.get(path));
  const others = [await failing.browser.get('/raw'), await plain.browser.get('/raw'), await told.browser.get('/untouched')];

  const expected = { status: 503, text: '{"answer":"Try again."}', etag: undefined, setCookies: [] };
  assert.deepEqual(answers.map(({ status, text, headers, setCookies }) => ({ status, text, etag: headers.etag, setCookies })),
    Array(4).fill(expected));
  assert.deepEqual(seen.map((error) => error instanceof SessionUnavailable), [true, true, true, true]);
  assert.deepEqual(others.map(({ status, text }) => [status, text]),
    [[500, 'Internal Server Error'], [503, 'Service Unavailable'], [200, 'untouched']]);
});

test('onUnavailable answers with a 503 that has nothing of the response that it replaces', async (t) => {
  const own = await Service.start();
  t.after(() => own.remove());
  const deleted = [];
  const { browser } = await start({
    '/write': (ctx) => {
      ctx.session.a = 1;
      ctx.set({ 'Cache-Control': 'public, max-age=600', 'Content-Encoding': 'gzip', 'X-Own': 'stays' });
      ctx.redirect('/home');
    },
    '/model': (ctx) => {
      ctx.session.a = 1;
      ctx.body = { destroy: () => deleted.push('row'), cancel: () => deleted.push('order'), toJSON: () => ({}) };
    },
    '/read': ROUTES['/read'],
  }, { address: own.address, deadline: 500, onUnavailable: (error, ctx) => { if (ctx.path !== '/model') ctx.body = 'later'; } });
  browser.cookies.set('session', 'any');
  const write = (path) => { browser.cookies.clear(); return browser.get(path); };
  await own.stop('SIGKILL');

  const opened = await browser.get('/read');
  const saved = await write('/write');
  const model = await write('/model');

  for (const { status, text, headers } of [opened, saved]) {
    assert.deepEqual([status, text, headers.location, headers['cache-control'], headers['content-encoding']],
      [503, 'later', undefined, undefined, undefined]);
  }
  assert.equal(saved.headers['x-own'], 'stays');
  assert.deepEqual([model.status, model.text, deleted], [503, 'Service Unavailable', []]);
});

test('the cookie is secure if a trusted proxy says that the request came by TLS', async () => {
  const asked = [];
  const byFunction = ({ hostname }) => { asked.push(hostname); return { sameSite: 'auto' }; };
  for (const cookie of [{ sameSite: 'auto' }, byFunction]) {
    const { app, browser } = await start(ROUTES, { cookie });
    const write = () => new Browser(browser.url).get('/write', { headers: { 'X-Forwarded-Proto': 'https' } });
    const untrusted = await write();
    app.proxy = true;
    const trusted = await write();

    assert.match(untrusted.setCookies[0], /; SameSite=Lax$/);
    assert.match(trusted.setCookies[0], /; Secure; .*SameSite=None|SameSite=None.*; Secure/);
  }
  assert.deepEqual(asked, ['127.0.0.1', '127.0.0.1']);
});

test('with lazy, openSession opens the session when a route asks for it', async () => {
  const open = (ctx) => openSession(ctx, async () => { ctx.body = ctx.session.user.name; });
  const { browser, transport } = await start({ ...ROUTES, '/open': open }, { lazy: true });
  await browser.get('/write');
  transport.takeCalls();

  await browser.get('/untouched');
  const opened = await browser.get('/open');

  assert.deepEqual([opened.text, transport.takeNames()], ['Ada', ['OpenSession']]);
});
