// Calls by HTTP/2, beside Node's own server, and beside what no server should send.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import net from 'node:net';
import { buffer } from 'node:stream/consumers';
import { afterEach, test } from 'node:test';
import { Client, ConnectTransport } from 'cloakroom-sessions';
import { waitUntil } from '../../../tests/web/processes.mjs';
import credentials from '../src/connect/credentials.js';
import hpack from '../src/connect/hpack.js';
import frames from '../src/connect/http2.js';
import opening from '../src/connect/open.js';
import { proxy, service, useService } from './proxied_service.mjs';

const CALLS = Number(process.env.CLOAKROOM_TEST_ANSWERS ?? 2000);
const LONG = 60_000;
const METHOD = { path: '/a.Service/Method', name: 'Method' };
const { MalformedHeaders, readFields, writeField } = hpack;

useService();

const random = (below) => Math.floor(Math.random() * below);
const choose = (...choices) => choices[random(choices.length)];
const hex = (text) => Buffer.from(text.replaceAll(' ', ''), 'hex');
const end = () => performance.now() + LONG;

let ends = [];
afterEach(() => {
  for (const close of ends.splice(0)) close();
});

// Starts Node's server, and returns a connection to it.
async function connectTo(answer, options = {}) {
  const server = http2.createServer({ unknownProtocolTimeout: LONG, ...options });
  const sessions = new Set();
  server.on('session', (session) => sessions.add(session));
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {});
    answer(stream, headers);
  });
  const connection = await connectToServer(server);
  ends.push(() => { for (const session of sessions) session.destroy(); });
  return { connection, sessions };
}

async function connectToServer(server) {
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const opener = openerOf(server.address().port);
  const connection = await opener.open(end());
  ends.push(() => { connection.close(); server.close(); });
  return connection;
}

const openerOf = (port) => new opening.Opener(
  { host: `127.0.0.1:${port}`, ip: '127.0.0.1', port, path: '', tlsName: '' }, new credentials.TlsContexts({}), 'the-token');

// Calls with a body, and returns the response.
const call = (connection, body = Buffer.alloc(0), timeout = LONG) =>
  connection.call(METHOD, body, timeout, performance.now() + timeout);

// A server that answers with these bytes as soon as it has got a request.
async function connectToBytes(bytes) {
  const server = net.createServer((socket) => {
    let missing = START_SIZE;
    socket.on('error', () => {});
    socket.write(SETTINGS);
    socket.on('data', (data) => {
      if (missing >= 0 && data.length > missing) socket.write(bytes);
      missing -= data.length;
    });
    ends.push(() => socket.destroy());
  });
  return connectToServer(server);
}

const SETTINGS = frames.writeFrame(4, 0, 0, Buffer.alloc(0));
/** Of what a client sends before its first request, with the frame by which it acknowledges the settings. */
const START_SIZE = frames.writeStart().length + SETTINGS.length;

test('the examples of RFC 7541 without a dynamic table are read', () => {
  for (const [bytes, fields] of EXAMPLES) assert.deepEqual(readFields(hex(bytes)), fields);
});

const DATE = 'Mon, 21 Oct 2013 20:13:21 GMT';
const EXAMPLES = [
  ['400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572', [['custom-key', 'custom-header']]],
  ['040c 2f73 616d 706c 652f 7061 7468', [[':path', '/sample/path']]],
  ['1008 7061 7373 776f 7264 0673 6563 7265 74', [['password', 'secret']]],
  ['82', [[':method', 'GET']]],
  ['8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff',
    [[':method', 'GET'], [':scheme', 'http'], [':path', '/'], [':authority', 'www.example.com']]],
  ['4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b '
    + '97c8 e9ae 82ae 43d3',
    [[':status', '302'], ['cache-control', 'private'], ['date', DATE], ['location', 'https://www.example.com']]],
];

test('header fields are read as they were written', () => {
  const texts = ['', 'a', 'x'.repeat(126), 'x'.repeat(127), 'x'.repeat(5000), '\xff\0'];
  for (const name of ['authorization', 'x-other', 'content-type']) {
    for (const text of texts) assert.deepEqual(readFields(writeField(name, text)), [[name, text]]);
  }
});

const BROKEN_FIELDS = ['80', 'be', 'ff ff ff ff ff 0f', '7f', '00', '0001', '0001 61', '0001 61 05 61', '3f e1 1f', '21',
  // Huffman's code: filled with zeros, filled with a whole byte of ones, and an end in the middle.
  '0001 61 81 00', '0001 61 82 1f ff', '0001 61 85 ff ff ff ff 1f'];

test('broken header fields are refused', () => {
  for (const bytes of BROKEN_FIELDS) assert.throws(() => readFields(hex(bytes)), MalformedHeaders, bytes);
});

test('random bytes are header fields or are refused', () => {
  for (let i = 0; i < 20 * CALLS; i += 1) {
    const bytes = Buffer.from(Array.from({ length: random(30) }, () => random(256)));
    try {
      readFields(bytes);
    } catch (error) {
      assert.ok(error instanceof MalformedHeaders, error);
    }
  }
});

