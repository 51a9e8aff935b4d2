// Express with passport and CSRF tokens, in a browser that loses answers.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { send } from './client.mjs';
import { App, Service } from './fixtures.mjs';

const CREDENTIALS = { username: 'Ada', password: 'correct horse' };
// Each step returns the answer. The browser may or may not receive it.
const STEPS = [
  (browser) => browser.send('GET', 'login'),
  (browser) => browser.send('POST', 'login', CREDENTIALS),
  (browser) => browser.send('GET', ''),
  (browser) => browser.send('POST', 'note', { text: 'milk' }),
  (browser, way) => browser.send('POST', 'logout', { way }),
];
const [openForm, submitLogin, , writeNote, logOut] = STEPS;
const WAYS_TO_LOG_OUT = ['clear', 'keepSessionInfo', 'destroy'];

let service;
let app;

before(async () => {
  service = await Service.start();
  app = await App.start('express', service);
});

after(async () => {
  await app?.stop();
  await service?.stop();
});

for (const way of WAYS_TO_LOG_OUT) {
  test(`a user logs in, writes and logs out by ${way}`, async () => {
    const browser = new Browser();
    const statuses = [];
    for (const step of STEPS) statuses.push(browser.receive(await step(browser, way)).status);
    const home = browser.receive(await browser.send('GET', ''));

    assert.deepEqual(statuses, [200, 302, 200, 303, 303]);
    assert.deepEqual([home.who, home.count], ['not logged in', way === 'keepSessionInfo' ? '1' : '0']);
  });

  test(`whichever answers are lost before and after a logout by ${way}, the next login works`, async () => {
    // The bits of a number are the answers that are lost, and whether the pages have a beacon.
    await atOnce(2 ** (STEPS.length + 1), async (bits) => {
      const hasBeacon = bits >> STEPS.length;
      const browser = new Browser();
      for (const [i, step] of STEPS.entries()) {
        if (hasBeacon) browser.receive(await browser.send('GET', 'beacon'));
        const answer = await step(browser, way);
        if (!(bits >> i & 1)) browser.receive(answer);
      }

      await logsIn(browser);
    });
  });
}

for (const [i, step] of STEPS.entries()) {
  test(`when the answer of step ${i + 1} is lost several times, the next login works`, async () => {
    for (const way of WAYS_TO_LOG_OUT) {
      const browser = new Browser();
      for (const earlier of STEPS.slice(0, i)) browser.receive(await earlier(browser, way));

      for (let n = 0; n < 5; n += 1) await step(browser, way);

      await logsIn(browser);
    }
  });
}

test('several logins in a row can lose their answers', async () => {
  const browser = new Browser();
  for (let n = 0; n < 6; n += 1) {
    browser.receive(await openForm(browser));
    assert.ok(isLogin(await submitLogin(browser)));
  }

  await logsIn(browser);
});

test('a double click on a login costs at most that one answer', async () => {
  await atOnce(60, async (n) => {
    const browser = await browserBeforeLogin(n);
    // The browser drops the first answer, because the second click replaced its request.
    const [, second] = await Promise.all([submitLogin(browser), submitLogin(browser)]);
    browser.receive(second);

    if (!isLogin(second)) await logsIn(browser);
    assert.equal((await browser.send('GET', '')).who, 'Hello, Ada');
  });
});

test('no automatic write replaces the cookie of a login', async () => {
  await atOnce(300, async (n) => {
    const browser = await browserBeforeLogin(n);
    const beacon = () => browser.send('GET', 'beacon');
    const [first, login, second] = await Promise.all([beacon(), submitLogin(browser), beacon()]);
    const beacons = [first, second, await beacon()];

    // The answers of the beacons arrive after that of the login.
    for (const answer of [login, ...beacons]) browser.receive(answer);
    assert.ok(isLogin(login));
    for (const { status } of beacons) assert.ok([204, 409].includes(status), `a beacon is answered ${status}`);
    assert.equal((await browser.send('GET', '')).who, 'Hello, Ada');
  });
});

test('a browser with the cookies of two sessions can log in', async () => {
  const [browser, attacker] = [new Browser(), new Browser()];
  for (const each of [browser, attacker]) each.receive(await openForm(each));
  browser.planted = attacker.jar.get('session');

  const write = browser.receive(await browser.send('GET', 'beacon'));

  assert.deepEqual([write.status, write.setCookie], [400, []]);
  await logsIn(browser);
  assert.equal((await attacker.send('GET', '')).who, 'not logged in');
});

test('a write and a login set one cookie after the signing key has changed', async () => {
  const [writer, other] = [new Browser(), new Browser()];
  for (const browser of [writer, other]) await logsIn(browser);
  for (const browser of [writer, other]) browser.receive(await browser.send('GET', ''));
  await service.process.stop();
  service.addKey();
  await service.launch();

  const write = writer.receive(await writeNote(writer));
  const again = writer.receive(await writeNote(writer));
  const login = other.receive(await submitLogin(other));

  assert.deepEqual([write, again, login].map(({ setCookie }) => setCookie.length), [1, 0, 1]);
  assert.deepEqual([(await writer.send('GET', '')).count, (await other.send('GET', '')).who], ['2', 'Hello, Ada']);
});

// Opens the form and submits it, and checks that the user is then logged in.
async function logsIn(browser) {
  browser.receive(await openForm(browser));
  const login = browser.receive(await submitLogin(browser));
  const home = browser.receive(await browser.send('GET', ''));

  assert.ok(isLogin(login));
  assert.equal(home.who, 'Hello, Ada');
}

// Whether an answer to the form is that of a login, which sets its cookie.
const isLogin = ({ status, location, setCookie }) => status === 302 && location[0] === '/' && setCookie.length === 1;

// Returns a browser that shows the form. For every other number, the answer of an earlier login was lost.
async function browserBeforeLogin(n) {
  const browser = new Browser();
  browser.receive(await openForm(browser));
  if (n % 2 === 0) return browser;
  await submitLogin(browser);
  browser.receive(await openForm(browser));
  return browser;
}

// Runs each number below the count, several at the same time.
function atOnce(count, run) {
  const numbers = Array.from({ length: count }, (_, n) => n).values();
  const runAll = async () => { for (const n of numbers) await run(n); };
  return Promise.all(Array.from({ length: 12 }, runAll));
}

// A cookie jar, and the CSRF token of the page that is shown.
class Browser {
  jar = new Map();
  // The value of a second session cookie, with another path, so that no answer replaces it.
  planted;

  async send(method, path, fields) {
    const cookies = [...this.jar].map(([name, value]) => `${name}=${value}`);
    if (this.planted) cookies.unshift(`session=${this.planted}`);
    const form = fields && { ...fields, csrf: this.csrf ?? '' };
    const answer = await send(method, `${app.url}/${path}`, { cookies, form });
    const names = answer.setCookie.map((line) => line.split('=')[0]);
    assert.ok(answer.status < 500, `${method} /${path} answers ${answer.status}`);
    assert.deepEqual(names, [...new Set(names)], `${method} /${path} sets a cookie once`);
    return answer;
  }

  receive(answer) {
    for (const line of answer.setCookie) {
      const [, name, value] = line.match(/^([^=]+)=([^;]*)/);
      if (/; Max-Age=0/.test(line)) this.jar.delete(name);
      else this.jar.set(name, value);
    }
    this.csrf = answer.csrf ?? this.csrf;
    return answer;
  }
}
