// `req.session` in Express 5, Express 4 and Connect, against the real service.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { inspect } from 'node:util';
import connect from 'connect';
import express from 'express';
import express4 from 'express4';
import expressSession from 'express-session';
import { Client, Session } from 'cloakroom-sessions';
import { openSession, sessions } from 'cloakroom-sessions/express';
import { MemoryTransport } from 'cloakroom-sessions/testing';
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

// Serves an application with sessions. Returns a browser, and the transport that records the calls.
async function start(addRoutes, { make = express, ...options } = {}) {
  const transport = new RecordingTransport(service.address);
  const app = make();
  app.use(sessions({ client: new Client({ service: transport, app: 'shop', deadline: 10_000 }), ...options }));
  addRoutes(app);
  app.use((error, request, response, next) => {
    response.statusCode = error.status ?? 500;
    response.end(`${error.reason || error.code || error.name}: ${error.message}`);
  });
  const server = await serve(app);
  servers.push(server);
  return { browser: new Browser(server.url), transport, url: server.url };
}

const json = (response, value) => {
  response.setHeader('Content-Type', 'application/json');
  response.end(JSON.stringify(value ?? null));
};

for (const [name, make] of Object.entries({ 'Express 5': express, 'Express 4': express4, Connect: connect })) {
  test(`${name} keeps the entries of a session from request to request`, async () => {
    const { browser } = await start((app) => {
      app.use('/write', (request, response) => {
        request.session.user = { name: 'Ada', cart: [1, 'zwei', null] };
        request.session.greeting = 'Grüße ☕';
        json(response, 'written');
      });
      app.use('/read', (request, response) => json(response, request.session));
    }, { make });

    const read = await browser.get('/read');
    const written = await browser.get('/write');
    const again = await browser.get('/read');

    assert.deepEqual([read.text, read.headers.vary, read.setCookies], ['{}', 'Cookie', []]);
    assert.equal(written.setCookies.length, 1);
    assert.match(written.setCookies[0], /^session=v1\.[\w.-]+; HttpOnly; Path=\/; SameSite=Lax$/);
    assert.deepEqual(JSON.parse(again.text), { user: { name: 'Ada', cart: [1, 'zwei', null] }, greeting: 'Grüße ☕' });
    assert.deepEqual([again.setCookies, again.headers.vary], [[], 'Cookie']);
  });
}

