// How the client connects to the service: once for all calls of a process, and again when it has to.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import dns from 'node:dns';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import http2 from 'node:http2';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, describe, test } from 'node:test';
import { CallFailed, Client, ConnectTransport, SessionRefused, SessionUnavailable } from 'cloakroom-sessions';
import { freePort, waitUntil } from '../../../tests/web/processes.mjs';
import messages from '../src/messages.js';
import pools from '../src/connect/pool.js';
import { Certificates } from './certificates.mjs';
import { proxy, service, useService } from './proxied_service.mjs';
import { Service } from './service.mjs';
import { failsAtOnce } from './untrusted.mjs';

const { OPEN } = messages;
const LONG = 60_000;

useService();

// A client with connections of its own.
const clientOf = (address, { deadline = LONG, ...credentials } = {}) =>
  new Client({ service: new ConnectTransport(address, credentials), app: 'shop', deadline });
const read = (client) => client.open({ app: 'shop' });
const times = (count, call) => Promise.all(Array.from({ length: count }, call));

// Creates a session with one entry.
function write(client) {
  const changes = { set: new Map([['a', { json: '1' }]]) };
  return client.save({ app: 'shop', cookieHeader: '', changes, requestId: String(Math.random()) });
}

test('all calls share one connection as long as they come one by one', async () => {
  const client = clientOf(proxy.address);

  await client.policy();
  const { session } = await write(client);
  await client.open({ app: 'shop', token: session.token });

  assert.equal(proxy.accepted, 1);
});

test('clients of one address and one token share their connections', async () => {
  const options = { service: proxy.address, app: 'shop' };

  for (let i = 0; i < 100; i += 1) await read(new Client(options));
  await read(new Client({ ...options, credentials: { token: 'other' } }));

  assert.equal(proxy.accepted, 2);
});

test('calls that come together share one connection', async () => {
  const client = clientOf(proxy.address);

  await times(1000, () => read(client));

  assert.equal(proxy.accepted, 1);
});

test('the calls that wait are bounded', async () => {
  const silent = net.createServer(() => {});
  await once(silent.listen(0, '127.0.0.1'), 'listening');
  const transport = new ConnectTransport(`127.0.0.1:${silent.address().port}`);

  const calls = Array.from({ length: pools.MAX_WAITING + 5 }, () =>
    transport.call(OPEN, { app: 'shop' }, 1000).catch((error) => error.message));
  const results = await Promise.all(calls);

  assert.equal(results.filter((message) => /calls wait for a connection/.test(message)).length, 5);
  silent.close();
  transport.close();
});

test('a call waits for a connection only until its deadline', async () => {
  const own = await Service.start();
  const service = new ConnectTransport(own.address);
  await read(new Client({ service, app: 'shop', deadline: LONG }));
  const client = new Client({ service, app: 'shop', deadline: 600 });
  await own.process.suspend();

  const began = performance.now();
  const results = await times(2 * pools.MAX_CALLS, () => read(client).catch((error) => error));
  const took = performance.now() - began;
  own.process.resume();

  assert.ok(results.every((error) => error instanceof SessionUnavailable));
  assert.ok(took < LONG, `${took}`);
  assert.equal((await read(clientOf(own.address))).session.new, true);
  await own.remove();
});

test('a connection that was closed while it was idle is not used', async () => {
  const client = clientOf(proxy.address);
  await write(client);
  const before = proxy.requests;

  proxy.closeConnections();
  await waitUntil('the connection ends', () => proxy.openCount === 0);
  await write(client);

  assert.equal(proxy.requests - before, 1);
});

test('a connection that was closed while the process was busy is not used', async () => {
  const client = clientOf(proxy.address);
  await write(client);
  const before = proxy.requests;

  proxy.closeConnections();
  // The proxy closes them in the next turn of the event loop, in which the client has seen nothing yet.
  await new Promise(setImmediate);
  const end = performance.now() + 50;
  while (performance.now() < end);
  await write(client);

  assert.equal(proxy.requests - before, 1);
});

