// The way of a call: lost answers, a service that hangs, TLS and caller tokens.
import assert from 'node:assert/strict';
import { execFile, execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Service } from '../../node/tests/service.mjs';

const execFileAsync = promisify(execFile);
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

/** A process with one handler, which adds one to the count of a session as often as it is asked to. */
class Counter {
  constructor(options) {
    const all = JSON.stringify({ app: 'php', deadline: 30_000, ...options });
    this.child = spawn('php', ['-d', 'display_errors=stderr', SCRIPT, all], { stdio: ['pipe', 'pipe', 'pipe'] });
    this.errors = text(this.child.stderr);
    // It may have ended because of its options.
    this.child.stdin.on('error', () => {});
    this.ended = once(this.child, 'exit');
    this.lines = createInterface({ input: this.child.stdout })[Symbol.asyncIterator]();
  }

  count(id = '') {
    return this.ask(id);
  }

  destroy(id) {
    return this.ask(`destroy ${id}`);
  }

  async ask(line) {
    this.child.stdin.write(`${line}\n`);
    const { value } = await this.lines.next();
    if (value === undefined) throw new Error(await this.errors);
    return JSON.parse(value);
  }

  async end() {
    this.child.stdin.end();
    await this.ended;
    assert.equal(await this.errors, '');
  }
}

/** Adds one to the count of a session in a process of its own. */
async function count(options, id) {
  const counter = new Counter(options);
  const counted = await counter.count(id);
  await counter.end();
  return counted;
}

/** Forwards calls, and keeps them. `fate` says of each what becomes of its answer: it is lost, cut off, never sent, sent
 * byte by byte, or replaced by one with another status. */
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
      else if (Number.isInteger(current.fate)) client.write(`HTTP/1.1 ${current.fate} Busy\r\ncontent-length: 0\r\n\r\n`);
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

for (const fate of ['lose', 'cut', 502, 503, 'hang']) {
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

// A process whose first save reached the service, and got the answer of a proxy in place of the service's.
async function countWithLostAnswer() {
  const proxy = await startProxy((call, calls) => (isSave(call) && calls.filter(isSave).length === 1 ? 404 : 'pass'));
  const counter = new Counter({ service: proxy.address });
  const { id, warnings } = await counter.count();
  assert.match(warnings[0], /HTTP status 404/);
  return { proxy, counter, id };
}

test('a session whose first save got no answer goes on in the same process', async () => {
  const { proxy, counter, id } = await countWithLostAnswer();

  const counted = await counter.count(id);

  await counter.end();
  proxy.stop();
  assert.deepEqual(counted, { started: true, id, count: 2, warnings: [] });
});

test('a session whose first save got no answer can be ended', async () => {
  const { proxy, counter, id } = await countWithLostAnswer();

  const destroyed = await counter.destroy(id);

  await counter.end();
  proxy.stop();
  assert.deepEqual(destroyed, { destroyed: true });
  assert.equal((await count({ service: service.address }, id)).count, 1, 'another session has begun');
});

test('session_create_id that got no answer does not fail the next session_start', async () => {
  const isOpen = ({ head }) => head.includes('/OpenSession ');
  // The second one is that of session_create_id.
  const proxy = await startProxy((call, calls) => (isOpen(call) && calls.filter(isOpen).length === 2 ? 404 : 'pass'));
  const script = path.join(service.folder, 'create_id.php');
  fs.writeFileSync(script, `<?php require '${import.meta.dirname}/wrapper.php';
Wrapper::register(new Cloakroom\\Session\\SessionHandler('${proxy.address}', 'php', deadline: 30_000));
session_start();
session_create_id();
$_SESSION['a'] = 1;
session_write_close();
session_start();
fwrite(STDOUT, json_encode($_SESSION));`);

  const { stdout } = await execFileAsync('php', ['-d', 'display_errors=stderr', script]);

  proxy.stop();
  assert.equal(stdout, '{"a":1}');
});

test('a session that got no answer fails again at once in the same request', async () => {
  const proxy = await startProxy(() => 503);
  const counter = new Counter({ service: proxy.address, deadline: 1000 });
  const first = await counter.count('x'.repeat(48));
  const { length } = proxy.calls;

  const again = await counter.count('x'.repeat(48));
  const { length: lengthAgain } = proxy.calls;
  await counter.ask('request');
  await counter.count('x'.repeat(48));

  await counter.end();
  proxy.stop();
  assert.deepEqual(again, first);
  assert.equal(again.started, false);
  assert.equal(lengthAgain, length);
  assert.ok(proxy.calls.length > length, 'the next request makes a call');
});

test('a call whose repeat has no time left says why it was repeated', async () => {
  const sockets = [];
  const server = net.createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => {}).on('data', () => sockets[0].destroy());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');

  const { started, warnings } = await count({ service: `127.0.0.1:${server.address().port}`, deadline: 4000 }, 'x'.repeat(48));

  for (const socket of sockets) socket.destroy();
  server.close();
  assert.equal(started, false);
  assert.match(warnings[0], /no answer in time; the attempt before: .*the connection was closed before the answer/);
});

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

