// The compose file, run by podman-compose: the service, Redis and their secrets.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { freePort } from '../web/processes.mjs';
import { eventually, ROOT, run, TOOLS } from './engine.mjs';
import { REDIS } from './probe.mjs';
import { begin, CART, entries, keepsStrangersOut, serves } from './session.mjs';

export async function composeKeepsSessions(engine) {
  const port = await freePort();
  const secrets = path.join(engine.folder, 'secrets');
  await run(path.join(ROOT, 'deploy/secrets.sh'), [secrets]);
  const caller = fs.readFileSync(path.join(secrets, 'frontend_token'), 'utf8');
  await engine.buildRedis(REDIS);
  const env = { ...engine.env, CLOAKROOM_PORT: `${port}`, CLOAKROOM_SECRETS: secrets };
  const file = path.join(ROOT, 'deploy/compose.yaml');
  const compose = (...args) =>
    run(path.join(TOOLS, 'podman-compose'), ['--project-name', 'cloakroom', '--file', file, ...args], { env });

  // Cloakroom is begun once Redis is healthy.
  await Promise.all([compose('up', '--detach', '--no-build'), engine.becomesHealthy('cloakroom_redis_1')]);
  await eventually('the service serves', () => serves(port, caller));
  await keepsStrangersOut(port);
  const token = await begin(port, caller);
  for (const service of ['cloakroom', 'redis']) {
    const container = await engine.inspect(`cloakroom_${service}_1`);
    assert.equal(container.HostConfig.ReadonlyRootfs, true, service);
    assert.deepEqual(container.EffectiveCaps ?? [], [], service);
    await engine.becomesHealthy(container.Name);
  }

  // Redis too is stopped and begun again: what it was told is on its volume.
  await compose('stop');
  assert.equal((await engine.inspect('cloakroom_cloakroom_1')).State.ExitCode, 0);
  await compose('start');
  await eventually('the service serves again', () => serves(port, caller));
  assert.deepEqual(await entries(port, token, caller), CART);
  await compose('down', '--volumes');
}
