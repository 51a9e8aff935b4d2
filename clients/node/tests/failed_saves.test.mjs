// What a request gets whose save fails, or whose session passes to another user, against the real service.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import compression from 'compression';
import express from 'express';
import fastify from 'fastify';
import Koa from 'koa';
import onHeaders from 'on-headers';
import cloakroom, { Client, Session } from 'cloakroom-sessions';
import { sessions } from 'cloakroom-sessions/express';
import { sessions as fastifySessions } from 'cloakroom-sessions/fastify';
import { sessions as koaSessions } from 'cloakroom-sessions/koa';
import { sessions as webSessions } from 'cloakroom-sessions/web';
import { Browser, serve } from './app.mjs';
import { RecordingTransport } from './recording_transport.mjs';
import { Service } from './service.mjs';

const { CallFailed, SessionRefused, SessionUnavailable } = cloakroom;

let service;
let transport;
let client;
const stops = [];

before(async () => {
  service = await Service.start();
  transport = new RecordingTransport(service.address);
  client = new Client({ service: transport, app: 'shop', deadline: 10_000 });
});

after(async () => {
  for (const stop of stops) await stop();
  await service?.remove();
});

// Has the service refuse the next call of an RPC.
const refuse = (rpc) => transport.instead.set(rpc, () => { throw new CallFailed('INVALID_ARGUMENT', 'X', 'refused'); });

async function expressApp(addRoutes) {
  const app = express();
  app.use(sessions({ client }));
  addRoutes(app);
  app.use((error, request, response, next) => { response.status(500).send(error.message); });
  const { url, stop } = await serve(app);
  stops.push(stop);
  const browser = new Browser(url);
  app.get('/fill', (request, response) => { request.session.cart = { items: [1] }; response.send('filled'); });
  await browser.get('/fill');
  return browser;
}

test('a failed save is answered through compression that comes after the session', async () => {
  const browser = await expressApp((app) => {
    app.use(compression({ threshold: 0 }));
    app.get('/write', (request, response) => {
      request.session.a = 1;
      refuse('SaveSession');
      response.send('x'.repeat(100_000));
    });
    app.get('/stream', (request, response) => {
      request.session.a = 1;
      refuse('SaveSession');
      response.write('x'.repeat(100_000));
      response.end('x'.repeat(100_000));
    });
  });

  for (const path of ['/write', '/stream']) {
    const answer = await browser.get(path, { headers: { 'accept-encoding': 'gzip' } });

    assert.deepEqual([answer.status, answer.headers['content-encoding'], answer.text], [500, undefined, 'refused'], path);
  }
});

test('a failed save keeps what a middleware adds to each head', async () => {
  const browser = await expressApp((app) => {
    app.use((request, response, next) => {
      onHeaders(response, function addTime() { this.setHeader('X-Time', '1'); });
      next();
    });
    app.get('/write', (request, response) => {
      request.session.a = 1;
      refuse('SaveSession');
      response.send('written');
    });
  });

  const answer = await browser.get('/write');

  assert.deepEqual([answer.status, answer.headers['x-time'], answer.text], [500, '1', 'refused']);
});

test('a loaded value that JSON cannot hold any more fails the request', async () => {
  const browser = await expressApp((app) => {
    app.get('/big', (request, response) => { request.session.cart.total = 1n; response.send('sent'); });
    app.get('/cycle', (request, response) => { const { cart } = request.session; cart.self = cart; response.send('sent'); });
  });

  for (const path of ['/big', '/cycle']) assert.equal((await browser.get(path)).status, 500, path);
});

test('a call without a callback that fails does not end the process', async () => {
  const browser = await expressApp((app) => {
    app.get('/logout', (request, response) => {
      refuse('DestroySession');
      request.session.destroy();
      response.send('out');
    });
  });

  assert.equal((await browser.get('/logout')).text, 'out');
});

// Begins a session, replaces its token with an acknowledged save, and then has a save refused.
const ROTATE = async (session) => {
  session.rotate();
  await session.save();
  session.late = true;
  refuse('SaveSession');
};

