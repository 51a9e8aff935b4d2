// What is sent if a save fails while its handler streams, and what becomes of the stream.
import assert from 'node:assert/strict';
import net from 'node:net';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import compression from 'compression';
import express from 'express';
import fastify from 'fastify';
import Koa from 'koa';
import { CallFailed, Client } from 'cloakroom-sessions';
import { sessions } from 'cloakroom-sessions/express';
import { sessions as fastifySessions } from 'cloakroom-sessions/fastify';
import { sessions as koaSessions } from 'cloakroom-sessions/koa';
import { sessions as webSessions } from 'cloakroom-sessions/web';
import { waitUntil } from '../../../tests/web/processes.mjs';
import { Browser, serve } from './app.mjs';

// A client whose calls all fail at once, as in an outage.
const client = new Client({
  app: 'shop',
  service: { call: async () => { throw new CallFailed('DEADLINE_EXCEEDED', '', 'no answer'); } },
});

// A promise that a test resolves.
function gate() {
  let open;
  const opened = new Promise((resolve) => { open = resolve; });
  return { open, opened };
}

// Each serves an application whose handlers write to Node's own response.
const APPS = {
  Express: (handlers, options) => {
    const app = express();
    app.use(sessions({ client, ...options }));
    for (const [path, handle] of Object.entries(handlers)) app.get(path, (request, response) => handle(request.session, response));
    return serve(app);
  },
  Koa: (handlers, { onUnavailable } = {}) => {
    const app = new Koa();
    app.silent = true;
    app.use(koaSessions({ client, onUnavailable: onUnavailable && ((error, ctx) => onUnavailable(error, ctx.req, ctx.res)) }));
    app.use((ctx) => {
      ctx.respond = false;
      return handlers[ctx.path](ctx.session, ctx.res);
    });
    return serve(app.callback());
  },
};

