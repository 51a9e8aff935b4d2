// Runs the base manifests by podman: the Deployment, the ConfigMap, the Secrets and the volume claim.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { freePort, waitUntil } from '../web/processes.mjs';
import { renderWith } from './kubernetes.mjs';
import { CART, createSession, HASH, isServing, rejectsUnknownCallers, sessionEntries } from './frontend.mjs';

// The kinds that podman can run.
const KINDS = ['ConfigMap', 'PersistentVolumeClaim', 'Deployment'];

export async function testPod(engine) {
  const port = await freePort();
  const documents = [keysSecret(), await callersSecret(engine), ...(await manifests(port)).filter(({ kind }) => KINDS.includes(kind))];
  const file = path.join(engine.folder, 'pod.yaml');
  fs.writeFileSync(file, documents.map((document) => JSON.stringify(document)).join('\n---\n'));

  await engine.podman('play', 'kube', '--network', 'podman', file);
  await waitUntil('the pod serves', () => isServing(port));
  await rejectsUnknownCallers(port);
  const token = await createSession(port);

  const pods = (await engine.podman('pod', 'ps', '--quiet')).split('\n');
  assert.equal(pods.length, 1);
  await engine.podman('pod', 'stop', '--time', '30', ...pods);
  const containers = (await engine.podman('ps', '--all', '--filter', `pod=${pods[0]}`, '--format', '{{.Names}}')).split('\n');
  const name = containers.find((one) => one.endsWith('-cloakroom'));
  assert.equal((await engine.inspect(name)).State.ExitCode, 0);

  await engine.podman('pod', 'start', ...pods);
  await waitUntil('the pod serves again', () => isServing(port));
  assert.deepEqual(await sessionEntries(port, token), CART);
  await engine.podman('pod', 'rm', '--force', '--time', '0', ...pods);
}

// Renders the base, with its port on this machine's loopback interface.
function manifests(port) {
  const container = '/spec/template/spec/containers/0';
  const host = { name: 'grpc', containerPort: 50051, hostPort: port, hostIP: '127.0.0.1' };
  return renderWith({
    resources: ['deploy/kubernetes/base'],
    patches: [{
      target: { kind: 'Deployment', name: 'cloakroom' },
      patch: JSON.stringify([{ op: 'replace', path: `${container}/ports/0`, value: host }]),
    }],
  });
}

// podman 4.3 does not decode a secret's base64 data; later versions do. The data is a valid key both ways.
function keysSecret() {
  for (;;) {
    const key = randomBytes(36).toString('base64url');
    const data = Buffer.from(key).toString('base64');
    if (/^[0-9A-Za-z]+$/.test(data)) {
      return { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'cloakroom-keys' }, data: { keys: data } };
    }
  }
}

// Returns the Secret with the hashes of the callers' tokens. The frontend's token is the tests'.
async function callersSecret(engine) {
  const [major, minor] = (await engine.podman('--version')).match(/\d+/g).map(Number);
  const decodes = major > 4 || minor > 3;
  const encoded = (hash) => (decodes ? Buffer.from(hash).toString('base64') : hash);
  const hashes = { frontend: HASH, operator: '0'.repeat(64), monitor: '1'.repeat(64) };
  const data = Object.fromEntries(Object.entries(hashes).map(([name, hash]) => [name, encoded(hash)]));
  return { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'cloakroom-callers' }, data };
}
