// A user with an application on each store, in one browser: one command ends all of the user's sessions.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launchBrowser } from '../web/fixtures.mjs';
import { APP, Applications, NAMES } from './applications.mjs';

const TIMEOUT_MS = 120_000;
// Milliseconds. In a long run the end of all sessions may not take longer.
const LIMIT = Number(process.env.CLOAKROOM_TEST_ENDS_WITHIN ?? Infinity);
const ROUNDS = Number(process.env.CLOAKROOM_TEST_LOGINS ?? 1);
// The login form of Spring Security has a page of its own, and wants a password.
const LOGIN_PAGES = { 'Spring Session': '/login' };

let applications;
let chromium;

before(async () => {
  applications = await Applications.start();
  chromium = await launchBrowser();
});

after(async () => {
  await chromium?.close();
  await applications?.stop();
});

/** Opens a page of each application in a browser of one user. */
async function newUser() {
  const context = await chromium.newContext();
  context.setDefaultTimeout(TIMEOUT_MS);
  const pages = {};
  for (const name of NAMES) pages[name] = await context.newPage();
  return { context, pages };
}

async function logIn(page, name, user) {
  await page.goto(applications.urls[name] + (LOGIN_PAGES[name] ?? '/'));
  await page.locator('[name=username]').fill(user);
  const password = page.locator('[name=password]');
  if (await password.count() > 0) await password.fill('secret');
  const navigation = page.waitForNavigation();
  await page.locator('button').click();
  await navigation;
  assert.equal(await state(page, name), `logged in as ${user}`, name);
}

/** Loads the home page of an application, and returns what it says of the user. */
async function state(page, name) {
  await page.goto(`${applications.urls[name]}/`);
  return (await page.locator('body').innerText()).split('\n')[0].trim();
}

async function states({ pages }) {
  const all = await Promise.all(NAMES.map(async (name) => [name, await state(pages[name], name)]));
  return Object.fromEntries(all);
}

const everywhere = (text) => Object.fromEntries(NAMES.map((name) => [name, text]));

test('one command ends the sessions of a user in the applications of all stores, and no other session', async () => {
  for (let round = 0; round < ROUNDS; round++) {
    const [alice, bob] = [await newUser(), await newUser()];
    assert.deepEqual(await states(alice), everywhere('not logged in'));
    for (const name of NAMES) await logIn(alice.pages[name], name, 'alice');
    await logIn(bob.pages.PHP, 'PHP', 'bob');
    assert.deepEqual(await states(alice), everywhere('logged in as alice'));
    assert.equal(applications.service.sessions('list', '--app', APP, '--subject', 'alice').length, NAMES.length);

    const begin = performance.now();
    applications.service.sessions('revoke-subject', '--app', APP, 'alice');
    const revoked = performance.now();
    const after = await states(alice);
    const end = performance.now();

    assert.deepEqual(after, everywhere('not logged in'));
    assert.equal(await state(bob.pages.PHP, 'PHP'), 'logged in as bob');
    const [command, all] = [revoked - begin, end - begin].map(Math.round);
    console.log(`the command took ${command} ms, and after ${all} ms every page had said that nobody is logged in`);
    assert.ok(all <= LIMIT, `${all} ms are more than ${LIMIT}`);
    for (const { context } of [alice, bob]) await context.close();
  }
});
