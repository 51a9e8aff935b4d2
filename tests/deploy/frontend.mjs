// Calls the service as a frontend does, by grpcurl with a caller token.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import path from 'node:path';
import { ROOT, run } from './engine.mjs';

const GRPCURL = path.join(ROOT, '.tools/bin/grpcurl');
// Reflection answers only known callers, so grpcurl needs the proto.
const PROTO = ['-import-path', path.join(ROOT, 'proto'), '-proto', 'cloakroom/v1/session_service.proto'];

// The caller token of the tests, and its hash for the service's configuration.
export const TOKEN = 'cloakroom_caller_of-the-tests';
export const HASH = createHash('sha256').update(TOKEN).digest('hex');

export async function call(port, method, request, token = TOKEN) {
  const args = [...PROTO, '-plaintext', '-max-time', '20', '-H', `authorization: Bearer ${token}`, '-d', JSON.stringify(request), `127.0.0.1:${port}`];
  return JSON.parse(await run(GRPCURL, [...args, `cloakroom.v1.SessionService/${method}`]));
}

// Creates a session with one entry and returns its token.
export async function createSession(port, caller) {
  const { session } = await call(port, 'OpenSession', {}, caller);
  const changes = { set: { cart: { json: '[1]' } } };
  return (await call(port, 'SaveSession', { token: session.token, changes }, caller)).session.token;
}

// Opens a session by its cookie and returns its entries.
export async function sessionEntries(port, token, caller) {
  const { session } = await call(port, 'OpenSession', { cookie_header: `session=${token}` }, caller);
  return session.entries;
}

// Checks that a call without a token, or with an unknown one, is rejected.
export async function rejectsUnknownCallers(port) {
  for (const token of ['', 'cloakroom_caller_unknown']) {
    await assert.rejects(call(port, 'OpenSession', {}, token), /Unauthenticated/);
  }
}

export const CART = { cart: { json: '[1]' } };

// Whether the health check answers SERVING.
export async function isServing(port, token = TOKEN) {
  const args = ['-plaintext', '-max-time', '5', '-H', `authorization: Bearer ${token}`, '-d', '{"service": "cloakroom.v1.SessionService"}', `127.0.0.1:${port}`];
  const response = await run(GRPCURL, [...args, 'grpc.health.v1.Health/Check']).catch(() => '');
  return response.includes('"SERVING"');
}
