// Runs the image as its users do, with the program that was built last.
//
// One container at a time. A test is skipped only if a probe of this machine fails as well.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { testCompose, testComposeCluster, testComposeSentinel } from './compose.mjs';
import { renderChart } from '../helm/chart.mjs';
import { Engine } from './engine.mjs';
import { render } from './kubernetes.mjs';
import { staticProgram, testVolume } from './volume.mjs';
import { testPod } from './pod.mjs';
import { skipIfMachineCannot } from './probe.mjs';

// The program of the tests is not optimized. `make test-image` checks that the real image is under 25 MB.
const MAX_BYTES = 60e6;
const engine = new Engine();

after(() => engine.stop());

test('the image is small, has only one program, and does not run as root', (t) =>
  skipIfMachineCannot('container', engine, t, async () => {
    await engine.buildImage(staticProgram());
    const image = await engine.inspect('--type', 'image', 'cloakroom:latest');
    const version = await engine.podman('run', '--rm', 'cloakroom:latest', '--version');
    const shell = await engine.attempt('run', '--rm', '--entrypoint', '/bin/sh', 'cloakroom:latest', '-c', 'true');

    assert.ok(image.Size < MAX_BYTES, `${image.Size} bytes`);
    assert.equal(image.Config.User, '65532:65532');
    assert.equal(image.Config.Labels['org.opencontainers.image.title'], 'Cloakroom');
    assert.match(version, /^cloakroom \d/);
    assert.equal(shell.code, 127, 'the image has a shell');
  }));

test('sessions on the volume survive SIGTERM, after which the service shuts down cleanly', (t) =>
  skipIfMachineCannot('container', engine, t, () => testVolume(engine)));

test('the manifests run as a pod whose sessions survive a restart', (t) =>
  skipIfMachineCannot('pod', engine, t, async () => testPod(engine, await render('deploy/kubernetes/base'))));

test('the pod of the Helm chart runs, and its sessions survive a restart', (t) =>
  skipIfMachineCannot('pod', engine, t, async () => testPod(engine, await renderChart('embedded'))));

test('the compose file runs a service whose sessions in Redis survive a restart', (t) =>
  skipIfMachineCannot('names', engine, t, () => testCompose(engine)));

test('the compose files for a cluster run a service whose sessions survive a restart of all nodes', (t) =>
  skipIfMachineCannot('names', engine, t, () => testComposeCluster(engine)));

test('the compose files for Sentinels run a service whose sessions survive a failover and a restart', (t) =>
  skipIfMachineCannot('names', engine, t, () => testComposeSentinel(engine)));