for (const padding of ['PADDING_STRATEGY_NONE', 'PADDING_STRATEGY_MAX']) {
  test(`what Node's server gets and sends is what was sent and what arrives: ${padding}`, async () => {
    const { connection } = await connectTo(echo, {
      paddingStrategy: http2.constants[padding],
      settings: { initialWindowSize: choose(1000, 20_000), maxConcurrentStreams: 1000 },
    });

    const run = async () => {
      for (let i = 0; i < CALLS / 40; i += 1) {
        const body = Buffer.alloc(choose(0, 1, 300, 16_384, 16_385, random(70_000)), `body ${i}`);
        const { status, headers, body: answer } = await call(connection, body);

        assert.deepEqual(answer, body);
        assert.equal(status, Number(headers.get('x-status')));
        assert.deepEqual(JSON.parse(headers.get('x-request')), {
          ':method': 'POST', ':scheme': 'http', ':path': METHOD.path, authorization: 'Bearer the-token',
          'content-type': 'application/proto', 'content-length': String(body.length), 'connect-timeout-ms': String(LONG),
        });
        assert.equal(headers.get('x-text'), JSON.parse(headers.get('x-json')));
      }
    };
    await Promise.all(Array.from({ length: 20 }, run));
  });
}

// Answers with what has arrived, in one of the ways that HTTP/2 has for it.
async function echo(stream, headers) {
  const body = await buffer(stream);
  if (random(5) === 0) stream.additionalHeaders({ ':status': 103, link: 'x' });
  const { ':authority': _, ...request } = headers;
  const status = choose(200, 200, 400, 404, 418, 429, 503);
  const text = Array.from({ length: choose(0, 10, 300, 6000) }, () => random(9) === 0 ? 'é' : String.fromCharCode(33 + random(94))).join('');
  const hasTrailers = random(3) === 0;
  const length = random(2) ? { 'content-length': body.length } : {};
  const given = { 'x-status': status, 'x-request': JSON.stringify(request) };
  const answer = { ':status': status, ...given, 'x-text': text, 'x-json': JSON.stringify(text), ...length };
  stream.respond(answer, { waitForTrailers: hasTrailers, endStream: body.length === 0 && !hasTrailers });
  if (hasTrailers) stream.on('wantTrailers', () => stream.sendTrailers({ checksum: '1' }));
  if (body.length > 0 || hasTrailers) stream.end(body);
}

test('a call that gets no answer ends alone, and the server is told', async () => {
  const answers = [];
  const { connection } = await connectTo((stream) => answers.push(stream));

  const late = call(connection, undefined, 100).catch((error) => error);
  const other = call(connection);
  const failed = await late;
  await waitUntil('both calls', () => answers.length === 2);
  answers[1].respond({ ':status': 200 });
  answers[1].end('x');

  assert.equal(failed.message, 'no answer in time');
  assert.equal((await other).body.toString(), 'x');
  await waitUntil('the end of the call', () => answers[0].aborted);
});

test('a server that goes away answers what it has begun, and gets no other call', async () => {
  const streams = [];
  const { connection, sessions } = await connectTo((stream) => streams.push(stream));
  let ended = 0;
  connection.onEnd = () => { ended += 1; };
  const begun = call(connection);
  await waitUntil('the call', () => streams.length === 1);

  for (const session of sessions) session.close();
  await waitUntil('the end', () => connection.isEnded);
  const later = await call(connection).catch((error) => error);
  streams[0].respond({ ':status': 200 });
  streams[0].end('x');

  assert.equal(later.message, 'the connection was closed');
  assert.equal((await begun).body.toString(), 'x');
  assert.equal(ended, 1);
});

test('a call that the server refuses fails, and the next one does not', async () => {
  let count = 0;
  const { connection } = await connectTo((stream) => {
    count += 1;
    if (count === 1) stream.close(http2.constants.NGHTTP2_REFUSED_STREAM);
    else stream.respond({ ':status': 204 }, { endStream: true });
  });

  await assert.rejects(call(connection), /the code 7 of HTTP\/2/);
  assert.equal((await call(connection)).status, 204);
});

test('an answer that comes before the whole request is read, and the rest of the request is not sent', async () => {
  const { connection } = await connectTo((stream) => stream.respond({ ':status': 413 }, { endStream: true }), { settings: { initialWindowSize: 10 } });

  const { status } = await call(connection, Buffer.alloc(100_000));

  assert.equal(status, 413);
  assert.equal((await call(connection)).status, 413);
});

test('a proxy that speaks HTTP/1.1 only gets no second connection by HTTP/2', async () => {
  const connections = [];
  const server = http.createServer((request, response) => response.end('by HTTP/1.1'));
  server.on('connection', (socket) => connections.push(socket));
  await once(server.listen(0, '127.0.0.1'), 'listening');
  ends.push(() => server.closeAllConnections(), () => server.close());
  const opener = openerOf(server.address().port);

  const answers = [];
  for (let i = 0; i < 2; i += 1) {
    const connection = await opener.open(end());
    answers.push((await call(connection)).body.toString());
    connection.close();
  }

  assert.deepEqual([answers, connections.length], [['by HTTP/1.1', 'by HTTP/1.1'], 3]);
});

