// What the chart renders, and what is made of it: golden files, the README, the package.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { GRPCRoute } from '../../.tools/custom-resources/node_modules/@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1/index.js';
import { PrometheusRule, ServiceMonitor } from '../../.tools/custom-resources/node_modules/@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/index.js';
import { ROOT, run } from '../deploy/engine.mjs';
import { validate } from '../deploy/kubernetes.mjs';
import { CHART, find, goldenFile, goldenText, HELM, lint, renderChart, templateArgs, VALUES, yaml } from './chart.mjs';
import { describedValues, readme, readmeWith, valuesText } from './readme.mjs';
import { inFolder } from './service.mjs';

// The oldest that the chart takes, the last without matchLabelKeys, the first with it, and the newest whose schemas are there.
const KUBERNETES = ['1.25.0', '1.26.0', '1.27.0', '1.37.0'];
const CUSTOM = { GRPCRoute, PrometheusRule, ServiceMonitor };

for (const name of VALUES) {
  test(`helm lint finds nothing with the values ${name}`, () => lint(name));

  test(`the values ${name} render what the golden file says`, async () => {
    assert.equal(await goldenText(name), fs.readFileSync(goldenFile(name), 'utf8'), 'if the change is meant: make helm-files');
  });

  test(`the values ${name} render valid objects for each version of Kubernetes`, async () => {
    for (const version of KUBERNETES) {
      const rendered = await renderChart(name, '--kube-version', version);
      await validate(rendered.filter(({ kind }) => !CUSTOM[kind]), version);
      for (const { kind, ...rest } of rendered.filter((one) => CUSTOM[one.kind])) new CUSTOM[kind](rest).validate();
    }
  });
}

test('custom resources with a wrong field are found', () => {
  const spec = { parentRefs: [{ name: 'internal', port: 'https' }] };
  assert.throws(() => new GRPCRoute({ metadata: { name: 'wrong' }, spec }).validate(), /port must be integer/);
});

test('an older Kubernetes than the chart takes is refused', async () => {
  await assert.rejects(renderChart('embedded', '--kube-version', '1.24.0'), /requires kubeVersion: >=1.25.0-0/);
});

test('only a Kubernetes that knows matchLabelKeys gets them', async () => {
  const spread = async (version) => {
    const rendered = await renderChart('redis', '--kube-version', version);
    return find(rendered, 'Deployment').spec.template.spec.topologySpreadConstraints[0];
  };

  assert.equal((await spread('1.26.0')).matchLabelKeys, undefined);
  assert.deepEqual((await spread('1.27.0')).matchLabelKeys, ['pod-template-hash']);
});

test('a pod may wait until the one before it has stopped, and then take its time to start', async () => {
  for (const drain of [10, 600]) {
    const rendered = await renderChart('embedded', '--set', `shutdown.drainSeconds=${drain},startupSeconds=121`);
    const { containers: [{ startupProbe }], terminationGracePeriodSeconds } = find(rendered, 'Deployment').spec.template.spec;

    assert.ok(startupProbe.periodSeconds * startupProbe.failureThreshold >= terminationGracePeriodSeconds + 121, `${drain} seconds`);
  }
});

test('labels and annotations of the chart are there once, whatever the values say', async () => {
  const own = ['podAnnotations.checksum/config', 'podLabels.app\\.kubernetes\\.io/instance', 'networkPolicy.clientLabels.app\\.kubernetes\\.io/name'];
  const text = await run(HELM, templateArgs('embedded', own.flatMap((name) => ['--set-string', `${name}=theirs`])));

  const deployment = text.split(/^---\n/m).find((part) => part.includes('\nkind: Deployment\n'));
  const pod = text.split(/^---\n/m).find((part) => part.includes('\nkind: Pod\n'));
  assert.deepEqual(deployment.match(/checksum\/config: .*/g)?.map((line) => line.includes('theirs')), [false]);
  assert.ok(!deployment.includes('theirs'), deployment);
  assert.ok(!pod.includes('theirs'), pod);
});

test('the alerts and the dashboard are those of deploy/', async () => {
  const rendered = await renderChart('tls');
  const rules = await yaml('deploy/prometheus/cloakroom.rules.yml');
  const dashboard = fs.readFileSync(path.join(ROOT, 'deploy/grafana/cloakroom.json'), 'utf8');

  assert.deepEqual(find(rendered, 'PrometheusRule').spec, rules);
  assert.deepEqual(JSON.parse(find(rendered, 'ConfigMap', 'sessions-dashboard').data['cloakroom.json']), JSON.parse(dashboard));
});

test('the package has all files in itself, and none of the tests', () => inFolder(async (folder) => {
  await run(HELM, ['package', CHART, '--destination', folder]);
  const [archive] = fs.readdirSync(folder);
  const files = (await run('tar', ['--list', '--verbose', '--file', path.join(folder, archive)])).split('\n');
  const find = (name) => files.find((line) => line.endsWith(` cloakroom/${name}`));

  for (const name of ['files/cloakroom.rules.yml', 'files/cloakroom.json', 'values.schema.json', 'README.md']) {
    assert.match(find(name) ?? 'missing', /^-/, name);
  }
  assert.deepEqual(files.filter((line) => line.includes('/ci/')), []);
}));

test('the chart is for the version of the service', async () => {
  const [, version] = fs.readFileSync(path.join(ROOT, 'Cargo.toml'), 'utf8').match(/^version = "(.*)"$/m);
  assert.equal((await yaml(path.join(CHART, 'Chart.yaml'))).appVersion, version);
});

test('the README lists every value with its default', async () => {
  const values = describedValues(valuesText(), await yaml(path.join(CHART, 'values.yaml')));
  assert.equal(readmeWith(values), readme(), 'run make helm-files');
});
