// Calls that begin together share connections, and none of them suffers from another one.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client, ConnectTransport, SessionUnavailable } from 'cloakroom-sessions';
import { waitUntil } from '../../../tests/web/processes.mjs';
import batches from '../src/connect/batches.js';
import { proxy, service, useService } from './proxied_service.mjs';
import { ScriptedServer, opened } from './scripted_server.mjs';

const LONG = 60_000;
const { MAX_CALLS } = batches;

useService();

const clientOf = (address, deadline = LONG) => new Client({ service: new ConnectTransport(address), app: 'shop', deadline });
const times = (count, call) => Promise.all(Array.from({ length: count }, (_, i) => call(i)));
let requestIds = 0;

// Creates a session with one entry, and returns its token.
async function create(client, value) {
  const changes = { set: new Map([['value', { json: JSON.stringify(value) }]]) };
  requestIds += 1;
  const { session } = await client.save({ app: 'shop', cookieHeader: '', changes, requestId: `create ${requestIds}` });
  return session.token;
}

// Adds 1 to a counter of a session.
function count(client, token) {
  requestIds += 1;
  const changes = { increment: new Map([['count', 1]]) };
  return client.save({ app: 'shop', token, changes, requestId: `count ${requestIds}` });
}

async function countOf(client, token) {
  const { session } = await client.open({ app: 'shop', token });
  return Number(session.entries.get('count')?.json);
}

// Opens sessions of a scripted server in one turn, after a call that is under way, so that they share a connection.
// Returns the subjects, or the errors.
async function openTogether(client, apps) {
  const calls = ['first', ...apps].map((app) => client.open({ app }).then(({ session }) => session.subject, (error) => error));
  return (await Promise.all(calls)).slice(1);
}

test('calls of one turn share connections, and each gets its own answer', async () => {
  const client = clientOf(proxy.address);
  const tokens = [];
  for (let i = 0; i < 50; i += 1) tokens.push(await create(client, i));

  const answers = await times(50, (i) => client.open({ app: 'shop', token: tokens[i] }));

  assert.deepEqual(answers.map(({ session }) => session.entries.get('value').json), tokens.map((_, i) => String(i)));
  assert.ok(proxy.accepted <= 1 + Math.ceil(49 / MAX_CALLS), `${proxy.accepted}`);
});

test('a save that may begin a session shares no connection', async () => {
  const client = clientOf(proxy.address);

  await times(10, (i) => create(client, i));

  assert.equal(proxy.accepted, 10);
});

test('connections that are lost with several saves fail none of them, and each counts once', async () => {
  const client = clientOf(proxy.address);
  const tokens = await times(10, () => create(client, 0));
  proxy.responsesToDrop = 3;

  await times(40, (i) => count(client, tokens[i % 10]));

  assert.equal(proxy.dropped, 3);
  assert.deepEqual(await times(10, (i) => countOf(client, tokens[i])), Array(10).fill(4));
});

test('a service that stops and comes back under concurrent saves fails none of them, and each counts once', async () => {
  const client = clientOf(service.address);
  const tokens = await times(10, () => create(client, 0));
  let done = 0;
  const run = async (i) => {
    for (let round = 0; round < 20; round += 1) {
      await count(client, tokens[i % 10]);
      done += 1;
    }
  };

  const running = times(40, run);
  for (const stopAt of [100, 300]) {
    await waitUntil('saves are done', () => done >= stopAt);
    await service.stop('SIGTERM');
    await service.launch();
  }
  await running;

  assert.deepEqual(await times(10, (i) => countOf(client, tokens[i])), Array(10).fill(80));
});

