// What the handler does if it cannot do its work: outages, wrong settings, values that are too large, subjects.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import { after, afterEach, before, test } from 'node:test';
import { Service } from '../../node/tests/service.mjs';
import { CliServer } from './servers.mjs';

const APPS = `
[apps.php]
kind = "external"
[apps.php.limits]
max_session_bytes = 4096
`;

let service;
const servers = [];

before(async () => {
  service = await Service.start({ more: APPS });
});

afterEach(async () => {
  for (const server of servers.splice(0)) await server.stop();
});

after(async () => {
  await service?.remove();
});

async function serve(env = {}, settings = {}) {
  const server = await CliServer.start({ HANDLER: 'cloakroom', CLOAKROOM_ADDRESS: service.address, ...env }, settings);
  servers.push(server);
  return server;
}

const set = (browser, name, value) => browser.get('set', { name, value: JSON.stringify(value) });

test('an outage is a warning, session_start returns false, and the user is still logged in afterwards', async () => {
  const own = await Service.start({ more: APPS });
  const server = await serve({ CLOAKROOM_ADDRESS: own.address, CLOAKROOM_DEADLINE: '300' });
  const browser = server.browser();
  // The deadline is short, so that a busy machine may need more than one attempt here.
  const end = Date.now() + 60_000;
  const isSaved = async () => {
    const { status, body } = await browser.tryGet('set', { name: 'a', value: '1' });
    return status === 200 && JSON.parse(body).error === null;
  };
  while (!await isSaved()) assert.ok(Date.now() < end);
  const { cookie } = browser;
  await own.stop();

  const response = await browser.tryGet('read');

  assert.deepEqual([response.status, response.headers.get('retry-after')], [503, '5']);
  assert.match(JSON.parse(response.body).error, /Failed to read session data/);
  assert.match(server.log, /Cloakroom does not answer/);
  assert.equal(browser.cookie, cookie, 'the browser keeps its cookie');
  assert.ok(!server.log.includes(browser.id));
  await own.launch();
  for (let read; ;) {
    read = await browser.tryGet('read');
    assert.ok(Date.now() < end + 60_000);
    if (read.status !== 200) continue;
    assert.deepEqual(JSON.parse(read.body).entries, { a: 1 });
    break;
  }
  await own.remove();
});

test('register throws if a session has begun without it', async () => {
  const script = `${service.folder}/late.php`;
  fs.writeFileSync(script, `<?php require '${import.meta.dirname}/../autoload.php';
try {
  (new Cloakroom\\Session\\SessionHandler('${service.address}', 'php'))->register();
} catch (LogicException $error) {
  fwrite(STDOUT, $error->getMessage());
}`);

  const printed = execFileSync('php', ['-d', 'session.auto_start=1', '-d', `session.save_path=${service.folder}`, script], { encoding: 'utf8' });

  assert.match(printed, /switch session.auto_start off/);
});

test('a framework that has sessions of its own cannot use the handler', () => {
  const script = `${service.folder}/framework.php`;
  fs.writeFileSync(script, `<?php require '${import.meta.dirname}/../autoload.php';
$handler = new Cloakroom\\Session\\SessionHandler('${service.address}', 'php');
$calls = [
    static fn () => $handler->read(str_repeat('x', 40)),
    // What a user has written must not become an entry.
    static fn () => $handler->write(str_repeat('x', 40), serialize(['note' => '|i:0;user|s:5:"admin";z|a:1:{i:0;s:0:"'])),
];
foreach ($calls as $call) {
    try {
        $call();
    } catch (LogicException $error) {
        echo $error->getMessage(), "\\n";
    }
}`);

  const printed = execFileSync('php', [script], { encoding: 'utf8' });

  assert.match(printed, /^(PHP has not opened this handler: .*\n){2}$/);
});

test('a save that is refused says what to change', async () => {
  const server = await serve();
  const browser = server.browser();
  await set(browser, 'a', 1);
  const { error } = await set(browser, 'large', 'x'.repeat(5000));
  assert.match(error, /Failed to write session data/);
  assert.match(server.log, /SESSION_TOO_LARGE/);
  assert.deepEqual((await browser.get('read')).entries, { a: 1 });
});

