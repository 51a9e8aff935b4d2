// The example apps against a real service, over HTTP and in a browser.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { App, LANGUAGES, launchBrowser, Service } from './fixtures.mjs';
import { cookieOf, get, post } from './client.mjs';
import { waitUntil } from './processes.mjs';
import { User } from './user.mjs';

const SET = /^session=v1\.[\w-]+\.[\w-]{43}\.[\w-]{43}; HttpOnly; Path=\/; SameSite=Lax$/;
const DELETE = 'session=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; HttpOnly; Path=/; SameSite=Lax';

let service;
let chromium;
const apps = {};

before(async () => {
  service = await Service.start();
  for (const language of LANGUAGES) apps[language] = await App.start(language, service);
  chromium = await launchBrowser();
});

after(async () => {
  await chromium?.close();
  for (const app of Object.values(apps)) await app.stop();
  await service?.stop();
});

for (const language of LANGUAGES) {
  const at = (path = '') => `${apps[language].url}/${path}`;
  const logIn = async (name, cookies) => cookieOf(await post(at('login'), { form: { name }, cookies }));

  describe(`the ${language} app, over HTTP`, () => {
    test('a read varies by the cookie and sets none', async () => {
      const read = await get(at());

      assert.deepEqual([read.status, read.vary, read.setCookie], [200, ['Cookie'], []]);
      assert.deepEqual([read.who, read.count], ['not logged in', '0']);
    });

    test('a page that does not use the session sends none of its headers', async () => {
      const missing = await get(at('favicon.ico'));

      assert.deepEqual([missing.status, missing.vary, missing.setCookie], [404, [], []]);
    });

    test('the first write sets the cookie and the next one does not', async () => {
      const first = await post(at('count'));
      const second = await post(at('count'), { cookies: cookieOf(first) });

      assert.deepEqual([first.status, first.vary, first.count], [200, ['Cookie'], '1']);
      assert.equal(first.setCookie.length, 1);
      assert.match(first.setCookie[0], SET);
      assert.deepEqual([second.status, second.vary, second.count], [200, ['Cookie'], '2']);
      assert.deepEqual(second.setCookie, []);
    });

    test('a login keeps the counter under a new cookie', async () => {
      const anonymous = cookieOf(await post(at('count')));

      const login = await post(at('login'), { form: { name: 'Ada' }, cookies: anonymous });
      const read = await get(at(), cookieOf(login));

      assert.deepEqual([login.status, login.location, login.vary], [303, ['/'], ['Cookie']]);
      assert.equal(login.setCookie.length, 1);
      assert.match(login.setCookie[0], SET);
      assert.notEqual(cookieOf(login), anonymous);
      assert.deepEqual([read.who, read.count, read.vary, read.setCookie], ['Hello, Ada', '1', ['Cookie'], []]);
    });

    test('a browser whose cookie is older than a login can log in', async () => {
      const anonymous = cookieOf(await post(at('count')));
      await logIn('Ada', await logIn('Ada', anonymous));

      const login = await post(at('login'), { form: { name: 'Grace' }, cookies: anonymous });
      const read = await get(at(), cookieOf(login));

      assert.deepEqual([login.status, login.setCookie.length], [303, 1]);
      assert.deepEqual([read.who, read.count], ['Hello, Grace', '0']);
    });

    test('a cookie that is older than the login opens a session of its own', async () => {
      const anonymous = cookieOf(await post(at('count')));
      const ada = await logIn('Ada', anonymous);

      const read = await get(at(), anonymous);
      const write = await post(at('count'), { cookies: anonymous });

      assert.deepEqual([read.status, read.who, read.count, read.setCookie], [200, 'not logged in', '0', []]);
      assert.deepEqual([write.status, write.who, write.count, write.setCookie], [200, 'not logged in', '1', []]);
      assert.equal((await get(at(), ada)).count, '1');
    });

    test('writes beside two logins never set a cookie, and each login sets one that works', async () => {
      for (let round = 0; round < 10; round += 1) {
        const anonymous = cookieOf(await post(at('count')));
        const count = () => post(at('count'), { cookies: anonymous });
        const submit = () => post(at('login'), { form: { name: 'Ada' }, cookies: anonymous });

        const [first, login, second, other, third] =
          await Promise.all([count(), submit(), count(), submit(), count()]);

        for (const { status, setCookie } of [first, second, third]) {
          assert.ok([200, 409].includes(status), `a write is answered ${status}`);
          assert.deepEqual(setCookie, []);
        }
        for (const { status, setCookie } of [login, other]) assert.deepEqual([status, setCookie.length], [303, 1]);
        for (const answer of [login, other]) assert.equal((await get(at(), cookieOf(answer))).who, 'Hello, Ada');
      }
    });

    test('a logout deletes the cookie with every attribute that it was set with', async () => {
      const ada = await logIn('Ada');

      const logout = await post(at('logout'), { cookies: ada });

      assert.deepEqual([logout.status, logout.location, logout.vary], [303, ['/'], ['Cookie']]);
      assert.deepEqual(logout.setCookie, [DELETE]);
    });

    test('the old cookie opens no session after a logout', async () => {
      const ada = await logIn('Ada');
      await post(at('count'), { cookies: ada });
      await post(at('logout'), { cookies: ada });

      const read = await get(at(), ada);

      assert.deepEqual([read.status, read.who, read.count, read.setCookie], [200, 'not logged in', '0', []]);
    });

    test('a write sends a new cookie after the signing key has changed', async () => {
      const old = await post(at('count'));
      const anonymous = await post(at('count'));
      await service.process.stop();
      service.addKey();
      await service.launch();

      const login = await post(at('login'), { form: { name: 'Ada' }, cookies: cookieOf(anonymous) });
      const renewed = await post(at('count'), { cookies: cookieOf(old) });
      const next = await post(at('count'), { cookies: cookieOf(renewed) });

      assert.equal(login.setCookie.length, 1);
      assert.equal((await get(at(), cookieOf(login))).who, 'Hello, Ada');
      assert.equal(renewed.setCookie.length, 1);
      assert.match(renewed.setCookie[0], SET);
      assert.notEqual(cookieOf(renewed), cookieOf(old));
      assert.deepEqual([renewed.count, next.count, next.setCookie], ['2', '3', []]);
    });

    test('several Cookie lines with bytes beyond ASCII are one Cookie header', async () => {
      const ada = await logIn('Ada');

      const read = await get(at(), ['theme=caf\xe9', ada, 'last=\xff']);

      assert.equal(read.who, 'Hello, Ada');
    });

    test('no cookie and no name makes a request fail', async () => {
      const cookies = ['session=v1.a.b.c', 'session', '=;,;==', `a=${'\xe9'.repeat(4000)}`, 'session=v1.a.b.c; '.repeat(500)];
      const names = ['%00', '%ED%A0%80', '%FF', '%F0%9F%98%80'.repeat(64)];

      const reads = await Promise.all(cookies.map((cookie) => get(at(), cookie)));
      const logins = await Promise.all(names.map((name) => post(at('login'), { form: `name=${name}` })));

      assert.deepEqual(reads.map(({ status }) => status), cookies.map(() => 200));
      assert.deepEqual(logins.map(({ status }) => status), names.map(() => 303));
    });

    test('the cookies of two sessions make a write a 400, and a logout ends both', async () => {
      const both = [await logIn('Ada'), await logIn('Bob')];

      const [read, counted] = [await get(at(), both), await post(at('count'), { cookies: both })];
      const logout = await post(at('logout'), { cookies: both });

      assert.deepEqual([read.status, read.who, counted.status, counted.setCookie], [200, 'not logged in', 400, []]);
      assert.deepEqual([logout.status, logout.setCookie], [303, [DELETE]]);
      for (const cookie of both) assert.equal((await get(at(), cookie)).who, 'not logged in');
    });

    test('an empty name and one of more than 64 characters are refused', async () => {
      const refused = ['', 'x'.repeat(65)].map((name) => post(at('login'), { form: { name } }));

      for (const { status, setCookie } of await Promise.all(refused)) {
        assert.deepEqual([status, setCookie], [400, []]);
      }
    });
  });

  describe(`the ${language} app, in a browser`, () => {
    test('a user logs in, counts and logs out, and then the cookie opens no session', async () => {
      const user = await User.open(chromium, at());
      await user.logIn('Ada');
      await user.count(1);
      await user.count(2);
      const [cookie, ...others] = await user.context.cookies();

      await user.logOut();

      assert.deepEqual(others, []);
      const { name, value, ...attributes } = cookie;
      assert.deepEqual(attributes, {
        domain: '127.0.0.1', path: '/', expires: -1, httpOnly: true, secure: false, sameSite: 'Lax',
      });
      assert.deepEqual(await user.context.cookies(), []);
      assert.equal((await get(at(), `${name}=${value}`)).who, 'not logged in');
      await user.close();
    });

    test('two tabs that count at the same time lose no count', async () => {
      const user = await User.open(chromium, at());
      await user.logIn('Ada');
      const tabs = [user.page, await user.openTab(at())];

      const counts = (await Promise.all(tabs.map((tab) => tab.evaluate(countTwentyTimesAtOnce)))).flat();

      const expected = Array.from({ length: 40 }, (_, i) => i + 1);
      assert.deepEqual(counts.sort((a, b) => a - b), expected);
      await user.count(41);
      await user.close();
    });

    test('a name is shown as text and not as HTML', async () => {
      const user = await User.open(chromium, at());

      await user.logIn(`<b id="bold">Zoë</b> & "co" 'n' 😀`);

      assert.equal(await user.page.locator('#bold').count(), 0);
      await user.close();
    });
  });
}

