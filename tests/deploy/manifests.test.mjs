// Checks the Dockerfile and the manifests without running them.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { ROOT, run, TOOLS } from './engine.mjs';
import { render, validate, withMonitoring } from './kubernetes.mjs';

test('hadolint finds nothing in the Dockerfile', async () => {
  assert.equal(await run(path.join(TOOLS, 'hadolint'), ['Dockerfile'], { cwd: ROOT }), '');
});

for (const name of ['base', 'redis', 'redis-sentinel', 'redis-cluster']) {
  test(`the manifests of ${name} are valid and have no unknown fields`, async () => {
    await validate(await render(`deploy/kubernetes/${name}`));
  });
}

test('Redis refuses writes before Kubernetes ends it for its memory', async () => {
  const folders = ['base', 'redis', 'redis-sentinel', 'redis-cluster'];
  const manifests = (await Promise.all(folders.map((name) => render(`deploy/kubernetes/${name}`)))).flat();
  const containers = manifests.flatMap(({ spec }) => spec?.template?.spec.containers ?? []);
  const servers = containers.filter(({ args }) => args?.includes('redis-server'));

  assert.notDeepEqual(servers, []);
  for (const { args, resources } of servers) {
    const maxmemory = args.join(' ').match(/ --maxmemory (\d+)gb /)?.[1];
    const limit = resources.limits.memory.match(/^(\d+)Gi$/)[1];
    // The other half is for copies during snapshots and for replication.
    assert.ok(maxmemory * 2 <= limit, `${maxmemory} of ${limit} GiB`);
  }
});

test('with monitoring only Prometheus can reach the admin port', async () => {
  const documents = await withMonitoring('deploy/kubernetes/redis');
  const [monitor] = documents.filter(({ kind }) => kind === 'ServiceMonitor');
  const rest = documents.filter((document) => document !== monitor);

  await validate(rest);
  const find = (kind, name) => rest.find((one) => one.kind === kind && one.metadata.name === name);
  const service = find('Service', 'cloakroom');
  const [container] = find('Deployment', 'cloakroom').spec.template.spec.containers;
  const policies = rest.filter(({ kind }) => kind === 'NetworkPolicy').flatMap(({ spec }) => spec.ingress);
  const admin = policies.filter(({ ports }) => ports.some(({ port }) => port === 'admin'));

  assert.deepEqual(monitor.spec.selector.matchLabels, service.metadata.labels);
  assert.ok(service.spec.ports.some(({ name }) => name === monitor.spec.endpoints[0].port));
  assert.ok(container.ports.some(({ name, containerPort }) => name === 'admin' && containerPort === 50052));
  assert.ok(container.ports.some(({ name, containerPort }) => name === 'grpc' && containerPort === 50051));
  assert.equal(admin.length, 1);
  assert.deepEqual(admin[0].from[0].podSelector.matchLabels, { 'app.kubernetes.io/name': 'prometheus' });
});

test('without monitoring only the port for frontends is open', async () => {
  const documents = await render('deploy/kubernetes/redis');
  const deployment = documents.find(({ kind }) => kind === 'Deployment');
  const config = documents.find(({ kind }) => kind === 'ConfigMap').data['cloakroom.toml'];

  assert.deepEqual(deployment.spec.template.spec.containers[0].ports.map(({ name }) => name), ['grpc']);
  assert.match(config, /\[admin\]\n(#.*\n)*listen = "127\.0\.0\.1:50052"/);
});

test('secrets.sh creates the secrets once and does not replace them', async () => {
  const folder = fs.mkdtempSync(path.join(ROOT, 'target/secrets-'));
  const read = () => fs.readdirSync(folder).sort().map((name) => fs.readFileSync(path.join(folder, name), 'utf8'));

  await run(path.join(ROOT, 'deploy/secrets.sh'), [folder]);
  const first = read();
  await run(path.join(ROOT, 'deploy/secrets.sh'), [folder]);
  const second = read();
  fs.rmSync(folder, { recursive: true });

  assert.equal(first.length, 7);
  assert.deepEqual(second, first);
});