const APPS = {
  Express: async () => expressApp((app) => {
    app.get('/rotate', async (request, response) => { await ROTATE(request.session); response.send(''); });
    app.get('/read', (request, response) => response.json(request.session));
  }),
  Koa: async () => {
    const app = new Koa();
    app.silent = true;
    app.use(koaSessions({ client }));
    app.use(async (ctx) => {
      if (ctx.path === '/fill') ctx.session.cart = { items: [1] };
      if (ctx.path === '/rotate') await ROTATE(ctx.session);
      ctx.body = { ...ctx.session };
    });
    const { url, stop } = await serve(app.callback());
    stops.push(stop);
    return new Browser(url);
  },
  Fastify: async () => {
    const app = fastify({ forceCloseConnections: true });
    app.register(fastifySessions, { client });
    app.get('/fill', async (request) => { request.session.cart = { items: [1] }; return ''; });
    app.get('/rotate', async (request) => { await ROTATE(request.session); return ''; });
    app.get('/read', async (request) => ({ ...request.session }));
    stops.push(() => app.close());
    return new Browser(await app.listen({ port: 0, host: '127.0.0.1' }));
  },
};

for (const [name, make] of Object.entries(APPS)) {
  test(`${name} sends the cookie of a rotation although a later save has failed`, async () => {
    const browser = await make();
    await browser.get('/fill');

    const failed = await browser.get('/rotate');

    assert.deepEqual([failed.status, failed.setCookies.length], [500, 1]);
    assert.deepEqual(JSON.parse((await browser.get('/read')).text), { cart: { items: [1] } });
  });
}

test('applyTo sets the cookie of a rotation although a later save has failed', async () => {
  const store = webSessions({ client });
  const session = await store.open(await cookieOf('alice'));
  const set = [];

  await ROTATE(session);
  await assert.rejects(() => session.applyTo({ set: (name, value) => set.push(`${name}=${value}`) }), SessionRefused);

  assert.equal(set.length, 1);
  assert.equal((await store.open(set[0])).subject, 'alice');
});

test('the Web client sends the cookie of a rotation although a later save has failed', async (t) => {
  t.mock.method(console, 'warn', () => {});
  const fail = () => {
    transport.instead.set('SaveSession', fail);
    throw new CallFailed('UNAVAILABLE', '', 'no answer');
  };
  t.after(() => transport.instead.delete('SaveSession'));
  const store = webSessions({ client: new Client({ service: transport, app: 'shop', deadline: 300 }) });
  const cookie = await cookieOf('alice');

  const failed = await store.handle(cookie, async (session) => {
    session.rotate();
    await session.save();
    session.late = true;
    transport.instead.set('SaveSession', fail);
    return new Response('written');
  });

  assert.deepEqual([failed.status, failed.headers.getSetCookie().length], [503, 1]);
});

async function cookieOf(user) {
  const session = new Session(client);
  session.subject = user;
  session.set('cart', [1]);
  const [cookie] = await session.finish();
  return cookie.value.split(';')[0];
}

// Begins a session of a user with an entry, and opens it by its cookie.
async function openedOf(app, login) {
  const own = new Client({ service: transport, app, deadline: 10_000 });
  const first = new Session(own);
  login(first, 'alice');
  first.set('cart', [1]);
  const [cookie] = await first.finish();
  const session = new Session(own, { cookieHeader: cookie.value.split(';')[0] });
  await session.open();
  return session;
}

const LOGINS = {
  shop: (session, user) => { session.subject = user; },
  login: (session, user) => session.set('user', user),
  passport: (session, user) => session.set('passport', { user }),
};

for (const [app, login] of Object.entries(LOGINS)) {
  test(`what one user left is not seen after the login of another in the app ${app}`, async () => {
    const session = await openedOf(app, login);
    session.get('cart');

    login(session, 'bob');
    session.set('own', true);
    await session.finish();

    assert.deepEqual([session.get('cart'), session.get('own'), session.subject], [undefined, true, 'bob']);
    assert.deepEqual(session.names().includes('cart'), false);
  });
}

test('what one user left is not seen by the login of another who has not looked at it', async () => {
  const cookieHeader = await cookieOf('alice');
  const session = new Session(client, { cookieHeader });
  session.subject = 'bob';

  await session.open();

  assert.deepEqual([session.get('cart'), session.names()], [undefined, []]);
});

