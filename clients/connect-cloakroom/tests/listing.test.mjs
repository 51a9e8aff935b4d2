// What a store says about all of its sessions, and the life of a session as connect-redis' own test goes through it.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { Client } from 'cloakroom-sessions';
import { AdminClient } from 'cloakroom-sessions/admin';
import { CloakroomStore } from 'connect-cloakroom';
import { Service } from '../../node/tests/service.mjs';
import { freePort } from '../../../tests/web/processes.mjs';

// Each test has an app of its own, because these calls see all sessions of one.
const APPS = ['lifecycle', 'many', 'foreign', 'alone', 'other', 'short']
  .map((name) => `[apps.${name}]\nkind = "external"\nsubject_key = "user"\n`).join('');

let service;

before(async () => {
  service = await Service.start({ more: APPS });
});

after(() => service?.remove());

const newAdmin = (app) => new AdminClient({ service: `127.0.0.1:${service.adminPort}`, app, deadline: 30_000 });

function newStore(app, options = { admin: newAdmin(app) }) {
  const gone = [];
  const onGone = (reason) => gone.push(reason);
  const store = new CloakroomStore({ service: service.address, app, deadline: 30_000, onGone, ...options });
  const names = ['get', 'set', 'destroy', 'touch', 'all', 'ids', 'length', 'clear'];
  return { gone, ...Object.fromEntries(names.map((name) => [name, promisify(store[name].bind(store))])) };
}

const newSid = () => randomBytes(24).toString('base64url');

const plainCookie = { originalMaxAge: null };

const cookieUntil = (seconds) => ({ originalMaxAge: null, expires: new Date(Date.now() + seconds * 1000) });

test('a store lives through the life cycle of connect-redis', async () => {
  const store = newStore('lifecycle');
  const [one, two, three] = [newSid(), newSid(), newSid()];
  const secondsLeft = async (id) => ((await newAdmin('lifecycle').getSession(id)).expireTime - Date.now()) / 1000;
  await store.set(one, { foo: 'bar', cookie: plainCookie });
  assert.deepEqual(await store.get(one), { foo: 'bar', cookie: plainCookie });
  const [first] = await store.ids();
  assert.ok(await secondsLeft(first) > 86_400, 'a cookie without an end has the lifetime of the app');

  await store.set(two, { cookie: cookieUntil(3600) });
  const [second] = (await store.ids()).filter((id) => id !== first);
  assert.ok(await secondsLeft(second) <= 3600);
  await store.touch(two, { cookie: cookieUntil(7200) });
  assert.ok(await secondsLeft(second) > 3600);
  assert.equal(await store.length(), 2);
  const all = await store.all();
  assert.deepEqual(all.find(({ id }) => id === first), { id: first, foo: 'bar', cookie: plainCookie });
  const { cookie } = all.find(({ id }) => id === second);
  assert.ok(new Date(cookie.expires) - Date.now() > 3_600_000, 'the cookie has the end of the session');

  await store.destroy(two);
  assert.deepEqual(await store.ids(), [first]);
  await store.clear();
  assert.deepEqual([await store.length(), await store.all(), await store.get(one)], [0, [], null]);

  await store.set(three, { cookie: cookieUntil(90) });
  assert.equal(await store.length(), 1);
  await store.set(three, { cookie: cookieUntil(-90) });
  assert.equal(await store.length(), 0, 'an end in the past ends the session');
});

test('a session with a maxAge under a second is not listed after the time in its cookie', async (context) => {
  const { set, all } = newStore('short');
  context.mock.timers.enable({ apis: ['Date'], now: Date.now() });
  await set(newSid(), { cookie: { originalMaxAge: 5, expires: new Date(Date.now() + 5) } });

  context.mock.timers.tick(5);

  assert.deepEqual(await all(), []);
});

test('all sessions are listed and cleared, also if they are on several pages', async () => {
  const { set, ids, length, clear } = newStore('many');
  const count = 1100;
  const sids = Array.from({ length: count }, newSid);
  for (let at = 0; at < count; at += 100) {
    await Promise.all(sids.slice(at, at + 100).map((sid) => set(sid, { cookie: cookieUntil(600) })));
  }

  assert.equal(await length(), count);
  assert.equal(new Set(await ids()).size, count);
  await clear();
  assert.equal(await length(), 0);
});

test('a cleared session stays ended, and another one can begin at once', async () => {
  const { set, get, clear, length, gone } = newStore('alone');
  const sid = newSid();
  await set(sid, { cookie: plainCookie, name: 'tj' });
  const loaded = await get(sid);
  await clear();

  await set(sid, Object.assign(loaded, { name: 'again' }));
  assert.deepEqual([await get(sid), gone, await length()], [null, ['REVOKED'], 0]);
  await set(newSid(), { cookie: plainCookie, name: 'new' });
  assert.equal(await length(), 1);
});

test('a listing has the data of other clients as far as it is JSON, and no session id', async () => {
  const { get, set, all, ids } = newStore('foreign');
  const sid = newSid();
  await set(sid, { cookie: plainCookie, user: 7, list: [1] });
  const client = new Client({ service: service.address, app: 'foreign', deadline: 30_000 });
  const raw = new Map([['raw', { raw: Buffer.from([0, 255]) }]]);
  await client.save({ app: 'foreign', key: Buffer.from(sid), changes: { set: raw }, requestId: newSid() });

  const [listed] = await all();
  assert.deepEqual(listed, { id: (await ids())[0], cookie: plainCookie, user: 7, list: [1] });
  assert.ok(!JSON.stringify(listed).includes(sid));
  assert.equal(await get(listed.id), null, 'a public id opens nothing');
  assert.equal(await newAdmin('foreign').revokeSession(listed.id), true);
  assert.equal(await get(sid), null);
});

test('without AdminService these calls are errors that say what to set', async () => {
  const { all, ids, length, clear } = newStore('other', {});
  for (const call of [all, ids, length, clear]) await assert.rejects(call(), /needs AdminService: give the store the option admin/);
});

test('an admin of another app is refused, for clear would log out its users', () => {
  assert.throws(() => newStore('many', { admin: newAdmin('other') }), /the store has the app "many" and its admin the app "other"/);
});

test('an outage of AdminService is an error with the status 503', async () => {
  const admin = new AdminClient({ service: `127.0.0.1:${await freePort()}`, app: 'other', deadline: 300 });
  const { length, clear, get } = newStore('other', { admin });
  await assert.rejects(length(), { status: 503 });
  await assert.rejects(clear(), { status: 503 });
  assert.equal(await get(newSid()), null, 'sessions need no AdminService');
});
