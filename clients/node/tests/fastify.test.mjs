// `request.session` in Fastify 5 and 4, against the real service.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { Readable } from 'node:stream';
import { after, before, test } from 'node:test';
import { Authenticator } from '@fastify/passport';
import fastify from 'fastify';
import fastify4 from 'fastify4';
import { Client } from 'cloakroom-sessions';
import { SessionUnavailable, openSession, sessions } from 'cloakroom-sessions/fastify';
import { Strategy } from 'passport-local';
import { waitUntil } from '../../../tests/web/processes.mjs';
import { Browser } from './app.mjs';
import { RecordingTransport } from './recording_transport.mjs';
import { Service } from './service.mjs';

let service;
const apps = [];

before(async () => {
  service = await Service.start();
});

after(async () => {
  for (const app of apps) await app.close();
  await service?.remove();
});

// Serves an application with sessions. Returns a browser, and the transport that records the calls.
async function start(addRoutes, { make = fastify, address = service.address, deadline = 10_000, ...options } = {}) {
  const transport = new RecordingTransport(address);
  const app = make({ forceCloseConnections: true });
  apps.push(app);
  app.register(sessions, { client: new Client({ service: transport, app: 'shop', deadline }), ...options });
  await addRoutes(app);
  return { app, transport, browser: new Browser(await app.listen({ port: 0, host: '127.0.0.1' })) };
}

const routes = (app) => {
  app.get('/untouched', async () => 'untouched');
  app.get('/read', async (request) => ({ ...request.session }));
  app.get('/write', async (request) => { request.session.user = { name: 'Ada', cart: [1] }; return 'written'; });
  app.get('/nested', async (request) => { request.session.user.cart.push(2); return 'pushed'; });
  app.get('/login', async (request) => {
    await request.session.regenerate(['user']);
    request.session.subject = 'ada';
    return 'in';
  });
  app.get('/logout', async (request) => { await request.session.destroy(); return String(request.session); });
  app.get('/fail', async (request) => {
    request.session.failed = true;
    throw Object.assign(new Error('broken'), { statusCode: 418 });
  });
  app.get('/open', { preHandler: openSession }, async (request) => request.session.user.name);
};

for (const [name, make] of Object.entries({ 'Fastify 5': fastify, 'Fastify 4': fastify4 })) {
  test(`${name} keeps the entries of a session from request to request, and ends it at a logout`, async () => {
    const { browser, transport } = await start(routes, { make });

    const untouched = await browser.get('/untouched');
    const read = await browser.get('/read');
    const written = await browser.get('/write');
    await browser.get('/nested');
    transport.takeCalls();
    const again = await browser.get('/read');
    const names = transport.takeNames();
    const before = browser.cookies.get('session');
    await browser.get('/login');
    const kept = await browser.get('/read');
    const out = await browser.get('/logout');

    assert.deepEqual([untouched.headers.vary, read.headers.vary, read.text], [undefined, 'Cookie', '{}']);
    assert.match(written.setCookies.join(), /^session=v1\.[\w.-]+; HttpOnly; Path=\/; SameSite=Lax$/);
    assert.deepEqual(JSON.parse(again.text), { user: { name: 'Ada', cart: [1, 2] } });
    assert.deepEqual(names, ['OpenSession']);
    assert.deepEqual(JSON.parse(kept.text), JSON.parse(again.text));
    assert.notEqual(browser.cookies.get('session'), before);
    assert.deepEqual([out.text, browser.cookies.has('session')], ['undefined', false]);
  });
}

test('setting it to null ends the session of a lazy request that did nothing else with it', async () => {
  const { browser } = await start((app) => {
    routes(app);
    app.get('/remove', async (request) => { request.session = null; return ''; });
  }, { lazy: true, unset: 'destroy' });
  await browser.get('/write');

  const removed = await browser.get('/remove');

  assert.match(removed.setCookies[0], /^session=;/);
});