describe('the three apps together', () => {
  for (const [i, first] of LANGUAGES.entries()) {
    const others = LANGUAGES.toSpliced(i, 1);

    test(`a session that starts in the ${first} app continues in ${others.join(' and ')}`, async () => {
      const user = await User.open(chromium, apps[first].url);
      await user.logIn('Zoë & Söhne 😀');
      await user.count(1);

      for (const [j, other] of others.entries()) {
        await user.goTo(apps[other].url);
        await user.waitForName('Hello, Zoë & Söhne 😀');
        await user.count(2 + j);
      }
      await user.logOut();

      await user.goTo(apps[first].url);
      await user.waitForName('not logged in');
      await user.close();
    });
  }

  test('a service that does not answer gives 503 and logs no user out', async (t) => {
    const ada = cookieOf(await post(`${apps.go.url}/login`, { form: { name: 'Ada' } }));
    await service.process.suspend();
    t.after(() => service.process.resume());

    const during = await Promise.all(Object.values(apps).map(({ url }) => get(url, ada)));
    service.process.resume();

    for (const { status, setCookie, who } of during) {
      assert.deepEqual([status, setCookie], [503, []]);
      assert.notEqual(who, 'not logged in');
    }
    await checkEveryApp(ada, 'Hello, Ada');
  });

  test('a service that is down gives 503, and its sessions survive the restart', async () => {
    const ada = cookieOf(await post(`${apps.go.url}/login`, { form: { name: 'Ada' } }));
    await service.process.stop();

    const during = await Promise.all(Object.values(apps).map(({ url }) => get(url, ada)));
    await service.launch();

    for (const { status, setCookie, who } of during) {
      assert.deepEqual([status, setCookie], [503, []]);
      assert.notEqual(who, 'not logged in');
    }
    await checkEveryApp(ada, 'Hello, Ada');
  });
});

// Waits until every app can read the session again, and checks that it does.
async function checkEveryApp(cookies, who) {
  for (const { url } of Object.values(apps)) {
    await waitUntil(`${url} answers 200`, async () => (await get(url, cookies)).status === 200);
    assert.equal((await get(url, cookies)).who, who);
  }
}

// Runs in the browser.
function countTwentyTimesAtOnce() {
  const count = async () => {
    const page = await (await fetch('/count', { method: 'POST' })).text();
    return Number(new DOMParser().parseFromString(page, 'text/html').querySelector('#count').textContent);
  };
  return Promise.all(Array.from({ length: 20 }, count));
}
