// A frontend that asks over the network, with grpcurl and its caller token.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import path from 'node:path';
import { ROOT, run } from './engine.mjs';

const GRPCURL = path.join(ROOT, '.tools/bin/grpcurl');
// Strangers are not told by reflection what there is to call.
const PROTO = ['-import-path', path.join(ROOT, 'proto'), '-proto', 'cloakroom/v1/session_service.proto'];

// What tests show unless they are given a token, and what a service that they begin knows of it.
export const TOKEN = 'cloakroom_caller_of-the-tests';
export const HASH = createHash('sha256').update(TOKEN).digest('hex');

export async function call(port, method, request, token = TOKEN) {
  const args = [...PROTO, '-plaintext', '-max-time', '20', '-H', `authorization: Bearer ${token}`, '-d', JSON.stringify(request), `127.0.0.1:${port}`];
  return JSON.parse(await run(GRPCURL, [...args, `cloakroom.v1.SessionService/${method}`]));
}

// The token of a new session that has one entry.
export async function begin(port, caller) {
  const { session } = await call(port, 'OpenSession', {}, caller);
  const changes = { set: { cart: { json: '[1]' } } };
  return (await call(port, 'SaveSession', { token: session.token, changes }, caller)).session.token;
}

// What a session holds, as the browser's next request finds it.
export async function entries(port, token, caller) {
  const { session } = await call(port, 'OpenSession', { cookie_header: `session=${token}` }, caller);
  return session.entries;
}

// Nobody gets in without a token, or with another one.
export async function keepsStrangersOut(port) {
  for (const stranger of ['', 'cloakroom_caller_of-nobody']) {
    await assert.rejects(call(port, 'OpenSession', {}, stranger), /Unauthenticated/);
  }
}

export const CART = { cart: { json: '[1]' } };

// Whether health says SERVING there.
export async function serves(port, token = TOKEN) {
  const args = ['-plaintext', '-max-time', '5', '-H', `authorization: Bearer ${token}`, '-d', '{"service": "cloakroom.v1.SessionService"}', `127.0.0.1:${port}`];
  const answer = await run(GRPCURL, [...args, 'grpc.health.v1.Health/Check']).catch(() => '');
  return answer.includes('"SERVING"');
}