test('an error of a handler keeps what the request has saved, and its cookie', async () => {
  const { browser } = await start(routes);

  const failed = await browser.get('/fail');
  const read = await browser.get('/read');

  assert.deepEqual([failed.status, failed.setCookies.length, failed.headers.vary], [418, 1, 'Cookie']);
  assert.deepEqual(JSON.parse(read.text), { failed: true });
});

test('an error of a later hook has the headers of the session once', async () => {
  const { browser } = await start((app) => {
    routes(app);
    app.addHook('onSend', async (request, reply) => {
      if (reply.statusCode === 200) throw new Error('after the save');
    });
  });

  const failed = await browser.get('/write');

  assert.deepEqual([failed.status, failed.setCookies.length, failed.headers.vary], [500, 1, 'Cookie']);
});

test('headers of the application stay', async () => {
  const { browser } = await start((app) => {
    app.get('/', async (request, reply) => {
      request.session.a = 1;
      reply.header('Set-Cookie', 'own=1').header('Vary', 'Accept');
      return Readable.from(['streamed']);
    });
  });

  const { text, setCookies, headers } = await browser.get('/');

  assert.deepEqual([text, setCookies.length, setCookies[0], headers.vary], ['streamed', 2, 'own=1', 'Accept, Cookie']);
});

test('the plugin holds for the instance that registers it, and not for its parents', async () => {
  const transport = new RecordingTransport(service.address);
  const client = new Client({ service: transport, app: 'shop' });
  const app = fastify();
  apps.push(app);
  app.register(async (shop) => {
    shop.register(sessions, { client });
    shop.register(async (inner) => { inner.get('/inner', async (request) => { request.session.a = 1; return 'in'; }); });
  });
  app.get('/outer', async (request) => String(request.session));
  const browser = new Browser(await app.listen({ port: 0, host: '127.0.0.1' }));

  const inner = await browser.get('/inner');
  const outer = await browser.get('/outer');

  assert.deepEqual([inner.setCookies.length, outer.text], [1, 'undefined']);
  assert.deepEqual(transport.takeNames(), ['GetAppPolicy', 'SaveSession']);
});

test('an outage reaches the error handler, is a 503 by default, and logs no user out', async (t) => {
  const own = await Service.start();
  t.after(() => own.remove());
  const seen = [];
  const plain = await start(routes, { address: own.address, deadline: 2000 });
  const handled = await start((app) => {
    app.setErrorHandler((error, request, reply) => { seen.push(error); reply.code(error.status).send('later'); });
    routes(app);
    app.get('/late', async (request, reply) => {
      request.session.user = 'lost';
      return reply.code(201).header('Location', '/x').send({ made: true });
    });
  }, { address: own.address, deadline: 2000, lazy: true });
  for (const { browser } of [plain, handled]) await browser.get('/write');
  await own.stop('SIGKILL');

  const read = await plain.browser.get('/read');
  const late = await handled.browser.get('/late');

  assert.deepEqual([read.status, read.headers['retry-after'], read.setCookies], [503, '5', []]);
  assert.deepEqual([late.status, late.text, late.headers.location, late.setCookies], [503, 'later', undefined, []]);
  assert.ok(seen[0] instanceof SessionUnavailable);
  await own.launch();
  assert.equal(JSON.parse((await plain.browser.get('/read')).text).user.name, 'Ada');
});

test('a stream that fails while the session is saved is a 500, and its session is saved', async () => {
  const { browser } = await start((app) => {
    routes(app);
    app.get('/file', (request, reply) => {
      request.session.a = 1;
      reply.header('Content-Encoding', 'gzip').send(fs.createReadStream('/nonexistent'));
    });
  });

  const failed = await browser.get('/file');

  assert.deepEqual([failed.status, failed.setCookies.length, failed.headers['content-encoding']], [500, 1, undefined]);
  assert.equal((await browser.get('/read')).text, '{"a":1}');
});

