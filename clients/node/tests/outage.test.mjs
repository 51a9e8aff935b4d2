// What applications see while the service is down, slow, or its responses are lost.
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import express from 'express';
import { CallFailed, Client, ConnectTransport, Session, SessionUnavailable } from 'cloakroom-sessions';
import { sessions } from 'cloakroom-sessions/express';
import { waitUntil } from '../../../tests/web/processes.mjs';
import { Browser, serve } from './app.mjs';
import { LossyProxy } from './lossy_proxy.mjs';
import { RecordingTransport } from './recording_transport.mjs';
import { Service } from './service.mjs';

const LONG = 60_000;

let service;
let proxy;
const servers = [];

before(async () => {
  service = await Service.start();
});

beforeEach(async () => {
  proxy = await LossyProxy.start(service.port);
});

afterEach(() => {
  proxy.close();
  for (const server of servers.splice(0)) server.stop();
});

after(() => service?.remove());

// Serves an application whose transport is an address or a transport. Returns a browser with a session.
async function start(transport, { deadline = LONG, ...options } = {}) {
  const app = express();
  const connected = typeof transport === 'string' ? new ConnectTransport(transport) : transport;
  const client = new Client({ service: connected, app: 'shop', deadline });
  app.use(sessions({ client, ...options }));
  app.get('/untouched', (request, response) => response.send('untouched'));
  app.get('/read', (request, response) => response.json(request.session.a ?? null));
  app.get('/write', (request, response) => response.json(request.session.a = 1));
  app.get('/count', (request, response) => response.json(request.session.increment('n').n));
  app.get('/saved', (request, response, next) => {
    request.session.a = 2;
    request.session.save((error) => (error ? next(error) : response.json('saved')));
  });
  app.get('/headers', (request, response) => {
    request.session.a = 3;
    response.set({ 'Access-Control-Allow-Origin': '*', 'Cache-Control': 'max-age=60', Location: '/x' }).type('png').send('image');
  });
  const server = await serve(app);
  servers.push(server);
  const browser = new Browser(server.url);
  assert.equal((await browser.get('/write')).text, '1');
  return { browser, client, app, url: server.url, another: async () => {
    const other = new Browser(server.url);
    await other.get('/write');
    return other;
  } };
}

test('an outage is answered by 503 with Retry-After, logs no user out, and waits once', async (t) => {
  const own = await Service.start();
  t.after(() => own.remove());
  const warn = t.mock.method(console, 'warn', () => {});
  const { browser } = await start(own.address, { deadline: 2000 });
  const lazy = await start(own.address, { deadline: 2000, lazy: true });
  await own.stop('SIGKILL');

  for (const [each, path] of [[browser, '/read'], [browser, '/write'], [lazy.browser, '/write'], [lazy.browser, '/headers']]) {
    warn.mock.resetCalls();
    const began = performance.now();
    const answer = await each.get(path);

    assert.ok(performance.now() - began < 3900, `${path} waited twice`);
    assert.deepEqual([answer.status, answer.headers['retry-after'], answer.setCookies], [503, '5', []], path);
    assert.equal(warn.mock.callCount(), 1);
    assert.match(warn.mock.calls[0].arguments.join(), /ECONNREFUSED/);
  }
  const headers = await lazy.browser.get('/headers');
  const untouched = await lazy.browser.get('/untouched');
  const explicit = await lazy.browser.get('/saved');
  await own.launch();

  assert.deepEqual([headers.headers['access-control-allow-origin'], headers.headers['cache-control'], headers.headers.location,
    headers.headers['content-type']], ['*', undefined, undefined, 'text/plain; charset=utf-8']);
  assert.equal(untouched.text, 'untouched');
  // Express' own error handler answers it.
  assert.deepEqual([explicit.status, explicit.headers['retry-after']], [503, '5']);
  assert.equal((await browser.get('/read')).text, '1');
});

