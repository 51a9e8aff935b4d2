// The pods that the chart makes: security, selection, volumes, what replaces them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { find, pods, renderChart, tomlOf, VALUES } from './chart.mjs';
import { filesOf } from './secrets.mjs';

const rendered = Object.fromEntries(await Promise.all(VALUES.map(async (name) => [name, await renderChart(name)])));

// What the Pod Security Standard "restricted" forbids in a pod.
function violations(pod) {
  const { containers, volumes = [], securityContext, ...spec } = pod.spec;
  const found = ['hostNetwork', 'hostPID', 'hostIPC'].filter((name) => spec[name]);
  const kinds = ['configMap', 'csi', 'downwardAPI', 'emptyDir', 'ephemeral', 'persistentVolumeClaim', 'projected', 'secret'];
  found.push(...volumes.filter((volume) => !kinds.some((kind) => volume[kind])).map(({ name }) => `volume ${name}`));
  if (securityContext.runAsNonRoot !== true || securityContext.runAsUser === 0) found.push('root');
  if (securityContext.seccompProfile?.type !== 'RuntimeDefault') found.push('seccomp');
  for (const { name, ports = [], securityContext: own } of containers) {
    if (own.allowPrivilegeEscalation !== false || own.privileged) found.push(`privileges of ${name}`);
    if (own.capabilities?.drop?.join() !== 'ALL' || own.capabilities.add) found.push(`capabilities of ${name}`);
    if (ports.some(({ hostPort }) => hostPort)) found.push(`ports of ${name}`);
  }
  return found;
}

const selects = (selector, pod) =>
  Object.entries(selector).every(([name, value]) => pod.metadata.labels[name] === value);

for (const name of VALUES) {
  const [served, probe] = ['Deployment', 'Pod'].map((kind) => find(rendered[name], kind)).map((one) => one.spec.template ?? one);

  test(`the pods of ${name} pass the restricted Pod Security Standard, and have a read-only root`, () => {
    for (const pod of pods(rendered[name])) {
      assert.deepEqual(violations(pod), []);
      assert.equal(pod.spec.automountServiceAccountToken, false);
      for (const { securityContext } of pod.spec.containers) assert.equal(securityContext.readOnlyRootFilesystem, true);
    }
  });

  test(`everything of ${name} selects the pods of the service, and not the one of helm test`, () => {
    const kinds = ['Deployment', 'NetworkPolicy', 'PodDisruptionBudget', 'Service'];
    const selectors = rendered[name].filter(({ kind }) => kinds.includes(kind))
      .map(({ spec: { selector, podSelector } }) => (podSelector ?? selector).matchLabels ?? selector);

    assert.ok(selectors.length >= 2);
    for (const selector of selectors) {
      assert.equal(selects(selector, served), true, JSON.stringify(selector));
      assert.equal(selects(selector, probe), false, JSON.stringify(selector));
    }
  });

  test(`every file that the configuration of ${name} names is in a volume`, () => {
    const [container] = served.spec.containers;
    for (const { file } of filesOf(tomlOf(rendered[name]))) {
      const mount = container.volumeMounts.find(({ mountPath }) => file.startsWith(`${mountPath}/`));
      assert.ok(mount, file);
      const { secret } = served.spec.volumes.find((volume) => volume.name === mount.name);
      const inside = file.slice(mount.mountPath.length + 1);
      assert.ok(secret.secretName && (secret.items ?? [{ path: inside }]).some((item) => item.path === inside), file);
    }
  });

  test(`a stop of ${name} has more time than the service takes`, () => {
    const seconds = (setting) => Number(tomlOf(rendered[name]).match(new RegExp(`${setting} = "(\\d+)s"`))[1]);
    const { terminationGracePeriodSeconds } = served.spec;

    assert.ok(terminationGracePeriodSeconds >= seconds('shutdown_delay') + seconds('drain_timeout') + 10);
  });
}

