// A frontend that asks over the network, with grpcurl.
import path from 'node:path';
import { ROOT, run } from './engine.mjs';

const GRPCURL = path.join(ROOT, '.tools/bin/grpcurl');

export async function call(port, method, request) {
  const args = ['-plaintext', '-max-time', '20', '-d', JSON.stringify(request), `127.0.0.1:${port}`];
  return JSON.parse(await run(GRPCURL, [...args, `cloakroom.v1.SessionService/${method}`]));
}

// The token of a new session that has one entry.
export async function begin(port) {
  const { session } = await call(port, 'OpenSession', {});
  const changes = { set: { cart: { json: '[1]' } } };
  return (await call(port, 'SaveSession', { token: session.token, changes })).session.token;
}

// What a session holds, as the browser's next request finds it.
export async function entries(port, token) {
  const { session } = await call(port, 'OpenSession', { cookie_header: `session=${token}` });
  return session.entries;
}

export const CART = { cart: { json: '[1]' } };

// Whether health says SERVING there.
export async function serves(port) {
  const args = ['-plaintext', '-max-time', '5', '-d', '{"service": "cloakroom.v1.SessionService"}', `127.0.0.1:${port}`];
  const answer = await run(GRPCURL, [...args, 'grpc.health.v1.Health/Check']).catch(() => '');
  return answer.includes('"SERVING"');
}