test('an application answers an outage as it likes', async (t) => {
  const own = await Service.start();
  t.after(() => own.remove());
  const onUnavailable = (error, request, response) => {
    response.statusCode = 200;
    response.end(`${error instanceof SessionUnavailable} ${error.code} ${request.url} ${request.session}`);
  };
  const { browser } = await start(own.address, { deadline: 2000, onUnavailable });
  const passing = await start(own.address, { deadline: 2000, onUnavailable: (error, request, response, next) => next(error) });
  passing.app.use((error, request, response, next) => response.status(error.status).send(`handled ${error.code}`));
  const broken = await start(own.address, { deadline: 500, onUnavailable: async () => { throw new TypeError('broken'); } });
  const brokenAtTheEnd = await start(own.address, { deadline: 500, lazy: true, onUnavailable: () => { throw new TypeError('broken'); } });
  for (const { app } of [broken, brokenAtTheEnd]) app.use((error, request, response, next) => response.status(500).send(`handled ${error.message}`));
  await own.stop('SIGKILL');

  assert.equal((await browser.get('/read')).text, 'true UNAVAILABLE /read undefined');
  const handled = await passing.browser.get('/read');
  assert.deepEqual([handled.status, handled.text], [503, 'handled UNAVAILABLE']);
  assert.equal((await broken.browser.get('/read')).text, 'handled broken');
  assert.equal((await brokenAtTheEnd.browser.get('/write')).text, 'handled broken');
});

for (const signal of ['SIGTERM', 'SIGKILL']) {
  test(`no request fails while the service restarts by ${signal} under load`, async (t) => {
    const own = await Service.start();
    t.after(() => own.remove());
    const { another } = await start(own.address);
    let isOver = false;
    const count = async () => {
      const browser = await another();
      const texts = [];
      while (!isOver) texts.push((await browser.get('/count')).text);
      return texts;
    };
    const counts = [count(), count(), count(), count()];
    for (let i = 0; i < 3; i += 1) {
      const before = await own.countCalls('SaveSession');
      await waitUntil('saves are made', async () => await own.countCalls('SaveSession') > before);
      await own.stop(signal);
      await own.launch();
    }
    isOver = true;

    for (const texts of await Promise.all(counts)) {
      assert.deepEqual(texts, texts.map((_, i) => String(i + 1)));
    }
  });
}

test('a gap of one and a half seconds fails no request', async () => {
  // Longer than the default of 2 s: a busy machine may open the port again late.
  const { another } = await start(proxy.address, { deadline: 30_000 });
  const browsers = await Promise.all([another(), another(), another(), another()]);
  proxy.close();

  const reads = browsers.map((browser) => browser.get('/read'));
  await new Promise((resolve) => { setTimeout(resolve, 1500); });
  proxy = await LossyProxy.start(service.port, proxy.port);

  assert.deepEqual((await Promise.all(reads)).map(({ text }) => text), ['1', '1', '1', '1']);
});

for (const code of ['UNAVAILABLE', 'CANCELLED', 'INTERNAL']) {
  test(`a call whose connection breaks with ${code} is repeated`, async () => {
    const transport = new RecordingTransport(service.address);
    const { browser } = await start(transport);
    transport.takeCalls();
    transport.instead.set('OpenSession', () => { throw new CallFailed(code, '', 'the connection broke'); });

    assert.equal((await browser.get('/read')).text, '1');
    assert.deepEqual(transport.takeNames(), ['OpenSession', 'OpenSession']);
  });
}

test('a refused call is not repeated', async () => {
  const transport = new RecordingTransport(service.address);
  const { browser } = await start(transport);
  transport.takeCalls();
  transport.instead.set('OpenSession', () => { throw new CallFailed('PERMISSION_DENIED', 'ROLE_MISSING', 'no'); });

  assert.equal((await browser.get('/read')).status, 500);
  assert.deepEqual(transport.takeNames(), ['OpenSession']);
});

test('a save that was refused is not sent again with the page of the error', async () => {
  const transport = new RecordingTransport(service.address);
  const { browser, app } = await start(transport);
  app.use((error, request, response, next) => response.status(500).send(`${request.session.a} ${error.reason}`));
  transport.takeCalls();
  transport.instead.set('SaveSession', () => { throw new CallFailed('FAILED_PRECONDITION', 'SESSION_TOO_LARGE', 'no'); });

  const answer = await browser.get('/saved');

  assert.deepEqual([answer.status, answer.text], [500, '2 SESSION_TOO_LARGE']);
  assert.deepEqual(transport.takeNames(), ['OpenSession', 'SaveSession']);
});

