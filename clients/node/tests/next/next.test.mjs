// Sessions in a production build of Next.js: route handlers, server actions, server components and `proxy.js`.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Process, waitUntil } from '../../../../tests/web/processes.mjs';
import { Service } from '../service.mjs';

const FOLDER = path.dirname(fileURLToPath(import.meta.url));
const NEXT = path.join(FOLDER, 'node_modules/next/dist/bin/next');
const env = { ...process.env, NEXT_TELEMETRY_DISABLED: '1', NODE_ENV: 'production' };

let service;
let server;
let url;

before(async () => {
  execFileSync(process.execPath, [NEXT, 'build', FOLDER], { env, cwd: FOLDER, stdio: ['ignore', 'ignore', 'inherit'] });
  service = await Service.start();
  server = new Process(process.execPath, [NEXT, 'start', FOLDER, '--hostname', '127.0.0.1', '--port', '0'], {
    env: { ...env, CLOAKROOM_ADDRESS: service.address }, cwd: FOLDER,
  });
  url = await server.whileRunning(printedUrl(server.child.stdout));
});

after(async () => {
  await server?.stop('SIGKILL');
  await service?.remove();
});

test('a server action logs in, sets the cookie of the service, and keeps what was in the session', async () => {
  const browser = new Browser();
  await browser.submit('Add', { item: 'hat' });
  const [anonymous] = browser.setCookies;

  const login = await browser.submit('Log in', { name: 'ada' });
  const page = await browser.get('/');

  assert.match(anonymous, /^session=v1\.[\w.-]+; Path=\/; HttpOnly; SameSite=lax$/);
  assert.deepEqual([login.status, login.headers.get('location')], [303, '/']);
  assert.equal(login.headers.getSetCookie().length, 1);
  assert.notEqual(valueOf(login.headers.getSetCookie()[0]), valueOf(anonymous));
  assert.deepEqual([page.who, page.cart], ['Hello, ada', 'hat']);
  assert.equal((await new Browser(valueOf(anonymous)).get('/')).who, 'not logged in');
});

test('the page that answers an action shows what the action has written', async () => {
  const browser = new Browser();
  await browser.submit('Add', { item: 'hat' });

  const answer = await browser.submit('Add', { item: 'coat' });

  assert.deepEqual([answer.status, answer.cart, answer.headers.getSetCookie()], [200, 'hat coat', []]);
});

test('a route handler counts, and requests at the same time lose nothing', async () => {
  const browser = new Browser();
  const first = await browser.send('POST', '/count');
  await Promise.all(Array.from({ length: 20 }, () => browser.send('POST', '/count')));

  const read = await browser.get('/count');

  assert.deepEqual([first.text, first.headers.getSetCookie().length, /\bCookie\b/.test(first.headers.get('vary'))], ['1', 1, true]);
  assert.equal(read.text, '21');
});

test('what only reads stores nothing and sets no cookie, and no cache shows it to others', async () => {
  const browser = new Browser();
  await browser.submit('Log in', { name: 'ada' });
  const saves = await service.countCalls('SaveSession');

  const answers = [];
  for (const reader of [new Browser(), browser]) {
    for (const target of ['/', '/count']) answers.push(await reader.get(target));
  }

  assert.equal(await service.countCalls('SaveSession'), saves);
  assert.deepEqual(answers.map(({ headers }) => headers.getSetCookie()), [[], [], [], []]);
  for (const page of [answers[0], answers[2]]) assert.match(page.headers.get('cache-control'), /\bno-store\b/);
  for (const route of [answers[1], answers[3]]) assert.match(route.headers.get('vary'), /\bCookie\b/);
});

test('the proxy lets only users through, and writes to their sessions', async () => {
  const browser = new Browser();
  await browser.submit('Log in', { name: 'grace' });

  const anonymous = await new Browser().get('/account');
  const first = await browser.get('/account');
  const second = await browser.get('/account');

  assert.deepEqual([anonymous.status, anonymous.headers.get('location'), anonymous.headers.getSetCookie()], [307, '/', []]);
  assert.deepEqual([first.who, second.who], ['The account of grace, view 1', 'The account of grace, view 2']);
  assert.deepEqual(second.headers.getSetCookie(), []);
  assert.match(second.headers.get('cache-control'), /\bno-store\b/);
});

test('a server action logs out: the cookie is deleted, and opens nothing any more', async () => {
  const browser = new Browser();
  await browser.submit('Log in', { name: 'ada' });
  const { cookie } = browser;

  const logout = await browser.submit('Log out');

  assert.equal(logout.status, 303);
  assert.match(logout.headers.getSetCookie().join(), /^session=; Path=\/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; .*HttpOnly/);
  assert.equal((await new Browser(cookie).get('/')).who, 'not logged in');
  assert.equal((await new Browser(cookie).get('/account')).status, 307);
});

test('all parts of the application share connections', async () => {
  const browser = new Browser();
  await browser.submit('Log in', { name: 'ada' });
  await browser.send('POST', '/count');
  await service.stop('SIGKILL');
  await service.launch();

  for (const target of ['/', '/count', '/account']) assert.equal((await browser.get(target)).status, 200);

  await waitUntil('there is one connection', async () => await service.countConnections() === 1);
});

test('an outage is an error, and logs nobody out', async () => {
  const browser = new Browser();
  await browser.submit('Log in', { name: 'ada' });
  await service.stop('SIGKILL');

  const [route, page] = await Promise.all([browser.get('/count'), browser.get('/')]);
  await service.launch();

  assert.deepEqual([route.status, route.headers.get('retry-after'), page.status], [503, '5', 500]);
  assert.deepEqual([route.headers.getSetCookie(), page.headers.getSetCookie()], [[], []]);
  assert.equal((await browser.get('/')).who, 'Hello, ada');
});

// A browser without scripts, so a form that a server action handles is sent as a form.
class Browser {
  setCookies = [];

  constructor(cookie) {
    this.cookie = cookie;
  }

  get(target) {
    return this.send('GET', target);
  }

  // Sends the form of the first page that has a button.
  async submit(button, fields = {}) {
    const { text } = await this.get('/');
    const form = text.match(/<form.*?<\/form>/gs).find((each) => each.includes(`>${button}</button>`));
    const body = new FormData();
    for (const [, name] of form.matchAll(/<input type="hidden" name="([^"]+)"/g)) body.append(name, '');
    for (const [name, value] of Object.entries(fields)) body.append(name, value);
    return this.send('POST', '/', body);
  }

  async send(method, target, body) {
    const headers = { origin: url, ...(this.cookie && { cookie: this.cookie }) };
    const response = await fetch(`${url}${target}`, { method, headers, body, redirect: 'manual' });
    this.setCookies = response.headers.getSetCookie();
    for (const line of this.setCookies) this.cookie = valueOf(line).endsWith('=') ? undefined : valueOf(line);
    const text = await response.text();
    const find = (id) => text.match(new RegExp(`<p id="${id}">(.*?)</p>`))?.[1];
    return { status: response.status, headers: response.headers, text, who: find('who'), cart: find('cart') };
  }
}

const valueOf = (setCookie) => setCookie.split(';')[0];

// Returns the address that `next start` prints.
const printedUrl = (output) => new Promise((resolve) => {
  let printed = '';
  output.on('data', (data) => {
    printed += data;
    const found = printed.match(/http:\/\/127\.0\.0\.1:[1-9][0-9]*(?=\s)/);
    if (found) resolve(found[0]);
  });
});