test('a server that closes new connections at once is connected to twice, and by HTTP/2 the next time', async () => {
  const first = [];
  const server = net.createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', (data) => { first.push(data.toString('latin1', 0, 3)); socket.destroy(); });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  ends.push(() => server.close());
  const opener = openerOf(server.address().port);

  for (let i = 0; i < 2; i += 1) {
    const connection = await opener.open(end());
    await assert.rejects(call(connection));
  }

  assert.deepEqual(first, ['PRI', 'POS', 'PRI', 'POS']);
});

const HEAD = frames.writeFrame(1, 4, 1, hex('88'));
const frame = (type, flags, stream, payload) => frames.writeFrame(type, flags, stream, hex(payload));
const MALFORMED = {
  'a frame over the limit': hex('ffffff 00 00 00000001'),
  'a body without a head': frame(0, 1, 1, '61'),
  'a body over its length': Buffer.concat([frame(1, 4, 1, '88 0f0d 0130'), frame(0, 1, 1, '61')]),
  'a body under its length': Buffer.concat([frame(1, 4, 1, '88 0f0d 0132'), frame(0, 1, 1, '61')]),
  'a length over the limit': frame(1, 4, 1, '88 0f0d 0a39393939393939393939'),
  'a content-length that is no number': frame(1, 5, 1, '88 0f0d 022b30'),
  'two lengths': frame(1, 5, 1, '88 0f0d 0130 0f0d 0130'),
  'no status': frame(1, 5, 1, '82'),
  'a status of four digits': frame(1, 5, 1, '08 04 32303030'),
  'no fields': frame(1, 5, 1, ''),
  'two heads': Buffer.concat([HEAD, HEAD]),
  'an interim response that is the last': frame(1, 5, 1, '08 03 313033'),
  'fields that use a table': frame(1, 5, 1, 'be'),
  'a response to a call that was not made': frame(1, 5, 3, '88'),
  'a response of the server\'s own': frame(1, 5, 2, '88'),
  'a promise': frame(5, 4, 1, '00000002 82'),
  'fields that are interrupted': Buffer.concat([frame(1, 0, 1, '88'), frame(6, 0, 0, '0000000000000000')]),
  'fields that go on elsewhere': Buffer.concat([frame(1, 0, 1, '88'), frame(9, 4, 3, '')]),
  'fields that go on without a beginning': frame(9, 4, 1, '88'),
  'fields without an end': Buffer.concat([frame(1, 0, 1, '88'), ...Array.from({ length: 20 }, () => frame(9, 0, 1, ''))]),
  'padding that is longer than the frame': frame(1, 0x0d, 1, '05 88'),
  'a ping of another size': frame(6, 0, 0, '00'),
  'a setting that is cut off': frame(4, 0, 0, '0001'),
  'a window that is too large': frame(4, 0, 0, '0004 ffffffff'),
  'a window that grows too large': frame(8, 0, 0, '7fffffff'),
  'an end that is cut off': frame(3, 0, 1, '00'),
};

for (const [what, bytes] of Object.entries(MALFORMED)) {
  test(`a connection is left after ${what}`, async () => {
    const connection = await connectToBytes(bytes);

    await assert.rejects(call(connection), frames.MalformedFrames);
    assert.equal(connection.isEnded, true);
  });
}

test('frames that mean nothing to a client change nothing', async () => {
  const bytes = [frame(0xfa, 0xff, 7, '01'), frame(2, 0, 1, '0000000000'), frame(6, 1, 0, '0000000000000000'), frame(8, 0, 1, '00000001'), frame(1, 4, 1, '20 88'), ...Array.from({ length: 100 }, () => frame(0, 0, 1, '')), frame(0, 1, 1, '61')];
  const connection = await connectToBytes(Buffer.concat(bytes));

  assert.deepEqual([(await call(connection)).status, connection.isEnded], [200, false]);
});

test('random changes of a right answer end a call, and never the process', async () => {
  const right = Buffer.concat([SETTINGS, frame(1, 4, 1, '88 0f10 1161 7070 6c69 6361 7469 6f6e 2f70 726f 746f'), frame(0, 0, 1, '6162'), frame(0, 1, 1, '63')]);
  for (let i = 0; i < CALLS / 20; i += 1) {
    const bytes = Buffer.from(right);
    bytes[random(bytes.length)] = random(256);
    const connection = await connectToBytes(bytes);
    const [answer] = await Promise.allSettled([call(connection, undefined, 50)]);

    assert.ok(answer.status === 'fulfilled' || answer.reason instanceof Error);
    for (const close of ends.splice(0)) close();
  }
});

test('a service that stops ends its connections, and the next call makes another one', async () => {
  const client = new Client({ service: new ConnectTransport(service.address), app: 'shop', deadline: LONG });
  await client.open({ app: 'shop' });

  await service.stop();
  await service.launch();

  assert.equal((await client.open({ app: 'shop' })).session.new, true);
});
