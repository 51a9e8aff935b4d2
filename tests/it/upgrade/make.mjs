// Stores sessions with a program that will be the older one, for the tests of upgrades:
//
//   node tests/it/upgrade/make.mjs PROGRAM FOLDER
//
// README.md beside it says what is in the folder then.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { waitUntil } from '../../web/processes.mjs';

const GRPCURL = path.join(import.meta.dirname, '../../../.tools/bin/grpcurl');
const ADMIN_METHOD = /^Revoke/;
// Sessions of that time live whenever the tests run: Redis deletes expired keys by its own clock.
const BEGIN = '@2100-01-01 00:00:00';
const [program, target] = process.argv.slice(2).map((name) => path.resolve(name));
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'cloakroom-upgrade-'));
const run = async (command, ...args) => (await promisify(execFile)(command, args)).stdout.trim();
const key = await run(program, 'keygen');

fs.mkdirSync(target, { recursive: true });
await onEmbedded();
await onRedis();
fs.rmSync(folder, { recursive: true });

async function onEmbedded() {
  const sessions = await serveAndStore('kind = "embedded"');
  fs.copyFileSync(path.join(folder, 'data/sessions.redb'), path.join(target, 'embedded.redb'));
  write('embedded.json', JSON.stringify(sessions, null, 1));
}

async function onRedis() {
  const socket = path.join(folder, 'socket');
  const redis = spawn('redis-server', ['--port', '0', '--unixsocket', socket, '--save', ''], { stdio: 'ignore' });
  const cli = (...args) => run('redis-cli', '-s', socket, ...args);
  await waitUntil('Redis answers', () => cli('ping').catch(() => false));
  const sessions = await serveAndStore(`kind = "redis"\n[store.redis]\nurl = "redis+unix://${socket}"`);
  const commands = [];
  for (const name of (await cli('--raw', 'keys', '*')).split('\n').sort()) {
    const expiry = Math.max(0, await cli('--raw', 'pexpiretime', name));
    commands.push(`restore "${name}" ${expiry} ${await cli('--no-raw', 'dump', name)} absttl\n`);
  }
  write('redis.txt', commands.join(''));
  write('redis.json', JSON.stringify(sessions, null, 1));
  redis.kill();
  await once(redis, 'exit');
}

function write(name, text) {
  fs.writeFileSync(path.join(target, name), `${text.trimEnd()}\n`);
}

// Runs the program until it has stored the sessions.
async function serveAndStore(store) {
  const app = (name) => `[apps.${name}]\nkeys = ["${key}"]\nrotation_grace = "1h"\n`;
  const listen = '[server]\nlisten = "127.0.0.1:0"\n[admin]\nlisten = "127.0.0.1:0"\n';
  fs.writeFileSync(path.join(folder, 'cloakroom.toml'), `${listen}${app('default')}${app('other')}[store]\n${store}\n`);
  // Not as a child of faketime, which does not pass signals on.
  const LD_PRELOAD = await run('faketime', '-f', BEGIN, 'printenv', 'LD_PRELOAD');
  const env = { ...process.env, LD_PRELOAD, FAKETIME: BEGIN, DONT_FAKE_MONOTONIC: '1', TZ: 'UTC' };
  const service = spawn(program, ['serve'], { cwd: folder, env, stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  service.stderr.setEncoding('utf8').on('data', (text) => { log += text; });
  const address = (name) => log.match(new RegExp(`^ *${name} +(127\\S+)$`, 'm'))?.[1];
  await waitUntil('the service is there', () => address('listens') && address('admin'));
  const call = async (method, message) => {
    const [to, name] = ADMIN_METHOD.test(method) ? ['admin', 'AdminService'] : ['listens', 'SessionService'];
    return JSON.parse(await run(GRPCURL, '-plaintext', '-d', JSON.stringify(message), address(to), `cloakroom.v1.${name}/${method}`));
  };
  const events = spawn(GRPCURL, ['-plaintext', '-d', '{}', address('admin'), 'cloakroom.v1.AdminService/WatchEvents']);
  const [first] = await once(events.stdout, 'data');
  events.kill();
  const sessions = { key, cursor: JSON.parse(first).cursor, ...await storeAll(call) };
  service.kill();
  const [code] = await once(service, 'exit');
  if (code !== 0) throw new Error(`exit code ${code}: ${log}`);
  return sessions;
}

async function storeAll(call) {
  const open = async (token, app) => (await call('OpenSession', { app, cookie_header: `session=${token}` })).session;
  const ticket = async (app) => (await call('OpenSession', { app })).session.token;
  const save = async (token, changes, more) => call('SaveSession', { token, changes, request_id: nextId(), ...more });
  const store = async (changes, app) => (await save(await ticket(app), changes, { app })).session.token;
  const json = (value) => ({ json: JSON.stringify(value) });
  const user = (subject) => ({ subject, set: { name: json(subject) }, increment: { visits: 41 } });
  let requests = 0;
  function nextId() {
    requests += 1;
    return `request-${String(requests).padStart(8, '0')}`;
  }

  const live = {
    cart: await store({ set: { cart: json([1, 'ä\u2028', { n: 2 ** 40 }]), empty: json('') } }),
    permanent: await store({ ...user('ann'), permanent: true }),
    not_permanent: await store({ ...user('ann'), permanent: false }),
    raw: await store({ set: { bytes: { raw: Buffer.from([0, 255, 10, 34]).toString('base64') } } }),
    own_idle_timeout: await store({ ...user('bob'), idle_timeout: '7200s' }),
    own_deadline: await store({ ...user('bob'), deadline_time: '2100-03-01T12:00:00Z' }),
    authenticated_again: (await save(await store(user('bob')), { authenticated: true })).session.token,
  };
  const cart = await store({ set: { cart: json([1]) } });
  live.logged_in = (await save(cart, user('ann'), { rotate: true })).session.token;
  const renewed = await store(user('cid'));
  live.renewed = (await call('RotateSession', { token: renewed, cause: 'ROTATION_CAUSE_RENEWAL', request_id: nextId() })).session.token;

  const ended = {};
  for (const [name, end] of Object.entries({
    DESTROYED: (token) => call('DestroySession', { token }),
    REVOKED: async (token) => call('RevokeSession', { id: (await open(token)).id }),
    REVOKED_WITH_ITS_SUBJECT: () => call('RevokeSubject', { subject: 'eve' }),
  })) {
    ended[name] = await store(user('eve'));
    await end(ended[name]);
  }
  const revoked_with_its_app = await store(user('ann'), 'other');
  await call('RevokeApp', { app: 'other' });

  const repeated = { token: live.cart, changes: { increment: { visits: 1 } }, request_id: 'request-repeated' };
  await save(repeated.token, repeated.changes, { request_id: repeated.request_id });
  const sessions = {};
  for (const [name, token] of Object.entries(live)) {
    const { token: _token, etag: _etag, ...session } = await open(token);
    sessions[name] = { token, session };
  }
  const others = { ticket: await ticket(), superseded: cart, renewed, revoked_with_its_app, repeated };
  return { sessions, ended, ...others };
}
