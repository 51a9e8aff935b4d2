// The whole Dockerfile from its first line, and what it makes.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { buildRust } from './base.mjs';
import { Engine, ROOT } from './engine.mjs';
import { volumeKeepsSessions } from './lives.mjs';

const MOST_BYTES = 25e6;
const HOUR_MS = 60 * 60_000;
const engine = new Engine();

after(() => engine.end());

test('the Dockerfile makes an image under 25 MB that keeps sessions on its volume', async () => {
  const borrowed = await buildRust(engine);
  await engine.build('cloakroom:latest', ROOT, borrowed, HOUR_MS);
  const image = await engine.inspect('--type', 'image', 'cloakroom:latest');

  console.log(`the image has ${image.Size} bytes`);
  assert.ok(image.Size < MOST_BYTES, `${image.Size} bytes`);
  await volumeKeepsSessions(engine);
});