test('a process that keeps its handler keeps users apart, and goes on after a restart of the service', async () => {
  const own = await Service.start({ more: APPS });
  const counter = new Counter({ service: own.address });
  const ann = await counter.count();
  const bob = await counter.count();
  const again = await counter.count(ann.id);

  await own.stop();
  await own.launch();
  const later = [await counter.count(bob.id), await counter.count(ann.id)];

  await counter.end();
  await own.remove();
  assert.notEqual(ann.id, bob.id);
  assert.deepEqual([ann, bob, again, ...later].map(({ count: reached }) => reached), [1, 1, 2, 2, 3]);
  assert.deepEqual([ann, bob, again, ...later].flatMap(({ warnings }) => warnings), []);
});

/** Makes an authority, and certificates that it has signed. */
function makeCertificates(folder, names) {
  const openssl = (...args) => execFileSync('openssl', args, { stdio: 'pipe', cwd: folder });
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const constraints = ['-addext', 'basicConstraints=critical,CA:TRUE'];
  for (const ca of ['ca', 'other-authority']) {
    openssl('req', '-x509', '-subj', `/CN=${ca}`, ...key, ...constraints, '-keyout', `${ca}.key`, '-out', `${ca}.crt`);
  }
  for (const [name, host] of Object.entries(names)) {
    openssl('req', '-subj', `/CN=${name}`, ...key, '-keyout', `${name}.key`, '-out', `${name}.csr`);
    fs.writeFileSync(path.join(folder, 'ext'), `subjectAltName=DNS:${host}\nbasicConstraints=CA:FALSE\n`);
    openssl('x509', '-req', '-in', `${name}.csr`, '-CA', 'ca.crt', '-CAkey', 'ca.key', '-CAcreateserial', '-out', `${name}.crt`,
      '-extfile', 'ext');
  }
}

test('a caller token or a certificate goes over TLS, and only to a service that an authority vouches for', async () => {
  const folder = fs.mkdtempSync(path.join(service.folder, 'tls-'));
  const file = (name) => path.join(folder, name);
  makeCertificates(folder, { service: 'localhost', other: 'other.example', caller: 'caller.example' });
  secured = await Service.start({
    more: `${APPS}
[server.tls]
certificate_file = "${file('service.crt')}"
key_file = "${file('service.key')}"
client_ca_file = "${file('ca.crt')}"
[callers.php]
roles = ["frontend"]
apps = ["php"]
token_hashes = ["${createHash('sha256').update(TOKEN).digest('hex')}"]
[callers.certified]
roles = ["frontend"]
apps = ["php"]
certificate_names = ["caller.example"]
`,
  });
  const trusted = { service: `https://localhost:${secured.port}`, caFile: file('ca.crt') };
  // So long that the test only ends in time if nothing is repeated.
  const hours = 4 * 3_600_000;
  const certificate = { certFile: file('caller.crt'), keyFile: file('caller.key') };

  const { id } = await count({ ...trusted, token: TOKEN });
  const accepted = [await count({ ...trusted, token: TOKEN }, id), await count({ ...trusted, ...certificate }, id)];
  const refused = {
    CALLER_UNKNOWN: { ...trusted, token: `${TOKEN}0` },
    'certificate verify failed': { ...trusted, token: TOKEN, caFile: file('other-authority.crt'), deadline: hours },
    'did not match expected name': { ...trusted, token: TOKEN, service: `https://127.0.0.1:${secured.port}`, deadline: hours },
  };

  assert.deepEqual(accepted.map(({ count: reached }) => reached), [2, 3]);
  await Promise.all(Object.entries(refused).map(async ([reason, options]) => {
    const { started, warnings } = await count(options, id);
    const all = warnings.join();
    assert.equal(started, false);
    assert.ok(all.includes(reason), all);
    assert.equal(all.includes('; set caFile to the authority'), reason !== 'CALLER_UNKNOWN', all);
    assert.ok(![TOKEN, id].some((secret) => all.includes(secret)), all);
  }));
});

test('an address or a token that is none is refused at once', async () => {
  for (const service of ['localhost', 'ftp://a:1', 'http://user:pass@a:1', 'unix:relative', '']) {
    await assert.rejects(new Counter({ service }).count(), /the address of the service is not host:port/);
  }
  const injected = new Counter({ service: service.address, token: `${TOKEN}\r\nx: y` });
  await assert.rejects(injected.count(), /the token is not one that the service makes/);
});
