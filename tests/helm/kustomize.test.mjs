// The chart and deploy/kubernetes say the same: both are rendered, brought into one form, and compared.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { render, withMonitoring } from '../deploy/kubernetes.mjs';
import { find, renderChart } from './chart.mjs';
import { settingsOf } from './service.mjs';

// Labels and annotations that only Helm sets.
const OF_HELM = ['app.kubernetes.io/instance', 'app.kubernetes.io/managed-by', 'app.kubernetes.io/version', 'helm.sh/chart',
  'checksum/config', 'helm.sh/resource-policy'];
// The manifests' own Redis is no part of the chart, and kustomize has no `helm test`.
const isCompared = ({ kind, metadata }) => !metadata.name.startsWith('cloakroom-redis') && kind !== 'Pod';
const ADMIN = 'CLOAKROOM__ADMIN__LISTEN';

// The objects by kind and name, without what only one of the two tools writes.
async function normalized(documents) {
  const config = find(documents, 'ConfigMap').metadata.name;
  const objects = documents.filter(isCompared).map((one) => simplified(structuredClone(one), config));
  const toml = find(documents, 'ConfigMap').data['cloakroom.toml'];
  const admin = environment(find(documents, 'Deployment'))[ADMIN];
  const settings = await settingsOf(admin ? toml.replace(/(\[admin\]\n(?:#.*\n)*listen = )".*"/, `$1"${admin}"`) : toml);
  const named = Object.fromEntries(objects.map((one) => [`${one.kind} ${one.metadata.name}`, one]));
  named['ConfigMap cloakroom'].data = settings.filter((line) => !line.startsWith('keys = ["key id'));
  return named;
}

const environment = (deployment) => Object.fromEntries(
  deployment.spec.template.spec.containers[0].env.map(({ name, value }) => [name, value]));

// Takes out of an object what only one of the tools writes, and sorts the lists whose order means nothing.
function simplified(object, config) {
  // Only the labels of the Service are for something: the ServiceMonitor selects it by them.
  if (object.kind !== 'Service') delete object.metadata.labels;
  const { containers: [container] = [], volumes, topologySpreadConstraints: spread = [] } = object.spec?.template?.spec ?? {};
  if (container) {
    container.image = 'of the user';
    container.env = container.env.filter(({ name }) => name !== ADMIN);
    for (const list of [container.ports, container.volumeMounts, volumes]) list.sort((one, other) => one.name.localeCompare(other.name));
    spread.sort((one, other) => one.topologyKey.localeCompare(other.topologyKey));
    // Labels aside, a template needs no metadata.
    delete object.spec.template.metadata.name;
    // The default.
    for (const { secret } of volumes) delete secret?.optional;
  }
  return walk(object, config);
}

function walk(part, config) {
  if (Array.isArray(part)) return part.map((one) => walk(one, config));
  if (part === config) return 'cloakroom';
  if (part === null || typeof part !== 'object') return part;
  const fields = Object.entries(part).filter(([name]) => !OF_HELM.includes(name)).map(([name, value]) => [name, walk(value, config)]);
  return Object.fromEntries(fields.filter(([name, value]) => name !== 'annotations' || Object.keys(value).length > 0));
}

test('the defaults of the chart are deploy/kubernetes/base', async () => {
  const [chart, kustomize] = [await renderChart('embedded'), await render('deploy/kubernetes/base')];
  assert.deepEqual(await normalized(chart), await normalized(kustomize));
});

test('the values redis are deploy/kubernetes/redis with monitoring', async () => {
  const [chart, kustomize] = [await renderChart('redis'), await withMonitoring('deploy/kubernetes/redis')];
  assert.deepEqual(await normalized(chart), await normalized(kustomize));
});

for (const shape of ['sentinel', 'cluster']) {
  test(`the values ${shape} are deploy/kubernetes/redis-${shape}`, async () => {
    const [chart, kustomize] = [await renderChart(shape), await render(`deploy/kubernetes/redis-${shape}`)];
    assert.deepEqual(await normalized(chart), await normalized(kustomize));
  });
}
