// The attributes of the cookie that a request chooses, by the option `cookie`.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import express from 'express';
import { sessions } from 'cloakroom-sessions/express';
import { Browser, serve } from './app.mjs';
import { Service } from './service.mjs';

let service;

before(async () => {
  service = await Service.start({ more: `
[apps.secure]
keys = ["{key}"]
[apps.secure.cookie]
secure = true
` });
});

after(() => service?.remove());

// Serves an application with this option, runs `use` with a browser, and stops it.
async function withApp(cookie, use, app = 'shop') {
  const application = express();
  application.set('trust proxy', 'loopback');
  application.use(sessions({ service: service.address, app, deadline: 30_000, cookie }));
  application.get('/write', (request, response) => {
    request.session.n = (request.session.n ?? 0) + 1;
    response.end();
  });
  application.get('/rotate', (request, response) => {
    request.session.rotate();
    response.end();
  });
  application.get('/logout', async (request, response) => {
    await request.session.destroy();
    response.end();
  });
  application.use((error, request, response, next) => response.status(500).end(error.message));
  const server = await serve(application);
  try {
    await use(new Browser(server.url));
  } finally {
    server.stop();
  }
}

const HTTPS = { headers: { 'x-forwarded-proto': 'https' } };
const attributesOf = ({ setCookies }) => setCookies.map((line) => line.split('; ').slice(1).filter((part) => !part.startsWith('Expires')));

test('with secure: "auto" the cookie is Secure if the request came by TLS', async () => {
  await withApp({ secure: 'auto' }, async (browser) => {
    assert.deepEqual(attributesOf(await browser.get('/write')), [['HttpOnly', 'Path=/', 'SameSite=Lax']]);
    assert.deepEqual(attributesOf(await browser.get('/rotate', HTTPS)), [['Secure', 'HttpOnly', 'Path=/', 'SameSite=Lax']]);
  });
});

test('with secure: "auto" the cookie of an app that wants TLS stays Secure', async () => {
  await withApp({ secure: 'auto' }, async (browser) => {
    assert.deepEqual(attributesOf(await browser.get('/write')), [['Secure', 'HttpOnly', 'Path=/', 'SameSite=Lax']]);
  }, 'secure');
});

test('with sameSite: "auto" the cookie is for other sites if the request came by TLS', async () => {
  await withApp({ sameSite: 'auto' }, async (browser) => {
    assert.deepEqual(attributesOf(await browser.get('/write')), [['HttpOnly', 'Path=/', 'SameSite=Lax']]);
    assert.deepEqual(attributesOf(await browser.get('/rotate', HTTPS)), [['Secure', 'HttpOnly', 'Path=/', 'SameSite=None']]);
  });
});

test('a function chooses by request, and a deletion repeats what the cookie was set with', async () => {
  const cookie = (request) => ({ domain: request.get('x-tenant'), path: '/shop', sameSite: 'strict' });
  const tenant = { headers: { 'x-tenant': 'tenant.example' } };
  const attributes = ['Domain=tenant.example', 'HttpOnly', 'Path=/shop', 'SameSite=Strict'];
  await withApp(cookie, async (browser) => {
    assert.deepEqual(attributesOf(await browser.get('/write', tenant)), [attributes]);
    assert.deepEqual(attributesOf(await browser.get('/logout', tenant)), [[attributes[0], 'Max-Age=0', ...attributes.slice(1)]]);
    assert.deepEqual(attributesOf(await browser.get('/write')), [attributes.slice(1)]);
  });
});

test('an application that is mounted has its cookie at its path, and no session elsewhere', async (t) => {
  const application = express();
  application.use('/shop', sessions({ service: service.address, app: 'shop', deadline: 30_000, cookie: { path: '/shop' } }));
  application.get('/shop/write', (request, response) => {
    request.session.n = (request.session.n ?? 0) + 1;
    response.end(String(request.session.n));
  });
  application.get('/shop/logout', async (request, response) => {
    await request.session.destroy();
    response.end();
  });
  application.get('/shopping', (request, response) => response.end(typeof request.session));
  const server = await serve(application);
  t.after(server.stop);
  const browser = new Browser(server.url);

  const written = await browser.get('/shop/write');

  assert.deepEqual(attributesOf(written), [['HttpOnly', 'Path=/shop', 'SameSite=Lax']]);
  assert.equal((await browser.get('/shop/write')).text, '2');
  assert.equal((await browser.get('/shopping')).text, 'undefined');
  assert.deepEqual(attributesOf(await browser.get('/shop/logout')), [['Max-Age=0', 'HttpOnly', 'Path=/shop', 'SameSite=Lax']]);
});

test('what the app forbids is refused', async () => {
  await withApp({ secure: false }, async (browser) => {
    const { status, text, setCookies } = await browser.get('/write');
    assert.deepEqual([status, setCookies], [500, []]);
    assert.match(text, /^cookie_attributes: secure: /);
  }, 'secure');
});

test('an attribute that is a setting of the service is refused, with advice', () => {
  for (const cookie of [{ httpOnly: false }, { maxAge: 1000 }, { partitioned: true }, 'secure']) {
    assert.throws(() => sessions({ cookie }), /the option cookie has no|cookie is an object/);
  }
});
