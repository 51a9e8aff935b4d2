// Watches of sessions at the real service, and a websocket that is closed when its session ends.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { after, before, test } from 'node:test';
import WebSocket, { WebSocketServer } from 'ws';
import { Client, ConnectTransport, Session, SessionRefused, SessionUnavailable } from 'cloakroom-sessions';
import { AdminClient } from 'cloakroom-sessions/admin';
import { sessions } from 'cloakroom-sessions/express';
import express from 'express';
import { waitUntil } from '../../../tests/web/processes.mjs';
import messages from '../src/messages.js';
import { Browser, serve } from './app.mjs';
import { LossyProxy } from './lossy_proxy.mjs';
import { Service } from './service.mjs';

let service;
let client;

before(async () => {
  service = await Service.start();
  client = clientOf(service.address);
});

after(() => service?.remove());

const clientOf = (address, deadline = 10_000) => new Client({ service: new ConnectTransport(address), app: 'shop', deadline });

// Makes a session, and returns its Cookie header.
async function makeSession(subject) {
  const session = new Session(client);
  session.set('a', 1);
  if (subject) session.subject = subject;
  const headers = await session.finish();
  return headers.find(({ name }) => name === 'Set-Cookie').value.split(';')[0];
}

const sessionOf = (cookieHeader, by = client) => new Session(by, { cookieHeader });
const isPending = async (promise) => await Promise.race([promise, new Promise((resolve) => { setImmediate(resolve, 'pending'); })]) === 'pending';

test('a watch tells why its session has ended', async () => {
  const cookie = await makeSession();
  const watch = await sessionOf(cookie).watch();
  assert.ok(watch.expireTime > new Date());
  assert.ok(await isPending(watch.ended));

  await sessionOf(cookie).destroy();

  assert.equal(await watch.ended, 'DESTROYED');
});

test('a login ends the watch of the token before', async () => {
  const cookie = await makeSession();
  const opened = sessionOf(cookie);
  await opened.open();
  const watch = await opened.watch();

  const login = sessionOf(cookie);
  login.subject = 'ada';
  await login.finish();

  assert.equal(await watch.ended, 'SUPERSEDED');
});

test('a watch without a session has ended', async () => {
  assert.equal(await (await new Session(client).watch()).ended, 'UNKNOWN');
});

test('a watch of two live sessions is refused', async () => {
  const both = `${await makeSession()}; ${await makeSession()}`;

  await assert.rejects(() => sessionOf(both).watch(), SessionRefused);
});

test('a watch that is closed has no reason, and leaves its connection', async () => {
  const proxy = await LossyProxy.start(service.port);
  const watch = await sessionOf(await makeSession(), clientOf(proxy.address)).watch();

  watch.close();

  assert.equal(await watch.ended, undefined);
  await waitUntil('the connection ends', () => proxy.openCount === 0);
  proxy.close();
});

test('a watch goes on after its connection was lost, and after an outage', async (t) => {
  const own = await Service.start();
  t.after(() => own.remove());
  const proxy = await LossyProxy.start(own.port);
  t.after(() => proxy.close());
  const session = new Session(clientOf(proxy.address, 60_000));
  session.set('a', 1);
  const [{ value }] = await session.finish();
  const watch = await session.watch();

  proxy.closeConnections();
  await waitUntil('the watch has begun again', () => proxy.openCount > 0);
  await own.stop('SIGKILL');
  const hasty = sessionOf(value.split(';')[0], clientOf(proxy.address, 300));
  await assert.rejects(() => hasty.watch(), SessionUnavailable);
  assert.ok(await isPending(watch.ended));
  await own.launch();
  await session.destroy();

  assert.equal(await watch.ended, 'DESTROYED');
});

test('what is no service is named as such', async (t) => {
  const server = net.createServer((socket) => socket.on('data', () => {
    socket.end('HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-type: text/html\r\n\r\nhi');
  }));
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.after(() => server.close());

  await assert.rejects(() => new Session(clientOf(`127.0.0.1:${server.address().port}`, 60_000)).watch(), /is not the service/);
});

test('a silent service costs a watch its deadline', async (t) => {
  const server = net.createServer(() => {});
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.after(() => server.close());
  const silent = clientOf(`127.0.0.1:${server.address().port}`, 300);

  await assert.rejects(() => new Session(silent).watch(), SessionUnavailable);
});

for (const transport of ['connect', 'grpc']) {
  test(`a watch by ${transport} begins although one of two addresses accepts connections and never answers`, async (t) => {
    const { address, stop } = await listen(() => {});
    t.after(stop);
    const cookie = await makeSession();
    // The first address of a transport is random.
    const clients = Array.from({ length: 10 }, (_, i) => new Client({
      service: `${address},${service.address}`, app: 'shop', deadline: 4000, transport, credentials: { token: `own-${i}` },
    }));

    const watches = await Promise.all(clients.map((each) => sessionOf(cookie, each).watch()));

    for (const watch of watches) watch.close();
  });
}

test('an address that switches to another protocol cuts a watch off at once', async (t) => {
  const { address, stop } = await listen((socket) => socket.once('data', () => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n');
  }));
  t.after(stop);

  const begun = new ConnectTransport(address).stream(messages.WATCH, { app: 'shop' }, 5000);

  await assert.rejects(begun, { code: 'UNAVAILABLE' });
});

