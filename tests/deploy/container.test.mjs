// The image as its users run it, around the program that was built last.
//
// One container at a time. A test is skipped only where a probe of the machine fails as well.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { composeKeepsSessions } from './composed.mjs';
import { Engine } from './engine.mjs';
import { program, volumeKeepsSessions } from './lives.mjs';
import { podKeepsSessions } from './pod.mjs';
import { onMachinesThatCan } from './probe.mjs';

// The program that tests run is not optimized: `make test-image` holds the real one to 25 MB.
const MOST_BYTES = 40e6;
const engine = new Engine();

after(() => engine.end());

test('the image is small, has one program in it and is nobody\'s root', (t) =>
  onMachinesThatCan('container', engine, t, async () => {
    await engine.buildImage(program());
    const image = await engine.inspect('--type', 'image', 'cloakroom:latest');
    const version = await engine.podman('run', '--rm', 'cloakroom:latest', '--version');
    const shell = await engine.attempt('run', '--rm', '--entrypoint', '/bin/sh', 'cloakroom:latest', '-c', 'true');

    assert.ok(image.Size < MOST_BYTES, `${image.Size} bytes`);
    assert.equal(image.Config.User, '65532:65532');
    assert.equal(image.Config.Labels['org.opencontainers.image.title'], 'Cloakroom');
    assert.match(version, /^cloakroom \d/);
    assert.equal(shell.code, 127, 'there is a shell in it');
  }));

test('the image keeps sessions on its volume through SIGTERM, and drains before it ends', (t) =>
  onMachinesThatCan('container', engine, t, () => volumeKeepsSessions(engine)));

test('the manifests run as a pod that keeps sessions on its claim', (t) =>
  onMachinesThatCan('pod', engine, t, () => podKeepsSessions(engine)));

test('the compose file brings up a service that keeps sessions in Redis', (t) =>
  onMachinesThatCan('names', engine, t, () => composeKeepsSessions(engine)));
