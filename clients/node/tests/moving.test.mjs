// Users of an Express application stay logged in when it moves from express-session, and a logout ends their old cookie.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { RedisStore } from 'connect-redis';
import express from 'express';
import session from 'express-session';
import passport from 'passport';
import { Strategy } from 'passport-local';
import { createClient } from 'redis';
import { sessions } from 'cloakroom-sessions/express';
import { freePort, isListening, Process, waitUntil } from '../../../tests/web/processes.mjs';
import { Browser, serve } from './app.mjs';
import { Service } from './service.mjs';

const SECRETS = ['of this year', 'of last year'];
const DAY = 24 * 60 * 60 * 1000;

let redis;
let client;
let service;
let servers;

before(async () => {
  const port = await freePort();
  redis = new Process('redis-server', ['--port', port, '--bind', '127.0.0.1', '--save', '', '--loglevel', 'warning']);
  await redis.whileRunning(waitUntil('redis listens', () => isListening(port)));
  client = createClient({ url: `redis://127.0.0.1:${port}` });
  await client.connect();
  service = await Service.start({ more: `
[apps.moving]
keys = ["{key}"]
[apps.moving.migrate]
until = "${new Date(Date.now() + 30 * DAY).toISOString().slice(0, 10)}"
subject_path = "passport.user"
[apps.moving.migrate.express_session]
url = "redis://127.0.0.1:${port}"
keys = ${JSON.stringify(SECRETS)}
` });
  const old = (secret) => session({ store: new RedisStore({ client }), secret, resave: false, saveUninitialized: false, cookie: { maxAge: DAY } });
  servers = {
    lastYear: await serve(makeApp(old(SECRETS[1]))),
    before: await serve(makeApp(old(SECRETS))),
    after: await serve(makeApp(sessions({ service: service.address, app: 'moving', deadline: 30_000,
      subject: ({ passport: kept }) => kept?.user }))),
  };
});

after(async () => {
  for (const server of Object.values(servers ?? {})) server.stop();
  await service?.remove();
  await client?.destroy();
  await redis?.stop();
});

// The application, which is the same with any middleware for sessions.
function makeApp(middleware) {
  const authenticator = new passport.Passport();
  authenticator.use(new Strategy((name, password, done) => done(null, { name })));
  authenticator.serializeUser((each, done) => done(null, each.name));
  authenticator.deserializeUser((name, done) => done(null, { name }));
  const app = express();
  app.use(express.urlencoded({ extended: false }));
  app.use(middleware);
  app.use(authenticator.session());
  app.get('/', (request, response) => response.json({ who: request.user?.name ?? null, cart: request.session.cart ?? [] }));
  app.post('/login', authenticator.authenticate('local', { keepSessionInfo: true }), (request, response) => response.end());
  app.post('/cart', (request, response) => {
    (request.session.cart ??= []).push(request.body.item);
    response.end();
  });
  app.post('/logout', (request, response, next) => request.logout((error) => (error ? next(error) : response.end())));
  return app;
}

// Goes on with the same cookies at another server.
function moved(browser, url) {
  const other = new Browser(url);
  other.cookies = new Map(browser.cookies);
  return other;
}

const page = async (browser) => JSON.parse((await browser.get('/')).text);

for (const server of ['before', 'lastYear']) {
  test(`a user of the application ${server} stays logged in until the logout`, async () => {
    const browser = new Browser(servers[server].url);
    await browser.post('/login', { username: 'anna', password: 'x' });
    await browser.post('/cart', { item: 'é' });

    const user = moved(browser, servers.after.url);
    assert.deepEqual(await page(user), { who: 'anna', cart: ['é'] });
    assert.ok(user.cookies.has('session'));
    await user.post('/cart', { item: 'more' });
    assert.deepEqual(await page(user), { who: 'anna', cart: ['é', 'more'] });
    assert.ok(service.sessions('list', '--app', 'moving', '--subject', 'anna').length > 0);
    await user.post('/logout');
    assert.equal((await page(user)).who, null);
    assert.deepEqual(await page(moved(browser, servers.after.url)), { who: null, cart: [] });
  });
}

test('a user who has not come back since the move is still logged in after the way back', async () => {
  const browser = new Browser(servers.before.url);
  await browser.post('/login', { username: 'bert', password: 'x' });
  await page(moved(browser, servers.after.url));

  assert.equal((await page(moved(browser, servers.before.url))).who, 'bert');
});
