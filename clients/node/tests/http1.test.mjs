// The reader of HTTP responses, beside Node's own, and that of the messages in them.
import assert from 'node:assert/strict';
import http from 'node:http';
import { Duplex } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import http1 from '../src/connect/http1.js';
import streams from '../src/connect/stream.js';

const { Malformed, ResponseReader, readWhole } = http1;
const { EnvelopeReader } = streams;
const ANSWERS = Number(process.env.CLOAKROOM_TEST_ANSWERS ?? 2000);

const random = (below) => Math.floor(Math.random() * below);
const choose = (...choices) => choices[random(choices.length)];
const bytes = (text) => Buffer.from(text, 'latin1');

// Reads an answer, in pieces if that is wanted. Undefined: it is not complete.
function read(data, { inPieces = false } = {}) {
  const reader = new ResponseReader();
  for (let at = 0; at < data.length;) {
    const size = inPieces ? choose(1, 2, 7, 60, 4096) : data.length;
    const response = reader.receive(data.subarray(at, at + size));
    if (response) return response;
    at += size;
  }
  return undefined;
}

// Returns what Node's own reader makes of an answer. Rejects if it refuses it.
async function readByNode(data) {
  const socket = new Duplex({ read() {}, write(chunk, encoding, done) { done(); } });
  const response = await new Promise((resolve, reject) => {
    http.request({ createConnection: () => socket }, resolve).on('error', reject).on('information', () => {}).end();
    setImmediate(() => {
      socket.push(data);
      socket.push(null);
    });
  });
  const body = await buffer(response);
  if (!response.complete) throw new Error('not complete');
  const headers = new Map();
  for (let i = 0; i < response.rawHeaders.length; i += 2) {
    const name = response.rawHeaders[i].toLowerCase();
    const value = response.rawHeaders[i + 1];
    headers.set(name, headers.has(name) ? `${headers.get(name)}, ${value}` : value);
  }
  return { status: response.statusCode, headers, body };
}

// Returns an answer that nothing is wrong with.
function makeAnswer() {
  let body = Buffer.alloc(choose(0, 1, 5, 300, 5000), 'body');
  const status = choose(200, 200, 200, 204, 304, 400, 404, 429, 500, 503, 504);
  if (status === 204 || status === 304) body = Buffer.alloc(0);
  const lines = Array.from({ length: random(6) }, makeField);
  const isChunked = status !== 204 && status !== 304 && random(5) < 2;
  if (isChunked) {
    lines.splice(random(lines.length + 1), 0, `${spell('transfer-encoding')}: chunked`);
    body = chunk(body);
  } else if (status !== 204 && status !== 304) {
    lines.splice(random(lines.length + 1), 0, `${spell('content-length')}: ${body.length}`);
  }
  lines.unshift(`HTTP/1.1 ${status} ${choose('OK', '', 'Not so good', '\xe9t\xe9')}`);
  const interim = random(10) === 0 ? 'HTTP/1.1 100 Continue\r\n\r\n' : '';
  return Buffer.concat([bytes(`${interim}${lines.join('\r\n')}\r\n\r\n`), body]);
}

function makeField() {
  const name = spell(choose('date', 'x-request-id', 'content-type', 'server', 'a', "!#$%&'*+-.^_`|~1"));
  const value = choose('', 'application/proto', 'a, b; c="d"', '\xfctf-8: \xff', 'x'.repeat(500), ': :', 'a\tb');
  return `${name}:${choose('', ' ', '\t ', '   ')}${value}${choose('', ' ', ' \t')}`;
}

const spell = (name) => choose(name, name.toUpperCase(), name.replace(/\b./g, (letter) => letter.toUpperCase()));

function chunk(body) {
  const parts = [];
  for (let at = 0; at < body.length;) {
    const size = 1 + random(body.length - at);
    const digits = choose(size.toString(16), size.toString(16).toUpperCase(), `000${size.toString(16)}`);
    parts.push(bytes(`${digits}${choose('', '', ';a=b', ';x="y"')}\r\n`), body.subarray(at, at + size), bytes('\r\n'));
    at += size;
  }
  return Buffer.concat([...parts, bytes(`0\r\n${choose('', '', 'x-checksum: 1\r\n')}\r\n`)]);
}

