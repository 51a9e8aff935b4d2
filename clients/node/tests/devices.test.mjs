// The page of a user's devices in examples/express, at the real service.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import express from 'express';
import { AdminClient } from 'cloakroom-sessions/admin';
import { sessions } from 'cloakroom-sessions/express';
import { addDevices } from '../../../examples/express/devices.mjs';
import { Browser, serve } from './app.mjs';
import { Service } from './service.mjs';

let service;
let server;

before(async () => {
  service = await Service.start();
  const app = express();
  app.use(sessions({ service: service.address, app: 'shop', deadline: 10_000 }));
  app.use(express.urlencoded());
  app.get('/', (req, res) => res.send('the first page'));
  app.post('/login', async (req, res) => {
    await req.session.regenerate();
    req.session.subject = req.body.name;
    res.redirect('/devices');
  });
  addDevices(app, new AdminClient({ service: `127.0.0.1:${service.adminPort}`, app: 'shop', deadline: 10_000 }));
  server = await serve(app);
});

after(async () => {
  server?.stop();
  await service?.remove();
});

// Returns a browser that is logged in.
async function logIn(name, userAgent) {
  const browser = new Browser(server.url);
  browser.userAgent = userAgent;
  await browser.post('/login', { name }, { headers: { 'user-agent': userAgent } });
  return browser;
}

const pageOf = (browser) => browser.get('/devices', { headers: { 'user-agent': browser.userAgent } });
const csrfOf = (text) => text.match(/name="csrf" value="(\w+)"/)[1];
const idOf = (text, userAgent) => text.match(new RegExp(`<li id="(\\w+)">\\s+${userAgent}`))[1];

test('a user sees all devices and logs one of them out', async () => {
  const [phone, laptop] = [await logIn('ada', 'Phone'), await logIn('ada', '&lt;Laptop')];
  const { text } = await pageOf(laptop);

  const id = idOf(text, 'Phone');
  const ended = await laptop.post('/devices/end', { id, csrf: csrfOf(text) });

  assert.equal(text.match(/<li/g).length, 2);
  assert.match(text, /&#38;lt;Laptop, 127\.0\.0\.1,\s+last used .* UTC, this one/);
  assert.deepEqual([ended.status, (await pageOf(phone)).status, (await pageOf(laptop)).status], [302, 302, 200]);
});

test('a user logs out everywhere else', async () => {
  const [phone, laptop, tablet] = [await logIn('bob', 'Phone'), await logIn('bob', 'Laptop'), await logIn('bob', 'Tablet')];
  const { text } = await pageOf(laptop);

  await laptop.post('/devices/end-others', { csrf: csrfOf(text) });

  assert.deepEqual([(await pageOf(phone)).status, (await pageOf(laptop)).status, (await pageOf(tablet)).status], [302, 200, 302]);
});

test('no user ends the device of another one, and no form of another site ends any', async () => {
  const [victim, eve] = [await logIn('carol', 'Phone'), await logIn('eve', 'Laptop')];
  const id = idOf((await pageOf(victim)).text, 'Phone');
  const { text } = await pageOf(eve);

  const foreign = await eve.post('/devices/end', { id, csrf: csrfOf(text) });
  const forged = await victim.post('/devices/end-others', { csrf: 'x' });

  assert.deepEqual([foreign.status, forged.status, (await pageOf(victim)).status], [404, 403, 200]);
});
