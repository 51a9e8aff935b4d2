// One login for five applications in four languages, in a browser. Ruby calls the service without a client.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { App, launchBrowser, Service } from './fixtures.mjs';
import { get } from './client.mjs';
import { User } from './user.mjs';

const FRAMEWORKS = ['flask', 'django', 'express', 'go', 'ruby'];

let service;
let chromium;
const apps = {};

before(async () => {
  service = await Service.start();
  const name = (framework) => (framework === 'express' ? 'express_counter' : framework);
  for (const framework of FRAMEWORKS) apps[framework] = await App.start(name(framework), service);
  chromium = await launchBrowser();
});

after(async () => {
  await chromium?.close();
  for (const app of Object.values(apps)) await app.stop();
  await service?.stop();
});

for (const [i, first] of FRAMEWORKS.entries()) {
  const others = FRAMEWORKS.toSpliced(i, 1);
  const last = others.at(-1);

  test(`a login in ${first} counts in ${others.join(', ')}, and a logout in ${last} ends it for all`, async () => {
    const user = await User.open(chromium, apps[first].url);
    await user.count(1);
    const [anonymous] = await user.context.cookies();
    await user.logIn('Zoë & Söhne 😀');
    const [cookie, ...more] = await user.context.cookies();

    for (const [j, other] of others.entries()) {
      await user.goTo(apps[other].url);
      await user.waitForName('Hello, Zoë & Söhne 😀');
      await user.count(2 + j);
    }
    await user.logOut();

    assert.deepEqual(more, []);
    assert.notEqual(cookie.value, anonymous.value);
    assert.deepEqual(await user.context.cookies(), []);
    for (const { url } of Object.values(apps)) {
      for (const { name, value } of [anonymous, cookie]) {
        const { status, who, count } = await get(url, `${name}=${value}`);
        assert.deepEqual([status, who, count], [200, 'not logged in', '0'], url);
      }
    }
    await user.close();
  });
}

test('a logout in any of them is seen by a tab of the others', async () => {
  for (const framework of FRAMEWORKS) {
    const user = await User.open(chromium, apps[framework].url);
    await user.logIn('Ada');
    const tabs = [];
    for (const { url } of Object.values(apps)) tabs.push(await user.openTab(url));

    await user.logOut();

    for (const tab of tabs) {
      await tab.reload();
      assert.equal(await tab.locator('#who').textContent(), 'not logged in', `${framework}: ${tab.url()}`);
    }
    await user.close();
  }
});
