// Calls by gRPC, as an option: how they connect, what they send, and what applications see of failures.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, describe, test } from 'node:test';
import { Client, ConnectTransport, Session, SessionRefused, SessionUnavailable } from 'cloakroom-sessions';
import { AdminClient } from 'cloakroom-sessions/admin';
import { waitUntil } from '../../../tests/web/processes.mjs';
import messages from '../src/messages.js';
import pools from '../src/connect/pool.js';
import grpcTransport from '../src/grpc/transport.js';
import { Certificates } from './certificates.mjs';
import { proxy, service, useService } from './proxied_service.mjs';
import { Service } from './service.mjs';
import { failsAtOnce } from './untrusted.mjs';

const { GrpcTransport } = grpcTransport;
const LONG = 60_000;

useService();

// A client with connections of its own.
const clientOf = (address, { deadline = LONG, ...credentials } = {}) =>
  new Client({ service: new GrpcTransport(address, credentials), app: 'shop', deadline });
const read = (client) => client.open({ app: 'shop' });
// Makes one attempt of a call, and returns its failure.
const attempt = (address, credentials) => new GrpcTransport(address, credentials).call(messages.OPEN, { app: 'shop' }, LONG)
  .then(() => assert.fail('the call succeeded'), (error) => error);
const times = (count, call) => Promise.all(Array.from({ length: count }, call));

// Stores a session, and returns its Cookie header.
async function makeSession(client, subject) {
  const session = new Session(client);
  session.set('a', 1);
  if (subject) session.subject = subject;
  const headers = await session.finish();
  return headers.find(({ name }) => name === 'Set-Cookie').value.split(';')[0];
}

// Prints what a program prints that has the client.
const run = (program, env = {}) => execFileSync(process.execPath, ['-e', program],
  { cwd: import.meta.dirname, timeout: LONG, encoding: 'utf8', env: { ...process.env, ...env } });

test('a session is written, read and ended by calls of gRPC', async () => {
  const before = await service.countCalls('SaveSession', 'grpc');
  const client = new Client({ service: service.address, app: 'shop', transport: 'grpc' });
  const cookieHeader = await makeSession(client, 'grpc');

  const session = new Session(client, { cookieHeader });
  await session.open();
  const { id } = session;
  const value = session.get('a');
  const [device] = await new AdminClient({ service: `127.0.0.1:${service.adminPort}`, app: 'shop', transport: 'grpc' }).listSubject('grpc');
  await session.destroy();
  const ended = new Session(client, { cookieHeader });
  await ended.open();

  assert.deepEqual([value, device.id, ended.isNew], [1, id, true]);
  assert.equal(await service.countCalls('SaveSession', 'grpc') - before, 1);
});

test('clients of one address share a connection, and the protocols have each their own', async () => {
  const options = { service: proxy.address, app: 'shop' };

  for (let i = 0; i < 20; i += 1) await read(new Client({ ...options, transport: 'grpc' }));
  assert.equal(proxy.accepted, 1);
  await read(new Client(options));

  assert.equal(proxy.accepted, 2);
});

test('an error of the service has its code, reason and message', async () => {
  const failed = await clientOf(service.address).open({ app: 'nobody' }).catch((error) => error);

  assert.ok(failed instanceof SessionRefused);
  assert.deepEqual([failed.code, failed.reason], ['NOT_FOUND', 'APP_UNKNOWN']);
  assert.match(failed.message, /no app of that name/);
});

test('another protocol, and one beside a transport, are refused', () => {
  assert.throws(() => new Client({ transport: 'http' }), /it is "connect" or "grpc"/);
  assert.throws(() => new Client({ service: new ConnectTransport('a'), transport: 'grpc' }), /has its own protocol/);
  assert.throws(() => new GrpcTransport('a', { caFile: 'x' }), /need TLS/);
});

test('without the package grpc-js, only the option grpc is an error, and it says what to install', (t) => {
  const folder = fs.mkdtempSync('/tmp/cloakroom-grpc-');
  t.after(() => fs.rmSync(folder, { recursive: true }));
  fs.cpSync(path.join(import.meta.dirname, '../src'), folder, { recursive: true });

  const printed = run(`
    const { Client } = require('${folder}/index.js');
    try { new Client({ transport: 'grpc' }); } catch (error) { console.log(error.name, error.message); }
    new Client({ service: '${service.address}', app: 'shop' }).open({ app: 'shop' }).then(() => console.log('opened'));`);

  assert.match(printed, /^TypeError .*npm install @grpc\/grpc-js.*\nopened\n$/);
});

test('a Unix socket and a name are addresses', async () => {
  for (const address of [`unix:${service.socket}`, `localhost:${service.port}`]) {
    assert.equal((await read(clientOf(address))).session.new, true, address);
  }
});

