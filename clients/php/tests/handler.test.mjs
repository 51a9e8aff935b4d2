// PHP's session functions on the handler, under PHP's own web server and php-fpm, with the real service.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Service } from '../../node/tests/service.mjs';
import { CliServer, FpmServer } from './servers.mjs';

const APPS = `
[apps.php]
kind = "external"
subject_key = "user.id"
`;
const ROUNDS = Number(process.env.CLOAKROOM_TEST_ROUNDS ?? 100);
// Both servers with both formats. Without lazy_write PHP calls `write` also if nothing has changed.
const STARTS = {
  'php -S': (env) => CliServer.start(env, { 'session.serialize_handler': 'php' }),
  'php -S with php_serialize': (env) => CliServer.start(env, { 'session.serialize_handler': 'php_serialize' }),
  'php-fpm': (env) => FpmServer.start(env, { 'session.serialize_handler': 'php_serialize' }),
  'php-fpm with php, without lazy_write': (env) =>
    FpmServer.start(env, { 'session.serialize_handler': 'php', 'session.lazy_write': '0' }),
};

test('random sessions are split and joined without a loss', () => {
  const script = fileURLToPath(new URL('entries_test.php', import.meta.url));
  const args = ['-d', 'display_errors=stderr', '-d', 'log_errors=0', script, process.env.CLOAKROOM_TEST_SESSIONS ?? '1000'];
  assert.equal(execFileSync('php', args, { encoding: 'utf8' }), 'ok\n');
});