test('what a user left is seen again if the login of another is taken back', async () => {
  const session = await openedOf('shop', LOGINS.shop);

  session.subject = 'bob';
  session.subject = 'alice';

  assert.deepEqual([session.get('cart'), session.names()], [[1], ['cart']]);
});

test('what one user left is not seen once another one is named', async () => {
  const session = await openedOf('shop', LOGINS.shop);
  session.set('before', 1);

  session.subject = 'bob';

  assert.deepEqual([session.get('cart'), session.names()], [undefined, ['before']]);
});

test('what an ended session had is not seen after the login that begins another one', async () => {
  const session = await openedOf('shop', LOGINS.shop);
  service.sessions('revoke', '--app', 'shop', session.id);
  session.subject = 'alice';
  session.set('own', true);
  session.increment('visits', 2);

  await session.finish();

  assert.deepEqual([session.get('cart'), session.get('own'), session.get('visits')], [undefined, true, 2]);
});

test('a session that was saved without an open can be opened then', async () => {
  const first = await openedOf('shop', LOGINS.shop);
  first.rotate();
  const [cookie] = await first.finish();
  const session = new Session(client, { cookieHeader: cookie.value.split(';')[0] });
  session.set('own', true);

  await session.save();
  await session.open();

  assert.deepEqual([session.get('cart'), session.get('own'), session.subject], [[1], true, 'alice']);
});

test('an open after a save sees what another request has saved since, and does not write it back', async () => {
  const cookieHeader = await cookieOf('alice');
  const [session, other] = [new Session(client, { cookieHeader }), new Session(client, { cookieHeader })];
  session.set('own', { by: 'this' });
  await session.save();
  other.set('own', { by: 'other' });
  await other.save();

  await session.open();

  assert.deepEqual([session.get('own'), session.hasUnsavedChanges()], [{ by: 'other' }, false]);
});

test('a session that a save has emptied can be read after that', async () => {
  const first = new Session(client);
  first.set('cart', [1]);
  const [cookie] = await first.finish();
  const session = new Session(client, { cookieHeader: cookie.value.split(';')[0] });
  session.delete('cart');
  await session.save();

  await session.open();

  assert.deepEqual([session.get('cart'), session.names()], [undefined, []]);
});

test('an error that several requests share gets the cookie of none in Koa', async () => {
  const shared = new Error('no such user');
  const subject = ({ late }) => { if (late) throw shared; };
  const app = new Koa();
  app.silent = true;
  app.use(koaSessions({ client, subject }));
  app.use(async (ctx) => {
    ctx.session.rotate();
    ctx.session.a = 1;
    await ctx.session.save();
    ctx.session.late = true;
    ctx.body = '';
  });
  const { url, stop } = await serve(app.callback());
  stops.push(stop);

  const failed = await new Browser(url).get('/');

  assert.deepEqual([failed.status, failed.setCookies.length, shared.headers], [500, 1, undefined]);
});

test('a request without a cookie can reload its session', async () => {
  const session = new Session(client);
  session.set('lost', 1);

  await session.reload();

  assert.deepEqual([session.names(), session.get('lost')], [[], undefined]);
});

// Opens a session that has a cart, an old entry and a counter of 1, and has a save of changes of each kind refused,
// because one entry is too large.
async function refusedSession(change = () => {}) {
  const first = new Session(client);
  first.subject = 'alice';
  first.set('cart', [1]);
  first.set('old', true);
  first.set('visits', 1);
  const [cookie] = await first.finish();
  const cookieHeader = cookie.value.split(';')[0];
  const session = new Session(client, { cookieHeader });
  await session.open();
  session.get('cart').push(2);
  session.set('own', 'kept');
  session.delete('old');
  session.increment('visits', 2);
  session.set('large', 'x'.repeat(100_000));
  change(session);
  await assert.rejects(() => session.save(), { reason: 'SESSION_TOO_LARGE' });
  transport.takeCalls();
  return { session, cookieHeader };
}

const contentOf = (session) => Object.fromEntries(session.names().sort().map((name) => [name, session.get(name)]));

