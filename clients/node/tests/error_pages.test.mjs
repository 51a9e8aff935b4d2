// What a browser gets if the application answers an error and the save at the end fails, without a service.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import express from 'express';
import express4 from 'express4';
import fastify from 'fastify';
import Koa from 'koa';
import { Client } from 'cloakroom-sessions';
import { sessions } from 'cloakroom-sessions/express';
import { sessions as fastifySessions } from 'cloakroom-sessions/fastify';
import { sessions as koaSessions } from 'cloakroom-sessions/koa';
import { MemoryTransport } from 'cloakroom-sessions/testing';
import { Browser, serve } from './app.mjs';

const stops = [];

after(async () => {
  for (const stop of stops) await stop();
});

const failure = (status, message) => Object.assign(new Error(message), { status });
const page = (error) => `our page: ${error.reason || (error.status === 503 ? 'unavailable' : error.message)}`;

// Each serves handlers of the session by their paths, with an error handler, and returns a browser. What a handler returns is the
// response, with a status if it is an object.
const FRAMEWORKS = {};
for (const [name, make] of Object.entries({ 'Express 5': express, 'Express 4': express4 })) {
  FRAMEWORKS[name] = async (options, handlers, counts) => {
    const app = make();
    app.set('env', 'test');
    app.use(sessions({ ...options, onUnavailable: (error, request, response, next) => next(error) }));
    for (const [path, handle] of Object.entries(handlers)) {
      app.get(path, (request, response, next) => {
        Promise.resolve().then(() => handle(request.session)).then((text) => response.send(text), next);
      });
    }
    app.use((error, request, response, next) => {
      counts.handled += 1;
      response.status(error.status ?? 500).send(page(error));
    });
    const { url, stop } = await serve(app);
    stops.push(stop);
    return new Browser(url);
  };
}
FRAMEWORKS.Koa = async (options, handlers, counts) => {
  const app = new Koa();
  app.silent = true;
  app.use(async (ctx, next) => {
    try {
      await next();
    } catch (error) {
      counts.handled += 1;
      ctx.status = error.status ?? 500;
      ctx.body = page(error);
    }
  });
  app.use(koaSessions(options));
  app.use(async (ctx) => { ctx.body = await handlers[ctx.path](ctx.session); });
  const { url, stop } = await serve(app.callback());
  stops.push(stop);
  return new Browser(url);
};
FRAMEWORKS.Fastify = async (options, handlers, counts) => {
  const app = fastify({ forceCloseConnections: true, logger: { level: 'warn', stream: { write: (line) => console.warn(JSON.parse(line).msg) } } });
  app.setErrorHandler((error, request, reply) => {
    counts.handled += 1;
    return reply.code(error.status ?? 500).send(page(error));
  });
  app.register(fastifySessions, options);
  for (const [path, handle] of Object.entries(handlers)) app.get(path, async (request) => handle(request.session));
  stops.push(() => app.close());
  return new Browser(await app.listen({ port: 0, host: '127.0.0.1' }));
};

