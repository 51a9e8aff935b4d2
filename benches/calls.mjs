// The calls that are measured: sessions to make them on, and their messages as they go over the wire.
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { client, codec } from '../deploy/load/seed.mjs';

export const OPEN = 'OpenSession';
export const SAVE = 'SaveSession';
export const SHOULD_SET_COOKIE = 'ShouldSetCookie';

// Names and values together.
const KB = { entries: 4, entryBytes: 256 };
const TEN_KB = { entries: 20, entryBytes: 512 };
const NAME = (number) => `entry-${String(number).padStart(2, '0')}`;

// Enough that a session has forgotten each by the time that it comes again: it remembers 16.
const REQUEST_IDS = 20;

// Fills a service with sessions, and writes the messages of every call beside its store.
export async function prepare(service, sessions) {
  const call = client(service);
  const tokens = await make(call, sessions, KB);
  // Sessions of their own, because they keep what they remember of a request_id.
  const marked = await make(call, Math.ceil(sessions / 10), KB);
  const large = await make(call, Math.ceil(sessions / 10), TEN_KB);
  const kinds = {
    open: [OPEN, tokens.map(opening)],
    save: [SAVE, tokens.map((token) => saving(token, KB))],
    saveWithId: [SAVE, Array.from({ length: REQUEST_IDS }, () => marked.map((token) => savingOnce(token, KB))).flat()],
    openLarge: [OPEN, large.map(opening)],
    saveLarge: [SAVE, large.map((token) => saving(token, TEN_KB))],
    shouldSetCookie: [SHOULD_SET_COOKIE, [{ modified: true, permanent: true }]],
  };
  const prepared = {};
  for (const [name, [method, requests]] of Object.entries(kinds)) {
    const { requestSerialize, responseSerialize } = codec(method);
    const answer = responseSerialize(await call(method, requests[0]));
    const wire = requests.map((request) => requestSerialize(request));
    const sizes = { request: wire[0].length, answer: answer.length };
    prepared[name] = { ...written(service.folder, name, wire), path: `/cloakroom.v1.SessionService/${method}`, sizes };
  }
  return prepared;
}

// The same sizes, as the echo wants to be asked.
export function echoOf({ sizes: { request, answer } }, folder, name) {
  const head = [0x08, ...varint(payload(answer))];
  const padding = payload(request - head.length);
  const message = Buffer.concat([Buffer.from([...head, 0x12, ...varint(padding)]), Buffer.alloc(Math.max(0, padding), 'x')]);
  return { ...written(folder, name, [message]), path: '/bench.Echo/Echo' };
}

// How many bytes a field of bytes has if it is to take so many with its tag and its length.
const payload = (bytes) => Math.max(0, bytes - 1 - varint(bytes).length);

const varint = (number) => (number < 128 ? [number] : [(number % 128) | 128, ...varint(Math.floor(number / 128))]);

function written(folder, name, wire) {
  const framed = wire.flatMap((message) => {
    const head = Buffer.alloc(5);
    head.writeUInt32BE(message.length, 1);
    return [head, message];
  });
  const file = path.join(folder, `${name}.messages`);
  fs.writeFileSync(file, Buffer.concat(framed), { mode: 0o600 });
  return { messages: file };
}

async function make(call, count, { entries, entryBytes }) {
  const one = async () => {
    const { session } = await call(OPEN, {});
    const set = {};
    for (let number = 1; number <= entries; number += 1) set[NAME(number)] = value(entryBytes);
    const saved = await call(SAVE, { token: session.token, changes: { set } });
    return saved.session.token;
  };
  return Promise.all(Array.from({ length: count }, one));
}

const value = (entryBytes) => ({ json: JSON.stringify(randomBytes(entryBytes).toString('hex').slice(0, entryBytes - NAME(1).length - 2)) });

// Beside the session's cookie another one, as there always is.
const opening = (token) => ({ cookie_header: `theme=dark; session=${token}` });

const saving = (token, { entryBytes }) => ({ token, changes: { set: { [NAME(1)]: value(entryBytes) } }, accessed: true });

const savingOnce = (token, shape) => ({ ...saving(token, shape), request_id: randomBytes(16).toString('base64url') });
