// Probes what kinds of containers this machine can run. A test that fails is skipped if the probe of its kind fails too.
//
// The probes run Redis and do not depend on Cloakroom, so a fault of Cloakroom cannot make a probe fail.
import fs from 'node:fs';
import path from 'node:path';
import { freePort, isListening, waitUntil } from '../web/processes.mjs';

export const REDIS = 'docker.io/library/redis:7.2-bookworm';
const SERVE = ['redis-server', '--dir', '/data', '--protected-mode', 'no'];
const RESTRICTED = ['--read-only', '--cap-drop', 'all', '--user', '999:999', '--security-opt', 'no-new-privileges:true'];

const PROBES = {
  // A restricted container with a volume and a published port, which is stopped and started again.
  async container(engine) {
    const port = await freePort();
    const publish = ['--publish', `127.0.0.1:${port}:6379`, '--volume', 'probe:/data'];
    await engine.podman('run', '--detach', '--name', 'probe', ...RESTRICTED, ...publish, REDIS, ...SERVE);
    await waitUntil('the probe listens', () => isListening(port));
    await engine.podman('exec', 'probe', 'redis-cli', 'ping');
    await engine.podman('stop', '--time', '20', 'probe');
    await engine.podman('start', 'probe');
    await waitUntil('the probe listens again', () => isListening(port));
  },

  // A pod from a manifest, with a port of the host.
  async pod(engine) {
    const port = await freePort();
    const file = path.join(engine.folder, 'probe.yaml');
    fs.writeFileSync(file, JSON.stringify(pod(port)));
    await engine.podman('play', 'kube', '--network', 'podman', file);
    await waitUntil('the pod listens', () => isListening(port));
    await engine.podman('pod', 'stop', '--time', '20', 'probe');
    await engine.podman('pod', 'start', 'probe');
    await waitUntil('the pod listens again', () => isListening(port));
  },

  // Two networks, one of them internal, in which containers resolve each other's names.
  async names(engine) {
    const port = await freePort();
    await engine.podman('network', 'create', 'open');
    await engine.podman('network', 'create', '--internal', 'closed');
    await engine.podman('run', '--detach', '--name', 'server', ...RESTRICTED, '--network', 'closed', REDIS, ...SERVE);
    const publish = ['--publish', `127.0.0.1:${port}:6379`, '--network', 'open,closed'];
    await engine.podman('run', '--detach', '--name', 'client', ...RESTRICTED, ...publish, REDIS, ...SERVE);
    await waitUntil('the container in both networks listens', () => isListening(port));
    await waitUntil('the name is resolved', async () => {
      const { stdout } = await engine.attempt('exec', 'client', 'redis-cli', '-h', 'server', 'ping');
      return stdout.includes('PONG');
    });
  },
};

// Runs a test. If the test and the probe both fail, it skips the test with a notice on standard error.
export async function skipIfMachineCannot(probe, engine, t, body) {
  try {
    await body();
  } catch (failure) {
    await engine.clear();
    const why = await probeError(engine, probe);
    if (!why) throw failure;
    const frame = '!'.repeat(100);
    console.error(`${frame}\nNOT TESTED: ${t.name}\nThe same kind of container fails on this machine with Redis too: ${why}\n${frame}`);
    t.skip(`the probe "${probe}" fails on this machine`);
  } finally {
    await engine.clear();
  }
}

// Returns the error of a probe, or undefined if it passes.
async function probeError(engine, probe) {
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
