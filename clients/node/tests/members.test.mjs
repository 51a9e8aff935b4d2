// The members of `req.session`, which no entry can have the name of, without a service.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { after, test } from 'node:test';
import express from 'express';
import fastify from 'fastify';
import Koa from 'koa';
import { Client, Session } from 'cloakroom-sessions';
import { sessions } from 'cloakroom-sessions/express';
import { sessions as fastifySessions } from 'cloakroom-sessions/fastify';
import { sessions as koaSessions } from 'cloakroom-sessions/koa';
import { MemoryTransport } from 'cloakroom-sessions/testing';
import { sessions as webSessions } from 'cloakroom-sessions/web';
import { Browser, serve } from './app.mjs';

const stops = [];

after(async () => {
  for (const stop of stops) await stop();
});

// Each serves an application whose every request a function of the session answers, and returns its browser.
const FRAMEWORKS = {
  Express: async (options, handle) => {
    const app = express();
    app.use(sessions(options));
    app.get('/', async (request, response) => { response.json(await handle(request.session) ?? null); });
    app.use((error, request, response, next) => { response.status(500).send(`${error.name}: ${error.message}`); });
    const { url, stop } = await serve(app);
    stops.push(stop);
    return new Browser(url);
  },
  Koa: async (options, handle) => {
    const app = new Koa();
    app.use(async (ctx, next) => {
      try {
        await next();
      } catch (error) {
        ctx.status = 500;
        ctx.body = `${error.name}: ${error.message}`;
      }
    });
    app.use(koaSessions(options));
    app.use(async (ctx) => { ctx.body = JSON.stringify(await handle(ctx.session) ?? null); });
    const { url, stop } = await serve(app.callback());
    stops.push(stop);
    return new Browser(url);
  },
  Fastify: async (options, handle) => {
    const app = fastify({ forceCloseConnections: true, logger: { level: 'warn', stream: { write: (line) => console.warn(JSON.parse(line).msg) } } });
    app.register(fastifySessions, options);
    app.get('/', async (request, reply) => reply.send(JSON.stringify(await handle(request.session) ?? null)));
    app.setErrorHandler((error, request, reply) => reply.code(500).send(`${error.name}: ${error.message}`));
    stops.push(() => app.close());
    return new Browser(await app.listen({ port: 0, host: '127.0.0.1' }));
  },
};

// Serves an application of a framework. Returns what makes a request with another handler, and the client.
async function start(framework, options = {}) {
  const client = new Client({ service: new MemoryTransport({ name: 'shop' }), app: 'shop' });
  let handle;
  const browser = await FRAMEWORKS[framework]({ client, ...options }, (session) => handle(session));
  const request = async (handler) => {
    handle = handler;
    const { status, text } = await browser.get('/');
    return { status, text, value: status === 200 ? JSON.parse(text) : undefined };
  };
  return { request, client, browser };
}

// Runs a statement outside of strict mode, in which most applications of CommonJS are.
const sloppy = (statement) => new Function('session', statement);