// Returns the content of a session as another request finds it.
async function contentAt(cookieHeader) {
  const session = new Session(client, { cookieHeader });
  await session.open();
  return contentOf(session);
}

test('after a refused save, the next one saves the rest of its changes, each once', async () => {
  const { session, cookieHeader } = await refusedSession();
  session.delete('large');
  session.increment('visits', 4);
  const content = { cart: [1, 2], own: 'kept', visits: 7 };
  assert.deepEqual(contentOf(session), content);

  await session.finish();

  assert.deepEqual(contentOf(session), content);
  assert.deepEqual(await contentAt(cookieHeader), content);
});

test('a save that was refused is not sent again at the end of the request, and by the application it is', async () => {
  const { session } = await refusedSession();

  await session.finish();
  assert.deepEqual(transport.takeNames(), []);

  await assert.rejects(() => session.save(), { reason: 'SESSION_TOO_LARGE' });
  assert.deepEqual(transport.takeNames(), ['SaveSession']);
});

test('after a refused save, a change inside of a value is sent at the end of the request', async () => {
  const { session, cookieHeader } = await refusedSession();
  session.get('cart').push(3);
  session.set('large', 'small');

  await session.finish();

  assert.deepEqual((await contentAt(cookieHeader)).cart, [1, 2, 3]);
});

test('what a refused login has changed is saved by the next one', async () => {
  const { session } = await refusedSession((opened) => { opened.subject = 'bob'; opened.permanent = true; });
  session.delete('large');

  const [cookie] = await session.finish();

  const bob = new Session(client, { cookieHeader: cookie.value.split(';')[0] });
  await bob.open();
  assert.deepEqual([bob.subject, bob.permanent, contentOf(bob)], ['bob', true, { own: 'kept', visits: 2 }]);
});

test('changes of a refused save are forgotten with a session that is cleared or read anew', async () => {
  for (const forget of [(session) => session.clear(), (session) => session.reload()]) {
    const { session } = await refusedSession();
    await forget(session);
    session.set('later', 1);

    await session.finish();

    assert.equal(session.get('own'), undefined);
  }
});

test('a refused login of another user can be taken back', async () => {
  const { session, cookieHeader } = await refusedSession((opened) => { opened.subject = 'bob'; });
  session.subject = 'alice';
  session.delete('large');
  const content = { cart: [1, 2], own: 'kept', visits: 3 };
  assert.deepEqual([session.subject, contentOf(session)], ['alice', content]);

  await session.finish();

  assert.deepEqual(await contentAt(cookieHeader), content);
});

test('a refusal after an outage ends the outage', async () => {
  const session = new Session(new Client({ service: transport, app: 'shop', deadline: 300 }));
  const fail = () => {
    transport.instead.set('SaveSession', fail);
    throw new CallFailed('UNAVAILABLE', '', 'no answer');
  };
  transport.instead.set('SaveSession', fail);
  session.set('large', 'x'.repeat(100_000));
  await assert.rejects(() => session.save(), SessionUnavailable);
  transport.instead.delete('SaveSession');

  await assert.rejects(() => session.save(), SessionRefused);

  assert.equal(session.unavailable, undefined);
});

// Opens a session of the app `login` or `passport` that has entries.
async function sessionOf(app, entries) {
  const own = new Client({ service: transport, app, deadline: 10_000 });
  const first = new Session(own);
  for (const [name, value] of Object.entries(entries)) first.set(name, value);
  const [cookie] = await first.finish();
  const opened = async () => {
    const session = new Session(own, { cookieHeader: cookie.value.split(';')[0], maxAuthenticateAge: 60_000 });
    await session.open();
    return session;
  };
  return { session: await opened(), opened };
}

test('what one user left is neither seen nor sent after the login of another by an entry', async () => {
  for (const looks of [false, true]) {
    const { session } = await sessionOf('login', { user: '1', cart: ['pills'] });
    if (looks) assert.deepEqual(session.get('cart'), ['pills']);

    session.set('user', '2');
    session.set('cart', [...session.get('cart') ?? [], 'tea']);
    assert.deepEqual(session.names().sort(), ['cart', 'user']);
    const [cookie] = await session.finish();

    const client = new Client({ service: transport, app: 'login' });
    const next = new Session(client, { cookieHeader: cookie.value.split(';')[0] });
    await next.open();
    assert.deepEqual([next.subject, contentOf(next)], ['2', { user: '2', cart: ['tea'] }]);
  }
});

