// The chart with Redis on a cluster: three pods that are replaced while a frontend goes on calling. No call may fail.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { waitUntil } from '../web/processes.mjs';
import { IMAGE, Namespace } from './namespace.mjs';

const SCALE_MS = 120_000;
const OLD_IMAGE = process.env.CLOAKROOM_OLD_TAG ? { ...IMAGE, tag: process.env.CLOAKROOM_OLD_TAG } : IMAGE;
const VALUES = { replicas: 3, store: { kind: 'redis', redis: { existingSecret: 'cloakroom-redis', urlKey: 'url' } } };
const namespace = new Namespace('cloakroom-redis');
let frontend;

before(() => namespace.create());
after(() => namespace.delete());

async function nothingFailed() {
  const { failures, lost, lastFailure } = await frontend.requests(200);
  assert.deepEqual({ failures, lost }, { failures: 0, lost: 0 }, lastFailure);
}

test('the chart installs with Redis, and helm test passes', async () => {
  await namespace.redis();
  await namespace.release({ ...VALUES, image: OLD_IMAGE });
  await namespace.helm('test', 'cloakroom');
  frontend = await namespace.frontend();
  await nothingFailed();
});

test('an upgrade replaces all pods, and no call fails', async () => {
  const before = await namespace.podNames();

  await namespace.release({ ...VALUES, podAnnotations: { 'example.org/upgrade': '1' } });

  await nothingFailed();
  assert.equal((await namespace.podNames()).filter((name) => before.includes(name)).length, 0);
});

test('a rollback replaces all pods, and no call fails', async () => {
  await namespace.helm('rollback', 'cloakroom', '--wait', '--timeout', '3m');
  await nothingFailed();
});

test('a deleted pod, and one that has no time to stop, fail no call', async () => {
  const [first, second] = await namespace.podNames();

  await namespace.kubectl('delete', 'pod', first);
  await namespace.rolledOut();
  await namespace.kubectl('delete', 'pod', second, '--grace-period=1');
  await namespace.rolledOut();

  await nothingFailed();
});

test('an eviction fails no call, and a second one has to wait for the pod that follows', async () => {
  const [first, second] = await namespace.podNames();

  await namespace.evict(first);
  await assert.rejects(namespace.evict(second), /disruption budget/);
  await namespace.rolledOut();

  await nothingFailed();
});

test('more pods and fewer pods fail no call', async () => {
  await namespace.release({ ...VALUES, replicas: 5 });
  await namespace.release({ ...VALUES, replicas: 2 });
  await nothingFailed();
});

test('the number of pods stays when an autoscaler takes over, and when it is upgraded', async () => {
  await namespace.release({ ...VALUES, replicas: 3 });
  const replicas = [];
  for (const minReplicas of [2, 2, 4]) {
    await namespace.release({ ...VALUES, autoscaling: { enabled: true, minReplicas } });
    replicas.push(await namespace.replicas());
  }

  assert.deepEqual(replicas, [3, 3, 4]);
  await nothingFailed();
});

test('replicas are taken back from an autoscaler by --force-conflicts', async () => {
  await namespace.kubectl('patch', 'horizontalpodautoscaler', 'cloakroom', '--type=merge', '--patch', '{"spec":{"minReplicas":5}}');
  await waitUntil('the autoscaler has set the number', async () => (await namespace.replicas()) === 5, SCALE_MS);

  await assert.rejects(namespace.release({ ...VALUES, replicas: 2 }), /conflict with "kube-controller-manager"/);
  await namespace.release({ ...VALUES, replicas: 2 }, '--force-conflicts');

  assert.equal(await namespace.replicas(), 2);
  await nothingFailed();
});