for (const [name, start] of Object.entries(STARTS)) {
  describe(name, () => {
    let service;
    let server;
    const used = new Set();

    before(async () => {
      service = await Service.start({ more: APPS });
      server = await start({ HANDLER: 'cloakroom', CLOAKROOM_ADDRESS: `unix:${service.socket}` });
    });

    after(async () => {
      await server?.stop();
      await service?.remove();
    });

    const listed = (...args) => service.sessions('--app', 'php', 'list', ...args);

    // Each calls what it has seen, for the last test looks for it.
    const newBrowser = () => {
      const browser = server.browser();
      const tryGet = browser.tryGet.bind(browser);
      browser.tryGet = async (...args) => {
        const response = await tryGet(...args);
        if (browser.id) used.add(browser.id);
        return response;
      };
      return browser;
    };

    const gate = (file) => server.gate(file);
    const set = (browser, key, value) => browser.get('set', { name: key, value: JSON.stringify(value) });

    test('a session lives from its first member to its end', async () => {
      const browser = newBrowser();
      await set(browser, 'cart', { items: [1, 2.5, 'ü'] });
      const { id } = browser;
      await set(browser, 'note', null);
      await browser.get('object', { name: 'thing', value: 'text' });
      const { entries } = await browser.get('read');
      await browser.get('unset', { name: 'cart' });
      const { entries: later } = await browser.get('read');

      assert.deepEqual(entries, { cart: { items: [1, 2.5, 'ü'] }, note: null, thing: { next: null, text: 'text' } });
      assert.deepEqual(later, { note: null, thing: { next: null, text: 'text' } });
      assert.equal(browser.id, id);
      assert.match(id, /^[0-9a-f]{48}$/);

      assert.equal((await browser.get('destroy')).result, true);
      assert.deepEqual((await browser.get('read')).entries, {});
      assert.notEqual(browser.id, id, 'the id of an ended session is replaced');
    });

    test('a session that was emptied keeps its id', async () => {
      const browser = newBrowser();
      await set(browser, 'a', 1);
      const { id } = browser;
      await browser.get('clear');
      await set(browser, 'b', 2);
      assert.deepEqual([(await browser.get('read')).entries, browser.id], [{ b: 2 }, id]);
    });

    test('an object that two members share stays one object', async () => {
      const browser = newBrowser();
      await browser.get('object', { name: 'thing', value: 'shared' });
      await browser.get('link', { name: 'thing' });
      assert.equal((await browser.get('linked', { name: 'thing' })).result, 'shared');
      await set(browser, 'thing', 'apart');
      assert.equal((await browser.get('read')).entries.thing, 'apart');
    });

    test('a visitor without content is not stored, and an id that a browser chose is not taken', async () => {
      const before = listed().length;
      const browser = newBrowser();
      for (const id of ['', 'a'.repeat(48), 'short', 'a'.repeat(300), '%00%ff']) {
        browser.cookie = id && `PHPSESSID=${id}`;
        assert.deepEqual((await browser.get('read')).entries, {});
        assert.match(browser.id, /^[0-9a-f]{48}$/);
        assert.notEqual(browser.id, id);
      }
      assert.equal(listed().length, before);
    });

    test('a request that only reads makes one call', async () => {
      const browser = newBrowser();
      await set(browser, 'a', 1);
      const calls = async () => [await service.countCalls('OpenSession'), await service.countCalls('SaveSession')];
      const [opened, saved] = await calls();
      for (const action of ['read', 'read_and_close', 'abort']) await browser.get(action, { name: 'a', value: 'no' });
      assert.deepEqual(await calls(), [opened + 3, saved]);
      assert.deepEqual((await browser.get('read')).entries, { a: 1 });
      assert.deepEqual((await newBrowser().get('read')).entries, {});
      assert.equal(await service.countCalls('OpenSession'), opened + 4, 'a visitor without a cookie makes none');
    });

    test('session_reset has what is stored, and a session can be opened twice in a request', async () => {
      const browser = newBrowser();
      await set(browser, 'a', 1);
      assert.deepEqual((await browser.get('reset', { name: 'a', value: 'no' })).entries, { a: 1 });
      await browser.get('twice', { name: 'a', value: 'x' });
      assert.deepEqual((await browser.get('read')).entries, { a: 'x', 'a again': 'x' });
    });

    test('session_regenerate_id moves all members to another id, and ends the old one if asked to', async () => {
      for (const [remove, left] of [['0', { a: 1, b: 'x' }], ['1', {}]]) {
        const browser = newBrowser();
        await set(browser, 'a', 1);
        const old = browser.twin();
        await browser.get('regenerate', { name: 'b', value: 'x', delete: remove });

        assert.notEqual(browser.id, old.id);
        assert.deepEqual((await browser.get('read')).entries, { a: 1, b: 'x' });
        assert.deepEqual((await old.get('read')).entries, left);
      }
    });

    test('two requests at the same time keep both members', async () => {
      const browser = newBrowser();
      await set(browser, 'first', 1);
      const [left, right] = [browser.twin(), browser.twin()];
      for (let round = 0; round < ROUNDS; round++) {
        server.clearGates();
        const value = String(round);
        const first = left.get('meet', { name: 'left', other: 'right', value });
        await gate('left');
        const met = await Promise.all([first, right.get('meet', { name: 'right', other: 'left', value })]);
        assert.deepEqual(met.map(({ result }) => result), [true, true]);
        assert.deepEqual((await browser.get('read')).entries, { first: 1, left: value, right: value });
      }
    });

    test('another client can change the same session, and its bytes are left alone', async () => {
      const browser = newBrowser();
      await set(browser, 'cart', { items: [1] });
      const call = async (rpc, fields) => {
        const body = JSON.stringify({ app: 'php', key: Buffer.from(browser.id).toString('base64'), ...fields });
        const headers = { 'content-type': 'application/json' };
        const response = await fetch(`http://${service.address}/cloakroom.v1.SessionService/${rpc}`, { method: 'POST', headers, body });
        return response.json();
      };
      const bytes = { raw: Buffer.from('O:8:"stdClass":0:{}').toString('base64') };
      await call('SaveSession', { changes: { set: { other: { json: '{"a": [1, true]}' }, bytes } } });

      const { entries } = await browser.get('read');
      await set(browser, 'cart', { items: [1, 2] });
      const { session } = await call('OpenSession', {});

      assert.deepEqual(entries, { cart: { items: [1] }, other: { a: [1, true] } });
      assert.deepEqual(session.entries, { bytes, cart: { json: '{"items":[1,2]}' }, other: { json: '{"a": [1, true]}' } });
    });

    test('a slow request does not revive a session that was ended meanwhile', async () => {
      const ends = {
        DESTROYED: (browser) => browser.get('destroy'),
        REVOKED: () => service.sessions('--app', 'php', 'revoke-subject', 'eve'),
      };
      for (const [reason, end] of Object.entries(ends)) {
        const browser = newBrowser();
        await set(browser, 'user', { id: 'eve' });
        server.clearGates();
        const slow = browser.twin().get('hold', { name: 'late', value: 'yes' });
        await gate('held');
        await end(browser.twin());
        fs.writeFileSync(path.join(server.gates, 'released'), '');

        const { gone, error } = await slow;
        assert.deepEqual([gone, error], [reason, null]);
        assert.deepEqual((await browser.get('read')).entries, {});
        assert.equal(listed('--subject', 'eve').length, 0);
        await set(browser, 'again', true);
        assert.deepEqual((await browser.get('read')).entries, { again: true }, 'the user has a new session');
      }
    });

    // Lets a request of a logged-in user change its id after the session has ended.
    const moveAfterTheEnd = async (fields) => {
      const browser = newBrowser();
      await set(browser, 'user', { id: 'eve' });
      const tab = browser.twin();
      server.clearGates();
      const slow = tab.get('move', { name: 'late', value: '1', ...fields });
      await gate('held');
      service.sessions('--app', 'php', 'revoke-subject', 'eve');
      fs.writeFileSync(path.join(server.gates, 'released'), '');
      return { browser, tab, moved: await slow };
    };

    for (const [call, remove] of Object.entries({ 'session_regenerate_id(false)': '0', 'session_regenerate_id(true)': '1' })) {
      test(`${call} does not revive a session that was ended meanwhile`, async () => {
        const { browser, tab, moved } = await moveAfterTheEnd({ delete: remove });

        assert.deepEqual([moved.result, moved.gone, tab.id], [false, 'REVOKED', browser.id]);
        assert.equal(listed('--subject', 'eve').length, 0);
        assert.deepEqual((await tab.get('read')).entries, {});
      });

      test(`${call} changes the id of a session that was never stored`, async () => {
        const browser = newBrowser();
        const { result } = await browser.get('regenerate', { name: 'a', value: 'x', delete: remove });

        assert.equal(result, true);
        assert.deepEqual((await browser.get('read')).entries, { a: 'x' });
      });
    }

    test('a login whose session ended meanwhile works at the next try', async () => {
      const login = { name: 'user', value: '{"id":"eve"}', delete: '1' };
      const { tab, moved } = await moveAfterTheEnd(login);

      const { result } = await tab.get('move', login);

      assert.deepEqual([moved.result, result], [false, true]);
      assert.deepEqual((await tab.get('read')).entries, { user: { id: 'eve' } });
    });

    test('session_start begins an empty session after the id could not change', async () => {
      const { browser, tab, moved } = await moveAfterTheEnd({ delete: '1', again: '1' });

      assert.equal(moved.result, false);
      assert.notEqual(tab.id, browser.id);
      assert.deepEqual((await tab.get('read')).entries, { late: 1 });
    });

    test('the subject is a path in $_SESSION, and revoke-subject ends it everywhere at once', async () => {
      const browsers = [newBrowser(), newBrowser()];
      for (const browser of browsers) await set(browser, 'user', { id: 7 });
      assert.equal(listed('--subject', '7').length, 2);

      service.sessions('--app', 'php', 'revoke-subject', '7');
      for (const browser of browsers) assert.deepEqual((await browser.get('read')).entries, {});
    });

    test('the service is restarted, and the session is there', async () => {
      const browser = newBrowser();
      await set(browser, 'a', 1);
      await service.stop();
      const waiting = browser.get('read');
      await service.launch();
      assert.deepEqual((await waiting).entries, { a: 1 });
    });

    test('session ids are in no log and no dump', async () => {
      const browser = newBrowser();
      await set(browser, 'a', 1);
      const { page } = await browser.get('dump');
      assert.match(page, /SessionHandler/);
      assert.ok(!page.includes(browser.id), page);

      assert.ok(used.size > 10);
      const logs = [server.log, fs.readFileSync(path.join(service.folder, 'service.log'), 'utf8')].join('\n');
      for (const id of used) assert.ok(!logs.includes(id), `a session id is in a log: ${logs}`);
    });
  });
}
