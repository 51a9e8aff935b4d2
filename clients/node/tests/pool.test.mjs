// The connection that a call gets, beside Node's own servers, and beside servers that break off.
import assert from 'node:assert/strict';
import dns from 'node:dns';
import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import fs from 'node:fs';
import net from 'node:net';
import tls from 'node:tls';
import { after, afterEach, before, describe, test } from 'node:test';
import { ConnectTransport } from 'cloakroom-sessions';
import { waitUntil } from '../../../tests/web/processes.mjs';
import frames from '../src/connect/http2.js';
import pools from '../src/connect/pool.js';
import messages from '../src/messages.js';
import { Certificates } from './certificates.mjs';

const { POLICY } = messages;
const LONG = 60_000;

const ends = [];
afterEach(() => {
  for (const end of ends.splice(0).reverse()) end();
});

// Starts a server, and returns a transport to it. All its sockets are closed after the test.
async function connectTo(server, credentials) {
  server.on(server instanceof tls.Server ? 'secureConnection' : 'connection', (socket) => {
    socket.on('error', () => {});
    ends.push(() => socket.destroy());
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address();
  const transport = new ConnectTransport(credentials === undefined ? `127.0.0.1:${port}` : `https://localhost:${port}`, credentials);
  ends.push(() => server.close(), () => transport.close());
  return transport;
}

const call = (transport, timeout = LONG) => transport.call(POLICY, { app: 'shop' }, timeout);
const failure = (transport, timeout) => call(transport, timeout).then(() => assert.fail('it was answered'), (error) => error);
const times = (count, act) => Array.from({ length: count }, act);

// Stops the clock of the client. Returns what moves it on, and fires the timers that are due then.
function stopClock(t) {
  // A whole number, so that the parts of a deadline are exact.
  let time = Math.ceil(performance.now());
  t.mock.method(performance, 'now', () => time);
  t.mock.timers.enable({ apis: ['setTimeout'] });
  return (milliseconds) => {
    time += milliseconds;
    t.mock.timers.tick(milliseconds);
  };
}

// A server that holds its calls until a test answers them.
function holdingServer(maxConcurrentStreams = 1000) {
  const server = http2.createServer({ settings: { maxConcurrentStreams } });
  // The streams that were not answered, and the sessions in their order.
  server.held = [];
  server.sessions = [];
  // The most of them at a time.
  server.most = 0;
  server.on('session', (session) => {
    server.sessions.push(session);
    session.on('error', () => {});
  });
  server.on('stream', (stream) => {
    stream.on('error', () => {});
    server.held.push(stream);
    server.most = Math.max(server.most, server.held.length);
  });
  server.answerAll = () => server.held.splice(0).forEach(answer);
  server.holds = (count) => waitUntil(`${count} calls`, () => server.held.length === count);
  return server;
}

// Makes a call, and has it answered.
async function answeredCall(transport, server) {
  const answered = call(transport);
  await server.holds(1);
  server.answerAll();
  await answered;
}

function answer(stream) {
  stream.respond({ ':status': 200, 'content-type': 'application/proto' });
  stream.end();
}

test('64 calls at a time go to an address, and the others wait for them', async () => {
  const server = holdingServer();
  const transport = await connectTo(server);

  const calls = times(pools.MAX_CALLS + 10, () => call(transport));
  await server.holds(pools.MAX_CALLS);
  server.answerAll();
  await server.holds(10);
  server.answerAll();
  await Promise.all(calls);

  assert.equal(server.sessions.length, 1);
});

test('by HTTP/1.1 64 connections carry a call each, and the others wait for them', async () => {
  const held = [];
  const server = http.createServer((_, response) => held.push(response));
  let accepted = 0;
  server.on('connection', () => { accepted += 1; });
  const transport = await connectTo(server);
  const answerAll = () => held.splice(0).forEach((response) => response.writeHead(200, { 'content-type': 'application/proto' }).end());

  const calls = times(pools.MAX_CALLS + 10, () => call(transport));
  await waitUntil('64 calls', () => held.length === pools.MAX_CALLS);
  const openCount = accepted;
  answerAll();
  await waitUntil('the other calls', () => held.length === 10);
  answerAll();
  await Promise.all(calls);

  assert.equal(accepted, openCount);
});

for (const limit of [1, 3, 10]) {
  test(`a service that takes ${limit} at a time on a connection gets more connections`, async () => {
    const server = holdingServer(limit);
    const transport = await connectTo(server);

    const calls = times(20, () => call(transport));
    await server.holds(20);
    const counts = server.sessions.map((session) => server.held.filter((stream) => stream.session === session).length);
    server.answerAll();
    await Promise.all(calls);

    assert.ok(Math.max(...counts) <= limit, `${counts}`);
  });
}

test('no more than 64 calls are under way on all connections together', async () => {
  for (const limit of [10, 40, 63]) {
    const server = holdingServer(limit);
    const transport = await connectTo(server);

    const calls = times(200, () => call(transport));
    for (let left = calls.length; left > 0;) {
      await waitUntil('64 calls', () => server.held.length >= Math.min(left, pools.MAX_CALLS));
      left -= server.held.splice(0, 40).map(answer).length;
    }
    await Promise.all(calls);

    assert.equal(server.most, pools.MAX_CALLS);
  }
});

test('a limit that is raised lets the calls begin that wait', async () => {
  const server = holdingServer(1);
  const transport = await connectTo(server);
  const calls = [call(transport)];
  await server.holds(1);
  server.sessions[0].settings({ maxConcurrentStreams: 100 });
  await once(server.sessions[0], 'localSettings');

  calls.push(...times(10, () => call(transport)));
  await server.holds(11);
  server.answerAll();
  await Promise.all(calls);

  assert.equal(server.sessions.length, 1);
});

test('a connection over a limit that was lowered meanwhile gets no other call', async () => {
  const server = holdingServer(10);
  const transport = await connectTo(server);
  const calls = times(5, () => call(transport));
  await server.holds(5);
  await new Promise((resolve) => server.sessions[0].settings({ maxConcurrentStreams: 3 }, resolve));

  calls.push(call(transport));
  await server.holds(6);

  assert.equal(server.held.filter(({ session }) => session === server.sessions[0]).length, 5);
  server.answerAll();
  await Promise.all(calls);
});

test('a service that takes no call at the moment costs no connection for each call', async () => {
  const server = holdingServer(0);
  const transport = await connectTo(server);

  const failed = await Promise.all(times(20, () => failure(transport, 1000)));

  assert.ok(failed.every(({ code }) => code === 'UNAVAILABLE' || code === 'DEADLINE_EXCEEDED'), `${failed}`);
  assert.ok(server.sessions.length <= 20, `${server.sessions.length}`);
});

test('a slow call leaves the connection to the others, if they are answered', async (t) => {
  const server = holdingServer();
  const transport = await connectTo(server);
  await answeredCall(transport, server);
  const pass = stopClock(t);

  for (let i = 0; i < 5; i += 1) {
    const slow = failure(transport);
    await once(server, 'stream');
    const fast = call(transport);
    await once(server, 'stream');
    assert.equal(server.sessions.length, 1);
    // A call waits for half of its deadline, if there is another way.
    pass(LONG * 0.4);
    answer(server.held.pop());
    await fast;
    pass(LONG * 0.1);
    assert.match((await slow).message, /no answer in time/);
  }
  const next = call(transport);
  await once(server, 'stream');
  answer(server.held.pop());
  await next;

  assert.equal(server.sessions.length, 1);
});

test('a connection on which nothing is answered is left by the next call', async (t) => {
  const server = holdingServer();
  const transport = await connectTo(server);
  await answeredCall(transport, server);
  const pass = stopClock(t);

  const slow = failure(transport);
  await once(server, 'stream');
  pass(LONG);
  await slow;
  const next = call(transport);
  await once(server, 'stream');
  answer(server.held.pop());
  await next;

  assert.equal(server.sessions.length, 2);
});

test('a call that the service refuses costs no connection', async (t) => {
  const server = holdingServer();
  const transport = await connectTo(server);
  const pass = stopClock(t);

  for (let i = 0; i < 3; i += 1) {
    const refused = failure(transport);
    await once(server, 'stream');
    pass(1);
    server.held.pop().close(http2.constants.NGHTTP2_REFUSED_STREAM);
    assert.match((await refused).message, /the code 7 of HTTP\/2/);
  }

  assert.equal(server.sessions.length, 1);
});

test('calls that wait for a place get one, also if no other connection can be opened', async () => {
  const service = holdingServer(2);
  let refused = 0;
  const transport = await connectTo(net.createServer((socket) => {
    if (service.sessions.length === 0) service.emit('connection', socket);
    else socket.destroy(void (refused += 1));
  }));
  const calls = times(2, () => call(transport));
  await service.holds(2);

  calls.push(call(transport));
  await waitUntil('the other connection', () => refused > 0);
  service.answerAll();
  await service.holds(1);
  service.answerAll();

  await Promise.all(calls);
});

test('calls that wait while the connections are closed are answered, and leave no connection', async () => {
  const server = holdingServer();
  const transport = await connectTo(server);
  const calls = times(pools.MAX_CALLS + 5, () => call(transport));
  await server.holds(pools.MAX_CALLS);

  transport.close();
  server.answerAll();
  await server.holds(5);
  server.answerAll();
  await Promise.all(calls);

  await waitUntil('the end of the connections', () => server.sessions.every(({ closed, destroyed }) => closed || destroyed));
});

// The frames of a server.
const SETTINGS = frames.writeFrame(frames.SETTINGS, 0, 0, Buffer.alloc(0));
const GOAWAY = frames.writeFrame(frames.GOAWAY, 0, 0, Buffer.alloc(8));

test('a connection that ends as it begins is not connected', async () => {
  const transport = await connectTo(net.createServer((socket) => {
    socket.on('data', () => {});
    socket.write(Buffer.concat([SETTINGS, GOAWAY]));
  }));

  assert.match((await failure(transport)).message, /cannot connect to .*: the connection was closed/);
});

test('a connection that is being opened is closed after the calls that wait for it', async () => {
  const server = net.createServer();
  const transport = await connectTo(server);
  const calls = times(2, () => call(transport));
  const [socket] = await once(server, 'connection');
  const closed = once(socket, 'close');
  await once(socket, 'data');

  transport.close();
  // Longer than a connection counts as used.
  await new Promise((resolve) => setTimeout(resolve, 50));
  const head = (stream) => frames.writeFrame(frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, stream,
    Buffer.concat([Buffer.from([0x88, 0x0f, 0x10, 17]), Buffer.from('application/proto')]));
  socket.write(SETTINGS);
  let size = 0;
  socket.on('data', (data) => {
    size += data.length;
    if (size > data.length || data.length > SETTINGS.length) socket.write(Buffer.concat([head(1), head(3)]));
  });

  await Promise.all(calls);
  await closed;
});

test('a service that has spoken HTTP/2 and closes connections at once is seldom spoken to by HTTP/1.1', async () => {
  const service = holdingServer();
  const first = [];
  const transport = await connectTo(net.createServer((socket) => {
    if (service.sessions.length === 0) service.emit('connection', socket);
    else socket.once('data', (data) => { first.push(data.toString('latin1', 0, 3)); socket.destroy(); });
  }));
  await answeredCall(transport, service);
  service.sessions[0].destroy();
  await waitUntil('the end', () => service.sessions[0].destroyed);

  for (let i = 0; i < 12; i += 1) await failure(transport);

  assert.equal(first.indexOf('POS'), 10);
});

test('an address that has answered by HTTP/1.1 is spoken to by HTTP/2 again a minute later', async (t) => {
  const service = holdingServer();
  const gateway = http.createServer((_, response) => response.writeHead(502, { connection: 'close' }).end());
  let isUp = false;
  const transport = await connectTo(net.createServer((socket) => (isUp ? service : gateway).emit('connection', socket)));
  await failure(transport);
  isUp = true;
  const { now } = performance;
  t.mock.method(performance, 'now', () => now.call(performance) + 61_000);

  const calls = [call(transport)];
  await service.holds(1);
  calls.push(...times(9, () => call(transport)));
  await service.holds(10);
  service.answerAll();
  await Promise.all(calls);
});

test('a service that asks and asks and does not read is left', async () => {
  const pings = Buffer.concat(times(4096, () => frames.writeFrame(frames.PING, 0, 0, Buffer.alloc(8))));
  const server = net.createServer((socket) => {
    socket.once('data', () => {
      socket.pause();
      socket.write(SETTINGS);
      const ask = () => { if (!socket.destroyed) socket.write(pings, ask); };
      ask();
    });
  });
  const transport = await connectTo(server);

  assert.match((await failure(transport)).message, /too many acknowledgements/);
});

test('a call fails as usual if a look-up drops the address that it has not tried', async (t) => {
  const ips = ['127.0.0.2', '127.0.0.3', '127.0.0.4'];
  const tried = new Set();
  let dropOthers;
  const listen = async (ip, port) => {
    const server = net.createServer((socket) => {
      socket.on('error', () => {});
      tried.add(ip);
      if (tried.size === 2) dropOthers?.();
      socket.write(Buffer.concat([SETTINGS, GOAWAY]));
      ends.push(() => socket.destroy());
    });
    await once(server.listen(port, ip), 'listening');
    ends.push(() => server.close());
    return server.address().port;
  };
  const port = await listen(ips[0], 0);
  await Promise.all(ips.slice(1).map((ip) => listen(ip, port)));
  const found = (some) => some.map((address) => ({ address, family: 4 }));
  let lookUp = (callback) => setImmediate(callback, null, found(ips));
  t.mock.method(dns, 'lookup', (name, options, callback) => lookUp(callback));
  const transport = new ConnectTransport(`cloakroom.test:${port}`);
  await failure(transport);
  tried.clear();
  lookUp = (callback) => { dropOthers = () => callback(null, found([...tried])); };
  const { now } = performance;
  t.mock.method(performance, 'now', () => now.call(performance) + 2000);

  assert.equal((await failure(transport)).code, 'UNAVAILABLE');
  assert.equal(tried.size, 2);
});

describe('TLS', () => {
  let certificates;
  let options;

  before(() => {
    certificates = new Certificates();
    const read = (name) => fs.readFileSync(certificates.file(name));
    options = { key: read('server.key'), cert: read('server.crt') };
  });

  after(() => certificates.remove());

  const servers = {
    'HTTP/2': (listener) => http2.createSecureServer({ ...options, allowHTTP1: true }, listener),
    'HTTP/1.1': (listener) => https.createServer(options, listener),
    nothing: (listener) => {
      const plain = http.createServer(listener);
      return tls.createServer(options, (socket) => plain.emit('connection', socket));
    },
  };

  for (const [name, makeServer] of Object.entries(servers)) {
    test(`a service that chooses ${name} by ALPN has one connection for calls one by one`, async () => {
      const versions = [];
      const server = makeServer((request, response) => {
        versions.push(request.httpVersion);
        response.writeHead(200, { 'content-type': 'application/proto' }).end();
      });
      let accepted = 0;
      server.on('secureConnection', () => { accepted += 1; });
      const transport = await connectTo(server, { caFile: certificates.file('ca.crt') });

      for (let i = 0; i < 3; i += 1) await call(transport);

      assert.deepEqual([versions, accepted], [times(3, () => name === 'HTTP/2' ? '2.0' : '1.1'), 1]);
    });
  }
});
