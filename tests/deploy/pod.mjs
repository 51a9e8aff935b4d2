// The manifests of the base, run by podman: its Deployment, its ConfigMap, its Secrets and its claim.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { freePort } from '../web/processes.mjs';
import { eventually } from './engine.mjs';
import { renderWith } from './kubernetes.mjs';
import { begin, CART, entries, HASH, keepsStrangersOut, serves } from './session.mjs';

// What podman knows how to run.
const KINDS = ['ConfigMap', 'PersistentVolumeClaim', 'Deployment'];

export async function podKeepsSessions(engine) {
  const port = await freePort();
  const documents = [keys(), await callers(engine), ...(await manifests(port)).filter(({ kind }) => KINDS.includes(kind))];
  const file = path.join(engine.folder, 'pod.yaml');
  fs.writeFileSync(file, documents.map((document) => JSON.stringify(document)).join('\n---\n'));

  await engine.podman('play', 'kube', '--network', 'podman', file);
  await eventually('the pod serves', () => serves(port));
  await keepsStrangersOut(port);
  const token = await begin(port);

  const pods = (await engine.podman('pod', 'ps', '--quiet')).split('\n');
  assert.equal(pods.length, 1);
  await engine.podman('pod', 'stop', '--time', '30', ...pods);
  const containers = (await engine.podman('ps', '--all', '--filter', `pod=${pods[0]}`, '--format', '{{.Names}}')).split('\n');
  const name = containers.find((one) => one.endsWith('-cloakroom'));
  assert.equal((await engine.inspect(name)).State.ExitCode, 0);

  await engine.podman('pod', 'start', ...pods);
  await eventually('the pod serves again', () => serves(port));
  assert.deepEqual(await entries(port, token), CART);
  await engine.podman('pod', 'rm', '--force', '--time', '0', ...pods);
}

// The base, reached from this machine's loopback alone.
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

// podman 4.3 hands out a secret's data as it stands, later ones decode it: this is a key either way.
function keys() {
  for (;;) {
    const key = randomBytes(36).toString('base64url');
    const data = Buffer.from(key).toString('base64');
    if (/^[0-9A-Za-z]+$/.test(data)) {
      return { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'cloakroom-keys' }, data: { keys: data } };
    }
  }
}

// The hashes of callers' tokens, one caller's being that of the tests.
async function callers(engine) {
  const [major, minor] = (await engine.podman('--version')).match(/\d+/g).map(Number);
  const decodes = major > 4 || minor > 3;
  const encoded = (hash) => (decodes ? Buffer.from(hash).toString('base64') : hash);
  const hashes = { frontend: HASH, operator: '0'.repeat(64), monitor: '1'.repeat(64) };
  const data = Object.fromEntries(Object.entries(hashes).map(([name, hash]) => [name, encoded(hash)]));
  return { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'cloakroom-callers' }, data };
}
