// The store by its interface, as connect-redis' own test goes through it, and what no other store does.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { CloakroomStore } from 'connect-cloakroom';
import { LossyProxy } from '../../node/tests/lossy_proxy.mjs';
import { Service } from '../../node/tests/service.mjs';

const APPS = `
[apps.express]
kind = "external"
subject_key = "passport.user"
`;

let service;

before(async () => {
  service = await Service.start({ more: APPS });
});

after(() => service?.remove());

const newStore = (options) => {
  const store = new CloakroomStore({ service: service.address, app: 'express', deadline: 30_000, onGone: () => {}, ...options });
  const members = ['get', 'set', 'destroy', 'touch'].map((name) => [name, promisify(store[name].bind(store))]);
  return { store, ...Object.fromEntries(members) };
};

const newSid = () => randomBytes(24).toString('base64url');

const cookie = (maxAge = null) => ({
  originalMaxAge: maxAge, expires: maxAge === null ? null : new Date(Date.now() + maxAge), httpOnly: true, path: '/',
});

test('a session lives from set to destroy', async () => {
  const { get, set, destroy, touch } = newStore();
  const sid = newSid();
  assert.equal(await get(sid), null);

  await set(sid, { cookie: cookie(60_000), name: 'tj', list: [1, { two: null }] });
  const loaded = await get(sid);
  await set(sid, { cookie: cookie(60_000), name: 'jane' });
  const replaced = await get(sid);
  await touch(sid, { cookie: cookie(60_000), name: 'jane' });
  await destroy(sid);

  assert.deepEqual([loaded.name, loaded.list], ['tj', [1, { two: null }]]);
  assert.equal(loaded.cookie.originalMaxAge, 60_000);
  assert.ok(Math.abs(new Date(loaded.cookie.expires) - Date.now() - 60_000) < 30_000);
  assert.deepEqual(Object.keys(replaced).sort(), ['cookie', 'name']);
  assert.equal(await get(sid), null);
  await destroy(sid);
});

test('nothing revives a session that was destroyed, and the application is told', async () => {
  const gone = [];
  const { get, set, destroy } = newStore({ onGone: (reason, session) => gone.push([reason, session.name]) });
  const sid = newSid();
  await set(sid, { cookie: cookie(), name: 'tj' });
  const loaded = await get(sid);
  await destroy(sid);

  await set(sid, Object.assign(loaded, { name: 'again' }));

  assert.equal(await get(sid), null);
  assert.deepEqual(gone, [['DESTROYED', 'again']]);
});

test('a save sends only what differs from what was loaded', async () => {
  const { get, set } = newStore();
  const sid = newSid();
  await set(sid, { cookie: cookie(), cart: [1], name: 'tj', old: true });
  const [one, other] = [await get(sid), await get(sid)];

  one.cart.push(2);
  await set(sid, one);
  other.name = 'jane';
  delete other.old;
  await set(sid, other);

  const { cart, name, old } = await get(sid);
  assert.deepEqual([cart, name, old], [[1, 2], 'jane', undefined]);
});

test('a save that begins while another one is under way sends what that does not', async () => {
  const { get, set } = newStore();
  const sid = newSid();
  await set(sid, { cookie: cookie(), name: 'tj' });
  const session = await get(sid);

  session.flash = 'x';
  const first = set(sid, session);
  delete session.flash;
  await Promise.all([first, set(sid, session)]);

  const { flash, name } = await get(sid);
  assert.deepEqual([flash, name], [undefined, 'tj']);
});

test('the expiry of the cookie is the lifetime of the session', async () => {
  const { get, set } = newStore();
  const [short, over, plain] = [newSid(), newSid(), newSid()];
  await set(short, { cookie: cookie(1000), name: 'tj' });
  await set(over, { cookie: cookie(60_000), name: 'tj' });
  await set(plain, { cookie: cookie(), name: 'tj' });

  await set(over, { cookie: cookie(-1000), name: 'tj' });
  assert.equal(await get(over), null);
  const end = Date.now() + 60_000;
  const isOver = async () => {
    // Each load is a use, so it waits longer than the session lives.
    await new Promise((resolve) => { setTimeout(resolve, 1500); });
    return await get(short) === null;
  };
  while (!await isOver()) assert.ok(Date.now() < end, 'the session ends after a second without use');
  assert.equal((await get(plain)).name, 'tj');
});

test('the user of passport is the subject, and ends by revoke-subject', async () => {
  const { get, set } = newStore();
  const [sid, anonymous] = [newSid(), newSid()];
  await set(sid, { cookie: cookie(), passport: { user: 'ann' } });
  await set(anonymous, { cookie: cookie(), passport: {} });
  const listed = service.sessions('--app', 'express', 'list', '--subject', 'ann');
  assert.equal(listed.length, 1);

  service.sessions('--app', 'express', 'revoke-subject', 'ann');

  assert.equal(await get(sid), null);
  assert.ok(await get(anonymous));
});

test('the cookie keeps its attributes when another user logs in by the same id', async () => {
  const { store, get, set } = newStore();
  const sid = newSid();
  const written = { ...cookie(), secure: true, sameSite: 'strict', domain: 'shop.example', path: '/shop' };
  await set(sid, { cookie: written, passport: { user: 'ann' }, cart: [1] });

  await set(sid, Object.assign(await get(sid), { passport: { user: 'bob' } }));

  const loaded = await get(sid);
  const { secure, sameSite, domain, path } = store.createSession({ sessionID: sid }, loaded).cookie;
  assert.deepEqual(loaded.passport, { user: 'bob' });
  assert.deepEqual([secure, sameSite, domain, path], [true, 'strict', 'shop.example', '/shop']);
});