test('a removal is saved after the login of another was taken back', async () => {
  const { session, opened } = await sessionOf('login', { user: '1', cart: ['pills'] });
  session.set('user', '2');
  assert.equal(session.get('cart'), undefined);

  session.set('user', '1');
  session.delete('cart');
  await session.finish();

  assert.deepEqual(contentOf(await opened()), { user: '1' });
});

test('what one user left is neither seen nor sent after the login of another by a part of an entry', async () => {
  const ways = [
    (session) => session.set('passport', { user: 'bob' }),
    (session) => { session.get('passport').user = 'bob'; },
    (session) => {
      const passport = {};
      session.set('passport', passport);
      passport.user = 'bob';
    },
  ];
  for (const change of ways) {
    const { session } = await sessionOf('passport', { passport: { user: 'ada' }, cart: [1] });
    assert.deepEqual(session.get('cart'), [1]);

    change(session);
    session.set('cart', [...session.get('cart') ?? [], 2]);
    const [cookie] = await session.finish();

    const next = new Session(new Client({ service: transport, app: 'passport' }), { cookieHeader: cookie.value.split(';')[0] });
    await next.open();
    assert.deepEqual([next.subject, contentOf(next)], ['bob', { passport: { user: 'bob' }, cart: [2] }]);
  }
});

test('what a user left is seen after another login of the same user, or when that user is named again', async () => {
  const { session } = await sessionOf('login', { user: 1, cart: [1] });

  session.set('user', '1');
  assert.deepEqual(session.get('cart'), [1]);
  session.set('user', '2');
  assert.equal(session.get('cart'), undefined);
  session.set('user', '1');
  assert.deepEqual(session.get('cart'), [1]);
});

test('the subject and the authentication of a session are those that the entry gives it', async () => {
  for (const [user, subject] of [['bob', 'bob'], [7, '7'], [null, undefined], ['', undefined], [undefined, undefined]]) {
    const { session } = await sessionOf('login', { user: 'ada' });
    assert.deepEqual([session.subject, session.recentlyAuthenticated], ['ada', true]);

    session.set('user', user);

    assert.deepEqual([session.subject, session.authenticateTime, session.recentlyAuthenticated], [subject, undefined, false]);
  }
});

test('with Express, flashed messages of one user are not shown to the next', async () => {
  const app = express();
  app.use(sessions({ client: new Client({ service: transport, app: 'login', deadline: 10_000 }) }));
  const flash = (session, message) => { session.messages = [...session.messages ?? [], message]; };
  app.get('/order', (request, response) => { flash(request.session, 'your pills are on their way'); response.send('ok'); });
  app.get('/login', (request, response) => {
    request.session.user = request.query.user;
    flash(request.session, `Welcome ${request.query.user}`);
    response.json(request.session.messages);
  });
  const { url, stop } = await serve(app);
  stops.push(stop);
  const browser = new Browser(url);
  await browser.get('/login?user=1');
  await browser.get('/order');

  assert.deepEqual(JSON.parse((await browser.get('/login?user=2')).text), ['Welcome 2']);
});

test('an authentication does not stay recent while the session is open, and is recent again by a save', async (context) => {
  const first = new Session(client);
  first.subject = 'ada';
  const [cookie] = await first.finish();
  const session = new Session(client, { cookieHeader: cookie.value.split(';')[0], maxAuthenticateAge: 60_000 });
  await session.open();
  assert.equal(session.recentlyAuthenticated, true);

  const real = performance.now.bind(performance);
  context.mock.method(performance, 'now', () => real() + 60_100);
  assert.equal(session.recentlyAuthenticated, false);
  context.mock.restoreAll();

  session.markAuthenticated();
  context.mock.method(performance, 'now', () => real() + 60_100);
  await session.save();
  assert.equal(session.recentlyAuthenticated, true);
});
