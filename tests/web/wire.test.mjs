// Both protocols as docs/wire.md specifies them, and its examples, which need no library and have 40 lines.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import http2 from 'node:http2';
import net from 'node:net';
import path from 'node:path';
import { buffer, json } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Service } from './fixtures.mjs';
import { cookieOf, get, post } from './client.mjs';
import { freePort, isListening, Process, waitUntil } from './processes.mjs';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const DENO = path.join(ROOT, '.tools/bin/deno');

// Each has a file, a command that serves it, and the path of its page.
const EXAMPLES = {
  PHP: { file: 'examples/php/index.php', command: (port, file) => ['php', '-q', '-S', `127.0.0.1:${port}`, file] },
  Ruby: { file: 'examples/ruby/counter.rb', command: (_, file) => ['ruby', file] },
  Bash: {
    file: 'examples/bash/cgi-bin/counter',
    command: (port) => ['busybox', 'httpd', '-f', '-p', `127.0.0.1:${port}`, '-h', 'examples/bash'],
    page: 'cgi-bin/counter',
  },
  Deno: { file: 'examples/deno/counter.ts', command: (_, file) => [DENO, 'run', '--allow-net', '--allow-env', file] },
};

let service;
let relay;
let httpProxy;

before(async () => {
  service = await Service.start();
  relay = await Relay.start();
  httpProxy = net.createServer((socket) => socket.destroy()).listen(0, '127.0.0.1');
  await once(httpProxy, 'listening');
});

after(async () => {
  httpProxy?.close();
  relay?.stop();
  await service?.stop();
});

for (const [language, { file, command, page = '' }] of Object.entries(EXAMPLES)) {
  describe(`the ${language} example`, () => {
    let example;
    let url;

    before(async () => {
      const port = await freePort();
      const [program, ...args] = command(port, file);
      const proxy = `http://127.0.0.1:${httpProxy.address().port}`;
      const proxies = { http_proxy: proxy, HTTP_PROXY: proxy, all_proxy: proxy, ALL_PROXY: proxy };
      const env = { ...process.env, ...proxies, CLOAKROOM_ADDRESS: relay.address, PORT: String(port) };
      example = new Process(program, args, { cwd: ROOT, env });
      url = `http://127.0.0.1:${port}/${page}`;
      await example.whileRunning(waitUntil(`the ${language} example listens`, () => isListening(port)));
    });

    after(() => example?.stop());

    test('has at most 40 lines', () => {
      const lines = fs.readFileSync(path.join(ROOT, file), 'utf8').trimEnd().split('\n');

      assert.ok(lines.length <= 40, `${lines.length} lines`);
      assert.deepEqual(lines.filter((line) => line.length > 120), []);
    });

    test('reads without a cookie, sets one with the first write and keeps it with the next one', async () => {
      const read = await get(url);
      const first = await post(url);
      const second = await post(url, { cookies: cookieOf(first) });

      assert.deepEqual([read.status, read.count, read.vary, read.setCookie], [200, '0', ['Cookie'], []]);
      assert.deepEqual([first.status, first.count, first.vary], [200, '1', ['Cookie']]);
      assert.equal(first.setCookie.length, 1);
      assert.match(first.setCookie[0], /^session=v1\.[\w.-]+; HttpOnly; Path=\/; SameSite=Lax$/);
      assert.deepEqual([second.status, second.count, second.setCookie], [200, '2', []]);
      assert.equal((await get(url, cookieOf(first))).count, '2');
    });

    test('sends no call to a proxy of the environment', async (t) => {
      const toProxy = t.mock.fn();
      httpProxy.on('connection', toProxy);

      const read = await get(url);

      assert.deepEqual([read.status, toProxy.mock.callCount()], [200, 0]);
    });

    test('reads the bytes of a cookie as Latin-1', async () => {
      const cookie = cookieOf(await post(url));

      assert.equal((await get(url, `theme=caf\xe9; ${cookie}; last=\xff`)).count, '1');
    });

    test('repeats a save whose answer was lost, and the save is made once', async () => {
      const cookies = cookieOf(await post(url));
      relay.failNextSave(async ({ forward, disconnect }) => {
        await forward();
        disconnect();
      });

      const counted = await post(url, { cookies });

      const [lost, repeated] = relay.saves.slice(-2);
      assert.deepEqual([counted.status, counted.count], [200, '2']);
      assert.deepEqual(repeated, lost);
      assert.ok(lost.requestId.length >= 32);
    });

    test('repeats a save that was refused for a moment', async () => {
      const cookies = cookieOf(await post(url));
      relay.failNextSave(async ({ respond }) => respond({ status: 429, message: {} }));

      const counted = await post(url, { cookies });

      assert.deepEqual([counted.status, counted.count], [200, '2']);
    });

    test('says that a session has ended which was destroyed meanwhile, and keeps the cookie', async () => {
      const cookies = cookieOf(await post(url));
      relay.failNextSave(async ({ forward, respond }) => {
        await call('DestroySession', { cookieHeader: cookies });
        respond(await forward());
      });

      const counted = await post(url, { cookies });

      assert.deepEqual([counted.status, counted.setCookie], [409, []]);
    });

    test('answers 400 to a write beside the cookies of two sessions, and ends neither', async () => {
      const [one, other] = [cookieOf(await post(url)), cookieOf(await post(url))];

      const counted = await post(url, { cookies: `${one}; ${other}` });

      assert.deepEqual([counted.status, counted.setCookie], [400, []]);
      assert.deepEqual([(await get(url, one)).count, (await get(url, other)).count], ['1', '1']);
    });

    test('answers 503 while the service is away, and works again after', async () => {
      const cookies = cookieOf(await post(url));
      relay.isAway = true;

      const during = await get(url, cookies);
      relay.isAway = false;

      assert.deepEqual([during.status, during.setCookie], [503, []]);
      assert.equal((await get(url, cookies)).count, '1');
    });
  });
}