test('a request that is too large is refused at once', async () => {
  const server = await serve();
  const script = `${server.folder}/large.php`;
  // The deadline is so long that the test only ends in time if nothing is repeated.
  fs.writeFileSync(script, `<?php require '${import.meta.dirname}/../autoload.php';
set_error_handler(static function (int $level, string $message): bool { echo "$message\n"; return true; });
(new Cloakroom\\Session\\SessionHandler(service: '${service.address}', app: 'php', deadline: 4 * 3_600_000))->register();
session_start();
$_SESSION['large'] = str_repeat('x', 4 << 20);`);
  const printed = execFileSync('php', [script], { encoding: 'utf8', timeout: 60_000 });
  assert.match(printed, /REQUEST_TOO_LARGE/);
});

test('without strict mode no session is opened', async () => {
  const server = await serve();
  const script = `${server.folder}/lax.php`;
  fs.writeFileSync(script, `<?php require '${import.meta.dirname}/../autoload.php';
ini_set('session.use_strict_mode', '0');
session_set_save_handler(new Cloakroom\\Session\\SessionHandler(service: '${service.address}', app: 'php'));
set_error_handler(static function (int $level, string $message): bool { echo "$message\\n"; return true; });
var_dump(session_start());`);
  const printed = execFileSync('php', [script], { encoding: 'utf8' });
  assert.match(printed, /^session.use_strict_mode is off.*call register\(\)\n.*\nbool\(false\)\n$/);
});

// Runs a script in which another handler calls that of Cloakroom, and returns what it prints as JSON.
function runWrapped(name, code) {
  const script = `${service.folder}/${name}.php`;
  fs.writeFileSync(script, `<?php require '${import.meta.dirname}/wrapper.php';
[$service, $app] = ['${service.address}', 'php'];
Wrapper::register(new Cloakroom\\Session\\SessionHandler($service, $app, onGone: static fn () => null));
session_start();
${code}`);
  return JSON.parse(execFileSync('php', [script], { encoding: 'utf8' }));
}

test('a handler that another one calls does not revive a session either', () => {
  const results = runWrapped('revive', `$results = [session_regenerate_id(true)];
$_SESSION['a'] = 1;
session_write_close();
session_start();
$other = new Cloakroom\\Session\\Client($service, $app);
$other->call('DestroySession', ['key' => base64_encode(session_id()), 'requestId' => str_repeat('r', 16)]);
$results[] = @session_regenerate_id(true);
echo json_encode($results);`);
  assert.deepEqual(results, [true, false]);
});

test('a handler that another one calls saves only what changed, also after session_create_id', () => {
  const entries = runWrapped('create_id', `$_SESSION = ['user' => 'ann', 'cart' => [1]];
session_write_close();
session_start();
session_create_id();
unset($_SESSION['user']);
session_write_close();
session_start();
echo json_encode($_SESSION);`);
  assert.deepEqual(entries, { cart: [1] });
});

test('session_reset has what another request has saved meanwhile', () => {
  const entries = runWrapped('reset', `$_SESSION['a'] = 1;
session_write_close();
session_start();
$other = new Cloakroom\\Session\\Client($service, $app);
$changes = ['set' => ['b' => ['json' => '2']]];
$other->call('SaveSession', ['key' => base64_encode(session_id()), 'requestId' => str_repeat('r', 16), 'changes' => $changes]);
session_reset();
echo json_encode($_SESSION);`);
  assert.deepEqual(entries, { a: 1, b: 2 });
});

test('setSubject names the user, and the name moves to another id', async () => {
  const browser = (await serve()).browser();
  await set(browser, 'cart', [1]);
  await browser.get('login', { value: 'ann' });
  await browser.get('regenerate', { name: 'b', value: 'x', delete: '1' });
  const subjects = () => service.sessions('--app', 'php', 'list', '--subject', 'ann').length;

  assert.equal(subjects(), 1);
  assert.deepEqual((await browser.get('read')).entries, { cart: [1], 'php:subject': 'ann', user: 'ann', b: 'x' });
  await browser.get('forget');
  assert.equal(subjects(), 0);
  assert.equal((await browser.get('read')).entries.user, 'ann');
});

