// Prepares the calls that are measured: creates sessions, and encodes the messages.
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { client, codec } from '../deploy/load/client.mjs';

export const OPEN = 'OpenSession';
export const SAVE = 'SaveSession';
export const SHOULD_SET_COOKIE = 'ShouldSetCookie';

// Sizes include an entry's name.
const KB = { entries: 4, entryBytes: 256 };
const TEN_KB = { entries: 20, entryBytes: 512 };
const entryName = (number) => `entry-${String(number).padStart(2, '0')}`;

// A session remembers 16 request_ids, so with 20 in turn none is known when it is used again.
const REQUEST_IDS = 20;

// Creates sessions in a service, and writes the messages of every call to files in its folder.
export async function prepare(service, sessions) {
  const call = client(service);
  const tokens = await createSessions(call, sessions, KB);
  // Separate sessions, because they store idempotency records.
  const idempotent = await createSessions(call, Math.ceil(sessions / 10), KB);
  const large = await createSessions(call, Math.ceil(sessions / 10), TEN_KB);
  const kinds = {
    open: [OPEN, tokens.map(openByCookie)],
    save: [SAVE, tokens.map((token) => saveOneEntry(token, KB))],
    saveWithId: [SAVE, Array.from({ length: REQUEST_IDS }, () => idempotent.map((token) => saveWithRequestId(token, KB))).flat()],
    openLarge: [OPEN, large.map(openByCookie)],
    saveLarge: [SAVE, large.map((token) => saveOneEntry(token, TEN_KB))],
    shouldSetCookie: [SHOULD_SET_COOKIE, [{ modified: true, permanent: true }]],
  };
  const prepared = {};
  for (const [name, [method, requests]] of Object.entries(kinds)) {
    const { requestSerialize, responseSerialize } = codec(method);
    const response = responseSerialize(await call(method, requests[0]));
    const wire = requests.map((request) => requestSerialize(request));
    const sizes = { request: wire[0].length, response: response.length };
    prepared[name] = { ...writeMessages(service.folder, name, wire), path: `/cloakroom.v1.SessionService/${method}`, sizes };
  }
  return prepared;
}

// Writes a call of the echo with the same sizes of request and response.
export function echoOf({ sizes: { request, response } }, folder, name) {
  const head = [0x08, ...varint(payloadLength(response))];
  const padding = payloadLength(request - head.length);
  const message = Buffer.concat([Buffer.from([...head, 0x12, ...varint(padding)]), Buffer.alloc(Math.max(0, padding), 'x')]);
  return { ...writeMessages(folder, name, [message]), path: '/bench.Echo/Echo' };
}

// Returns the length of a bytes field's content, given its whole length with tag and length prefix.
const payloadLength = (bytes) => Math.max(0, bytes - 1 - varint(bytes).length);

const varint = (number) => (number < 128 ? [number] : [(number % 128) | 128, ...varint(Math.floor(number / 128))]);

// Writes messages to a file, each with the 5-byte prefix of gRPC.
export function writeMessages(folder, name, wire) {
  const framed = wire.flatMap((message) => {
    const head = Buffer.alloc(5);
    head.writeUInt32BE(message.length, 1);
    return [head, message];
  });
  const file = path.join(folder, `${name}.messages`);
  fs.writeFileSync(file, Buffer.concat(framed), { mode: 0o600 });
  return { messages: file };
}

async function createSessions(call, count, { entries, entryBytes }) {
  const createOne = async () => {
    const { session } = await call(OPEN, {});
    const set = {};
    for (let number = 1; number <= entries; number += 1) set[entryName(number)] = randomValue(entryBytes);
    const saved = await call(SAVE, { token: session.token, changes: { set } });
    return saved.session.token;
  };
  return Promise.all(Array.from({ length: count }, createOne));
}

const randomValue = (entryBytes) => ({ json: JSON.stringify(randomBytes(entryBytes).toString('hex').slice(0, entryBytes - entryName(1).length - 2)) });

// With a second cookie, as in most real requests.
const openByCookie = (token) => ({ cookie_header: `theme=dark; session=${token}` });

const saveOneEntry = (token, { entryBytes }) => ({ token, changes: { set: { [entryName(1)]: randomValue(entryBytes) } }, accessed: true });

const saveWithRequestId = (token, shape) => ({ ...saveOneEntry(token, shape), request_id: randomBytes(16).toString('base64url') });