test('responses that do not fit into one read are read whole', async () => {
  const client = clientOf(proxy.address);
  const { session } = await write(client);
  const json = JSON.stringify('x'.repeat(60_000));
  const changes = { set: new Map([['long', { json }]]) };
  await client.save({ app: 'shop', token: session.token, changes, requestId: 'a save of 60 KB' });

  const opened = await times(10, () => client.open({ app: 'shop', token: session.token }));

  assert.deepEqual(new Set(opened.map((each) => each.session.entries.get('long').json)), new Set([json]));
});

test('an idle connection keeps no process alive', async () => {
  const program = `
    const { Client } = require('cloakroom-sessions');
    new Client({ service: '${service.address}', app: 'shop' }).open({ app: 'shop' }).then(() => console.log('done'));`;

  const printed = execFileSync(process.execPath, ['-e', program], { cwd: import.meta.dirname, timeout: LONG, encoding: 'utf8' });

  assert.equal(printed, 'done\n');
});

test('close ends the connections, and the next call connects again', async () => {
  const client = clientOf(proxy.address);
  await read(client);

  client.transport.close();
  await waitUntil('the connection ends', () => proxy.openCount === 0);
  await read(client);

  assert.equal(proxy.accepted, 2);
});

test('a Unix socket is an address', async () => {
  for (const form of [`unix:${service.socket}`, `unix://${service.socket}`]) {
    assert.equal((await read(clientOf(form))).session.new, true);
  }
});

