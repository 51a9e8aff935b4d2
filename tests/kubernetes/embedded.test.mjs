// The chart with its defaults on a cluster: one pod and a volume, with a frontend that goes on calling.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { documents } from '../deploy/kubernetes.mjs';
import { ROOT } from '../deploy/engine.mjs';
import { IMAGE, Namespace } from './namespace.mjs';

const namespace = new Namespace('cloakroom-embedded');
let frontend;

before(() => namespace.create());
after(() => namespace.delete());

test('the chart installs, helm test passes, and an operator sees the sessions of a frontend', async () => {
  await namespace.release({});
  await namespace.helm('test', 'cloakroom');
  frontend = await namespace.frontend();

  assert.match(await namespace.operate('stats'), /^created +[1-9]/m);
});

test('a deleted pod is replaced at once, without a failed start, and keeps the sessions', async () => {
  const [pod] = await namespace.podNames();

  await namespace.kubectl('delete', 'pod', pod, '--wait=false');
  await namespace.rolledOut();

  const { lost } = await frontend.requests(50);
  assert.equal(lost, 0);
  assert.equal(await namespace.restarts(), 0);
  assert.notDeepEqual(await namespace.podNames(), [pod]);
});

test('an evicted pod is replaced in the same way', async () => {
  const [pod] = await namespace.podNames();

  await namespace.evict(pod);
  await namespace.rolledOut();

  const { lost } = await frontend.requests(50);
  assert.equal(lost, 0);
  assert.equal(await namespace.restarts(), 0);
});

test('a change of an app is loaded by the running pod', async () => {
  const pods = await namespace.podNames();

  await namespace.release({ config: { apps: { default: { cookie: { secure: true }, idle_timeout: '1h' } } } });
  await namespace.awaitLog(pods[0], 'the configuration is reloaded');

  assert.deepEqual(await namespace.podNames(), pods);
});

test('a new pod after a change of another setting, and no session is lost', async () => {
  const before = await namespace.podNames();

  await namespace.release({ config: { log: { level: 'debug' } } });

  const { lost } = await frontend.requests(50);
  assert.equal(lost, 0);
  assert.notDeepEqual(await namespace.podNames(), before);
});

test('an upgrade to a wrong setting fails, and is taken back', async () => {
  const upgrade = namespace.release({ config: { server: { max_callz: 1 } } }, '--rollback-on-failure', '--timeout', '30s');

  await assert.rejects(upgrade, /rolled back/);

  const { lost } = await frontend.requests(50);
  assert.equal(lost, 0);
});

test('a new install takes up the volume that the uninstalled release has left', async () => {
  await namespace.helm('uninstall', 'cloakroom', '--wait');

  await namespace.release({});

  const { lost } = await frontend.requests(50);
  assert.equal(lost, 0);
});

test('the CronJob of docs/backup.md makes a backup', async () => {
  const frontendCaller = { name: 'frontend', roles: ['frontend'], apps: ['default'], hashesKey: 'frontend' };
  const nightly = { name: 'nightly', roles: ['backup'], apps: ['*'], hashesKey: 'nightly' };
  await namespace.release({ metrics: { enabled: true }, callers: { entries: [frontendCaller, nightly] } });
  await namespace.secret('cloakroom-nightly', { token: namespace.tokens.nightly });
  const [text] = fs.readFileSync(path.join(ROOT, 'docs/backup.md'), 'utf8').match(/(?<=```yaml\n)apiVersion: batch[\s\S]*?(?=```)/);
  const file = path.join(namespace.folder, 'backup.yaml');
  fs.writeFileSync(file, text.replace(/image: cloakroom\b/, `image: ${IMAGE.repository}:${IMAGE.tag}`));
  const spec = { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } };
  await namespace.apply({ apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata: { name: 'cloakroom-backup' }, spec }, ...await documents('cat', [file]));

  await namespace.kubectl('create', 'job', '--from=cronjob/cloakroom-backup', 'backup');
  await namespace.kubectl('wait', 'job/backup', '--for=condition=Complete', '--timeout=2m');

  assert.match(await namespace.kubectl('logs', 'job/backup'), /session/);
});