// Returns an answer with one random change of its bytes.
function makeBroken() {
  const data = makeAnswer();
  const at = random(Math.min(data.length, 200));
  const junk = bytes(choose('\r', '\n', '\r\n', ' ', ':', '\0', '0', 'g', ';', '\t', '\r\n '));
  const end = data.indexOf('\r\n\r\n');
  switch (random(4)) {
    case 0: return Buffer.concat([data.subarray(0, at), junk, data.subarray(at)]);
    case 1: return Buffer.concat([data.subarray(0, at), data.subarray(at + 1)]);
    case 2: return Buffer.concat([data.subarray(0, at), junk, data.subarray(at + 1)]);
    default: return Buffer.concat([data.subarray(0, end + 2), bytes(`${choose(...AMBIGUOUS)}\r\n`), data.subarray(end + 2)]);
  }
}

// Fields that make one answer two, for readers that differ.
const AMBIGUOUS = [
  'content-length: 3', 'Content-Length: 0x3', 'transfer-encoding: chunked', 'transfer-encoding: gzip, chunked',
  'content-length : 3', ' folded', 'content-length: 3, 3', 'no colon',
];

test('right answers are read as Node reads them', async () => {
  for (let i = 0; i < ANSWERS; i += 1) {
    const data = makeAnswer();
    const response = read(data, { inPieces: true });
    const expected = await readByNode(data);

    assert.deepEqual([response.status, response.headers, response.body, response.isReusable],
      [expected.status, expected.headers, expected.body, true], JSON.stringify(data.toString('latin1')));
  }
});

test('a changed answer is refused or read as Node reads it', async () => {
  let refused = 0;
  for (let i = 0; i < ANSWERS; i += 1) {
    const data = makeBroken();
    let response;
    try {
      response = read(data);
    } catch (error) {
      assert.ok(error instanceof Malformed, error);
      refused += 1;
      continue;
    }
    if (response === undefined) continue;
    const expected = await readByNode(data).catch((error) => error);
    const text = JSON.stringify(data.toString('latin1'));
    if (expected instanceof Error) {
      // Node refuses some extensions of chunks, which are skipped here.
      assert.match(text, /chunked[^]*;/i);
      continue;
    }
    assert.deepEqual([response.status, response.body], [expected.status, expected.body], text);
  }
  assert.ok(refused > ANSWERS / 10, `${refused}`);
});

test('an interim response of HTTP/1.0 is refused, as Node refuses it', async () => {
  const data = bytes('HTTP/1.0 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');

  assert.throws(() => read(data), Malformed);
  await assert.rejects(readByNode(data));
});

test('a response with a known head is read as by the reader', () => {
  for (let i = 0; i < ANSWERS; i += 1) {
    const data = random(2) ? makeAnswer() : makeBroken();
    const response = readWhole(data);

    if (response) assert.deepEqual(response, read(data));
  }
});

const REFUSED = [
  ['HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 3', 'abc'],
  ['HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked', '0\r\n\r\n'],
  ['HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked', '0\r\n\r\n'],
  ['HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked', '0\r\n\r\n'],
  ['HTTP/1.1 200 OK\r\ntransfer-encoding: chunked', '0\t\r\n\r\n'],
  ['HTTP/1.1 200 OK\r\ncontent-length : 3', 'abc'],
  ['HTTP/1.1 200 OK\r\ncontent-length: +3', 'abc'],
  ['HTTP/1.1 200 OK\r\ncontent-length: 3 ,3', 'abc'],
  ['HTTP/1.1 200 OK\r\ncontent-length: \xb2', 'ab'],
  ['HTTP/1.1 200 OK\r\nx: a\r\n folded: b\r\ncontent-length: 0', ''],
  ['HTTP/1.1 200 OK\r\nx: a\ncontent-length: 0', ''],
  ['HTTP/1.1 200 OK\r\nx: a\rb\r\ncontent-length: 0', ''],
  ['HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 0', ''],
  ['HTTP/1.1 200 OK\r\n: no name\r\ncontent-length: 0', ''],
  ['HTTP/1.1 200 OK', 'until the end of the connection'],
  ['HTTP/1.0 200 OK\r\ntransfer-encoding: chunked', '0\r\n\r\n'],
  ['HTTP/2.0 200 OK\r\ncontent-length: 0', ''],
  ['HTTP/1.1 2000 OK\r\ncontent-length: 0', ''],
  ['HTTP/1.1 020 OK\r\ncontent-length: 0', ''],
  ['HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket', ''],
  ['HTTP/1.1 200 OK\r\ntransfer-encoding: chunked', '3\nabc\r\n0\r\n\r\n'],
  ['HTTP/1.1 200 OK\r\ntransfer-encoding: chunked', '3\r\nabcd\r\n0\r\n\r\n'],
  ['HTTP/1.1 200 OK\r\ntransfer-encoding: chunked', '0x3\r\nabc\r\n0\r\n\r\n'],
  ['HTTP/1.1 200 OK\r\ntransfer-encoding: chunked', '-1\r\n\r\n0\r\n\r\n'],
  ['HTTP/1.1 200 OK\r\ntransfer-encoding: chunked', 'fffffffff\r\n'],
  ['HTTP/1.1 200 OK\r\ntransfer-encoding: chunked', '0\r\nno colon\r\n\r\n'],
  ['HTTP/1.1 200 OK\r\ncontent-length: 99999999999', ''],
  [`HTTP/1.1 200 OK\r\nx: ${'a'.repeat(70_000)}`, ''],
  ['SSH-2.0-OpenSSH_9.2', ''],
];

