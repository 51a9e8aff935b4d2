// A namespace of a test, with the Secrets of the service, and the commands that work in it.
//
// Every namespace has the Pod Security Standard "restricted", and a warning of the cluster is an error.
import { createHash, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { CHART, HELM } from '../helm/chart.mjs';
import { attempt, ROOT, TOOLS } from '../deploy/engine.mjs';
import { waitUntil } from '../web/processes.mjs';
import { Frontend } from './frontend_pod.mjs';

const KUBECTL = process.env.KUBECTL ?? path.join(TOOLS, 'kubectl');
const [, REPOSITORY, TAG] = process.env.CLOAKROOM_IMAGE.match(/^(.*?)(?::([^/:]+))?$/);
export const IMAGE = { repository: REPOSITORY, tag: TAG ?? 'latest' };
// The kubelet brings a change of a ConfigMap into pods within two minutes.
const RELOAD_MS = 180_000;
const CALLERS = ['frontend', 'operator', 'monitor', 'nightly'];

export class Namespace {
  constructor(name) {
    this.name = `${name}-${randomBytes(3).toString('hex')}`;
    this.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'cloakroom-kubernetes-'));
    this.tokens = Object.fromEntries(CALLERS.map((caller) => [caller, `cloakroom_caller_${randomBytes(32).toString('base64url')}`]));
  }

  async create() {
    const labels = Object.fromEntries(['enforce', 'warn'].map((mode) => [`pod-security.kubernetes.io/${mode}`, 'restricted']));
    await this.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: this.name, labels } });
    const hashes = Object.entries(this.tokens).map(([caller, token]) => [caller, createHash('sha256').update(token).digest('hex')]);
    await this.secret('cloakroom-callers', Object.fromEntries(hashes));
    await this.secret('cloakroom-keys', { keys: randomBytes(32).toString('base64url') });
  }

  // Deletes everything. Volumes whose reclaim policy is `Retain` stay in the cluster.
  async delete() {
    await run(KUBECTL, ['delete', 'namespace', this.name, '--wait=false']);
    fs.rmSync(this.folder, { recursive: true });
  }

  // Runs kubectl in this namespace, and returns what it prints.
  kubectl(...args) {
    return run(KUBECTL, ['--namespace', this.name, ...args]);
  }

  // Runs Helm in this namespace.
  helm(...args) {
    return run(HELM, ['--namespace', this.name, ...args]);
  }

  // Installs or upgrades the release `cloakroom`, and waits until it serves.
  release(values, ...args) {
    const file = path.join(this.folder, 'values.json');
    fs.writeFileSync(file, JSON.stringify({ image: IMAGE, ...values }));
    return this.helm('upgrade', '--install', 'cloakroom', CHART, '--wait', '--timeout', '3m', '--values', file, ...args);
  }

  async apply(...objects) {
    await this.kubectl('apply', '--server-side', '--validate=strict', '--filename', this.#file(objects));
  }

  // As `kubectl apply --kustomize` does, with the objects that kustomize has made.
  async applyKustomization(objects) {
    await this.kubectl('apply', '--validate=strict', '--filename', this.#file(objects));
  }

  // Lets the cluster check objects, and makes none.
  async dryRun(...objects) {
    await this.kubectl('apply', '--server-side', '--dry-run=server', '--validate=strict', '--filename', this.#file(objects));
  }

  #file(objects) {
    const file = path.join(this.folder, 'objects.json');
    fs.writeFileSync(file, JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }));
    return file;
  }

  secret(name, stringData) {
    return this.apply({ apiVersion: 'v1', kind: 'Secret', metadata: { name }, stringData });
  }

  redisSecret() {
    const password = randomBytes(16).toString('hex');
    return this.secret('cloakroom-redis', { password, url: `redis://:${password}@cloakroom-redis:6379` });
  }

  // Makes the Redis of deploy/kubernetes/redis and its Secret.
  async redis() {
    await this.redisSecret();
    await this.kubectl('apply', '--filename', path.join(ROOT, 'deploy/kubernetes/redis/redis.yaml'));
    await this.kubectl('rollout', 'status', 'statefulset/cloakroom-redis', '--timeout=3m');
  }

  async get(...args) {
    return JSON.parse(await this.kubectl('get', '--output', 'json', ...args));
  }

  // The pods of the service that are not being deleted.
  async pods() {
    const { items } = await this.get('pods', '--selector', 'app.kubernetes.io/name=cloakroom');
    return items.filter(({ metadata }) => !metadata.deletionTimestamp);
  }

  async podNames() {
    return (await this.pods()).map(({ metadata }) => metadata.name).sort();
  }

  // How often a container of the service was started again.
  async restarts() {
    return (await this.pods()).reduce((sum, { status }) => sum + (status.containerStatuses?.[0].restartCount ?? 0), 0);
  }

  rolledOut() {
    return this.kubectl('rollout', 'status', 'deployment/cloakroom', '--timeout=3m');
  }

  replicas() {
    return this.kubectl('get', 'deployment', 'cloakroom', '--output', 'jsonpath={.spec.replicas}').then(Number);
  }

  // Asks for the eviction of a pod, as a node drain does.
  async evict(name) {
    const file = path.join(this.folder, 'eviction.json');
    fs.writeFileSync(file, JSON.stringify({ apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name, namespace: this.name } }));
    await this.kubectl('create', '--raw', `/api/v1/namespaces/${this.name}/pods/${name}/eviction`, '--filename', file);
  }

  // Runs a command of an operator in a pod of the service, as docs/helm.md says.
  operate(...args) {
    const file = path.join(this.folder, 'operator.token');
    fs.writeFileSync(file, this.tokens.operator);
    const command = ['exec', '--stdin', 'deploy/cloakroom', '--', '/cloakroom', 'sessions', '--token-file', '/dev/stdin', ...args];
    return run('sh', ['-c', 'exec "$@" < "$0"', file, KUBECTL, '--namespace', this.name, ...command]);
  }

  async awaitLog(pod, text) {
    await waitUntil(`${pod} logs "${text}"`, async () => (await this.kubectl('logs', pod)).includes(text), RELOAD_MS);
  }

  // Starts a frontend, and waits until it has made calls.
  async frontend() {
    const frontend = new Frontend(this);
    await frontend.start();
    return frontend;
  }
}

async function run(command, args) {
  const { code, stdout, stderr } = await attempt(command, args);
  const warnings = stderr.split('\n').filter((line) => /^Warning:|level=WARN/.test(line));
  if (code === 0 && warnings.length === 0) return stdout.trim();
  throw new Error(`${path.basename(command)} ${args.join(' ')}: exit code ${code}\n${stdout}${stderr}`);
}
