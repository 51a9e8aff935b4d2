// Runs the compose files by podman-compose: the service, Redis and their secrets.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { freePort, waitUntil } from '../web/processes.mjs';
import { ROOT, run, TOOLS } from './engine.mjs';
import { REDIS } from './probe.mjs';
import { CART, createSession, isServing, rejectsUnknownCallers, sessionEntries } from './frontend.mjs';

const SINGLE = ['deploy/compose.yaml'];
const CLUSTER = [...SINGLE, 'deploy/compose.cluster.yaml'];
// So many sessions are on all three nodes of a cluster, but for one time in millions.
const SESSIONS = 40;

export const testCompose = (engine) => testFiles(engine, SINGLE, ['redis'], 1);

export const testComposeCluster = (engine) => testFiles(engine, CLUSTER, ['redis', 'redis-2', 'redis-3'], SESSIONS);

async function testFiles(engine, files, nodes, sessions) {
  const port = await freePort();
  const secrets = fs.mkdtempSync(path.join(engine.folder, 'secrets-'));
  await run(path.join(ROOT, 'deploy/secrets.sh'), [secrets]);
  const caller = fs.readFileSync(path.join(secrets, 'frontend_token'), 'utf8');
  await engine.buildRedis(REDIS);
  const env = { ...engine.env, CLOAKROOM_PORT: `${port}`, CLOAKROOM_SECRETS: secrets };
  const options = files.flatMap((file) => ['--file', path.join(ROOT, file)]);
  const compose = (...args) => run(path.join(TOOLS, 'podman-compose'), ['--project-name', 'cloakroom', ...options, ...args], { env });

  // The compose file starts Cloakroom once Redis is healthy.
  const healthy = nodes.map((node) => engine.waitUntilHealthy(`cloakroom_${node}_1`));
  await Promise.all([compose('up', '--detach', '--no-build'), ...healthy]);
  await waitUntil('the service serves', () => isServing(port, caller));
  await rejectsUnknownCallers(port);
  const tokens = [];
  while (tokens.length < sessions) tokens.push(await createSession(port, caller));
  for (const service of ['cloakroom', ...nodes]) {
    const container = await engine.inspect(`cloakroom_${service}_1`);
    assert.equal(container.HostConfig.ReadonlyRootfs, true, service);
    assert.deepEqual(container.EffectiveCaps ?? [], [], service);
    await engine.waitUntilHealthy(container.Name);
  }

  // Redis restarts too. Its data is on its volume.
  await compose('stop');
  assert.equal((await engine.inspect('cloakroom_cloakroom_1')).State.ExitCode, 0);
  await compose('start');
  await waitUntil('the service serves again', () => isServing(port, caller));
  for (const token of tokens) assert.deepEqual(await sessionEntries(port, token, caller), CART);
  await compose('down', '--volumes');
}
