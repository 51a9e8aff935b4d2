// What the example apps promise, over HTTP and in a browser, against the real service.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { App, browser, LANGUAGES, Service } from './cast.mjs';
import { cookieOf, get, post } from './client.mjs';
import { until } from './processes.mjs';

const SET = /^session=v1\.[\w-]+\.[\w-]{43}\.[\w-]{43}; HttpOnly; Path=\/; SameSite=Lax$/;
const DELETE = 'session=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; HttpOnly; Path=/; SameSite=Lax';

let service;
let chromium;
const apps = {};

before(async () => {
  service = await Service.start();
  for (const language of LANGUAGES) apps[language] = await App.start(language, service);
  chromium = await browser();
});

after(async () => {
  await chromium?.close();
  for (const app of Object.values(apps)) await app.end();
  await service?.end();
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

    test('a page that never looks at the session sends none of its headers', async () => {
      const missing = await get(at('favicon.ico'));

      assert.deepEqual([missing.status, missing.vary, missing.setCookie], [404, [], []]);
    });

    test('the first write sets the cookie and the next one leaves it as it is', async () => {
      const first = await post(at('count'));
      const second = await post(at('count'), { cookies: cookieOf(first) });

      assert.deepEqual([first.status, first.vary, first.count], [200, ['Cookie'], '1']);
      assert.equal(first.setCookie.length, 1);
      assert.match(first.setCookie[0], SET);
      assert.deepEqual([second.status, second.vary, second.count], [200, ['Cookie'], '2']);
      assert.deepEqual(second.setCookie, []);
    });

    test('a login keeps the counter under a new cookie', async () => {
      const stranger = cookieOf(await post(at('count')));

      const login = await post(at('login'), { form: { name: 'Ada' }, cookies: stranger });
      const read = await get(at(), cookieOf(login));

      assert.deepEqual([login.status, login.location, login.vary], [303, ['/'], ['Cookie']]);
      assert.equal(login.setCookie.length, 1);
      assert.match(login.setCookie[0], SET);
      assert.notEqual(cookieOf(login), stranger);
      assert.deepEqual([read.who, read.count, read.vary, read.setCookie], ['Hello, Ada', '1', ['Cookie'], []]);
    });

    test('a browser that holds a cookie from before a login can log in', async () => {
      const stranger = cookieOf(await post(at('count')));
      await logIn('Ada', await logIn('Ada', stranger));

      const login = await post(at('login'), { form: { name: 'Grace' }, cookies: stranger });
      const read = await get(at(), cookieOf(login));

      assert.deepEqual([login.status, login.setCookie.length], [303, 1]);
      assert.deepEqual([read.who, read.count], ['Hello, Grace', '0']);
    });

    test('a cookie from before the login opens nothing after it', async () => {
      const stranger = cookieOf(await post(at('count')));
      const ada = await logIn('Ada', stranger);

      const read = await get(at(), stranger);
      const write = await post(at('count'), { cookies: stranger });

      assert.deepEqual([read.status, read.who, read.count, read.setCookie], [200, 'not logged in', '0', []]);
      assert.deepEqual([write.status, write.who, write.setCookie], [409, 'This session has ended.', []]);
      assert.equal((await get(at(), ada)).count, '1');
    });

    test('a logout deletes the cookie with every attribute it was set with', async () => {
      const ada = await logIn('Ada');

      const logout = await post(at('logout'), { cookies: ada });

      assert.deepEqual([logout.status, logout.location, logout.vary], [303, ['/'], ['Cookie']]);
      assert.deepEqual(logout.setCookie, [DELETE]);
    });

    test('the old cookie opens nothing after a logout', async () => {
      const ada = await logIn('Ada');
      await post(at('count'), { cookies: ada });
      await post(at('logout'), { cookies: ada });

      const read = await get(at(), ada);

      assert.deepEqual([read.status, read.who, read.count, read.setCookie], [200, 'not logged in', '0', []]);
    });

    test('a browser that only writes is given the token that its session has under a new key', async () => {
      const old = await post(at('count'));
      await service.process.stop();
      service.addKey();
      await service.run();

      const anew = await post(at('count'), { cookies: cookieOf(old) });
      const next = await post(at('count'), { cookies: cookieOf(anew) });

      assert.equal(anew.setCookie.length, 1);
      assert.match(anew.setCookie[0], SET);
      assert.notEqual(cookieOf(anew), cookieOf(old));
      assert.deepEqual([anew.count, next.count, next.setCookie], ['2', '3', []]);
    });

    test('several lines of cookies and bytes beyond ASCII are one Cookie header', async () => {
      const ada = await logIn('Ada');

      const read = await get(at(), ['theme=caf\xe9', ada, 'last=\xff']);

      assert.equal(read.who, 'Hello, Ada');
    });

    test('a name without letters or beyond 64 is refused', async () => {
      const refused = ['', 'x'.repeat(65)].map((name) => post(at('login'), { form: { name } }));

      for (const { status, setCookie } of await Promise.all(refused)) {
        assert.deepEqual([status, setCookie], [400, []]);
      }
    });
  });

  describe(`the ${language} app, in a browser`, () => {
    test('a person logs in, counts and logs out, and the cookie is worth nothing then', async () => {
      const person = await Person.visit(at());
      await person.logIn('Ada');
      await person.count(1);
      await person.count(2);
      const [cookie, ...others] = await person.context.cookies();

      await person.logOut();

      assert.deepEqual(others, []);
      const { name, value, ...attributes } = cookie;
      assert.deepEqual(attributes, {
        domain: '127.0.0.1', path: '/', expires: -1, httpOnly: true, secure: false, sameSite: 'Lax',
      });
      assert.deepEqual(await person.context.cookies(), []);
      assert.equal((await get(at(), `${name}=${value}`)).who, 'not logged in');
      await person.leave();
    });

    test('two tabs that count at once lose nothing', async () => {
      const person = await Person.visit(at());
      await person.logIn('Ada');
      const tabs = [person.page, await person.tab(at())];

      const answered = (await Promise.all(tabs.map((tab) => tab.evaluate(countTwentyTimesAtOnce)))).flat();

      const everyNumberOnce = Array.from({ length: 40 }, (_, i) => i + 1);
      assert.deepEqual(answered.sort((a, b) => a - b), everyNumberOnce);
      await person.count(41);
      await person.leave();
    });

    test('a name is text and never markup', async () => {
      const person = await Person.visit(at());

      await person.logIn(`<b id="bold">Zoë</b> & "co" 'n' 😀`);

      assert.equal(await person.page.locator('#bold').count(), 0);
      await person.leave();
    });
  });
}