test('a service that does not answer costs one deadline', async (t) => {
  const own = await Service.start();
  t.after(() => own.remove());
  t.mock.method(console, 'warn', () => {});
  const { browser } = await start(own.address, { deadline: 500 });
  await own.process.suspend();

  const began = performance.now();
  const answer = await browser.get('/read');
  const took = performance.now() - began;
  own.process.resume();

  assert.equal(answer.status, 503);
  assert.ok(took > 400 && took < 10_000, `${took}`);
});

test('an application can start before the service', async (t) => {
  const own = await Service.start();
  t.after(() => own.remove());
  await own.stop();
  const app = express();
  app.use(sessions({ service: own.address, app: 'shop', deadline: LONG }));
  app.get('/', (request, response) => response.json(request.session.a = 1));
  const server = await serve(app);
  servers.push(server);

  const answer = new Browser(server.url).get('/');
  await own.launch();

  assert.equal((await answer).setCookies.length, 1);
});

test('a read is repeated after a lost response', async () => {
  const transport = new RecordingTransport(proxy.address);
  const { browser } = await start(transport);
  transport.takeCalls();
  proxy.responsesToDrop = 1;

  assert.equal((await browser.get('/read')).text, '1');
  assert.deepEqual([transport.takeNames(), proxy.dropped], [['OpenSession', 'OpenSession'], 1]);
});

test('a save whose response is lost is repeated with its request_id and applied once', async () => {
  const transport = new RecordingTransport(proxy.address);
  const { browser } = await start(transport, { lazy: true });
  for (let i = 1; i <= 3; i += 1) {
    transport.takeCalls();
    proxy.responsesToDrop = 1;
    await browser.get('/saved');
    const saves = transport.takeCalls();

    assert.deepEqual(saves.map(({ rpc }) => rpc), ['SaveSession', 'SaveSession']);
    assert.equal(saves[0].request.requestId, saves[1].request.requestId);
  }
  const counting = await start(proxy.address);
  proxy.responsesToDrop = 0;
  await counting.browser.get('/count');
  proxy.responsesToDrop = 2;
  assert.equal((await counting.browser.get('/count')).text, '2');
  assert.equal((await counting.browser.get('/count')).text, '3');
});

// Loses the responses to the next saves of a transport.
function loseSaves(transport, count) {
  if (count === 0) return;
  transport.instead.set('SaveSession', async (method, request, timeout) => {
    await transport.transport.call(method, request, timeout);
    loseSaves(transport, count - 1);
    throw new CallFailed('UNAVAILABLE', '', 'the response was lost');
  });
}

for (const [app, entries] of [['shop', {}], ['login', { user: 'vera' }], ['passport', { passport: { user: 'vera' } }]]) {
  test(`a login in the app ${app} without a cookie begins one session, however many responses are lost`, async (t) => {
    const own = await Service.start();
    t.after(() => own.remove());
    const transport = new RecordingTransport(own.address);
    const session = new Session(new Client({ service: transport, app, deadline: LONG }));
    if (app === 'shop') session.subject = 'vera';
    for (const [name, value] of Object.entries(entries)) session.set(name, value);
    loseSaves(transport, 5);

    const headers = await session.finish();

    const saves = transport.takeCalls().filter(({ rpc }) => rpc === 'SaveSession').map(({ request }) => request.requestId);
    assert.deepEqual([saves.length, new Set(saves).size, headers[0].name], [6, 1, 'Set-Cookie']);
    assert.equal(own.sessions('list', '--app', app, '--subject', 'vera').length, 1);
  });
}

// Begins a session in the app `passport`, opens it by its cookie, and ends it then.
async function openedAndEnded(client) {
  const first = new Session(client);
  first.set('cart', [1]);
  const [cookie] = await first.finish();
  const session = new Session(client, { cookieHeader: cookie.value.split(';')[0] });
  await session.open();
  service.sessions('revoke', '--app', 'passport', session.id);
  return session;
}

