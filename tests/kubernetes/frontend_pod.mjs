// The pod of a frontend: an image of Node.js, and the sources of the client in a ConfigMap.
import fs from 'node:fs';
import path from 'node:path';
import { ROOT } from '../deploy/engine.mjs';
import { waitUntil } from '../web/processes.mjs';

const IMAGE = process.env.NODE_IMAGE ?? 'node:22-slim';
const CLIENT = 'clients/node';
const READY_MS = 120_000;

export class Frontend {
  constructor(namespace) {
    this.namespace = namespace;
  }

  async start() {
    const { namespace } = this;
    await namespace.secret('frontend', { token: namespace.tokens.frontend });
    await namespace.kubectl('delete', 'pod', 'frontend', '--ignore-not-found', '--grace-period=1');
    await namespace.apply(...objects());
    await this.requests(1);
  }

  // What the frontend has seen until now.
  async seen() {
    const line = await this.namespace.kubectl('logs', 'frontend', '--tail=1').catch(() => '');
    return line === '' ? { requests: 0, failures: 0, lost: 0 } : JSON.parse(line);
  }

  // Waits until it has made so many requests more, and returns what it has seen.
  async requests(count) {
    const { requests } = await this.seen();
    let seen;
    await waitUntil(`${count} requests`, async () => {
      seen = await this.seen();
      return seen.requests >= requests + count;
    }, READY_MS);
    return seen;
  }
}

// The ConfigMap with the program and the client, and the pod.
function objects() {
  const inside = (folder) => fs.readdirSync(path.join(ROOT, CLIENT, folder), { recursive: true }).map((name) => path.join(folder, name));
  const sources = inside('src').filter((name) => name.endsWith('.js') && !name.startsWith('src/testing'));
  const files = { 'frontend.mjs': 'tests/kubernetes/frontend.mjs' };
  for (const name of ['package.json', ...sources]) files[`client/${name}`] = `${CLIENT}/${name}`;
  const named = Object.entries(files).map(([place, source], number) => ({ key: `file-${number}`, path: place, source }));

  const data = Object.fromEntries(named.map(({ key, source }) => [key, fs.readFileSync(path.join(ROOT, source), 'utf8')]));
  const items = named.map(({ key, path: place }) => ({ key, path: place }));
  const labels = { 'cloakroom-client': 'true' };
  const spec = {
    automountServiceAccountToken: false,
    securityContext: { runAsNonRoot: true, runAsUser: 1000, runAsGroup: 1000, seccompProfile: { type: 'RuntimeDefault' } },
    containers: [{
      name: 'frontend',
      image: IMAGE,
      command: ['node', '/app/frontend.mjs', 'cloakroom:50051'],
      securityContext: { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } },
      volumeMounts: [{ name: 'app', mountPath: '/app', readOnly: true }, { name: 'token', mountPath: '/run/secrets/frontend', readOnly: true }],
    }],
    volumes: [{ name: 'app', configMap: { name: 'frontend', items } }, { name: 'token', secret: { secretName: 'frontend' } }],
  };
  return [
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'frontend' }, data },
    { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'frontend', labels }, spec },
  ];
}
