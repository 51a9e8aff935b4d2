// The image as its users run it, around the program that was built last.
//
// One thing after the other: each test goes on where the last one ended.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Engine } from './engine.mjs';
import { program, volumeKeepsSessions } from './lives.mjs';
import { podKeepsSessions } from './pod.mjs';
import { composeKeepsSessions } from './composed.mjs';

const MOST_BYTES = 25e6;
const engine = new Engine();

before(() => engine.buildImage(program()));
after(() => engine.end());

describe('the image', () => {
  test('is small, has one program in it and is nobody\'s root', async () => {
    const image = await engine.inspect('--type', 'image', 'cloakroom:latest');
    const shell = await engine.attempt('run', '--rm', '--entrypoint', '/bin/sh', 'cloakroom:latest', '-c', 'true');

    assert.ok(image.Size < MOST_BYTES, `${image.Size} bytes`);
    assert.equal(image.Config.User, '65532:65532');
    assert.equal(image.Config.Labels['org.opencontainers.image.title'], 'Cloakroom');
    assert.notEqual(shell.code, 0, 'there is a shell in it');
  });

  test('keeps sessions on its volume through SIGTERM, and drains before it ends', () => volumeKeepsSessions(engine));
});

describe('the manifests', () => {
  test('run as a pod that keeps sessions on its claim', () => podKeepsSessions(engine));
});

describe('the compose file', () => {
  test('brings up a service that keeps sessions in Redis', () => composeKeepsSessions(engine));
});