test('a proxy in the environment gets no call', async () => {
  const connections = [];
  const trap = net.createServer((socket) => { connections.push(socket); socket.destroy(); });
  await once(trap.listen(0, '127.0.0.1'), 'listening');
  const url = `http://127.0.0.1:${trap.address().port}`;
  const names = ['http_proxy', 'https_proxy', 'all_proxy'].flatMap((name) => [name, name.toUpperCase()]);
  const env = { ...process.env, NODE_USE_ENV_PROXY: '1', ...Object.fromEntries(names.map((name) => [name, url])) };
  const program = `
    const { Client } = require('cloakroom-sessions');
    new Client({ service: '${service.address}', app: 'shop' }).policy().then((policy) => console.log(policy.cookieName));`;

  const child = spawn(process.execPath, ['-e', program], { cwd: import.meta.dirname, env, stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = await once(createInterface({ input: child.stdout }), 'line');

  assert.deepEqual([line, connections.length], ['session', 0]);
  trap.close();
});

test('the deadline of a call reaches the service', async () => {
  for (const server of [http.createServer(), http2.createServer()]) {
    const timeouts = [];
    server.on('request', (request, response) => {
      timeouts.push(Number(request.headers['connect-timeout-ms']));
      response.writeHead(timeouts.length < 3 ? 503 : 401).end();
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const client = clientOf(`127.0.0.1:${server.address().port}`);

    const failed = await read(client).catch((error) => error);

    assert.equal(failed.code, 'UNAUTHENTICATED');
    assert.ok(LONG >= timeouts[0] && timeouts[0] > timeouts[1] && timeouts[1] > timeouts[2] && timeouts[2] > 0, `${timeouts}`);
    client.transport.close();
    server.close();
  }
});

test('a call whose repeat has no time left says why it was repeated', async (t) => {
  const sessions = [];
  const server = http2.createServer();
  server.on('session', (session) => sessions.push(session));
  // Only the first call fails; the next one gets no answer.
  server.once('stream', (stream) => stream.session.destroy());
  t.after(() => {
    for (const session of sessions) session.destroy();
    server.close();
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');

  const failed = await read(clientOf(`127.0.0.1:${server.address().port}`, { deadline: 2000 })).catch((error) => error);

  assert.ok(failed instanceof SessionUnavailable);
  assert.equal(failed.code, 'DEADLINE_EXCEEDED');
  assert.match(failed.message, /no answer.*; the attempt before: /);
});

test('what is no service is named as such', async () => {
  const server = net.createServer((socket) => socket.on('data', () => {
    socket.end('HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-type: text/html\r\n\r\nhi');
  }));
  await once(server.listen(0, '127.0.0.1'), 'listening');

  const failed = await new ConnectTransport(`127.0.0.1:${server.address().port}`).call(OPEN, {}, 1000).catch((error) => error);

  assert.ok(failed instanceof CallFailed);
  assert.match(failed.message, /is not the service/);
  server.close();
});

test('an error of the service has its code, reason and message', async () => {
  const failed = await clientOf(service.address).open({ app: 'nobody' }).catch((error) => error);

  assert.ok(failed instanceof SessionRefused);
  assert.deepEqual([failed.code, failed.reason], ['NOT_FOUND', 'APP_UNKNOWN']);
});

const INVALID = [
  ['', 'for example, localhost:50051'],
  [' , ', 'for example, localhost:50051'],
  ['localhost:port', 'from 1 to 65535'],
  ['localhost:70000', 'from 1 to 65535'],
  ['unix:', 'unix:/run/cloakroom/cloakroom.sock'],
  ['localhost:50051/path', 'no address of the service'],
  ['user@localhost:50051', 'no address of the service'],
  ['dns://10.0.0.1/cloakroom:50051', 'no address of the service'],
  ['two words:50051', 'no valid host'],
  ['[::1]50051', 'written as [::1]:50051'],
];

test('a name whose look-up hangs holds no call if there is another address', async (t) => {
  t.mock.method(dns, 'lookup', (name, options, callback) => {
    if (name === 'other.test') setImmediate(callback, null, [{ address: '127.0.0.1', family: 4 }]);
  });
  const { port } = service;

  for (const other of ['127.0.0.1', 'other.test']) {
    for (const address of [`silent.test:${port},${other}:${port}`, `${other}:${port},silent.test:${port}`]) {
      assert.ok(await read(clientOf(address, { deadline: 10_000 })), address);
    }
  }
});

test('a call for which no name has an address says why', async (t) => {
  t.mock.method(dns, 'lookup', (name, options, callback) => {
    if (name === 'unknown.test') setImmediate(callback, new Error('no such host'));
  });

  const failure = (address) => new ConnectTransport(address).call(OPEN, { app: 'shop' }, 2000).catch((error) => error.message);

  assert.equal(await failure('unknown.test:1'), 'cannot look up "unknown.test": no such host');
  assert.equal(await failure('unknown.test:1,silent.test:1'),
    'cannot look up "unknown.test": no such host; cannot look up "silent.test": no answer in time');
});

test('an address that is not valid is refused with advice', () => {
  for (const [address, advice] of INVALID) {
    assert.throws(() => new ConnectTransport(address), (error) => error.message.includes(advice), address);
  }
});

test('credentials that are not valid are refused', () => {
  assert.throws(() => new ConnectTransport('https://a', { certificateFile: 'x' }), /belong together/);
  assert.throws(() => new ConnectTransport('a', { token: 'x\n' }), /visible ASCII/);
  assert.throws(() => new ConnectTransport('a', { caFile: 'x' }), /need TLS/);
});

describe('several addresses', () => {
  let other;

  before(async () => {
    other = await Service.start({ host: '127.0.0.2', port: service.port });
  });

  after(() => other?.remove());

  test('take turns, for each RPC by itself', async () => {
    const client = clientOf(`${service.address},${other.address}`);
    const before = [await service.countCalls('OpenSession'), await other.countCalls('OpenSession')];

    for (let i = 0; i < 10; i += 1) {
      await read(client);
      await client.call(messages.POLICY, { app: 'shop' });
    }

    assert.deepEqual([await service.countCalls('OpenSession') - before[0], await other.countCalls('OpenSession') - before[1]], [5, 5]);
  });

  test('that refuse or keep silent cost no call its deadline, and are left out for a while', async () => {
    let accepted = 0;
    const silent = net.createServer(() => { accepted += 1; });
    await once(silent.listen(0, '127.0.0.1'), 'listening');
    const nobody = await freePort();
    const client = clientOf(`127.0.0.1:${nobody},${service.address},127.0.0.1:${silent.address().port}`);

    const began = performance.now();
    await times(20, () => read(client));
    for (let i = 0; i < 20; i += 1) await read(client);
    const took = performance.now() - began;

    // Half of a deadline would be the time of a call, if the opening of a connection had no time of its own.
    assert.ok(took < LONG / 2, `${took}`);
    // One by one it would be every third call, were it not left out.
    assert.ok(accepted <= 5, `${accepted}`);
    silent.close();
    client.transport.close();
  });

  // In a namespace with an /etc/hosts of its own.
  test('that a name has now are used, and it is looked up again after a failure', async (t) => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'cloakroom-hosts-'));
    const hosts = path.join(folder, 'hosts');
    fs.writeFileSync(hosts, '127.0.0.1 cloakroom.test\n127.0.0.2 cloakroom.test\n');
    const program = `
      const { Client } = require('cloakroom-sessions');
      const client = new Client({ service: 'cloakroom.test:${service.port}', app: 'shop', deadline: 20_000 });
      require('node:readline').createInterface({ input: process.stdin }).on('line', () => {
        client.open({ app: 'shop' }).then(() => console.log('ok'), (error) => console.log(error.message));
      });`;
    const shell = `mount --bind ${hosts} /etc/hosts; exec "$@"`;
    const child = spawn('unshare', ['--mount', 'sh', '-ec', shell, 'sh', process.execPath, '-e', program],
      { cwd: import.meta.dirname, stdio: ['pipe', 'pipe', 'inherit'] });
    t.after(() => {
      child.kill('SIGKILL');
      fs.rmSync(folder, { recursive: true });
    });
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const call = async () => {
      child.stdin.write('\n');
      return (await lines.next()).value;
    };
    const counts = () => Promise.all([service.countCalls('OpenSession'), other.countCalls('OpenSession')]);
    const before = await counts();

    for (let i = 0; i < 10; i += 1) assert.equal(await call(), 'ok');
    const after = await counts();
    const third = await Service.start({ host: '127.0.0.3', port: service.port });
    t.after(() => third.remove());
    fs.writeFileSync(hosts, '127.0.0.3 cloakroom.test\n');
    await Promise.all([service.stop(), other.stop()]);
    const moved = await call();
    await Promise.all([service.launch(), other.launch()]);

    assert.deepEqual([after[0] - before[0], after[1] - before[1]], [5, 5]);
    assert.deepEqual([moved, await third.countCalls('OpenSession')], ['ok', 1]);
  });
});

describe('TLS and callers', () => {
  const token = 'a-token-of-a-caller-0123456789-abcdefgh';
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

  const address = () => `https://localhost:${secure.port}`;

  test('a call by TLS with a client certificate works', async () => {
    const { mutual } = certificates;
    const opened = await read(clientOf(address(), mutual));

    assert.equal(opened.session.new, true);
  });

  test('a certificate that is not trusted is an error at once', () => failsAtOnce(clientOf, secure.port, certificates));

  test('a service that is not trusted is refused, whatever the environment says', () => {
    const program = `
      const { Client } = require('cloakroom-sessions');
      new Client({ service: '${address()}', deadline: 2000 }).open({}).then(() => console.log('opened'), (error) => console.log(error.message));`;
    const env = { ...process.env, NODE_TLS_REJECT_UNAUTHORIZED: '0', NODE_NO_WARNINGS: '1' };

    const printed = execFileSync(process.execPath, ['-e', program], { cwd: import.meta.dirname, env, encoding: 'utf8' });

    assert.match(printed, /certificate/);
  });

  test('the token of a caller goes with every call, and in no message of an error', async () => {
    const tokens = [];
    for (const server of [http.createServer(), http2.createServer()]) {
      server.on('request', (request, response) => {
        tokens.push(request.headers.authorization);
        response.writeHead(401).end();
      });
      await once(server.listen(0, '127.0.0.1'), 'listening');
      const client = clientOf(`127.0.0.1:${server.address().port}`, { token });

      const failed = await client.open({}).catch((error) => error);

      assert.deepEqual([failed.code, JSON.stringify(failed).includes(token), failed.stack.includes(token)], ['UNAUTHENTICATED', false, false]);
      client.transport.close();
      server.close();
    }
    assert.deepEqual(tokens, [`Bearer ${token}`, `Bearer ${token}`]);
  });
});
