// The console in Chromium: an operator finds sessions, reads why they ended, and ends them; nobody else gets in.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { launchBrowser, Service } from './fixtures.mjs';

const TOKENS = { frontend: 'frontend-token', admin: 'admin-token', viewer: 'viewer-token', monitor: 'monitor-token' };
const SCREENSHOTS = process.env.CONSOLE_SCREENSHOTS;
const WAIT = { timeout: 30_000 };
let chromium;
let service;
let auditFolder;
let page;
let problems;

before(async () => {
  const hash = (token) => createHash('sha256').update(token).digest('hex');
  const settings = Object.entries(TOKENS).flatMap(([role, token]) => [
    [`CLOAKROOM__CALLERS__${role.toUpperCase()}__ROLES`, role],
    [`CLOAKROOM__CALLERS__${role.toUpperCase()}__APPS`, '*'],
    [`CLOAKROOM__CALLERS__${role.toUpperCase()}__TOKEN_HASHES`, hash(token)],
  ]);
  auditFolder = fs.mkdtempSync(path.join(os.tmpdir(), 'cloakroom-console-'));
  settings.push(['CLOAKROOM__AUDIT__FOLDER', auditFolder]);
  service = await Service.start({ environment: Object.fromEntries(settings) });
  chromium = await launchBrowser();
});

after(async () => {
  await chromium?.close();
  await service?.stop();
  fs.rmSync(auditFolder, { recursive: true, force: true });
});

afterEach(async () => {
  await page?.context().close();
  page = undefined;
});

test('an operator finds a subject, reads a session with its entries on demand, and ends it', async () => {
  const { id } = await logIn('ada', { colour: '"green"', '<b>name</b>': '"<img src=x onerror=alert(1)>"' });
  await open('admin');

  await find('ada');
  await heading('Sessions of ada');
  await page.getByRole('row').filter({ hasText: '198.51.100.7' }).waitFor(WAIT);
  await shot('subject');
  await page.getByRole('link', { name: id.slice(0, 12) }).click();
  await heading('Session');
  assert.equal(await page.getByText('"green"').count(), 0, 'entries are shown on demand only');
  await page.getByRole('button', { name: 'Show the entries' }).click();
  await page.getByText('"green"').waitFor(WAIT);
  await page.getByText('"<img src=x onerror=alert(1)>"').waitFor(WAIT);
  await shot('session');
  await page.getByRole('button', { name: 'End this session' }).click();
  await page.getByRole('button', { name: 'End it' }).click();

  await page.getByText('The session has ended.').waitFor(WAIT);
  await page.getByText('An operator or the user ended it.').waitFor(WAIT);
  assert.equal((await info(id)).endReason, 'END_REASON_REVOKED');
});

test('all sessions of a subject end after a confirmation, and none without it', async () => {
  await logIn('bob');
  await logIn('bob');
  await open('admin');
  await find('bob');

  await page.getByRole('button', { name: 'End all sessions of bob' }).click();
  await page.getByRole('button', { name: 'Cancel' }).click();
  assert.equal((await list('bob')).length, 2);
  await page.getByRole('button', { name: 'End all sessions of bob' }).click();
  await page.keyboard.press('Escape');
  assert.equal((await list('bob')).length, 2);
  await page.getByRole('button', { name: 'End all sessions of bob' }).click();
  await page.getByRole('button', { name: 'End them all' }).click();

  await page.getByText('2 sessions of bob have ended.').waitFor(WAIT);
  assert.deepEqual(await list('bob'), []);
});

test('the ends in the audit log are shown for a session and for a subject, to a viewer too', async () => {
  const { id } = await logIn('hugo');
  await call('admin', 'AdminService/RevokeSession', { id });
  await endInLog(id);
  await open('viewer');

  await find('hugo');
  await heading('Sessions of hugo');
  const end = page.getByRole('row').filter({ hasText: 'revoked' }).filter({ hasText: 'AdminService/RevokeSession' });
  await end.filter({ hasText: 'admin' }).waitFor(WAIT);
  await shot('ends-of-a-subject');
  await end.getByRole('link', { name: id.slice(0, 12) }).click();
  await heading('Session');
  await page.getByRole('heading', { name: 'Ends in the audit log' }).waitFor(WAIT);
  await end.waitFor(WAIT);
  await shot('ends-of-a-session');
});

