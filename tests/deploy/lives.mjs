// One container and its volume: begun, stopped, begun again.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { freePort } from '../web/processes.mjs';
import { eventually, ROOT } from './engine.mjs';
import { begin, CART, entries, HASH, serves } from './session.mjs';

// The static program that `make test` links.
export function program() {
  const file = path.resolve(ROOT, process.env.CLOAKROOM_STATIC ?? 'target/container/cloakroom');
  if (!fs.existsSync(file)) throw new Error('link the program first: make static');
  return file;
}

export async function volumeKeepsSessions(engine) {
  const port = await freePort();
  await engine.podman('run', '--detach', '--name', 'alone', '--read-only', '--cap-drop', 'all', '--volume', 'alone:/data',
    '--publish', `127.0.0.1:${port}:50051`, '--env', 'CLOAKROOM__SERVER__LISTEN=0.0.0.0:50051',
    '--env', 'CLOAKROOM__CALLERS__TEST__ROLES=frontend', '--env', 'CLOAKROOM__CALLERS__TEST__APPS=default',
    '--env', `CLOAKROOM__CALLERS__TEST__TOKEN_HASHES=${HASH}`, 'cloakroom:latest');
  await eventually('the container serves', () => serves(port));
  const token = await begin(port);
  await engine.becomesHealthy('alone');

  await engine.podman('stop', '--time', '20', 'alone');
  const { State } = await engine.inspect('alone');
  const logs = await engine.attempt('logs', 'alone');
  assert.equal(State.ExitCode, 0);
  assert.match(logs.stderr, /"stopped"/);

  await engine.podman('start', 'alone');
  await eventually('the container serves again', () => serves(port));
  assert.deepEqual(await entries(port, token), CART);
  await engine.podman('rm', '--force', '--time', '0', 'alone');
}
