// Builds the whole Dockerfile and tests the image.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { buildRust } from './rust-image.mjs';
import { Engine, ROOT } from './engine.mjs';
import { testVolume } from './volume.mjs';

const MAX_BYTES = 25e6;
const HOUR_MS = 60 * 60_000;
const engine = new Engine();

after(() => engine.stop());

test('the Dockerfile builds an image under 25 MB whose sessions survive a restart', async () => {
  const mounts = await buildRust(engine);
  await engine.build('cloakroom:latest', ROOT, mounts, HOUR_MS);
  const image = await engine.inspect('--type', 'image', 'cloakroom:latest');

  console.log(`the image has ${image.Size} bytes`);
  assert.ok(image.Size < MAX_BYTES, `${image.Size} bytes`);
  await testVolume(engine);
});