test('the policy admits the pod of helm test to the port of the frontends, and only Prometheus to the other', () => {
  const policies = (name) => rendered[name].filter(({ kind }) => kind === 'NetworkPolicy');
  const admitted = (name) => policies('redis').find(({ metadata }) => metadata.name === name).spec.ingress;
  const [[clients], [prometheus]] = [admitted('cloakroom'), admitted('cloakroom-metrics')];

  assert.deepEqual(clients.ports, [{ port: 'grpc' }]);
  assert.ok(clients.from.some(({ podSelector }) => selects(podSelector.matchLabels, find(rendered.redis, 'Pod'))));
  assert.deepEqual(prometheus.ports, [{ port: 'admin' }]);
  assert.deepEqual(prometheus.from, [{ namespaceSelector: {}, podSelector: { matchLabels: { 'app.kubernetes.io/name': 'prometheus' } } }]);
  assert.deepEqual(policies('embedded').flatMap(({ spec }) => spec.ingress), [clients]);
});

test('the policy lets the pods reach DNS, Redis and its Sentinels, and nothing else', () => {
  const egress = (name) => rendered[name].find(({ kind, spec }) => kind === 'NetworkPolicy' && spec.policyTypes.includes('Egress')).spec.egress;
  const ports = (rules) => rules.map((rule) => rule.ports.map(({ port }) => port));

  assert.equal(egress('embedded'), undefined);
  assert.deepEqual(ports(egress('redis')), [[53, 53], [6379]]);
  assert.deepEqual(ports(egress('sentinel')), [[53, 53], [26379, 6379]]);
  assert.deepEqual(ports(egress('cluster')), [[53, 53], [6379]]);
  assert.deepEqual(ports(egress('tls')), [[53, 53], [6380, 6379], [6379]]);
});

test('a volume and its pod are for one process, and pods that share Redis overlap', () => {
  assert.equal(find(rendered.embedded, 'Deployment').spec.strategy.type, 'Recreate');
  assert.equal(find(rendered.embedded, 'PersistentVolumeClaim').metadata.annotations['helm.sh/resource-policy'], 'keep');
  for (const name of ['redis', 'sentinel', 'cluster', 'tls']) {
    assert.deepEqual(find(rendered[name], 'Deployment').spec.strategy.rollingUpdate, { maxSurge: 1, maxUnavailable: 0 });
    assert.equal(find(rendered[name], 'PersistentVolumeClaim'), undefined);
  }
});

test('an autoscaler decides the number of pods alone', () => {
  assert.equal('replicas' in find(rendered.tls, 'Deployment').spec, false);
  assert.equal(find(rendered.tls, 'HorizontalPodAutoscaler').spec.scaleTargetRef.name, find(rendered.tls, 'Deployment').metadata.name);
});

test('pods are replaced for what a running service does not load, and for nothing else', async () => {
  const template = async (...set) => find(await renderChart('redis', ...set.flatMap((one) => ['--set', one])), 'Deployment').spec.template;
  const before = await template();

  const loaded = ['config.apps.default.idle_timeout=1h', 'config.apps.shop.subject_key=id', 'config.reload.poll_interval=1s',
    'callers.entries[0].name=a,callers.entries[0].roles[0]=admin,callers.entries[0].hashesKey=a', 'keys.apps[0].app=shop,keys.apps[0].key=b', 'replicas=5', 'service.headless=false',
    'networkPolicy.enabled=false', 'metrics.dashboard.enabled=true', 'podDisruptionBudget.maxUnavailable=2'];
  for (const one of loaded) assert.deepEqual(await template(one), before, one);
  const fixed = ['config.log.level=debug', 'config.server.max_calls=100', 'config.store.redis.timeout=2s', 'image.tag=v2',
    'shutdown.delaySeconds=6', 'store.redis.keyPrefix=other', 'extraSecrets[0]=flask', 'tls.existingSecret=tls'];
  for (const one of fixed) assert.notDeepEqual(await template(one), before, one);
});
