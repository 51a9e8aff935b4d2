// Runs rendered manifests by podman: the Deployment, the ConfigMap, the Secrets and the volume claim.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { freePort, waitUntil } from '../web/processes.mjs';
import { CART, createSession, HASH, isServing, rejectsUnknownCallers, sessionEntries } from './frontend.mjs';

// The kinds that podman can run.
const KINDS = ['ConfigMap', 'Deployment'];

// The manifests keep sessions on a volume, and admit the callers of `callersSecret`.
export async function testPod(engine, manifests) {
  const port = await freePort();
  const rendered = manifests.filter(({ kind }) => KINDS.includes(kind)).map((one) => onThisMachine(structuredClone(one), port));
  const documents = [keysSecret(), await callersSecret(engine), ...rendered];
  const file = path.join(engine.folder, 'pod.yaml');
  fs.writeFileSync(file, documents.map((document) => JSON.stringify(document)).join('\n---\n'));

  await createVolumes(engine, manifests);
  await engine.podman('play', 'kube', '--network', 'podman', file);
  await waitUntil('the pod serves', () => isServing(port)).catch((error) => withLogs(engine, error));
  await rejectsUnknownCallers(port);
  for (const pod of manifests.filter(({ kind }) => kind === 'Pod')) await passes(engine, pod, port);
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

// Creates the claimed volumes for the group of the pod. podman does not know `fsGroup`, and giving a new volume the owner of
// the image's folder, as podman does by itself, has failed once.
async function createVolumes(engine, manifests) {
  const { fsGroup } = manifests.find(({ kind }) => kind === 'Deployment').spec.template.spec.securityContext;
  for (const { metadata } of manifests.filter(({ kind }) => kind === 'PersistentVolumeClaim')) {
    await engine.podman('volume', 'create', '--opt', `o=uid=${fsGroup},gid=${fsGroup}`, metadata.name);
  }
}

// Gives the pod the image of the tests, and a port on this machine's loopback interface.
function onThisMachine(object, port) {
  if (object.kind === 'Deployment') {
    const [container] = object.spec.template.spec.containers;
    container.image = 'cloakroom:latest';
    container.ports = [{ name: 'grpc', containerPort: 50051, hostPort: port, hostIP: '127.0.0.1' }];
  }
  return object;
}

// Fails with the volumes' owners and the logs of all containers.
async function withLogs(engine, cause) {
  const folders = (await engine.podman('volume', 'ls', '--format', '{{.Mountpoint}}')).split('\n').filter(Boolean);
  const owners = folders.map((folder) => `${folder}: owner ${fs.statSync(folder).uid}:${fs.statSync(folder).gid}`);
  const names = (await engine.podman('ps', '--all', '--format', '{{.Names}}: {{.Status}}')).split('\n');
  const logs = await Promise.all(names.map((name) => engine.attempt('logs', name.split(':')[0])));
  const lines = names.map((name, number) => `${name}\n${logs[number].stdout}${logs[number].stderr}`);
  throw new Error([...owners, ...lines].join('\n'), { cause });
}

// Runs the pod of `helm test` against the port in place of the Service.
async function passes(engine, pod, port) {
  const [{ args }] = pod.spec.containers;
  const address = args.indexOf('--address') + 1;
  assert.notEqual(address, 0);
  await engine.podman('run', '--rm', '--network', 'host', 'cloakroom:latest', ...args.with(address, `127.0.0.1:${port}`));
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
