// AdminService through its client, at the real service.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Client, Session } from 'cloakroom-sessions';
import { AdminClient, SessionRefused } from 'cloakroom-sessions/admin';
import { waitUntil } from '../../../tests/web/processes.mjs';
import { LossyProxy } from './lossy_proxy.mjs';
import { Service } from './service.mjs';

let service;
let client;
let admin;

before(async () => {
  service = await Service.start();
  client = new Client({ service: service.address, app: 'shop', deadline: 10_000 });
  admin = adminOf(`127.0.0.1:${service.adminPort}`);
});

after(() => service?.remove());

const adminOf = (address, app = 'shop') => new AdminClient({ service: address, app, deadline: 10_000 });

// Makes a session of a user.
async function logIn(subject, agent = 'Firefox') {
  const session = new Session(client, { context: () => ({ userAgent: agent, remoteAddress: '192.0.2.1' }) });
  session.set('cart', ['milk']);
  if (subject) session.subject = subject;
  await session.finish();
  return session;
}

test('the sessions of a user are listed, the one used last first', async () => {
  const first = await logIn('ada');
  const second = await logIn('ada', 'Chrome');
  await logIn('bob');

  const listed = await admin.listSubject('ada', { withEntries: true });

  assert.deepEqual(listed.map(({ id }) => id), [second.id, first.id]);
  const [{ createTime, accessTime, expireTime, authenticateTime, ...info }] = listed;
  assert.ok(createTime <= accessTime && accessTime < expireTime && authenticateTime instanceof Date);
  assert.deepEqual(info, {
    id: second.id, subject: 'ada', permanent: undefined, etag: '1', entryCount: 1, entryBytes: 12, userAgent: 'Chrome',
    remoteAddress: '192.0.2.1', entries: new Map([['cart', '["milk"]']]), endReason: undefined, endTime: undefined,
  });
});

test('one session of a user is ended, and no other user\'s', async () => {
  const session = await logIn('carol');

  const asOther = await admin.revokeSession(session.id, { subject: 'eve' });
  const nonsense = await admin.revokeSession('../x', { subject: 'carol' });
  const ended = await admin.revokeSession(session.id, { subject: 'carol' });
  const again = await admin.revokeSession(session.id);

  assert.deepEqual([asOther, nonsense, ended, again], [false, false, true, false]);
  const found = await admin.getSession(session.id);
  assert.deepEqual([found.endReason, found.endTime instanceof Date], ['REVOKED', true]);
  assert.equal(await admin.getSession('0'.repeat(32)), undefined);
  session.set('late', 1);
  await session.save();
  assert.equal(session.gone, 'REVOKED');
});

test('all sessions of a user but one are ended', async () => {
  const [kept] = [await logIn('dora'), await logIn('dora'), await logIn('dora')];

  const count = await admin.revokeSubject('dora', { exceptId: kept.id });

  assert.equal(count, 2);
  assert.deepEqual((await admin.listSubject('dora')).map(({ id }) => id), [kept.id]);
});

test('an empty subject is no user', async () => {
  for (const call of [() => admin.listSubject(''), () => admin.revokeSubject(''), () => admin.revokeSession('x', { subject: '' })]) {
    await assert.rejects(call, TypeError);
  }
});

test('all sessions of an app come in pages, and are ended at once', async () => {
  const own = await Service.start();
  const ownClient = new Client({ service: own.address, app: 'shop' });
  const ownAdmin = adminOf(`127.0.0.1:${own.adminPort}`);
  const ids = [];
  for (let i = 0; i < 5; i += 1) {
    const session = new Session(ownClient);
    session.set('a', i);
    await session.finish();
    ids.push(session.id);
  }

  const listed = [];
  for await (const { id } of ownAdmin.listAll({ pageSize: 2 })) listed.push(id);
  const page = await ownAdmin.listPage({ pageSize: 2 });
  const stats = await ownAdmin.stats();
  await ownAdmin.revokeApp();
  const left = [];
  for await (const { id } of ownAdmin.listAll()) left.push(id);

  assert.deepEqual(listed.sort(), ids.sort());
  assert.deepEqual([page.sessions.length, page.nextPageToken !== ''], [2, true]);
  assert.deepEqual([stats.created, stats.ended, stats.migrations, left], [5, {}, [], []]);
  assert.ok(stats.startTime < new Date());
  await own.remove();
});