for (const [head, body] of REFUSED) {
  test(`what is ambiguous or endless is refused: ${JSON.stringify(`${head}\r\n\r\n${body}`.slice(17, 90))}`, () => {
    const data = bytes(`${head}\r\n\r\n${body}`);

    assert.throws(() => read(data), Malformed);
    assert.throws(() => read(data, { inPieces: true }), Malformed);
    assert.equal(readWhole(data), undefined);
  });
}

test('a response that is cut off is no response', () => {
  const data = bytes('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n');
  for (let size = 1; size < data.length; size += 1) assert.equal(read(data.subarray(0, size)), undefined);
});

// Has data read in pieces of 4 KiB, and returns how many bytes of it were copied meanwhile.
function bytesCopied(t, data, receive) {
  const concat = t.mock.method(Buffer, 'concat');
  for (let at = 0; at < data.length; at += 4096) receive(data.subarray(at, at + 4096));
  concat.mock.restore();
  return concat.mock.calls.reduce((sum, { result }) => sum + result.length, 0);
}

const MEBIBYTE = 1024 * 1024;

for (const size of [1000, 100_000, MEBIBYTE]) {
  test(`a response in chunks of ${size} bytes is not copied at each read`, (t) => {
    const chunk = bytes(`${size.toString(16)}\r\n${'x'.repeat(size)}\r\n`);
    const chunks = Array(Math.floor(MEBIBYTE / size)).fill(chunk);
    const data = Buffer.concat([bytes('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n'), ...chunks, bytes('0\r\n\r\n')]);
    const reader = new ResponseReader();
    let response;

    const copied = bytesCopied(t, data, (piece) => { response = reader.receive(piece); });

    assert.equal(response.body.length, chunks.length * size);
    assert.ok(copied < 4 * data.length, `${copied} bytes`);
  });
}

test('a long message of a stream is not copied at each read', (t) => {
  const data = Buffer.alloc(5 + MEBIBYTE);
  data.writeUInt32BE(MEBIBYTE, 1);
  const reader = new EnvelopeReader({ response: { decode: (content) => content.length } });
  const messages = [];

  const copied = bytesCopied(t, data, (piece) => messages.push(...reader.receive(piece)));

  assert.deepEqual(messages, [MEBIBYTE]);
  assert.ok(copied < 4 * data.length, `${copied} bytes`);
});

test('messages of a stream are read however they arrive', () => {
  const texts = Array.from({ length: 200 }, () => 'x'.repeat(choose(0, 1, 5, 300, 5000)));
  const data = Buffer.concat(texts.flatMap((text) => {
    const prefix = Buffer.alloc(5);
    prefix.writeUInt32BE(text.length, 1);
    return [prefix, bytes(text)];
  }));
  const reader = new EnvelopeReader({ response: { decode: String } });
  const messages = [];
  for (let at = 0; at < data.length;) {
    const size = choose(1, 2, 7, 60, 4096);
    messages.push(...reader.receive(data.subarray(at, at + size)));
    at += size;
  }

  assert.deepEqual(messages, texts);
});

const KEPT = [
  ['HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na', true],
  ['HTTP/1.1 200 OK\r\nConnection: x, Close\r\ncontent-length: 1\r\n\r\na', false],
  ['HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\na', false],
  ['HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 1\r\n\r\na', true],
  ['HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\naHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nb', false],
  ['HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\nmore', false],
  ['HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na', true],
];

test('a connection is used again only if nothing is left on it', () => {
  for (const [data, isReusable] of KEPT) {
    const response = read(bytes(data));

    assert.deepEqual([response.body.toString(), response.isReusable], ['a', isReusable], data);
  }
});