describe('calls', () => {
  const routes = (app) => {
    app.get('/untouched', (request, response) => response.send('untouched'));
    app.get('/read', (request, response) => json(response, request.session.a));
    app.get('/write', (request, response) => json(response, request.session.a = 1));
    app.get('/nested', (request, response) => json(response, request.session.list.push(1)));
    app.get('/both', (request, response) => json(response, request.session.b = (request.session.b ?? 0) + 1));
    app.get('/fill', (request, response) => {
      Object.assign(request.session, { a: 1, b: 2, list: [], long: 'x'.repeat(1000) });
      response.send('filled');
    });
    app.get('/clean', (request, response) => {
      delete request.session.error;
      request.session.hint = undefined;
      response.send('clean');
    });
    app.get('/login', (request, response) => json(response, request.session.subject = 'ada'));
    app.get('/logout', (request, response) => request.session.destroy(() => response.send('out')));
    app.get('/open', openSession, (request, response) => json(response, request.session.a));
    app.get('/await', async (request, response) => {
      await request.session.open();
      json(response, { ...request.session });
    });
  };

  test('a request without a cookie makes no call, whether it reads or not', async () => {
    const { browser, transport } = await start(routes);

    const untouched = await browser.get('/untouched');
    const read = await browser.get('/read');
    const ended = await browser.get('/logout');

    assert.deepEqual(transport.takeNames(), []);
    assert.deepEqual([untouched.headers.vary, read.headers.vary, ended.status], [undefined, 'Cookie', 200]);
  });

  test('removing an entry that the session does not have saves nothing, and without a cookie it needs no service', async () => {
    const { browser, transport } = await start(routes);

    const visitor = await browser.get('/clean');
    const calls = transport.takeNames();
    await browser.get('/fill');
    transport.takeCalls();
    const user = await browser.get('/clean');

    assert.deepEqual([visitor.setCookies, visitor.headers.vary, calls], [[], 'Cookie', []]);
    assert.deepEqual([user.setCookies, transport.takeNames()], [[], ['OpenSession']]);
  });

  test('removing an entry of a session that was not opened is one save', async () => {
    const { browser, transport } = await start(routes, { lazy: true });
    await browser.get('/fill');
    transport.takeCalls();

    await browser.get('/clean');

    const [{ rpc, request }, ...others] = transport.takeCalls();
    assert.deepEqual([rpc, request.changes.unset, others], ['SaveSession', ['error', 'hint'], []]);
  });

  test('a first write is one call, and a login that begins a session is two; a process asks once what a login is', async () => {
    const { browser, transport } = await start(routes);

    await browser.get('/write');
    const first = transport.takeNames();
    await new Browser(browser.url).get('/write');
    const second = transport.takeNames();
    await new Browser(browser.url).get('/login');

    assert.deepEqual([first, second], [['GetAppPolicy', 'SaveSession'], ['SaveSession']]);
    assert.deepEqual(transport.takeNames(), ['OpenSession', 'SaveSession']);
  });

  test('a request asks Express once where it comes from, however many calls it makes', async () => {
    let count = 0;
    const { browser, transport } = await start((app) => {
      Object.defineProperty(app.request, 'ip', { get: () => { count += 1; return '192.0.2.3'; } });
      routes(app);
    });
    await browser.get('/fill');
    transport.takeCalls();
    count = 0;

    await browser.get('/both');

    const sent = transport.takeCalls().map(({ request }) => request.context.remoteAddress);
    assert.deepEqual([sent, count], [['192.0.2.3', '192.0.2.3'], 1]);
  });

  test('a read is one call, a write is two, and each sends only what changed', async () => {
    const { browser, transport } = await start(routes);
    await browser.get('/fill');
    transport.takeCalls();

    await browser.get('/read');
    const read = transport.takeNames();
    await browser.get('/both');
    const [, written] = transport.takeCalls();
    await browser.get('/nested');
    const [, nested] = transport.takeCalls();

    assert.deepEqual(read, ['OpenSession']);
    assert.deepEqual([...written.request.changes.set], [['b', { json: '3' }]]);
    assert.deepEqual([...nested.request.changes.set], [['list', { json: '[1]' }]]);
    assert.match(written.request.requestId, /^[0-9a-f-]{36}$/);
  });

  test('with the option lazy, an untouched request makes no call, and neither does a write need an open', async () => {
    const { browser, transport } = await start(routes, { lazy: true });
    await browser.get('/fill');
    transport.takeCalls();

    const untouched = await browser.get('/untouched');
    const untouchedCalls = transport.takeNames();
    await browser.get('/write');
    const writeCalls = transport.takeNames();
    const opened = await browser.get('/open');
    const awaited = await browser.get('/await');

    assert.deepEqual([untouched.headers.vary, untouchedCalls, writeCalls], [undefined, [], ['SaveSession']]);
    assert.equal(opened.text, '1');
    assert.deepEqual(Object.keys(JSON.parse(awaited.text)).sort(), ['a', 'b', 'list', 'long']);
    assert.deepEqual(transport.takeNames(), ['OpenSession', 'OpenSession']);
  });

  test('with the option lazy, a read before the open is an error and never an empty session', async () => {
    const { browser } = await start(routes, { lazy: true });
    await browser.get('/fill');

    const read = await browser.get('/read');

    assert.deepEqual([read.status, read.setCookies], [500, []]);
    assert.match(read.text, /call "await session.open\(\)" first/);
  });

  test('a logout is one call, deletes the cookie, and leaves no session', async () => {
    const { browser, transport } = await start((app) => {
      routes(app);
      app.get('/out', (request, response, next) => request.session.destroy((error) => {
        if (error) next(error);
        else json(response, String(request.session));
      }));
    }, { lazy: true });
    await browser.get('/fill');
    const cookie = browser.cookies.get('session');
    transport.takeCalls();

    const out = await browser.get('/out');

    assert.deepEqual([out.text, transport.takeNames()], ['"undefined"', ['DestroySession']]);
    assert.equal(out.setCookies.length, 1);
    assert.match(out.setCookies[0], /^session=; Expires=Thu, 01 Jan 1970/);
    browser.cookies.set('session', cookie);
    assert.equal((await browser.get('/await')).text, '{}');
  });
});

