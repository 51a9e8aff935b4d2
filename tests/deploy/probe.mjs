// What containers this machine can run at all, tried with Redis, which is not ours: where Redis can't be run that way
// either, a test of our image tells nothing of it.
//
// Knows nothing of Cloakroom: if its image, its program or its manifests are broken, no probe notices.
import fs from 'node:fs';
import path from 'node:path';
import { freePort, listens } from '../web/processes.mjs';
import { eventually } from './engine.mjs';

export const REDIS = 'docker.io/library/redis:7.2-bookworm';
const SERVE = ['redis-server', '--dir', '/data', '--protected-mode', 'no'];
const LOCKED = ['--read-only', '--cap-drop', 'all', '--user', '999:999', '--security-opt', 'no-new-privileges:true'];

const PROBES = {
  // A locked container with a volume, reached by a published port and looked into, stopped and begun again.
  async container(engine) {
    const port = await freePort();
    const publish = ['--publish', `127.0.0.1:${port}:6379`, '--volume', 'probe:/data'];
    await engine.podman('run', '--detach', '--name', 'probe', ...LOCKED, ...publish, REDIS, ...SERVE);
    await eventually('the probe listens', () => listens(port));
    await engine.podman('exec', 'probe', 'redis-cli', 'ping');
    await engine.podman('stop', '--time', '20', 'probe');
    await engine.podman('start', 'probe');
    await eventually('the probe listens again', () => listens(port));
  },

  // A pod out of a manifest, reached by a port of the host.
  async pod(engine) {
    const port = await freePort();
    const file = path.join(engine.folder, 'probe.yaml');
    fs.writeFileSync(file, JSON.stringify(pod(port)));
    await engine.podman('play', 'kube', '--network', 'podman', file);
    await eventually('the pod listens', () => listens(port));
    await engine.podman('pod', 'stop', '--time', '20', 'probe');
    await engine.podman('pod', 'start', 'probe');
    await eventually('the pod listens again', () => listens(port));
  },

  // Two networks, one of them without a way out, in which containers find each other by name.
  async names(engine) {
    const port = await freePort();
    await engine.podman('network', 'create', 'open');
    await engine.podman('network', 'create', '--internal', 'closed');
    await engine.podman('run', '--detach', '--name', 'named', ...LOCKED, '--network', 'closed', REDIS, ...SERVE);
    const publish = ['--publish', `127.0.0.1:${port}:6379`, '--network', 'open,closed'];
    await engine.podman('run', '--detach', '--name', 'asks', ...LOCKED, ...publish, REDIS, ...SERVE);
    await eventually('the container of two networks listens', () => listens(port));
    await eventually('a name is found', async () => {
      const { stdout } = await engine.attempt('exec', 'asks', 'redis-cli', '-h', 'named', 'ping');
      return stdout.includes('PONG');
    });
  },
};

// Runs a test; if it fails, asks whether the machine is to blame, and only then skips it, loud and clear.
export async function onMachinesThatCan(probe, engine, t, body) {
  try {
    await body();
  } catch (failure) {
    await engine.clear();
    const why = await obstacle(engine, probe);
    if (!why) throw failure;
    const frame = '!'.repeat(100);
    console.error(`${frame}\nNOT TESTED: ${t.name}\nThis machine can't run Redis' containers that way either: ${why}\n${frame}`);
    t.skip(`the probe "${probe}" fails on this machine`);
  } finally {
    await engine.clear();
  }
}

async function obstacle(engine, probe) {
  try {
    await engine.buildRedis(REDIS);
    await PROBES[probe](engine);
  } catch (error) {
    return error.message;
  }
}

function pod(port) {
  const ports = [{ containerPort: 6379, hostPort: port, hostIP: '127.0.0.1' }];
  const securityContext = { readOnlyRootFilesystem: true, runAsUser: 999, capabilities: { drop: ['ALL'] } };
  const redis = { name: 'redis', image: REDIS, command: SERVE, ports, securityContext, imagePullPolicy: 'IfNotPresent' };
  return { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'probe' }, spec: { containers: [redis] } };
}
