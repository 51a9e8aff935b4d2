// Runs the compose file by podman-compose: the service, Redis and their secrets.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { freePort, waitUntil } from '../web/processes.mjs';
import { ROOT, run, TOOLS } from './engine.mjs';
import { REDIS } from './probe.mjs';
import { CART, createSession, isServing, rejectsUnknownCallers, sessionEntries } from './frontend.mjs';

export async function testCompose(engine) {
  const port = await freePort();
  const secrets = path.join(engine.folder, 'secrets');
  await run(path.join(ROOT, 'deploy/secrets.sh'), [secrets]);
  const caller = fs.readFileSync(path.join(secrets, 'frontend_token'), 'utf8');
  await engine.buildRedis(REDIS);
  const env = { ...engine.env, CLOAKROOM_PORT: `${port}`, CLOAKROOM_SECRETS: secrets };
  const file = path.join(ROOT, 'deploy/compose.yaml');
  const compose = (...args) =>
    run(path.join(TOOLS, 'podman-compose'), ['--project-name', 'cloakroom', '--file', file, ...args], { env });

  // The compose file starts Cloakroom once Redis is healthy.
  await Promise.all([compose('up', '--detach', '--no-build'), engine.waitUntilHealthy('cloakroom_redis_1')]);
  await waitUntil('the service serves', () => isServing(port, caller));
  await rejectsUnknownCallers(port);
  const token = await createSession(port, caller);
  for (const service of ['cloakroom', 'redis']) {
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
  assert.deepEqual(await sessionEntries(port, token, caller), CART);
  await compose('down', '--volumes');
}
