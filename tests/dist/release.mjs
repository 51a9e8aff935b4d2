// The files of a release that `make test-dist` has built, and how to call a service of them.
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { ROOT } from '../deploy/engine.mjs';

export const FILES = path.join(ROOT, 'target/dist-test');

// Returns the path of the one file whose name matches.
export function released(pattern) {
  const names = fs.readdirSync(FILES).filter((name) => pattern.test(name));
  if (names.length !== 1) throw new Error(`${pattern} matches ${names.join(', ') || 'nothing'} in ${FILES}`);
  return path.join(FILES, names[0]);
}

// Calls a method of SessionService by the Connect protocol at a Unix socket, and returns its answer.
async function call(socketPath, method, message) {
  const headers = { 'content-type': 'application/json' };
  const request = http.request({ socketPath, method: 'POST', path: `/cloakroom.v1.SessionService/${method}`, headers, timeout: 20_000 });
  request.end(JSON.stringify(message));
  const [response] = await once(request, 'response');
  const answer = await text(response);
  if (response.statusCode !== 200) throw new Error(`${method}: ${response.statusCode} ${answer}`);
  return JSON.parse(answer);
}

// Stores a session with one entry and returns its token.
export async function createSession(socket) {
  const { session } = await call(socket, 'OpenSession', {});
  const changes = { set: { cart: { json: '[1]' } } };
  return (await call(socket, 'SaveSession', { token: session.token, changes })).session.token;
}

export async function sessionEntries(socket, token) {
  return (await call(socket, 'OpenSession', { cookieHeader: `session=${token}` })).session.entries;
}