for (const [name, start] of Object.entries(FRAMEWORKS)) {
  test(`${name}: the page of an error of the server goes out although the session cannot be saved`, async (t) => {
    const warn = t.mock.method(console, 'warn', () => {});
    const transport = new MemoryTransport({ name: 'shop' });
    const counts = { handled: 0 };
    const browser = await start({ client: new Client({ service: transport, app: 'shop', deadline: 300 }) }, {
      '/save': async (session) => {
        session.a = 1;
        transport.isAvailable = false;
        await session.save();
        return 'saved';
      },
      '/throw': async (session) => {
        session.a = 2;
        transport.isAvailable = false;
        throw failure(502, 'no stock');
      },
      '/refused': async (session) => {
        session.large = 'x'.repeat(70_000);
        throw failure(502, 'no stock');
      },
      '/read': async (session) => `${session.a} ${session.large}`,
    }, counts);
    await browser.get('/read');

    const expected = { '/save': [503, 'our page: unavailable'], '/throw': [502, 'our page: no stock'], '/refused': [502, 'our page: no stock'] };
    for (const [path, answer] of Object.entries(expected)) {
      counts.handled = 0;
      warn.mock.resetCalls();
      const { status, text } = await browser.get(path);
      transport.isAvailable = true;

      assert.deepEqual([path, status, text, counts.handled], [path, ...answer, 1]);
      const warnings = warn.mock.calls.filter((call) => /were not saved/.test(call.arguments.join()));
      if (path !== '/save') assert.equal(warnings.length, 1, path);
    }
    assert.equal((await browser.get('/read')).text, 'undefined undefined');
  });

  test(`${name}: a failed login is a 503 if the session cannot count it`, async (t) => {
    t.mock.method(console, 'warn', () => {});
    const transport = new MemoryTransport({ name: 'shop' });
    const browser = await start({ client: new Client({ service: transport, app: 'shop', deadline: 300 }) }, {
      '/login': async (session) => {
        session.failures = (session.failures ?? 0) + 1;
        if (session.failures > 1) transport.isAvailable = false;
        throw failure(401, 'wrong password');
      },
      '/large': async (session) => {
        session.large = 'x'.repeat(70_000);
        throw failure(401, 'wrong password');
      },
      '/read': async (session) => `${session.failures}`,
    }, { handled: 0 });
    const counted = await browser.get('/login');

    const outage = await browser.get('/login');
    transport.isAvailable = true;
    const refused = await browser.get('/large');

    assert.deepEqual([counted.status, counted.text], [401, 'our page: wrong password']);
    assert.deepEqual([outage.status, refused.status], [503, 500]);
    assert.doesNotMatch(outage.text + refused.text, /wrong password/);
    assert.equal((await browser.get('/read')).text, '1');
  });

  test(`${name}: a response that says nothing of an error does not go out if the session cannot be saved`, async (t) => {
    t.mock.method(console, 'warn', () => {});
    const transport = new MemoryTransport({ name: 'shop' });
    const counts = { handled: 0 };
    const browser = await start({ client: new Client({ service: transport, app: 'shop', deadline: 300 }) }, {
      '/end': async (session) => {
        session.a = 1;
        transport.isAvailable = false;
        return 'done';
      },
      '/large': async (session) => {
        session.large = 'x'.repeat(70_000);
        return 'done';
      },
    }, counts);

    const outage = await browser.get('/end');
    transport.isAvailable = true;
    const refused = await browser.get('/large');

    assert.deepEqual([outage.status, outage.text], [503, 'our page: unavailable']);
    assert.deepEqual([refused.status, refused.text], [500, 'our page: SESSION_TOO_LARGE']);
  });
}

// Serves an application of Express whose saves fail, and returns what its response is.
async function answerOf(handle) {
  const transport = new MemoryTransport({ name: 'shop' });
  const app = express();
  app.set('env', 'test');
  app.use(sessions({ client: new Client({ service: transport, app: 'shop', deadline: 300 }) }));
  app.get('/', (request, response, next) => {
    transport.isAvailable = false;
    request.session.a = 1;
    handle(request, response, next);
  });
  app.use((error, request, response, next) => { response.redirect('/sorry'); });
  const { url, stop } = await serve(app);
  stops.push(stop);
  const { status, headers } = await new Browser(url).get('/');
  return [status, headers.location];
}

test('a response of 400 to 499 goes out only after a callback has got the error', async (t) => {
  t.mock.method(console, 'warn', () => {});

  assert.deepEqual(await answerOf((request, response) => response.status(401).send('no')), [503, undefined]);
  assert.deepEqual(await answerOf((request, response) => response.status(500).send('no')), [500, undefined]);
  assert.deepEqual(await answerOf(({ session }, response) => session.save((error) => response.status(409).send(error.message))), [409, undefined]);
});

test('after a callback has got the error, the application answers as it likes', async () => {
  assert.deepEqual(await answerOf(({ session }, response, next) => session.save((error) => next(error))), [302, '/sorry']);
  assert.deepEqual(await answerOf(({ session }, response) => session.save((error) => response.redirect(error ? '/sorry' : '/'))), [302, '/sorry']);
});

test('a response does not go out if the callback takes no error, or if the session was changed after it', async (t) => {
  t.mock.method(console, 'warn', () => {});

  assert.deepEqual(await answerOf(({ session }, response) => session.save(() => response.redirect('/'))), [503, undefined]);
  const changing = ({ session }, response) => session.save((error) => {
    session.error = error.message;
    response.redirect('/');
  });
  assert.deepEqual(await answerOf(changing), [503, undefined]);
});

test('an error page that is written in parts is complete', async (t) => {
  t.mock.method(console, 'warn', () => {});
  const transport = new MemoryTransport({ name: 'shop' });
  const app = express();
  app.use(sessions({ client: new Client({ service: transport, app: 'shop', deadline: 300 }) }));
  app.get('/', (request, response) => {
    transport.isAvailable = false;
    request.session.a = 1;
    response.writeHead(500, { 'content-type': 'text/html' });
    response.write('one ');
    setTimeout(() => {
      request.session.b = 2;
      response.end('two');
    }, 600);
  });
  const { url, stop } = await serve(app);
  stops.push(stop);

  const { status, text, headers } = await new Browser(url).get('/');

  assert.deepEqual([status, text, headers['content-type']], [500, 'one two', 'text/html']);
});