test('a peer that sends more after the end of a stream is left', async (t) => {
  const end = Buffer.from([2, 0, 0, 0, 2, 123, 125]);
  let connection;
  const { address, stop } = await listen((socket) => {
    connection = socket;
    socket.on('error', () => {});
    socket.once('data', () => socket.write(Buffer.concat([
      Buffer.from('HTTP/1.1 200 OK\r\ncontent-type: application/connect+proto\r\ncontent-length: 1000000\r\n\r\n'), end,
    ])));
  });
  t.after(stop);
  const { first } = await new ConnectTransport(address).stream(messages.WATCH, { app: 'shop' }, 5000);
  assert.equal(first, undefined);

  const closed = once(connection, 'close', { signal: AbortSignal.timeout(5000) });
  connection.write('more');

  await closed;
});

// A server of TCP.
async function listen(onConnection) {
  const server = net.createServer(onConnection);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const sockets = [];
  server.on('connection', (socket) => sockets.push(socket));
  const stop = () => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  return { address: `127.0.0.1:${server.address().port}`, stop };
}

// An application with a websocket for those who are logged in.
async function serveSockets() {
  const server = http.createServer();
  const sockets = new WebSocketServer({ noServer: true });
  const watches = [];
  server.on('upgrade', async (request, socket, head) => {
    // As in the README.
    socket.on('error', () => socket.destroy());
    try {
      const session = new Session(client, { cookieHeader: request.headers.cookie });
      await session.open();
      const watch = await session.watch();
      watches.push(watch);
      socket.on('close', () => watch.close());
      if (socket.destroyed) watch.close();
      if (session.subject === undefined) {
        socket.end('HTTP/1.1 401 Unauthorized\r\n\r\n');
        return;
      }
      sockets.handleUpgrade(request, socket, head, (websocket) => {
        const end = () => websocket.close(4401, 'the session has ended');
        watch.ended.then((reason) => { if (reason) end(); }, end);
        websocket.send(`hello ${session.subject}`);
      });
    } catch {
      socket.destroy();
    }
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const stop = () => { server.close(); server.closeAllConnections(); };
  return { url: `ws://127.0.0.1:${server.address().port}`, stop, watches };
}

test('a browser that goes during the handshake, and one with a wrong handshake, leave no watch behind', async (t) => {
  const { url, stop, watches } = await serveSockets();
  t.after(stop);
  const cookie = await makeSession('ada');
  const send = async (lines) => {
    const socket = net.connect(new URL(url).port, '127.0.0.1');
    socket.on('error', () => {});
    await once(socket, 'connect');
    socket.write(`GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n${lines}Cookie: ${cookie}\r\n\r\n`);
    return socket;
  };

  const wrong = await send('');
  wrong.resume();
  await once(wrong, 'close');
  const reset = await send('Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n');
  await once(reset.resetAndDestroy(), 'close');
  while (watches.length < 2) await new Promise(setImmediate);

  assert.deepEqual(await Promise.all(watches.map((watch) => watch.ended)), [undefined, undefined]);
});

test('a websocket is closed within half a second of a revocation, and others are not', async (t) => {
  const { url, stop } = await serveSockets();
  t.after(stop);
  const connect = async (subject) => {
    const websocket = new WebSocket(url, { headers: { cookie: await makeSession(subject) } });
    const [greeting] = await once(websocket, 'message');
    assert.equal(String(greeting), `hello ${subject}`);
    return websocket;
  };
  const admin = new AdminClient({ service: `127.0.0.1:${service.adminPort}`, app: 'shop' });
  const closeByRevocation = async () => {
    const closed = once(await connect('mallory'), 'close');
    const began = performance.now();
    await admin.revokeSubject('mallory');
    const [code] = await closed;
    assert.equal(code, 4401);
    return performance.now() - began;
  };
  const other = await connect('bob');

  const times = [];
  while (times.length < 5) times.push(await closeByRevocation());

  // One may be late: the machine may be busy with other tests.
  assert.ok(times.filter((took) => took < 500).length >= 4, `${times} ms`);
  assert.equal(other.readyState, WebSocket.OPEN);
  other.terminate();
});

test('req.session has a watch too, as for a stream of events', async (t) => {
  const app = express();
  app.use(sessions({ client }));
  app.get('/events', async (request, response) => {
    const watch = await request.session.watch();
    response.on('close', () => watch.close());
    response.write('data: begun\n\n');
    response.end(`data: ${await watch.ended}\n\n`);
  });
  app.get('/logout', async (request, response) => {
    await request.session.destroy();
    response.end();
  });
  const { url, stop } = await serve(app);
  t.after(stop);
  const [name, value] = (await makeSession()).split('=');
  const [listener, browser] = [new Browser(url), new Browser(url)];
  for (const each of [listener, browser]) each.cookies.set(name, value);

  const before = await service.countStreams();
  const events = listener.get('/events');
  await waitUntil('the watch has begun', async () => await service.countStreams() > before);
  await browser.get('/logout');

  assert.match((await events).text, /data: DESTROYED/);
});