test('a login after the end of its session begins one session, however many responses are lost', async () => {
  const transport = new RecordingTransport(service.address);
  const client = new Client({ service: transport, app: 'passport', deadline: LONG });
  const session = await openedAndEnded(client);
  session.set('passport', { user: 'wanda' });
  loseSaves(transport, 5);

  await session.finish();

  assert.equal(service.sessions('list', '--app', 'passport', '--subject', 'wanda').length, 1);
});

test('what the entry of the subject says besides it is no login', async () => {
  const client = new Client({ service: service.address, app: 'passport', deadline: LONG });
  for (const [name, value] of [['passport', {}], ['passport', { user: '' }], ['passport', 'user'], ['other', { user: 'x' }]]) {
    const session = await openedAndEnded(client);
    session.set(name, value);

    await session.finish();

    assert.equal(session.gone, 'REVOKED', JSON.stringify([name, value]));
  }
});

test('an explicit save after one of unknown outcome is applied once', async () => {
  const transport = new RecordingTransport(proxy.address);
  const client = new Client({ service: transport, app: 'shop', deadline: LONG });
  const first = new Session(client);
  first.increment('n');
  const [cookie] = await first.finish();
  const cookieHeader = cookie.value.split(';')[0];
  transport.takeCalls();
  transport.instead.set('SaveSession', async (method, request, timeout) => {
    proxy.responsesToDrop = 1;
    await assert.rejects(transport.transport.call(method, request, timeout), CallFailed);
    throw new CallFailed('DEADLINE_EXCEEDED', '', 'no response within the deadline');
  });

  const session = new Session(client, { cookieHeader });
  session.increment('n');
  await assert.rejects(session.save(), SessionUnavailable);
  session.set('apologies', 1);
  await session.save();
  const requests = transport.takeCalls().map(({ request }) => request.requestId);
  const read = new Session(client, { cookieHeader });
  await read.open();

  assert.equal(requests.length, 3);
  assert.deepEqual([requests[0] === requests[1], requests[1] === requests[2]], [true, false]);
  assert.deepEqual([read.get('n'), read.get('apologies')], [2, 1]);
});

test('no request fails when all connections lose their packets', async () => {
  const { another } = await start(proxy.address, { deadline: 4000 });
  const browsers = await Promise.all([another(), another(), another(), another()]);
  const readAll = async () => (await Promise.all(browsers.map((browser) => browser.get('/read')))).map(({ text }) => text);

  proxy.forgetConnections();

  assert.deepEqual([await readAll(), await readAll()], [['1', '1', '1', '1'], ['1', '1', '1', '1']]);
});

describe('the end of a request', () => {
  test('that the browser has left saves all the same', async () => {
    const transport = new RecordingTransport(service.address);
    const { browser, url } = await start(transport);
    transport.takeCalls();
    const cookie = `session=${browser.cookies.get('session')}`;

    const controller = new AbortController();
    const saved = new Promise((resolve) => {
      transport.instead.set('SaveSession', async (method, request, timeout) => {
        controller.abort();
        const response = await transport.transport.call(method, request, timeout);
        resolve(response.outcome);
        return response;
      });
    });
    await assert.rejects(fetch(`${url}/count`, { headers: { cookie }, signal: controller.signal }));

    assert.equal(await saved, 'UPDATED');
    assert.equal((await browser.get('/count')).text, '2');
  });

  test('cuts the response off if a late save fails, so that nobody takes it for complete', async (t) => {
    t.mock.method(console, 'warn', () => {});
    const transport = new RecordingTransport(service.address);
    const { browser, app } = await start(transport);
    app.get('/late', (request, response) => {
      response.write('head');
      transport.instead.set('SaveSession', () => { throw new CallFailed('INVALID_ARGUMENT', 'X', 'refused'); });
      request.session.late = true;
      response.end('body');
    });

    await assert.rejects(browser.get('/late'));
  });
});