test('a proxy in the environment gets no call, and an idle connection keeps no process alive', async (t) => {
  const trap = net.createServer((socket) => socket.destroy());
  let connections = 0;
  trap.on('connection', () => { connections += 1; });
  await once(trap.listen(0, '127.0.0.1'), 'listening');
  t.after(() => trap.close());
  const url = `http://127.0.0.1:${trap.address().port}`;
  const names = ['http_proxy', 'https_proxy', 'grpc_proxy', 'all_proxy'].flatMap((name) => [name, name.toUpperCase()]);
  const env = { ...process.env, ...Object.fromEntries(names.map((name) => [name, url])) };
  const program = `
    const { Client } = require('cloakroom-sessions');
    new Client({ service: '${service.address}', app: 'shop', transport: 'grpc', deadline: 20_000 }).policy()
      .then((policy) => console.log(policy.cookieName), (error) => console.log(error.message));`;

  const child = spawn(process.execPath, ['-e', program], { cwd: import.meta.dirname, env, stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = await once(createInterface({ input: child.stdout }), 'line');
  await once(child, 'exit');

  assert.deepEqual([line, connections], ['session', 0]);
});

test('close ends the connection, and the next call connects again', async () => {
  const client = clientOf(proxy.address);
  await read(client);

  client.transport.close();
  await waitUntil('the connection ends', () => proxy.openCount === 0);
  await read(client);

  assert.equal(proxy.accepted, 2);
});

test('a connection that loses its packets is left, and no call fails', async () => {
  const client = clientOf(proxy.address, { deadline: 10_000 });
  await read(client);

  proxy.forgetConnections();
  await times(20, () => read(client));

  assert.equal(proxy.accepted, 2);
});

test('a save whose answer is lost counts once', async () => {
  const client = clientOf(proxy.address);
  const cookieHeader = await makeSession(client);
  const count = new Session(client, { cookieHeader });
  await count.open();
  count.increment('n');

  proxy.responsesToDrop = 1;
  await count.finish();

  const session = new Session(client, { cookieHeader });
  await session.open();
  assert.deepEqual([proxy.dropped, session.get('n')], [1, 1]);
});

test('calls survive a restart of the service', async (t) => {
  const own = await Service.start();
  t.after(() => own.remove());
  const client = clientOf(own.address);
  await read(client);
  await own.stop('SIGKILL');

  const during = times(10, () => read(client));
  await own.launch();

  assert.deepEqual((await during).map(({ session }) => session.new), Array(10).fill(true));
});

test('an outage is SessionUnavailable at the deadline', async (t) => {
  const own = await Service.start();
  t.after(() => own.remove());
  const client = clientOf(own.address, { deadline: 2000 });
  await own.process.suspend();
  const silent = await read(client).catch((error) => error);
  own.process.resume();
  await own.stop('SIGKILL');
  const refused = await attempt(own.address);

  assert.ok(silent instanceof SessionUnavailable, String(silent));
  assert.deepEqual([silent.code, refused.code], ['DEADLINE_EXCEEDED', 'UNAVAILABLE']);
  assert.match(refused.message, /ECONNREFUSED/);
});

test('the calls that are under way are bounded', async (t) => {
  const sockets = [];
  const silent = net.createServer((socket) => sockets.push(socket));
  await once(silent.listen(0, '127.0.0.1'), 'listening');
  const transport = new GrpcTransport(`127.0.0.1:${silent.address().port}`);
  t.after(() => {
    transport.close();
    silent.close();
    // What is closed waits for an answer of its peer, which this one never gives.
    for (const socket of sockets) socket.destroy();
  });

  const calls = Array.from({ length: pools.MAX_CALLS + pools.MAX_WAITING + 5 }, () =>
    transport.call(messages.OPEN, { app: 'shop' }, 1000).catch((error) => error.message));
  const results = await Promise.all(calls);

  assert.equal(results.filter((message) => /calls are under way already/.test(message)).length, 5);
});

test('several addresses take turns, for each RPC by itself, and one that ends costs no call', async (t) => {
  const other = await Service.start({ host: '127.0.0.2' });
  t.after(() => other.remove());
  const client = clientOf(`${service.address},${other.address}`);
  const before = [await service.countCalls('OpenSession'), await other.countCalls('OpenSession')];

  for (let i = 0; i < 10; i += 1) {
    await read(client);
    await client.call(messages.POLICY, { app: 'shop' });
  }
  const after = [await service.countCalls('OpenSession'), await other.countCalls('OpenSession')];
  await other.stop('SIGKILL');
  await times(20, () => read(client));

  assert.deepEqual([after[0] - before[0], after[1] - before[1]], [5, 5]);
});

describe('a watch', () => {
  test('tells why its session has ended', async () => {
    const client = clientOf(service.address);
    const cookieHeader = await makeSession(client);
    const watch = await new Session(client, { cookieHeader }).watch();
    assert.ok(watch.expireTime > new Date());

    await new Session(client, { cookieHeader }).destroy();

    assert.equal(await watch.ended, 'DESTROYED');
  });

  test('goes on after its connection has ended', async () => {
    const client = clientOf(proxy.address);
    const cookieHeader = await makeSession(client);
    const watch = await new Session(client, { cookieHeader }).watch();

    proxy.closeConnections();
    await waitUntil('it begins again', async () => proxy.accepted > 1 && await service.countStreams() > 0);
    await new Session(clientOf(service.address), { cookieHeader }).destroy();

    assert.equal(await watch.ended, 'DESTROYED');
  });

  test('that is closed ends without a reason, at the service too', async () => {
    const client = clientOf(service.address);
    const watch = await new Session(client, { cookieHeader: await makeSession(client) }).watch();

    watch.close();

    assert.equal(await watch.ended, undefined);
    await waitUntil('no stream is left', async () => await service.countStreams() === 0);
  });

  test('of nothing that can be watched is refused', async () => {
    const client = clientOf(service.address);
    const both = `${await makeSession(client)}; ${await makeSession(client)}`;

    const failed = await new Session(client, { cookieHeader: both }).watch().catch((error) => error);

    assert.ok(failed instanceof SessionRefused, String(failed));
  });
});

describe('TLS and callers', () => {
  let certificates;
  let secure;

  before(async () => {
    certificates = new Certificates();
    secure = await Service.start({ more: certificates.settings });
  });

  after(async () => {
    await secure?.remove();
    certificates.remove();
  });

  test('a call by TLS with a client certificate works, and checks the name', async () => {
    const { mutual } = certificates;
    const opened = await read(clientOf(`https://localhost:${secure.port}`, mutual));
    const wrongName = await attempt(`https://127.0.0.1:${secure.port}`, mutual);
    const nobody = await attempt(`https://localhost:${secure.port}`, { caFile: mutual.caFile });

    assert.equal(opened.session.new, true);
    assert.match(wrongName.message, /altnames|IP/);
    assert.match(nobody.code, /^(UNAVAILABLE|UNAUTHENTICATED)$/);
  });

  test('a call to an IP address works if the certificate names it, and sends no address as the name of the server', async (t) => {
    const own = await Service.start({ host: '127.0.0.2', more: certificates.settings });
    t.after(() => own.remove());
    const options = { service: `https://${own.address}`, app: 'shop', transport: 'grpc', credentials: certificates.mutual };

    // Node before 26 only warns of such a name.
    const printed = run(`
      const { Client } = require('cloakroom-sessions');
      new Client(${JSON.stringify(options)}).open({ app: 'shop' })
        .then(({ session }) => console.log(session.new), (error) => console.log(error.message));`,
    { NODE_OPTIONS: '--throw-deprecation' });

    assert.equal(printed, 'true\n');
  });

  test('a certificate that is not trusted is an error at once', () => failsAtOnce(clientOf, secure.port, certificates));

  test('files that have changed are read again', async () => {
    const caFile = certificates.file('renewed.crt');
    fs.copyFileSync(certificates.file('client.crt'), caFile);
    const client = clientOf(`https://localhost:${secure.port}`, { ...certificates.mutual, caFile });

    const refused = await read(client).catch((error) => error);
    fs.copyFileSync(certificates.file('ca.crt'), caFile);
    const opened = await read(client);

    assert.ok(refused instanceof SessionUnavailable, String(refused));
    assert.equal(opened.session.new, true);
  });

  test('a service that is not trusted is refused, whatever the environment says', () => {
    const printed = run(`
      const { Client } = require('cloakroom-sessions');
      new Client({ service: 'https://localhost:${secure.port}', deadline: 10_000, transport: 'grpc' }).open({})
        .then(() => console.log('opened'), (error) => console.log(error.message));`,
    { NODE_TLS_REJECT_UNAUTHORIZED: '0', NODE_NO_WARNINGS: '1' });

    assert.match(printed, /certificate/);
  });

  test('the token of a caller goes with every call', async (t) => {
    const token = 'a-token-of-a-caller-0123456789-abcdefgh';
    const hash = execFileSync('sha256sum', { input: token, encoding: 'utf8' }).split(' ')[0];
    const own = await Service.start({ more: `[callers.node]
roles = ["frontend"]
apps = ["*"]
token_hashes = ["${hash}"]
` });
    t.after(() => own.remove());

    const opened = await read(clientOf(own.address, { token }));
    const failed = await read(clientOf(own.address)).catch((error) => error);

    assert.equal(opened.session.new, true);
    assert.ok(failed instanceof SessionRefused);
    assert.equal(failed.code, 'UNAUTHENTICATED');
  });
});
