// The way of a call: lost answers, a service that hangs, TLS and caller tokens.
import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Service } from '../../node/tests/service.mjs';

const SCRIPT = fileURLToPath(new URL('count.php', import.meta.url));
const APPS = '[apps.php]\nkind = "external"\n';
const TOKEN = 'a-caller-token-of-the-tests-0123456789abcdef';

let service;
let secured;

before(async () => {
  service = await Service.start({ more: APPS });
});

after(async () => {
  await service?.remove();
  await secured?.remove();
});

/** Adds one to the count of a session in a process of its own. */
async function count(options, ...id) {
  const all = JSON.stringify({ app: 'php', deadline: 30_000, ...options });
  const { stdout, stderr } = await promisify(execFile)('php', ['-d', 'display_errors=stderr', SCRIPT, all, ...id]);
  assert.equal(stderr, '');
  return JSON.parse(stdout);
}

/** Forwards calls, and keeps them. `fate` says of each what becomes of its answer: it is lost, cut off, never sent, sent
 * byte by byte, or another one is sent. */
async function startProxy(fate) {
  const calls = [];
  const server = net.createServer((client) => {
    const upstream = net.connect(service.port, service.host);
    const end = () => [client, upstream].forEach((socket) => socket.destroy());
    let current;
    let written = Promise.resolve();
    client.on('data', (bytes) => {
      const text = bytes.toString('latin1');
      if (text.startsWith('POST ')) {
        current = { head: text.split('\r\n\r\n')[0], body: '' };
        calls.push(current);
        current.fate = fate(current, calls);
      }
      current.body += text.includes('\r\n\r\n') ? text.split('\r\n\r\n')[1] : text;
      upstream.write(bytes);
    });
    upstream.on('data', (bytes) => {
      if (current.fate === 'lose') end();
      else if (current.fate === 'cut') client.end(bytes.subarray(0, bytes.length - 1));
      else if (current.fate === 'busy') client.write('HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n');
      else if (current.fate === 'pieces') written = written.then(() => writePieces(client, bytes));
      else if (current.fate !== 'hang') client.write(bytes);
    });
    for (const socket of [client, upstream]) socket.on('close', end).on('error', end);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { calls, address: `127.0.0.1:${server.address().port}`, stop: () => server.close() };
}

async function writePieces(socket, bytes) {
  for (const byte of bytes) {
    socket.write(Buffer.of(byte));
    await new Promise((resolve) => { setImmediate(resolve); });
  }
}

const isSave = ({ head }) => head.includes('/SaveSession ');

for (const fate of ['lose', 'cut', 'busy', 'hang']) {
  test(`a save is repeated with the same request_id: ${fate}`, async () => {
    const { id } = await count({ service: service.address });
    const proxy = await startProxy((call, calls) => (isSave(call) && calls.filter(isSave).length === 1 ? fate : 'pass'));

    // A service that hangs costs half of the deadline.
    const counted = await count({ service: proxy.address, deadline: fate === 'hang' ? 6000 : 30_000 }, id);

    proxy.stop();
    assert.deepEqual(counted, { started: true, id, count: 2, warnings: [] });
    const saves = proxy.calls.filter(isSave).map(({ body }) => body);
    assert.ok(saves.length > 1);
    assert.equal(new Set(saves).size, 1);
    assert.match(JSON.parse(saves[0]).requestId, /^[0-9a-f]{32}$/);
    assert.equal((await count({ service: service.address }, id)).count, 3);
  });
}

test('a request makes all of its calls on one connection', async () => {
  const { id } = await count({ service: service.address });
  let connections = 0;
  const proxy = await startProxy(() => 'pass');
  const relay = net.createServer((client) => {
    connections += 1;
    const [host, port] = proxy.address.split(':');
    const upstream = net.connect(port, host);
    client.pipe(upstream).pipe(client);
    for (const socket of [client, upstream]) socket.on('error', () => {});
  }).listen(0, '127.0.0.1');
  await once(relay, 'listening');

  await count({ service: `127.0.0.1:${relay.address().port}` }, id);

  relay.close();
  proxy.stop();
  assert.deepEqual([proxy.calls.length, connections], [2, 1]);
});

test('an answer may come in pieces, and is read to its end', async () => {
  const { id } = await count({ service: service.address });
  const proxy = await startProxy(() => 'pieces');
  const counted = await count({ service: proxy.address }, id);
  proxy.stop();
  assert.deepEqual([counted.count, counted.warnings], [2, []]);
});

test('what is no answer of the service is a warning', async () => {
  const answers = {
    'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello': /its answer is not JSON/,
    'HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n': /HTTP status 404/,
    'HTTP/1.1 200 OK\r\n\r\n': /not HTTP\/1.1 with a length/,
    'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}{}': /longer than it says/,
    'SSH-2.0-OpenSSH_9.2\r\n\r\n': /not HTTP\/1.1/,
    [`HTTP/1.1 200 OK\r\nx: ${'x'.repeat(200_000)}`]: /no end of the headers/,
  };
  for (const [answer, warning] of Object.entries(answers)) {
    const server = net.createServer((socket) => {
      socket.on('error', () => {}).once('data', () => socket.end(answer, 'latin1'));
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { started, warnings } = await count({ service: `127.0.0.1:${server.address().port}` }, 'x'.repeat(48));
    server.close();
    assert.equal(started, false);
    assert.match(warnings[0], warning);
  }
});

test('a caller token goes over TLS, and only to a service that an authority vouches for', async () => {
  const folder = fs.mkdtempSync(path.join(service.folder, 'tls-'));
  const openssl = (...args) => execFileSync('openssl', args, { stdio: 'pipe', cwd: folder });
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  for (const name of ['service', 'stranger']) {
    openssl('req', '-x509', '-subj', `/CN=${name}`, '-addext', 'subjectAltName=DNS:localhost', ...key,
      '-keyout', `${name}.key`, '-out', `${name}.crt`);
  }
  const binary = process.env.CLOAKROOM_BIN ?? service.process.child.spawnargs.find((arg) => arg.endsWith('/cloakroom'));
  fs.writeFileSync(path.join(folder, 'token'), TOKEN);
  const hash = execFileSync(binary, ['caller-token', '--hash', path.join(folder, 'token')], { encoding: 'utf8', stdio: 'pipe' }).trim();
  secured = await Service.start({
    more: `${APPS}
[server.tls]
certificate_file = "${folder}/service.crt"
key_file = "${folder}/service.key"
[callers.php]
roles = ["frontend"]
apps = ["php"]
token_hashes = ["${hash}"]
`,
  });
  const address = `https://localhost:${secured.port}`;
  const caFile = `${folder}/service.crt`;

  const accepted = await count({ service: address, token: TOKEN, caFile });
  const again = await count({ service: address, token: TOKEN, caFile }, accepted.id);
  const unknown = await count({ service: address, token: `${TOKEN}0`, caFile }, accepted.id);
  const untrusted = await count({ service: address, token: TOKEN, caFile: `${folder}/stranger.crt`, deadline: 500 }, accepted.id);

  assert.deepEqual([accepted.count, again.count], [1, 2]);
  assert.equal(unknown.started, false);
  assert.match(unknown.warnings.join(), /CALLER_UNKNOWN/);
  assert.equal(untrusted.started, false);
  assert.match(untrusted.warnings.join(), /certificate/);
  for (const { warnings } of [unknown, untrusted]) {
    assert.ok(![TOKEN, accepted.id].some((secret) => warnings.join().includes(secret)), warnings.join());
  }
});

test('an address that is none is refused at once', async () => {
  for (const service of ['localhost', 'ftp://a:1', 'http://user:pass@a:1', 'unix:relative', '']) {
    await assert.rejects(count({ service }), /the address of the service is not host:port/);
  }
});
