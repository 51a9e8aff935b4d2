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
const SENTINEL = [...SINGLE, 'deploy/compose.sentinel.yaml'];
// So many sessions are on all three nodes of a cluster, but for one time in millions.
const SESSIONS = 40;

export const testCompose = (engine) => testFiles(engine, SINGLE, ['redis'], 1);

export const testComposeCluster = (engine) => testFiles(engine, CLUSTER, ['redis', 'redis-2', 'redis-3'], SESSIONS);

export const testComposeSentinel = (engine) =>
  testFiles(engine, SENTINEL, ['redis', 'redis-2', 'sentinel', 'sentinel-2', 'sentinel-3'], 1, {
    script: 'deploy/redis-certificates.sh',
    fault: () => failOver(engine),
  });

// Lets the replica take the place of the primary. Their roles have to outlive the restart.
async function failOver(engine) {
  const ask = async (service, port, ...command) => {
    const args = ['--tls', '--cacert', '/run/secrets/redis_ca.pem', '-p', port, ...command];
    return (await engine.attempt('exec', `cloakroom_${service}_1`, 'redis-cli', ...args)).stdout;
  };
  await waitUntil('the failover begins', async () => (await ask('sentinel', '26379', 'sentinel', 'failover', 'sessions')).startsWith('OK'));
  const read = 'read -r _ REDISCLI_AUTH < /run/secrets/redis_replica_conf; export REDISCLI_AUTH; redis-cli --tls --cacert /run/secrets/redis_ca.pem role';
  const role = async (service) => (await engine.attempt('exec', `cloakroom_${service}_1`, '/bin/sh', '-c', read)).stdout;
  await waitUntil('the failover is over', async () => (await role('redis-2')).startsWith('master'));
  // Before that a Sentinel may make it the primary again, without what was written meanwhile.
  await waitUntil('the old primary has all keys', async () => /^slave\n.*\n.*\nconnected\n/.test(await role('redis')));
}

async function testFiles(engine, files, nodes, sessions, { script = 'deploy/secrets.sh', fault } = {}) {
  const port = await freePort();
  const secrets = fs.mkdtempSync(path.join(engine.folder, 'secrets-'));
  await run(path.join(ROOT, script), [secrets]);
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
  // The service serves as soon as most nodes do.
  const create = () => waitUntil('a session is stored', async () => {
    const token = await createSession(port, caller).catch(unavailable);
    return token !== null && tokens.push(token);
  });
  while (tokens.length < sessions) await create();
  for (const service of ['cloakroom', ...nodes]) {
    const container = await engine.inspect(`cloakroom_${service}_1`);
    assert.equal(container.HostConfig.ReadonlyRootfs, true, service);
    assert.deepEqual(container.EffectiveCaps ?? [], [], service);
    await engine.waitUntilHealthy(container.Name);
  }

  if (fault) {
    await fault();
    await waitUntil('the service serves after the failover', () => isServing(port, caller));
    await create();
  }

  // Redis restarts too. Its data is on its volume.
  await compose('stop');
  assert.equal((await engine.inspect('cloakroom_cloakroom_1')).State.ExitCode, 0);
  await compose('start');
  await waitUntil('the service serves again', () => isServing(port, caller));
  for (const token of tokens) {
    let entries;
    const isOpened = async () => (entries = await sessionEntries(port, token, caller).catch(unavailable)) !== null;
    await waitUntil('the session is opened', isOpened);
    assert.deepEqual(entries, CART);
  }
  await compose('down', '--volumes');
}

// Takes an error for null if the call may be repeated.
function unavailable(error) {
  if (!error.message.includes('Code: Unavailable')) throw error;
  return null;
}