test('a session that the store does not know has no end in the log, and the page says both', async () => {
  await open('viewer');

  await find('0'.repeat(32));
  await page.getByText('No end is in it.').waitFor(WAIT);
  await page.getByRole('alert').waitFor(WAIT);
  problems.length = 0; // Chromium logs the refused call.
});

test('an audit log that cannot be read is not shown as an empty one', async () => {
  const { id } = await logIn('ines');
  const noFile = path.join(auditFolder, 'session-ends-2999-01-01.jsonl');
  fs.mkdirSync(noFile);
  await open('viewer');

  await find(id);
  await heading('Session');
  await page.getByText('the audit log of this replica cannot be read').waitFor(WAIT);
  fs.rmdirSync(noFile);
  problems.length = 0; // Chromium logs the refused call.
});

test('a cookie is explained, and the page keeps no copy of it', async () => {
  const { token, id } = await logIn('carol');
  await call('admin', 'AdminService/RevokeSession', { id });
  await open('admin');

  await page.getByLabel('Cookie header or token').fill(`Cookie: session=${token}`);
  await page.getByRole('button', { name: 'Explain' }).click();

  await page.getByText('Its session has ended.').waitFor(WAIT);
  await page.getByText('An operator or the user ended it.').waitFor(WAIT);
  assert.ok(!(await page.content()).includes(token));
});

test('events appear as they happen', async () => {
  await open('admin');
  await page.getByRole('link', { name: 'Events' }).click();
  await page.getByText('Live. Events appear as they happen.').waitFor(WAIT);

  const { id } = await logIn('dora');
  await call('admin', 'AdminService/RevokeSession', { id });

  await page.getByRole('row').filter({ hasText: 'ended: revoked' }).filter({ hasText: id.slice(0, 12) }).waitFor(WAIT);
  await page.getByRole('row').filter({ hasText: 'created' }).filter({ hasText: id.slice(0, 12) }).waitFor(WAIT);
  await shot('events');
});

test('every session of an app ends only after its name is typed', async () => {
  const { id } = await logIn('erin');
  await open('admin');
  await page.getByRole('link', { name: 'App', exact: true }).click();
  await heading('App default');
  await page.getByText('Idle timeout', { exact: true }).waitFor(WAIT);
  await shot('app');

  await page.getByRole('button', { name: 'End every session' }).click();
  const agree = page.getByRole('dialog').getByRole('button', { name: 'End every session' });
  assert.ok(await agree.isDisabled());
  await page.getByLabel('Type default to go on').fill('defaul');
  assert.ok(await agree.isDisabled());
  await page.getByLabel('Type default to go on').fill('default');
  await shot('dialog');
  await agree.click();

  await page.getByText('Every session of default has ended.').waitFor(WAIT);
  assert.equal((await info(id)).endReason, 'END_REASON_REVOKED');
});

test('a viewer reads and has no button that ends anything', async () => {
  await logIn('fred');
  await open('viewer');
  await find('fred');
  await heading('Sessions of fred');
  await page.getByRole('link', { name: 'Service' }).click();
  await page.getByText('viewer', { exact: true }).first().waitFor(WAIT);
  await page.getByRole('row').filter({ hasText: 'frontend' }).waitFor(WAIT);
  await shot('service');

  assert.equal(await page.getByRole('button', { name: /End/ }).count(), 0);
  assert.equal((await list('fred')).length, 1);
  await assert.rejects(call('viewer', 'AdminService/RevokeSubject', { subject: 'fred' }), /ROLE_MISSING/);
});