test('a deadline in the middle ends its own call only', async (t) => {
  const server = await ScriptedServer.start((app) => (app === 'silent' ? undefined : opened(app)));
  t.after(() => server.close());
  const transport = new ConnectTransport(server.address);
  const patient = new Client({ service: transport, deadline: LONG });
  const hasty = new Client({ service: transport, deadline: 200 });

  const calls = [patient.open({ app: 'first' }), patient.open({ app: 'a' }), hasty.open({ app: 'silent' }), patient.open({ app: 'b' })];
  const [, before, late, behind] = await Promise.allSettled(calls);

  assert.ok(server.requests.some((apps) => apps.join() === 'a,silent,b'), JSON.stringify(server.requests));
  assert.deepEqual([before.value.session.subject, behind.value.session.subject], ['a', 'b']);
  assert.ok(late.reason instanceof SessionUnavailable, late.reason);
});

test('calls behind one without an answer are made elsewhere when later ones have theirs', async (t) => {
  let isSilent = true;
  const server = await ScriptedServer.start((app) => (app === 'silent' && isSilent ? undefined : opened(app)));
  t.after(() => server.close());
  const client = clientOf(server.address, 20 * LONG);
  const first = client.open({ app: 'first' });
  const silent = client.open({ app: 'silent' }).then(({ session }) => session.subject);
  const behind = times(3, (i) => client.open({ app: `behind ${i}` }));

  let isOver = false;
  const answers = behind.finally(() => { isOver = true; });
  await first;
  while (!isOver) await client.open({ app: 'later' });

  assert.deepEqual((await answers).map(({ session }) => session.subject), ['behind 0', 'behind 1', 'behind 2']);
  const shared = server.requests.find((apps) => apps.includes('silent'));
  assert.deepEqual(shared, ['silent', 'behind 0', 'behind 1', 'behind 2']);
  isSilent = false;
  server.closeConnections();
  assert.equal(await silent, 'silent');
});

test('calls behind the last answer of a connection are made on another one', async (t) => {
  const server = await ScriptedServer.start((app, connection) => {
    if (app === 'last') return opened(app, connection < 2 ? 'connection: close\r\n' : '');
    return app === 'behind' && connection < 2 ? null : opened(app);
  });
  t.after(() => server.close());

  const subjects = await openTogether(clientOf(server.address), ['a', 'last', 'behind', 'behind']);

  assert.deepEqual(subjects, ['a', 'last', 'behind', 'behind']);
});

test('an ambiguous answer ends the connection, and the calls without an answer are repeated on others', async (t) => {
  const ambiguous = Buffer.from('HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 0\r\n\r\n');
  const seen = [];
  const server = await ScriptedServer.start((app) => {
    seen.push(app);
    return app === 'ambiguous' && seen.filter((each) => each === app).length === 1 ? ambiguous : opened(app);
  });
  t.after(() => server.close());

  const subjects = await openTogether(clientOf(server.address), ['a', 'ambiguous', 'b']);

  assert.deepEqual(subjects, ['a', 'ambiguous', 'b']);
  const broken = server.requests.findIndex((apps) => apps.join() === 'a,ambiguous,b');
  assert.ok(broken >= 0, JSON.stringify(server.requests));
});

test('an answer that nobody has asked for ends the connection', async (t) => {
  const server = await ScriptedServer.start((app) => Buffer.concat(app === 'twice' ? [opened(app), opened('surplus')] : [opened(app)]));
  t.after(() => server.close());
  const client = clientOf(server.address);

  const subjects = await openTogether(client, ['a', 'twice']);
  const { session } = await client.open({ app: 'next' });

  assert.deepEqual([...subjects, session.subject], ['a', 'twice', 'next']);
  const shared = server.requests.find((apps) => apps.includes('twice'));
  assert.deepEqual(shared, ['a', 'twice']);
});

test('calls share no more after what is between has not passed them on', async (t) => {
  let joined = 0;
  const server = await ScriptedServer.start((app, connection, isBehind) => {
    if (isBehind) joined += 1;
    return isBehind ? undefined : opened(app);
  });
  t.after(() => server.close());
  const client = clientOf(server.address, 2000);

  const subjects = await openTogether(client, ['a', 'b']);
  const before = joined;
  const later = await openTogether(client, ['c', 'd', 'e']);

  assert.deepEqual([...subjects, ...later], ['a', 'b', 'c', 'd', 'e']);
  assert.deepEqual([before, joined], [1, 1]);
});