for (const framework of Object.keys(FRAMEWORKS)) {
  test(`${framework}: a guard by an entry "authenticated" lets nobody in until the application sets the entry`, async () => {
    const { request } = await start(framework);

    const before = await request((session) => Boolean(session.authenticated));
    await request(sloppy('session.authenticated = true'));
    const after = await request((session) => session.authenticated);

    assert.deepEqual([before.value, after.value], [false, true]);
  });

  test(`${framework}: setting or deleting a member is a TypeError outside of strict mode too`, async () => {
    const { request } = await start(framework);
    const statements = {
      save: 'session.save = true',
      recentlyAuthenticated: 'session.recentlyAuthenticated = true',
      id: 'session.id = 1',
      __proto__: 'session.__proto__ = { isAdmin: true }',
      cookie: 'delete session.cookie',
      subject: 'Reflect.defineProperty(session, "subject", { value: "ada" })',
      watch: 'Reflect.set(session, "watch", true)',
    };

    for (const [name, statement] of Object.entries(statements)) {
      const { text } = await request(sloppy(statement));
      assert.match(text, new RegExp(`^TypeError: "${name}" is a member of the session`), name);
    }
  });

  test(`${framework}: an entry that a member hides is named once in a warning, and stays`, async (t) => {
    const warnings = [];
    t.mock.method(console, 'warn', (...args) => warnings.push(args.join(' ')));
    const { request, client, browser } = await start(framework);
    await request((session) => { session.a = 1; });
    const [name] = { Express: ['gone'], Koa: ['rotate'], Fastify: ['set'] }[framework];
    const cookieHeader = [...browser.cookies].map((pair) => pair.join('=')).join('; ');
    const other = new Session(client, { cookieHeader });
    other.set(name, true);
    await other.save();

    await request((session) => { session.b = 2; });
    await request((session) => session.a);

    assert.deepEqual(warnings.map((text) => text.split(':')[0]), [`a session has an entry "${name}", which the application does not see`]);
    const reading = new Session(client, { cookieHeader });
    await reading.open();
    assert.deepEqual([reading.get(name), reading.get('b')], [true, 2]);
  });
}

test('markAuthenticated records an authentication', async () => {
  const { request } = await start('Express', { maxAuthenticateAge: 60_000 });
  await request((session) => { session.subject = 'ada'; });

  const recorded = await request((session) => session.markAuthenticated() === session);
  const after = await request((session) => [session.recentlyAuthenticated, typeof session.authenticateTime]);

  assert.deepEqual([recorded.value, after.value], [true, [true, 'object']]);
});

test('the user is set by a text or an integer, and by nothing else', async () => {
  const { request } = await start('Express');
  for (const id of [42, 42n, '42']) {
    assert.equal((await request((session) => { session.subject = id; return session.subject; })).value, '42', typeof id);
    assert.equal((await request((session) => session.subject)).value, '42', typeof id);
  }
  assert.equal((await request((session) => { session.subject = 0; return session.subject; })).value, '0');

  for (const id of [4.5, Number.MAX_VALUE, Number.NaN, true, ['42'], { id: 42 }]) {
    assert.match((await request((session) => { session.subject = id; })).text, /^TypeError: subject is the id of the user, a string or an integer/);
  }
  assert.equal((await request((session) => { session.subject = null; return session.subject; })).value, null);
});

test('the option subject is the only one that sets the user: setting the member beside it is a TypeError', async () => {
  const { request } = await start('Express', { subject: (session) => session.user });

  const refused = await request((session) => { session.subject = 'text of a form'; });
  await request((session) => { session.user = 7; });
  const after = await request((session) => session.subject);

  assert.match(refused.text, /^TypeError: subject is what the option subject returns/);
  assert.equal(after.value, '7');
});

test('docs/express.md names all members, and the page for the move links to it', async () => {
  const client = new Client({ service: new MemoryTransport({ name: 'shop' }), app: 'shop' });
  const names = (session) => {
    const found = [];
    for (let at = Object.getPrototypeOf(session); at !== Object.prototype; at = Object.getPrototypeOf(at)) found.push(...Object.getOwnPropertyNames(at));
    return found.filter((name) => name !== 'constructor').sort();
  };
  const ofWeb = names(await webSessions({ client }).open(''));
  const ofExpress = ofWeb.filter((name) => !['applyTo', 'finish', 'respond'].includes(name));

  const page = (name) => fs.readFileSync(new URL(`../../../docs/${name}`, import.meta.url), 'utf8');

  const [, list] = page('express.md').match(/The members are ((?:`\w+`[,\s]*(?:and\s)?)+)/) ?? [, ''];

  assert.deepEqual([...list.matchAll(/`(\w+)`/g)].map(([, name]) => name).sort(), ofExpress);
  assert.match(page('from-express-session.md'), /\(express\.md#names-of-members\)/);
});