test('a wrong token and one of another role show nothing but the reason', async () => {
  for (const [token, reason] of [['wrong', 'The service does not know this token'], [TOKENS.monitor, 'does not have the role viewer']]) {
    await open();
    await page.getByLabel('Token').fill(token);
    await page.getByRole('button', { name: 'Log in' }).click();

    await page.getByText(reason).waitFor(WAIT);
    await heading('Log in');
    problems.length = 0; // Chromium logs the refused calls.
    await page.context().close();
  }
});

test('the token is gone after a reload, and in no storage of the browser', async () => {
  await open('admin');

  const stored = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, location.href]));
  await page.reload();

  assert.ok(!stored.includes(TOKENS.admin), stored);
  await heading('Log in');
  problems.length = 0;
});

test('the whole console works by keyboard and fits 360 pixels', async () => {
  await logIn('gina');
  await open('admin', { viewport: { width: 360, height: 740 } });
  const views = { App: 'App default', Events: 'Events of default', Service: 'Service', Sessions: 'Sessions of default' };
  for (const [view, title] of Object.entries(views)) {
    await focusByTab(view);
    await page.keyboard.press('Enter');
    await heading(title);
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(width <= 360, `${view} is ${width} pixels wide`);
    await shot(`narrow-${view.toLowerCase()}`);
  }
});

// Presses Tab until the link of this name has the focus.
async function focusByTab(name) {
  for (let presses = 0; presses < 40; presses += 1) {
    await page.keyboard.press('Tab');
    if (await page.evaluate(() => document.activeElement.textContent) === name) return;
  }
  assert.fail(`no press of Tab reaches ${name}`);
}

// Opens the console, and logs in by the token of this role.
async function open(role, options = {}) {
  page = await (await chromium.newContext(options)).newPage();
  problems = [];
  page.on('pageerror', (error) => problems.push(String(error)));
  page.on('dialog', (dialog) => problems.push(`a dialog: ${dialog.message()}`));
  await page.goto(`http://127.0.0.1:${service.adminPort}/console`);
  await heading('Log in');
  if (!role) return;
  await page.getByLabel('Token').fill(TOKENS[role]);
  await page.getByRole('button', { name: 'Log in' }).click();
  await heading('Sessions of default');
}

const heading = (name) => page.getByRole('heading', { name, level: 1 }).waitFor(WAIT);

async function find(subject) {
  await page.getByLabel('Subject or session id').fill(subject);
  await page.keyboard.press('Enter');
}

async function shot(name) {
  assert.deepEqual(problems, []);
  if (SCREENSHOTS) await page.screenshot({ path: path.join(fs.realpathSync(SCREENSHOTS), `${name}.png`), fullPage: true });
}

// Stores a session of a subject; returns its token and id.
async function logIn(subject, entries = { cart: '[1,2]' }) {
  const { session } = await call('frontend', 'SessionService/OpenSession', {});
  const set = Object.fromEntries(Object.entries(entries).map(([name, json]) => [name, { json }]));
  const context = { remoteAddress: '198.51.100.7', userAgent: 'Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0' };
  const saved = await call('frontend', 'SessionService/SaveSession', { token: session.token, changes: { set, subject }, context });
  return saved.session;
}

// Waits until the audit log has an end of the session.
async function endInLog(id) {
  const list = async () => (await call('viewer', 'AdminService/ListSessionEnds', { id })).ends ?? [];
  while ((await list()).every(({ reason }) => reason !== 'END_REASON_REVOKED'));
}

const info = async (id) => (await call('admin', 'AdminService/GetSession', { id })).session;
const list = async (subject) => (await call('admin', 'AdminService/ListSessions', { subject })).sessions ?? [];

async function call(role, rpc, message) {
  const port = rpc.startsWith('Admin') ? service.adminPort : service.port;
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${TOKENS[role]}` };
  const response = await fetch(`http://127.0.0.1:${port}/cloakroom.v1.${rpc}`, { method: 'POST', headers, body: JSON.stringify(message) });
  const text = await response.text();
  if (!response.ok) throw new Error(text);
  return JSON.parse(text);
}