for (const [name, start] of Object.entries(APPS)) {
  test(`a handler of ${name} that writes on after its failed save was answered breaks nothing`, async (t) => {
    t.mock.method(console, 'warn', () => {});
    const errors = [];
    let slow;
    const { url, stop } = await start({
      '/slow': (session, response) => { slow = response; },
      '/': async (session, response) => {
        response.on('error', (error) => errors.push(error));
        session.n = 1;
        response.write('row 0');
        await waitUntil('the failure is answered', () => response.writableEnded);
        response.write('row 1');
        response.end('row 2');
        slow.end('slow');
      },
    });
    t.after(stop);
    const socket = net.connect(new URL(url).port, '127.0.0.1');

    // The second response waits for the first one, so it has no end before.
    socket.write('GET /slow HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    const [, , second] = (await text(socket)).split('HTTP/1.1 ');

    assert.match(second, /^503 /);
    assert.doesNotMatch(second, /row/);
    assert.deepEqual(errors, []);
  });
}

// Has a handler stream before and after the answer to its failed save, and returns what the browser gets.
async function streamAround(t, start, { begin = (response) => response.write('row 0') } = {}) {
  const [failed, wrote, answered] = [gate(), gate(), gate()];
  const answer = async (response) => {
    failed.open();
    await wrote.opened;
    try {
      response.statusCode = 503;
      response.setHeader('Content-Type', 'text/plain');
      response.end('later');
    } finally {
      answered.open();
    }
  };
  const stream = async (session, response) => {
    session.n = 1;
    begin(response);
    await failed.opened;
    response.write('row 1');
    wrote.open();
    await answered.opened;
    response.write('row 2');
    response.end('row 3');
  };
  const { url, stop } = await start(stream, answer);
  t.after(stop);
  return new Browser(url).get('/', { headers: { 'accept-encoding': 'gzip' } });
}

for (const [name, start] of Object.entries(APPS)) {
  test(`the late answer to a failed save has nothing of what the handler of ${name} streams meanwhile`, async (t) => {
    const { status, text: body } = await streamAround(t, (stream, answer) =>
      start({ '/': stream }, { onUnavailable: (error, request, response) => answer(response) }));

    assert.deepEqual([status, body], [503, 'later']);
  });
}

// What the handler does first.
const BEGINNINGS = {
  'writes the head': (response) => response.writeHead(200, { 'Content-Type': 'text/html' }),
  'flushes the head': (response) => response.flushHeaders(),
};

for (const [name, begin] of Object.entries(BEGINNINGS)) {
  test(`the late answer to a failed save is all that is sent if the handler ${name}`, async (t) => {
    const { status, text: body } = await streamAround(t, (stream, answer) =>
      APPS.Express({ '/': stream }, { onUnavailable: (error, request, response) => answer(response) }), { begin });

    assert.deepEqual([status, body], [503, 'later']);
  });
}

test('the late answer of an error handler is all that is sent, also through compression', async (t) => {
  const { status, text: body } = await streamAround(t, (stream, answer) => {
    const app = express();
    app.use(sessions({ client, onUnavailable: (error, request, response, next) => next(error) }));
    // Compression that comes after the first use of the session has seen the head that is forgotten.
    app.use((request, response, next) => { void request.session; next(); });
    app.use(compression({ threshold: 0 }));
    app.get('/', (request, response) => stream(request.session, response));
    app.use((error, request, response, next) => { answer(response).catch(next); });
    return serve(app);
  }, { begin: (response) => response.type('text').write('row 0') });

  assert.deepEqual([status, body], [503, 'later']);
});

test('once the handler has ended its response, the answer to its failed save may come from anywhere', async (t) => {
  const failed = gate();
  const { url, stop } = await APPS.Express({
    '/': async (session, response) => {
      session.n = 1;
      response.write('row 0');
      await failed.opened;
      response.end('row 1');
      response.status(503).end('later');
    },
  }, { onUnavailable: failed.open });
  t.after(stop);

  const { status, text: body } = await new Browser(url).get('/');

  assert.deepEqual([status, body], [503, 'later']);
});

// The bodies that a handler of Fastify may return, each with what tells whether it was let go.
const BODIES = {
  'stream of Node': () => {
    const body = new Readable({ read() {} });
    return { body, isLetGo: () => body.destroyed };
  },
  'stream of the Web': () => webBody(),
  Response: () => {
    const { body, isLetGo } = webBody();
    return { body: new Response(body), isLetGo };
  },
};

function webBody() {
  let isCancelled = false;
  const body = new ReadableStream({ cancel() { isCancelled = true; } });
  return { body, isLetGo: () => isCancelled };
}

for (const [name, make] of Object.entries(BODIES)) {
  test(`a ${name} that Fastify does not send because a save fails is let go`, async (t) => {
    const { body, isLetGo } = make();
    const app = fastify({ forceCloseConnections: true });
    t.after(() => app.close());
    app.register(fastifySessions, { client });
    app.get('/', async (request, reply) => {
      request.session.n = 1;
      return reply.send(body);
    });

    const { status } = await new Browser(await app.listen({ port: 0, host: '127.0.0.1' })).get('/');

    assert.deepEqual([status, isLetGo()], [503, true]);
  });
}

test('the body of a Response that the Web client does not send because a save fails is let go', async (t) => {
  t.mock.method(console, 'warn', () => {});
  const { body, isLetGo } = webBody();

  const { status } = await webSessions({ client }).handle('', (session) => {
    session.n = 1;
    return new Response(body);
  });

  assert.deepEqual([status, isLetGo()], [503, true]);
});

for (const [name, start] of Object.entries(APPS)) {
  test(`a handler of ${name} that waits for what it writes after its failed save comes to its end`, async (t) => {
    t.mock.method(console, 'warn', () => {});
    const ended = gate();
    const { url, stop } = await start({
      '/': async (session, response) => {
        session.n = 1;
        response.write('row 0');
        await waitUntil('the failure is answered', () => response.writableEnded);
        await new Promise((resolve) => { response.write('row 1', resolve); });
        response.end('row 2', ended.open);
      },
    });
    t.after(stop);

    const response = await fetch(url);

    assert.equal(response.status, 503);
    await ended.opened;
  });
}