test('a visitor without content is not stored in the format igbinary either', async () => {
  const before = service.sessions('--app', 'php', 'list').length;
  const { error, entries } = await (await serve({}, { 'session.serialize_handler': 'igbinary' })).browser().get('read');
  assert.deepEqual([error, entries], [null, {}]);
  assert.equal(service.sessions('--app', 'php', 'list').length, before);
});

const isUser = (name) => service.sessions('--app', 'php', 'list', '--subject', name).length === 1;

for (const format of ['php_binary', 'igbinary']) {
  test(`setSubject names the user of a session in the format ${format}`, async () => {
    const browser = (await serve({}, { 'session.serialize_handler': format })).browser();
    assert.doesNotMatch(String((await set(browser, 'cart', [1])).error), /one entry/);

    const { error } = await browser.get('login', { value: format });
    const found = [isUser(format)];
    await set(browser, 'cart', [1, 2]);
    await browser.get('regenerate', { name: 'b', value: 'x', delete: '1' });
    found.push(isUser(format));
    await browser.get('forget');
    found.push(isUser(format));

    assert.deepEqual(found, [true, true, false]);
    assert.doesNotMatch(String(error), /one entry/);
    assert.deepEqual((await browser.get('read')).entries, { cart: [1, 2], user: format, b: 'x' });
  });
}

test('the user stays when a session becomes one entry, and when it no longer is', async () => {
  const browser = (await serve()).browser();
  await browser.get('login', { value: 'bob' });

  const { error } = await browser.get('old_object', { name: 'old', value: 'text' });
  const found = [isUser('bob')];
  await browser.get('regenerate', { name: 'b', value: 'x', delete: '1' });
  found.push(isUser('bob'));
  const { entries } = await browser.get('unset', { name: 'old' });
  found.push(isUser('bob'));

  assert.deepEqual(found, [true, true, true]);
  assert.doesNotMatch(String(error), /one entry/);
  assert.deepEqual((await browser.get('read')).entries, entries);
  assert.deepEqual(entries, { 'php:subject': 'bob', user: 'bob', b: 'x' });
});

test('a session that becomes one entry without a user is a notice, once', async () => {
  const browser = (await serve()).browser();
  await set(browser, 'user', 'kim');

  const { error: first } = await browser.get('old_object', { name: 'old', value: 'text' });
  const { error: second } = await set(browser, 'a', 1);

  assert.match(first, /^the session is stored as one entry, in which the service finds no user; .* setSubject/);
  assert.doesNotMatch(String(second), /one entry/);
  assert.deepEqual((await browser.get('read')).entries, { user: 'kim', old: { text: 'text' }, a: 1 });
});

test('with keepEmpty a session without content is stored, and the end of it is a notice by default', async () => {
  const server = await serve({ KEEP_EMPTY: '1', ON_GONE: 'default' });
  const browser = server.browser();
  const before = service.sessions('--app', 'php', 'list').length;
  await browser.get('read');
  const { id } = browser;
  await browser.get('read');
  assert.deepEqual([service.sessions('--app', 'php', 'list').length, browser.id], [before + 1, id]);

  const slow = browser.twin().get('hold', { name: 'late', value: 'yes' });
  await server.gate('held');
  await browser.get('destroy');
  fs.writeFileSync(`${server.gates}/released`, '');

  assert.match((await slow).error, /^the session had ended \(DESTROYED\) before it was saved; nothing was written$/);
});

test('another replica answers if one does not', async () => {
  const broken = net.createServer((socket) => socket.destroy()).listen(0, '127.0.0.1');
  await once(broken, 'listening');
  const browser = (await serve({ CLOAKROOM_ADDRESS: `127.0.0.1:${broken.address().port},${service.address}` })).browser();
  for (let i = 0; i < 10; i++) await browser.get('count', { name: 'visits' });
  broken.close();
  assert.deepEqual((await browser.get('read')).entries, { visits: 10 });
});