test('a 503 in place of a reply has nothing that the reply says of its body', async (t) => {
  const own = await Service.start();
  t.after(() => own.remove());
  const { browser } = await start((app) => {
    app.get('/upstream', (request, reply) => {
      request.session.a = 1;
      reply.send(new Readable({ read() {}, destroy(error, done) { done(new Error('aborted')); } }));
    });
    app.get('/export', (request, reply) => {
      request.session.a = 1;
      const headers = { 'Content-Encoding': 'gzip', 'Content-Disposition': 'attachment; filename=a.csv', 'X-Own': 'stays' };
      reply.headers(headers).send(Buffer.from('zipped'));
    });
  }, { address: own.address, deadline: 500 });
  await own.stop('SIGKILL');

  const { status, headers } = await browser.get('/export');
  const upstream = await browser.get('/upstream');

  assert.deepEqual([status, headers['content-encoding'], headers['content-disposition'], headers['x-own']],
    [503, undefined, undefined, 'stays']);
  assert.equal(upstream.status, 503);
  assert.match(headers['content-type'], /^application\/json/);
});

test('with lazy, a route opens the session when it asks for it', async () => {
  const { browser, transport } = await start(routes, { lazy: true });
  await browser.get('/write');
  transport.takeCalls();

  await browser.get('/untouched');
  const opened = await browser.get('/open');
  const unopened = await browser.get('/read');

  assert.deepEqual([opened.text, transport.takeNames()], ['Ada', ['OpenSession']]);
  assert.match(unopened.text, /needs the open session/);
});

test('what changes after the head is saved, also where the application has taken the reply over', async () => {
  const { browser, transport } = await start((app) => {
    routes(app);
    app.get('/hijacked', (request, reply) => {
      reply.hijack();
      reply.raw.writeHead(200);
      request.session.user = 'late';
      reply.raw.end('raw');
    });
  });
  await browser.get('/write');
  transport.takeCalls();

  await browser.get('/hijacked');
  await waitUntil('the session is saved', () => transport.calls.some(({ rpc }) => rpc === 'SaveSession'));
  await waitUntil('it can be read', async () => JSON.parse((await browser.get('/read')).text).user === 'late');
});

test('@fastify/passport runs on it, with its flash messages', async () => {
  const passport = new Authenticator();
  passport.use('local', new Strategy({ passReqToCallback: false }, (name, password, done) => {
    done(null, password === 'right' ? { name } : false);
  }));
  passport.registerUserSerializer(async ({ name }) => name);
  passport.registerUserDeserializer(async (name) => ({ name }));
  const { browser } = await start(async (app) => {
    app.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' },
      async (request, body) => Object.fromEntries(new URLSearchParams(body)));
    await app.register(passport.initialize());
    await app.register(passport.secureSession());
    app.get('/', async (request, reply) => ({ user: request.user?.name, flash: reply.flash() }));
    app.post('/login', { preValidation: passport.authenticate('local', { session: true }) }, async (request, reply) => {
      request.flash('info', 'hello');
      return reply.redirect('/');
    });
    app.post('/logout', async (request) => { await request.logout(); return 'out'; });
  }, { subject: (session) => session.passport });

  const refused = await browser.post('/login', { username: 'Ada', password: 'wrong' });
  await browser.post('/login', { username: 'Ada', password: 'right' });
  const first = await browser.get('/');
  const second = await browser.get('/');
  const listed = service.sessions('list', '--app', 'shop', '--subject', 'Ada');
  await browser.post('/logout');
  const after = await browser.get('/');

  assert.equal(refused.status, 401);
  assert.deepEqual(JSON.parse(first.text), { user: 'Ada', flash: { info: ['hello'] } });
  assert.deepEqual(JSON.parse(second.text), { user: 'Ada', flash: {} });
  assert.equal(listed.length, 1);
  assert.equal(JSON.parse(after.text).user, undefined);
});

test('options that it does not have are refused with advice', () => {
  const register = (options) => () => sessions(fastify(), options, () => {});

  assert.throws(register({ secret: 'x' }), /settings of the service/);
  assert.throws(register({ onUnavailable: () => {} }), /setErrorHandler/);
});