test('a session without a cookie, which another client began, is loaded with one', async () => {
  const { store, get, set } = newStore();
  const sid = newSid();
  await set(sid, { name: 'tj' });

  const session = store.createSession({ sessionID: sid }, await get(sid));

  assert.deepEqual([session.name, session.cookie.originalMaxAge, session.cookie.path], ['tj', null, '/']);
});

test('an entry __proto__ is data, and adds no members to the session', async () => {
  const { store, get, set } = newStore();
  const sid = newSid();
  const written = Object.fromEntries([['cookie', cookie()], ['__proto__', { isAdmin: true }], ['name', 'tj']]);
  await set(sid, written);

  const loaded = await get(sid);
  const session = store.createSession({ sessionID: sid }, await get(sid));

  assert.deepEqual(Object.keys(loaded).sort(), ['__proto__', 'cookie', 'name']);
  assert.deepEqual([loaded.isAdmin, session.isAdmin, session.name], [undefined, undefined, 'tj']);
});

test('a session whose cookie has no valid date is saved, and express-session says what is wrong with it', async () => {
  const { get, set } = newStore();
  const sid = newSid();

  await set(sid, { cookie: { ...cookie(), expires: new Date(NaN) }, name: 'tj' });

  assert.equal((await get(sid)).name, 'tj');
});

test('a session with a maxAge under a second is over by the time in its cookie', async (context) => {
  const { get, set } = newStore();
  context.mock.timers.enable({ apis: ['Date'], now: Date.now() });
  const sid = newSid();

  await set(sid, { cookie: cookie(5), name: 'tj' });
  context.mock.timers.tick(5);

  assert.equal(await get(sid), null);
});

test('a session with a maxAge under a second lives on while it is used', async (context) => {
  const { get, set, touch } = newStore();
  context.mock.timers.enable({ apis: ['Date'], now: Date.now() });

  /** @type {unknown[]} */
  let seen;
  let began;
  do {
    began = performance.now();
    const sid = newSid();
    seen = [];
    await set(sid, { cookie: cookie(500), name: 'tj' });
    for (let request = 0; request < 4; request += 1) {
      context.mock.timers.tick(400);
      const session = await get(sid);
      seen.push(session?.name);
      if (session) await touch(sid, Object.assign(session, { cookie: cookie(500) }));
    }
    // For the service a second without use ends it, so a machine that stops for so long proves nothing.
  } while (performance.now() - began > 900);

  assert.deepEqual(seen, Array(4).fill('tj'));
});

test('a cookie of another client that is no object is replaced, also in touch', async () => {
  for (const other of [null, 'text', 1]) {
    const { store, get, set, touch } = newStore();
    const sid = newSid();
    await set(sid, { cookie: other, name: 'tj' });

    const session = store.createSession({ sessionID: sid }, await get(sid));
    session.cookie.maxAge = 60_000;
    await touch(sid, session);

    // express-session computes it from the time of the expiry, which may be a millisecond later.
    const { originalMaxAge } = (await get(sid)).cookie;
    assert.ok(originalMaxAge > 50_000 && originalMaxAge <= 60_000, originalMaxAge);
  }
});

test('an id that cannot be a key opens nothing, and a save by it is refused with the reason', async () => {
  const { get, set } = newStore();
  for (const id of ['short', 'x'.repeat(257)]) {
    assert.equal(await get(id), null);
    await assert.rejects(set(id, { cookie: cookie() }), { reason: 'KEY_INVALID', message: /key has \d+ bytes and needs 16 to 256/ });
  }
});

test('without a callback, set and destroy work as well', async () => {
  const { store, get } = newStore();
  const sid = newSid();
  store.set(sid, { cookie: cookie(), name: 'tj' });
  const end = Date.now() + 30_000;
  while (await get(sid) === null) assert.ok(Date.now() < end);
  store.destroy(sid);
  while (await get(sid) !== null) assert.ok(Date.now() < end);
});

test('an outage is an error with the status 503', async () => {
  const own = await Service.start({ more: APPS });
  const { get, set } = newStore({ service: own.address, deadline: 300 });
  await own.remove();
  await assert.rejects(get(newSid()), { status: 503 });
  await assert.rejects(set(newSid(), { cookie: cookie() }), { status: 503 });
});

test('saves and ends of sessions whose answers are lost are done', async (t) => {
  const proxy = await LossyProxy.start(service.port);
  t.after(() => proxy.close());
  const { get, set, destroy } = newStore({ service: proxy.address });
  const sid = newSid();
  const lose = async (call) => {
    proxy.responsesToDrop = 3;
    await call();
    assert.equal(proxy.responsesToDrop, 0);
  };

  await lose(() => set(sid, { cookie: cookie(), name: 'tj' }));
  const loaded = await get(sid);
  await lose(() => set(sid, Object.assign(loaded, { name: 'jane' })));
  assert.equal((await get(sid)).name, 'jane');
  await lose(() => destroy(sid));
  assert.equal(await get(sid), null);
});

test('another replica answers if one does not', async (t) => {
  const broken = net.createServer((socket) => socket.destroy()).listen(0, '127.0.0.1');
  await once(broken, 'listening');
  t.after(() => broken.close());
  const { get, set } = newStore({ service: `127.0.0.1:${broken.address().port},${service.address}` });
  const sid = newSid();

  for (let count = 1; count <= 10; count++) {
    await set(sid, { ...await get(sid), cookie: cookie(), count });
    assert.equal((await get(sid)).count, count);
  }
});