test('a cookie is explained', async () => {
  const session = new Session(client);
  session.set('a', 1);
  const headers = await session.finish();
  const cookieHeader = headers.find(({ name }) => name === 'Set-Cookie').value.split(';')[0];

  const [live] = await admin.explain({ cookieHeader });
  await session.destroy();
  const [ended] = await admin.explain({ token: cookieHeader.split('=')[1] });
  const [rejected] = await admin.explain({ token: 'v1.x' });

  assert.deepEqual([live.state, live.session.id, live.endReason], ['LIVE', live.id, undefined]);
  assert.deepEqual([ended.state, ended.endReason, ended.endTime instanceof Date], ['ENDED', 'DESTROYED', true]);
  assert.deepEqual([rejected.state, rejected.rejection, rejected.session], ['REJECTED', 'MALFORMED', undefined]);
});

test('events are followed, also after the connection was lost', async (t) => {
  const proxy = await LossyProxy.start(service.adminPort);
  t.after(() => proxy.close());
  const stream = adminOf(proxy.address).events();
  const seen = [];
  let id;
  let isBegun = false;
  const follow = async () => {
    for await (const { events } of stream) {
      seen.push(...events);
      isBegun = true;
      if (seen.some((event) => event.id === id && event.kind === 'ENDED')) return;
    }
  };
  const failure = follow().then(() => undefined, (error) => error);
  await waitUntil('the stream has begun', () => isBegun);
  const session = await logIn('fred');
  id = session.id;
  await waitUntil('the first events have come', () => seen.some((event) => event.id === id));

  proxy.closeConnections();
  assert.match(String(await failure), /SessionUnavailable/);
  await session.destroy();
  await follow();

  const own = seen.filter((event) => event.id === id);
  assert.deepEqual([own[0].kind, own.at(-1).kind, own.at(-1).endReason], ['CREATED', 'ENDED', 'DESTROYED']);
  assert.ok(own[0].time instanceof Date);
});

test('a loop over events ends when the stream is closed', async () => {
  const stream = admin.events();
  const batches = [];
  const loop = (async () => { for await (const batch of stream) batches.push(batch); })();
  await waitUntil('the stream has begun', () => batches.length > 0);

  stream.close();
  await loop;

  assert.ok(stream.cursor !== '');
});

test('a stream of events that is silent for long begins again and misses nothing', async (t) => {
  const stream = admin.events();
  const batches = stream[Symbol.asyncIterator]();
  await batches.next();
  const realNow = performance.now.bind(performance);
  let later = 0;
  t.mock.method(performance, 'now', () => realNow() + later);
  t.mock.timers.enable({ apis: ['setTimeout'] });

  const renewed = batches.next();
  await new Promise(setImmediate);
  later = 300_000;
  t.mock.timers.tick(later);
  t.mock.timers.reset();
  assert.deepEqual((await renewed).value.events, []);
  const { id } = await logIn('gus');

  assert.equal((await batches.next()).value.events[0].id, id);
  stream.close();
});

test('events of a cursor that is none are refused', async () => {
  await assert.rejects(async () => { for await (const batch of admin.events({ cursor: 'x' })) assert.fail(batch); },
    (error) => error.reason === 'EVENTS_MISSED');
});

test('an app of signed cookies has no sessions to list', async () => {
  await assert.rejects(() => adminOf(`127.0.0.1:${service.adminPort}`, 'signed').listSubject('ada'),
    (error) => error instanceof SessionRefused && error.reason === 'NOT_IN_COOKIE_KIND');
});