describe('the three apps together', () => {
  for (const [i, first] of LANGUAGES.entries()) {
    const others = LANGUAGES.toSpliced(i, 1);

    test(`a session that the ${first} app began continues in ${others.join(' and ')}`, async () => {
      const person = await Person.visit(apps[first].url);
      await person.logIn('Zoë & Söhne 😀');
      await person.count(1);

      for (const [j, other] of others.entries()) {
        await person.visits(apps[other].url);
        await person.sees('Hello, Zoë & Söhne 😀');
        await person.count(2 + j);
      }
      await person.logOut();

      await person.visits(apps[first].url);
      await person.sees('not logged in');
      await person.leave();
    });
  }

  test('a service that hangs is a 503 and logs nobody out', async (t) => {
    const ada = cookieOf(await post(`${apps.go.url}/login`, { form: { name: 'Ada' } }));
    await service.process.freeze();
    t.after(() => service.process.thaw());

    const during = await Promise.all(Object.values(apps).map(({ url }) => get(url, ada)));
    service.process.thaw();

    for (const { status, setCookie, who } of during) {
      assert.deepEqual([status, setCookie], [503, []]);
      assert.notEqual(who, 'not logged in');
    }
    await everywhere(ada, 'Hello, Ada');
  });

  test('a service that is down is a 503, and its sessions outlive the restart', async () => {
    const ada = cookieOf(await post(`${apps.go.url}/login`, { form: { name: 'Ada' } }));
    await service.process.stop();

    const during = await Promise.all(Object.values(apps).map(({ url }) => get(url, ada)));
    await service.run();

    for (const { status, setCookie, who } of during) {
      assert.deepEqual([status, setCookie], [503, []]);
      assert.notEqual(who, 'not logged in');
    }
    await everywhere(ada, 'Hello, Ada');
  });
});

// Waits until every app can read the session again.
async function everywhere(cookies, who) {
  for (const { url } of Object.values(apps)) {
    await until(`${url} answers 200`, async () => (await get(url, cookies)).status === 200);
    assert.equal((await get(url, cookies)).who, who);
  }
}

// Somebody with a browser profile of their own.
class Person {
  static async visit(url) {
    const person = new Person();
    person.context = await chromium.newContext();
    person.page = await person.tab(url);
    return person;
  }

  async tab(url) {
    const page = await this.context.newPage();
    await page.goto(url);
    return page;
  }

  visits(url) {
    return this.page.goto(url);
  }

  async logIn(name) {
    await this.page.locator('input[name=name]').fill(name);
    await this.page.getByRole('button', { name: 'Log in' }).click();
    await this.sees(`Hello, ${name}`);
  }

  async count(expected) {
    await this.page.getByRole('button', { name: 'Count' }).click();
    await this.page.locator('#count', { hasText: new RegExp(`^${expected}$`) }).waitFor();
  }

  async logOut() {
    await this.page.getByRole('button', { name: 'Log out' }).click();
    await this.sees('not logged in');
  }

  sees(who) {
    return this.page.locator('#who', { hasText: who }).waitFor();
  }

  leave() {
    return this.context.close();
  }
}

// Runs in the page.
function countTwentyTimesAtOnce() {
  const count = async () => {
    const page = await (await fetch('/count', { method: 'POST' })).text();
    return Number(new DOMParser().parseFromString(page, 'text/html').querySelector('#count').textContent);
  };
  return Promise.all(Array.from({ length: 20 }, count));
}