describe('req.session', () => {
  const run = async (handler, options) => {
    let handle = handler;
    const started = await start((app) => {
      app.use((request, response, next) => Promise.resolve(handle(request.session, request, response))
        .then((value) => { if (!response.writableEnded) json(response, value); }, next));
    }, options);
    // Makes a request with another handler.
    const again = async (next) => {
      handle = next;
      const { text, status, ...rest } = await started.browser.get('/');
      return { ...rest, status, text, value: status === 200 ? JSON.parse(text) : undefined };
    };
    return { ...started, again, first: await again(handler) };
  };

  test('lists, copies, deletes and tests entries as an object does', async () => {
    const { again } = await run((session) => { Object.assign(session, { a: 1, b: { c: 2 }, d: 3 }); });

    const read = await again((session) => {
      delete session.d;
      session.e = undefined;
      return [Object.keys(session), { ...session }, 'a' in session, 'd' in session, 'zzz' in session, session.d ?? 'none'];
    });
    const after = await again((session) => session);

    assert.deepEqual(read.value, [['a', 'b'], { a: 1, b: { c: 2 } }, true, false, false, 'none']);
    assert.deepEqual(after.value, { a: 1, b: { c: 2 } });
  });

  test('is printed as its entries, and as not opened if it is not', async () => {
    const { again } = await run((session) => { session.a = 1; });
    const printed = await again((session) => {
      session.b = { c: 2 };
      return inspect(session);
    });
    const lazy = await run((session) => { session.a = 1; }, { lazy: true });

    assert.equal(printed.value, '{ a: 1, b: { c: 2 } }');
    assert.equal((await lazy.again((session) => inspect(session))).value, '[Session not opened]');
  });

  test('its methods and __proto__ cannot be overwritten', async () => {
    const { again } = await run((session) => { session.a = 1; });

    for (const name of ['save', 'destroy', 'id', '__proto__', 'constructor']) {
      const refused = await again((session) => { session[name] = { polluted: true }; });
      assert.deepEqual([refused.status, /TypeError/.test(refused.text)], [500, true], name);
    }
    assert.equal({}.polluted, undefined);
  });

  test('entries of other clients stay whose names an object has already', async () => {
    const { again, browser } = await run((session) => { session.a = 1; });
    const others = ['__proto__', 'constructor', 'id', 'save', 'toString'];
    const client = new Client({ service: service.address, app: 'shop', deadline: 10_000 });
    const cookieHeader = [...browser.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const writing = new Session(client, { cookieHeader });
    for (const name of others) writing.set(name, { isAdmin: true });
    await writing.finish();

    const seen = await again((session) => {
      session.b = 2;
      return [session.isAdmin, { ...session }, inspect(session)];
    });
    const reading = new Session(client, { cookieHeader });
    await reading.open();

    assert.deepEqual(seen.value, [null, { a: 1, b: 2 }, '{ a: 1, b: 2 }']);
    assert.deepEqual(reading.names().sort(), [...others, 'a', 'b'].sort());
    for (const name of others) assert.deepEqual(reading.get(name), { isAdmin: true });
    assert.equal({}.isAdmin, undefined);
  });

  test('counts without losing a step', async () => {
    const { again, browser, url } = await run((session) => { session.increment('visits'); });

    const count = async () => {
      const other = new Browser(url);
      other.cookies = browser.cookies;
      return other.get('/');
    };
    await Promise.all(Array.from({ length: 20 }, count));

    assert.equal((await again((session) => session.visits)).value, 21);
    const seen = await again((session) => [session.increment('visits', 5).visits, session.visits]);
    assert.deepEqual(seen.value, [26, 26]);
    const saved = await again(async (session) => {
      await session.increment('visits').save();
      return session.visits;
    });
    assert.equal(saved.value, 27);
  });

  test('requests at the same time that change different entries all survive', async () => {
    const { again, url, browser } = await run((session) => { session.a = 1; });
    let number = 0;
    await again(() => null);
    const write = (session) => { session[`tab${number++}`] = true; };
    await again(write);
    await Promise.all(Array.from({ length: 10 }, () => {
      const other = new Browser(url);
      other.cookies = browser.cookies;
      return other.get('/');
    }));

    assert.equal(Object.keys((await again((session) => session)).value).length, 12);
  });

  test('a change of the subject replaces the token and keeps the id and the entries', async () => {
    const { again, browser } = await run((session) => { session.cart = [1]; });
    const [before, id] = [browser.cookies.get('session'), (await again((session) => session.id)).value];

    const login = await again((session) => {
      session.subject = 'ada';
      return session.subject;
    });
    const read = await again((session, request) => [session.subject, session.id, session.cart, request.sessionID]);

    assert.deepEqual([login.value, read.value], ['ada', ['ada', id, [1], id]]);
    assert.notEqual(browser.cookies.get('session'), before);
  });

  test('rotate replaces the token, and the old one opens nothing of the session', async () => {
    const { again, browser } = await run((session) => { session.a = 1; });
    const before = browser.cookies.get('session');

    const rotated = await again((session) => { session.rotate(); });
    const kept = await again((session) => session.a);
    browser.cookies.set('session', before);
    const old = await again((session) => session);

    assert.equal(rotated.setCookies.length, 1);
    assert.deepEqual([kept.value, old.value], [1, {}]);
  });

  test('regenerate removes the entries, replaces the token, and is one save with what follows', async () => {
    const { again, transport, browser } = await run((session) => Object.assign(session, { a: 1, guest: true }));
    const before = browser.cookies.get('session');
    transport.takeCalls();

    const regenerated = await again((session, request) => new Promise((resolve) => {
      session.regenerate((error) => {
        request.session.user = 'Ada';
        resolve([error ?? 'no error', session === request.session, session.a, Object.keys(request.session)]);
      });
    }));

    assert.deepEqual(regenerated.value, ['no error', false, 1, ['user']]);
    assert.deepEqual(transport.takeNames(), ['OpenSession', 'SaveSession']);
    assert.notEqual(browser.cookies.get('session'), before);
    assert.deepEqual((await again((session) => session)).value, { user: 'Ada' });
  });

  test('save calls back when the service has answered, and the end of the request saves nothing again', async () => {
    const { again, transport } = await run((session) => { session.a = 1; });
    transport.takeCalls();

    const saved = await again((session) => new Promise((resolve, reject) => {
      session.a = 2;
      const returned = session.save((error) => (error ? reject(error) : resolve(returned.a)));
    }));

    assert.equal(saved.value, 2);
    assert.deepEqual(transport.takeNames(), ['OpenSession', 'SaveSession']);
  });

  test('the methods return promises if there is no callback', async () => {
    const { again } = await run((session) => { session.a = 1; });

    const value = await again(async (session, request) => {
      await session.regenerate();
      request.session.b = 2;
      await request.session.save();
      await request.session.reload();
      return request.session;
    });

    assert.deepEqual(value.value, { b: 2 });
  });

  test('reload forgets the changes, and fails for a session that has ended', async () => {
    const { again } = await run((session) => { session.a = 1; });

    const reloaded = await again(async (session, request) => {
      session.a = 2;
      session.touch().resetMaxAge();
      await session.reload();
      return request.session.a;
    });
    const failed = await again(async (session, request) => {
      service.sessions('revoke', '--app', 'shop', session.id);
      return session.reload().then(() => 'reloaded', (error) => error.message);
    });

    assert.equal(reloaded.value, 1);
    assert.match(failed.value, /failed to load session/);
  });

  test('cookie.maxAge gives the session a lifetime and the cookie an expiry, and null takes that away', async () => {
    const { again } = await run((session) => { session.a = 1; });

    const long = await again((session) => {
      session.cookie.maxAge = 3_600_000;
      return [session.cookie.maxAge > 3_590_000 && session.cookie.maxAge <= 3_600_000, session.cookie.originalMaxAge];
    });
    const read = await again((session) => [session.cookie.maxAge, session.cookie.expires, session.permanent]);
    const short = await again((session) => { session.cookie.expires = false; });
    const refused = await again((session) => { session.cookie.secure = true; });

    assert.deepEqual(long.value, [true, 3_600_000]);
    assert.match(long.setCookies[0], /; Expires=/);
    assert.ok(read.value[0] > 3_500_000 && read.value[0] <= 3_600_000 && read.value[2], read.text);
    assert.match(short.setCookies[0], /^session=v1\.[^;]+; HttpOnly; Path=\/; SameSite=Lax$/);
    assert.equal(refused.status, 500);
  });

  test('the option maxAge gives each new session a lifetime', async () => {
    const { first, again } = await run((session) => {
      session.a = 1;
      return session.cookie.originalMaxAge;
    }, { maxAge: 60_000 });

    assert.equal(first.value, 60_000);
    assert.match(first.setCookies[0], /; Expires=/);
    assert.ok((await again((session) => session.cookie.maxAge)).value <= 60_000);
    const regenerated = await again(async (session, request) => {
      await session.regenerate();
      request.session.a = 2;
    });
    assert.match(regenerated.setCookies[0], /; Expires=/);
  });

  test('null takes the expiry of the option maxAge away, for a new session as well', async () => {
    const { first, again } = await run((session) => {
      session.cookie.expires = null;
      session.a = 1;
    }, { maxAge: 60_000 });

    assert.match(first.setCookies[0], /^session=v1\.[^;]+; HttpOnly; Path=\/; SameSite=Lax$/);
    assert.equal((await again((session) => session.cookie.maxAge)).value, null);
  });

  test('the option saveUninitialized stores a session without content', async () => {
    const { first, again, transport } = await run(() => null, { saveUninitialized: true });

    assert.equal(first.setCookies.length, 1);
    assert.equal((await again((session) => session.isNew)).value, false);
    assert.deepEqual(transport.takeNames(), ['SaveSession', 'OpenSession']);
  });

  test('the option subject sets the user from the entries at each save', async () => {
    const { again } = await run((session) => { session.passport = { user: 'ada' }; },
      { subject: ({ passport }) => passport?.user });

    const login = await again((session) => session.subject);
    const logout = await again((session) => { delete session.passport.user; });

    assert.deepEqual([login.value, logout.setCookies.length], ['ada', 1]);
    assert.equal((await again((session) => session.subject ?? 'nobody')).value, 'nobody');
  });

  test('the option subject may return an integer, and anything else is an error that says what to return', async () => {
    const { again } = await run((session) => { session.passport = { user: 7 }; }, { subject: ({ passport }) => passport?.user });

    const found = await again((session) => { session.a = 1; return session.subject; });
    const refused = await again((session) => { session.passport = { user: { id: 7 } }; });

    assert.deepEqual([found.value, found.setCookies], ['7', []]);
    assert.equal(refused.status, 500);
    assert.match(refused.text, /the option subject returns the id of the user, a string or an integer/);
  });

  test('with lazy too, the option subject rotates the token at a login and leaves nothing to the next user', async () => {
    const { again, browser } = await run((session) => { session.userId = 'ada'; session.cart = ['of ada']; },
      { lazy: true, subject: ({ userId }) => userId });
    const before = browser.cookies.get('session');

    await again((session) => { session.userId = 'bob'; });
    const after = browser.cookies.get('session');
    const found = await again(async (session) => { await session.open(); return [session.subject, { ...session }]; });
    await again((session) => { delete session.userId; });
    const out = await again(async (session) => { await session.open(); return session.subject ?? 'nobody'; });

    assert.notEqual(after, before);
    assert.deepEqual(found.value, ['bob', { userId: 'bob' }]);
    assert.equal(out.value, 'nobody');
  });

  test('the option maxAge is the lifetime of the session that begins after one that has ended', async () => {
    const { browser, again } = await run(() => null, { maxAge: 3_600_000 });
    browser.cookies.set('session', 'dead');

    const { setCookies } = await again((session) => { session.a = 1; });

    const [, end] = setCookies[0].match(/; Expires=([^;]+)/);
    assert.ok(Date.parse(end) - Date.now() <= 3_600_000, end);
  });

  async function lazyShop({ transport, onGone }) {
    const app = express();
    app.use(sessions({ client: new Client({ service: transport, app: 'shop' }), lazy: true, onGone }));
    app.get('/write', (request, response) => { request.session.a = 2; json(response); });
    app.get('/login', (request, response) => { request.session.subject = 'ada'; json(response); });
    app.get('/logout', async (request, response) => { await request.session.destroy(); json(response); });
    app.get('/read', openSession, (request, response) => json(response, [request.session.subject, request.session.a]));
    const server = await serve(app);
    servers.push(server);
    return { app, browser: new Browser(server.url) };
  }

  test('with lazy, a request that opens its session after a logout leaves the cookie of the next login', async () => {
    for (const transport of [new RecordingTransport(service.address), new MemoryTransport()]) {
      const { app, browser } = await lazyShop({ transport });
      const logOutAndIn = async (request, response, next) => {
        // Longer than a call is on its way.
        await setTimeout(200);
        await browser.get('/logout');
        await browser.get('/login');
        next();
      };
      app.get('/slow', logOutAndIn, openSession, (request, response) => { request.session.a = 1; json(response); });

      await browser.get('/write');
      const slow = await browser.get('/slow');

      assert.deepEqual([slow.status, slow.setCookies], [200, []]);
      assert.equal((await browser.get('/read')).text, '["ada",null]');
    }
  });

  test('with lazy, a slow write leaves the cookie of a login meanwhile', async () => {
    const services = [new RecordingTransport(service.address), new MemoryTransport()];
    for (const transport of services) {
      for (const meanwhile of [['/login'], ['/logout'], ['/logout', '/login']]) {
        const ends = [];
        const { app, browser } = await lazyShop({ transport, onGone: (reason) => ends.push(reason) });
        app.get('/slow', async (request, response) => {
          // Longer than a call is on its way.
          await setTimeout(200);
          for (const path of meanwhile) await browser.get(path);
          request.session.a = 1;
          json(response);
        });

        await browser.get('/write');
        const slow = await browser.get('/slow');
        const [subject, a] = JSON.parse((await browser.get('/read')).text);
        const before = ends.length;
        await browser.get('/write');

        assert.deepEqual(slow.setCookies, []);
        assert.equal(subject, meanwhile.includes('/login') ? 'ada' : null);
        assert.equal(a, meanwhile.includes('/logout') ? null : 2);
        assert.deepEqual([before, ends.length], [1, 1], 'what has ended before a request does not hinder it');
        assert.equal(JSON.parse((await browser.get('/read')).text)[1], 2);
      }
    }
  });

  test('with lazy, the option maxAge does not change the lifetime of a session that is there', async () => {
    const { again } = await run((session) => {
      session.a = 1;
      session.cookie.maxAge = null;
    }, { maxAge: 3_600_000, lazy: true });

    const written = await again((session) => { session.a = 2; });

    assert.deepEqual(written.setCookies, []);
    const maxAge = await again(async (session) => { await session.open(); return session.cookie.maxAge; });
    assert.equal(maxAge.value, null);
  });

  test('the next user has the lifetime of the option maxAge, or else of the app, and not that of the one before', async () => {
    for (const [maxAge, expected] of [[60_000, 60_000], [undefined, null]]) {
      const { again } = await run((session) => {
        session.passport = { user: 'ada' };
        session.cookie.maxAge = 30_000;
      }, { maxAge, subject: ({ passport }) => passport?.user });

      const login = await again((session) => { session.passport = { user: 'bob' }; });
      const { value: [subject, originalMaxAge] } = await again((session) => [session.subject, session.cookie.originalMaxAge]);
      const { expire_time: end } = service.sessions('list', '--app', 'shop', '--subject', 'bob').at(0);

      assert.deepEqual([subject, originalMaxAge], ['bob', expected]);
      assert.equal(login.setCookies.some((cookie) => cookie.includes('; Expires=')), expected !== null);
      const lives = Date.parse(end) - Date.now();
      assert.ok(expected === null ? lives > 3_600_000 : lives > 30_000 && lives <= 60_000, end);
    }
  });

  test('regenerate gives the session its lifetime of the beginning again', async () => {
    const { again } = await run((session) => { session.cookie.maxAge = 864_000_000; });

    const regenerated = await again(async (session, request) => {
      await session.regenerate();
      request.session.a = 1;
    });
    const after = await again((session) => [session.id, session.cookie.maxAge]);

    const [id, maxAge] = after.value;
    const { expire_time: end } = service.sessions('list', '--app', 'shop').find((session) => session.id === id);
    assert.doesNotMatch(regenerated.setCookies[0], /; Expires=/);
    assert.equal(maxAge, null);
    assert.ok(Date.parse(end) - Date.now() > 2 * 864_000_000, end);
  });

  test('setting it to null saves nothing, and with the option unset it ends the session', async () => {
    const kept = await run((session) => { session.a = 1; });
    await kept.again((session, request) => {
      session.a = 2;
      request.session = null;
    });
    const destroyed = await run((session) => { session.a = 1; }, { unset: 'destroy' });
    const removed = await destroyed.again((session, request) => { request.session = null; });

    assert.equal((await kept.again((session) => session.a)).value, 1);
    assert.match(removed.setCookies[0], /^session=;/);
  });

  test('setting it to null ends the session of a lazy request that did nothing else with it', async () => {
    const { browser } = await start((app) => {
      app.get('/write', (request, response) => {
        request.session.a = 1;
        response.end();
      });
      app.get('/remove', (request, response) => {
        request.session = null;
        response.end();
      });
    }, { lazy: true, unset: 'destroy' });
    await browser.get('/write');

    const removed = await browser.get('/remove');

    assert.match(removed.setCookies[0], /^session=;/);
  });

  test('an option of express-session that the service decides is refused with advice', () => {
    for (const option of ['secret', 'store', 'genid', 'proxy']) {
      assert.throws(() => sessions({ [option]: true }), TypeError, option);
    }
    assert.throws(() => sessions({ naem: 'x' }), /no option naem/);
    assert.throws(() => sessions({ rolling: false }), /^TypeError: rolling cannot be false: .* refresh_each_request = false/);
    sessions({ resave: undefined, rolling: undefined, saveUninitialized: false, name: 'sid' });
  });

  test('resave and rolling of express-session ask for what happens anyway', async () => {
    for (const options of [{}, { resave: false, rolling: true }, { resave: true, rolling: true }]) {
      const { again } = await run((session) => { session.a = 1; }, { maxAge: 60_000, ...options });

      const read = await again((session) => session.a);

      assert.equal(read.value, 1);
      assert.equal(read.setCookies.length, 1);
      assert.match(read.setCookies[0], /^session=.+; Expires=/);
    }
  });

  test('a value that JSON cannot hold fails the request', async () => {
    const { again } = await run((session) => { session.a = 1; });

    const refused = await again((session) => { session.big = 1n; });

    assert.equal(refused.status, 500);
    assert.equal((await again((session) => session.a)).value, 1);
  });

  test('a session that is too large is refused, and the error handler answers', async () => {
    const { again } = await run((session) => { session.a = 1; });

    const refused = await again((session) => { session.a = 'x'.repeat(2_000_000); });

    assert.deepEqual([refused.status, refused.setCookies], [500, []]);
    assert.match(refused.text, /SESSION_TOO_LARGE/);
  });

  test('with the cookies of two live sessions, a write is 400, and regenerate ends both', async () => {
    const { again, browser, url } = await run((session) => { session.a = 1; });
    const other = new Browser(url);
    await other.get('/');
    const both = `${browser.cookies.get('session')}; session=${other.cookies.get('session')}`;
    browser.cookies.set('session', both);

    const isNull = await again((session) => [session.isNull, Object.keys(session)]);
    const refused = await again((session) => { session.a = 2; });
    const login = await again(async (session, request) => {
      await session.regenerate();
      request.session.user = 'Ada';
    });

    assert.deepEqual(isNull.value, [true, []]);
    assert.deepEqual([refused.status, refused.setCookies], [400, []]);
    assert.equal(login.setCookies.length, 1);
    assert.deepEqual((await again((session) => session)).value, { user: 'Ada' });
  });

  test('a session that ended meanwhile keeps its cookie, and the application is told', async () => {
    const reasons = [];
    const { again } = await run((session) => { session.a = 1; }, { onGone: (reason) => reasons.push(reason) });

    const gone = await again((session) => {
      service.sessions('revoke', '--app', 'shop', session.id);
      session.a = 2;
    });

    assert.deepEqual([gone.status, gone.setCookies, reasons], [200, [], ['REVOKED']]);
  });

  test('a login beside a session that ended meanwhile begins a new one', async () => {
    const { again } = await run((session) => { session.a = 1; });

    const login = await again(async (session, request) => {
      service.sessions('revoke', '--app', 'shop', session.id);
      await session.regenerate();
      request.session.user = 'Ada';
    });

    assert.equal(login.setCookies.length, 1);
    assert.deepEqual((await again((session) => session)).value, { user: 'Ada' });
  });
});

describe('the head of the response', () => {
  test('waits for the save, whichever way it is sent', async () => {
    const ways = {
      end: (response) => response.end('body'),
      'write and end': (response) => { response.write('bo'); response.write('dy'); response.end(); },
      writeHead: (response) => response.writeHead(201, { 'X-Own': 'yes', Vary: 'Origin', 'Set-Cookie': 'own=1' }).end('body'),
      'writeHead with a list': (response) => response.writeHead(201, 'Made', ['X-Own', 'yes', 'Set-Cookie', 'own=1', 'Set-Cookie', 'own2=2']).end('body'),
      flushHeaders: (response) => { response.flushHeaders(); response.end('body'); },
      redirect: (response) => response.redirect('/there'),
      json: (response) => response.json('body'),
    };
    for (const [way, send] of Object.entries(ways)) {
      const { browser } = await start((app) => {
        app.get('/', (request, response) => {
          request.session.a = way;
          response.vary('Accept-Encoding');
          send(response);
        });
        app.get('/read', (request, response) => response.send(request.session.a));
      });
      const answer = await browser.get('/');
      const cookies = answer.setCookies.map((line) => line.split('=')[0]);
      const own = { writeHead: ['own'], 'writeHead with a list': ['own', 'own2'] }[way] ?? [];
      assert.deepEqual(cookies, [...own, 'session'], way);
      assert.match(answer.headers.vary, /Cookie/, way);
      if (own.length > 0) assert.deepEqual([answer.status, answer.headers['x-own']], [201, 'yes'], way);
      if (way !== 'redirect' && way !== 'json') assert.equal(answer.text, 'body', way);
      assert.equal((await browser.get('/read')).text, way);
    }
  });

  test('that was sent before the session is used stays as it is', async () => {
    const ways = {
      write: (response) => response.write('one'),
      writeHead: (response) => { response.writeHead(201, { 'Content-Length': 6, 'X-Own': 'yes' }); response.write('one'); },
      flushHeaders: (response) => {
        response.writeHead(201, { 'Content-Length': 6, 'X-Own': 'yes' });
        response.flushHeaders();
        response.write('one');
      },
    };
    for (const [way, send] of Object.entries(ways)) {
      for (const options of [{}, { lazy: true }]) {
        const { browser } = await start((app) => {
          app.get('/', (request, response) => {
            send(response);
            request.session.a = way;
            response.end('two');
          });
          app.get('/login', (request, response) => {
            request.session.a = 'login';
            response.end();
          });
          app.get('/read', async (request, response) => {
            await request.session.open();
            json(response, request.session.a);
          });
        }, options);
        const isKnown = options.lazy === true;
        if (isKnown) await browser.get('/login');

        const answer = await browser.get('/');

        const head = way === 'write' ? [200, undefined] : [201, 'yes'];
        assert.deepEqual([answer.status, answer.headers['x-own'], answer.setCookies, answer.text], [...head, [], 'onetwo'], way);
        if (isKnown) assert.equal((await browser.get('/read')).text, JSON.stringify(way));
      }
    }
  });

  test('that was sent before the session is used ends the connection if the save fails', async () => {
    const { browser, transport } = await start((app) => {
      app.get('/', (request, response) => {
        response.write('one');
        request.session.a = 1n;
        response.end('two');
      });
    });

    await assert.rejects(browser.get('/'), { code: 'ECONNRESET' });
    assert.deepEqual(transport.takeNames(), []);
  });

  test('waits through a second end, which is ignored as in express-session', async () => {
    const { browser } = await start((app) => {
      app.get('/', (request, response) => {
        request.session.a = 1;
        response.end('first');
        response.end('second');
      });
    });

    assert.equal((await browser.get('/')).text, 'first');
  });

  test('cannot be changed while the response waits, as in express-session', async () => {
    const thrown = { error: 'ERR_HTTP_HEADERS_SENT', text: 'aborted' };
    const later = {
      'response.json': [(response) => response.json({ second: 'longer than the first' }), thrown],
      'response.send': [(response) => response.status(500).send('second'), thrown],
      'response.redirect': [(response) => response.redirect('/there'), thrown],
      'response.writeHead': [(response) => response.writeHead(500, { 'X-Own': 'yes' }), thrown],
      'response.setHeader': [(response) => response.setHeader('X-Own', 'yes'), thrown],
      'response.appendHeader': [(response) => response.appendHeader('X-Own', 'yes'), thrown],
      'response.removeHeader': [(response) => response.removeHeader('Content-Type'), thrown],
      'an error': [() => { throw new TypeError('too late'); }, { error: 'TypeError', text: 'aborted' }],
      'response.end': [(response) => { response.end('second'); }, { error: undefined, text: '"first"' }],
    };
    const stores = {
      'express-session': () => expressSession({ secret: 'a', resave: false, saveUninitialized: false, store: new expressSession.MemoryStore() }),
      'cloakroom-sessions': () => sessions({ client: new Client({ service: service.address, app: 'shop', deadline: 10_000 }) }),
    };
    for (const make of [express, express4]) {
      for (const [store, middleware] of Object.entries(stores)) {
        for (const [what, [change, expected]] of Object.entries(later)) {
          const seen = {};
          const app = make();
          app.use(middleware());
          app.get('/', (request, response) => {
            request.session.a = 1;
            response.json('first');
            seen.headersSent = response.headersSent;
            change(response);
          });
          // As Express' documentation says: what has begun cannot be answered again.
          app.use((error, request, response, next) => {
            seen.error = error.code ?? error.name;
            if (response.headersSent) response.destroy();
            else next(error);
          });
          const server = await serve(app);
          servers.push(server);

          const text = await new Browser(server.url).get('/').then((answer) => answer.text, () => 'aborted');

          assert.deepEqual({ error: undefined, ...seen, text }, { headersSent: true, ...expected }, `${what} with ${store}`);
        }
      }
    }
  });

  test('is seen by libraries that look at _header while it waits, and the response gets no properties for that', async () => {
    const seen = {};
    const { browser } = await start((app) => {
      app.get('/', (request, response) => {
        request.session.a = 1;
        response.end('body');
        Object.assign(seen, { isSent: Boolean(response._header), own: Object.keys(response).filter((name) => name.endsWith('Header')) });
      });
    });

    const answer = await browser.get('/');

    assert.deepEqual([answer.status, answer.text, answer.setCookies.length], [200, 'body', 1]);
    assert.deepEqual(seen, { isSent: true, own: [] });
  });

  test('can be changed by onGone while the response waits', async () => {
    const { browser } = await start((app) => {
      app.get('/begin', (request, response) => { request.session.a = 1; response.end(); });
      app.get('/', (request, response) => {
        service.sessions('revoke', '--app', 'shop', request.session.id);
        request.session.a = 2;
        response.end('body');
      });
    }, { onGone: (reason, request, response) => response.status(409).set('X-Reason', reason) });
    await browser.get('/begin');

    const answer = await browser.get('/');

    assert.deepEqual([answer.status, answer.headers['x-reason'], answer.text], [409, 'REVOKED', 'body']);
  });

  test('has Cookie once in Vary', async () => {
    const { browser } = await start((app) => {
      app.get('/', (request, response) => response.vary('Cookie').send(String(request.session.a)));
    });

    assert.equal((await browser.get('/')).headers.vary, 'Cookie');
  });

  test('a streamed body is saved again at its end if the session has changed', async () => {
    const { browser } = await start((app) => {
      app.get('/', (request, response) => {
        request.session.begun = true;
        response.write('1');
        response.once('drain', () => {
          request.session.ended = true;
          response.end('2');
        });
      });
      app.get('/read', (request, response) => json(response, request.session));
    });

    assert.equal((await browser.get('/')).text, '12');
    assert.deepEqual(JSON.parse((await browser.get('/read')).text), { begun: true, ended: true });
  });
});