describe('both wires by hand', () => {
  const SHOULD_SET_COOKIE = Buffer.from([0x10, 1]); // modified = true

  test('a gRPC call is one frame each way, and its trailers have the status', async (t) => {
    const { headers, trailers, body } = await callByGrpc(t, 'ShouldSetCookie', envelope(0, SHOULD_SET_COOKIE));

    assert.deepEqual([headers[':status'], headers['content-type']], [200, 'application/grpc']);
    assert.deepEqual(envelopes(body), [[0, Buffer.from([0x08, 1])]]);
    assert.equal(trailers['grpc-status'], '0');
  });

  test('a failed gRPC call has status, message and details in its headers', async (t) => {
    const { headers, body } = await callByGrpc(t, 'SaveSession', envelope(0, Buffer.alloc(0)));

    assert.deepEqual([headers[':status'], headers['grpc-status'], body.length], [200, '3', 0]);
    assert.match(decodeURIComponent(headers['grpc-message']), /token/);
    assert.match(Buffer.from(headers['grpc-status-details-bin'], 'base64').toString('latin1'), /TOKEN_MISSING/);
  });

  test('a failed Connect call has its HTTP status, a reason in a header, and JSON', async () => {
    const options = { method: 'POST', headers: { 'content-type': 'application/proto' }, body: Buffer.alloc(0) };
    const response = await fetch(`http://${service.address}/cloakroom.v1.SessionService/SaveSession`, options);
    const { code, message, details: [{ type, value, debug }] } = await response.json();

    assert.deepEqual([response.status, response.headers.get('cloakroom-reason')], [400, 'TOKEN_MISSING']);
    assert.deepEqual([code, type], ['invalid_argument', 'google.rpc.ErrorInfo']);
    assert.match(message, /token/);
    assert.deepEqual(debug, { reason: 'TOKEN_MISSING', domain: 'cloakroom' });
    assert.match(Buffer.from(value, 'base64').toString('latin1'), /TOKEN_MISSING/);
  });

  test('the answers of a stream are envelopes, and the last one has the flag 2', async () => {
    const body = envelope(0, Buffer.from(JSON.stringify({ cookieHeader: '' })));
    const options = { method: 'POST', headers: { 'content-type': 'application/connect+json' }, body };
    const response = await fetch(`http://${service.address}/cloakroom.v1.SessionService/WatchSession`, options);
    const answers = envelopes(Buffer.from(await response.arrayBuffer()));

    assert.equal(response.status, 200);
    assert.deepEqual(answers.map(([flags, message]) => [flags, JSON.parse(message)]),
      [[0, { state: 'WATCH_STATE_ENDED' }], [2, {}]]);
  });
});

function envelope(flags, message) {
  const prefix = Buffer.alloc(5, flags);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

// Returns the flags and the message of each envelope.
function envelopes(body) {
  if (body.length === 0) return [];
  const end = 5 + body.readUInt32BE(1);
  return [[body[0], body.subarray(5, end)], ...envelopes(body.subarray(end))];
}

async function callByGrpc(t, method, body) {
  const session = http2.connect(`http://${service.address}`);
  t.after(() => session.close());
  const headers = { 'content-type': 'application/grpc', te: 'trailers', 'grpc-timeout': '2000m' };
  const stream = session.request({ ':method': 'POST', ':path': `/cloakroom.v1.SessionService/${method}`, ...headers });
  const answer = {};
  stream.on('response', (received) => { answer.headers = received; });
  stream.on('trailers', (received) => { answer.trailers = received; });
  answer.body = await buffer(stream.end(body));
  return answer;
}

// Calls the service and returns the answer.
async function call(method, request) {
  const options = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(request) };
  const response = await fetch(`http://${service.address}/cloakroom.v1.SessionService/${method}`, options);
  return { status: response.status, message: await response.json() };
}

// Forwards calls to the service, records the saves, and fails those that a test wants to fail.
class Relay {
  saves = [];
  failures = [];
  isAway = false;

  static async start() {
    const started = new Relay();
    started.server = http.createServer((request, response) => started.handle(request, response));
    await once(started.server.listen(0, '127.0.0.1'), 'listening');
    started.address = `127.0.0.1:${started.server.address().port}`;
    return started;
  }

  // `failure` gets the functions that it may use for the next save: `forward`, `respond` and `disconnect`.
  failNextSave(failure) {
    this.failures.push(failure);
  }

  async handle(request, response) {
    const message = await json(request);
    const method = request.url.split('/').at(-1);
    const disconnect = () => request.socket.destroy();
    const forward = () => call(method, message);
    const respond = (answer) =>
      response.writeHead(answer.status, { 'content-type': 'application/json' }).end(JSON.stringify(answer.message));
    if (this.isAway) return disconnect();
    if (method === 'SaveSession') this.saves.push(message);
    const failure = method === 'SaveSession' && this.failures.shift();
    return failure ? failure({ forward, respond, disconnect }) : respond(await forward());
  }

  stop() {
    this.server.close();
    this.server.closeAllConnections();
  }
}
