// What the chart and the kustomizations make, taken by a real API server; and the kustomizations on a cluster.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { render, renderWith } from '../deploy/kubernetes.mjs';
import { renderChart, VALUES } from '../helm/chart.mjs';
import { IMAGE, Namespace } from './namespace.mjs';

// Kinds that a cluster may not have.
const CUSTOM = ['GRPCRoute', 'PrometheusRule', 'ServiceMonitor'];
const namespace = new Namespace('cloakroom-manifests');

before(() => namespace.create());
after(() => namespace.delete());

async function isTaken(objects) {
  const known = await namespace.kubectl('api-resources', '--output=name');
  const has = ({ kind }) => !CUSTOM.includes(kind) || known.toLowerCase().includes(`${kind.toLowerCase()}s.`);
  await namespace.dryRun(...objects.filter(has).map((one) => ({ ...one, metadata: { ...one.metadata, namespace: namespace.name } })));
}

for (const name of VALUES) {
  test(`the cluster takes what the values ${name} make, without a warning`, async () => {
    await isTaken(await renderChart(name));
  });
}

for (const name of ['base', 'redis', 'redis-sentinel', 'redis-cluster']) {
  test(`the cluster takes the kustomization ${name}, without a warning`, async () => {
    await isTaken(await render(`deploy/kubernetes/${name}`));
  });
}

test('the kustomization base serves, and gives way to redis', async () => {
  const images = [{ name: 'cloakroom', newName: IMAGE.repository, newTag: IMAGE.tag }];
  const kustomize = async (name) => namespace.applyKustomization(await renderWith({ resources: [`deploy/kubernetes/${name}`], images }));

  await kustomize('base');
  await namespace.rolledOut();
  const frontend = await namespace.frontend();
  await namespace.redisSecret();
  await kustomize('redis');
  await namespace.rolledOut();

  const { requests } = await frontend.requests(50);
  assert.ok(requests > 0);
  assert.equal((await namespace.podNames()).length, 2);
});
