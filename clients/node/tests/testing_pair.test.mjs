// `cloakroom-sessions/testing` answers random calls as the service does.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Pair } from './memory_pair.mjs';
import { APPS, CONFIGURATION, Player } from './random_calls.mjs';
import { Service } from './service.mjs';

// The short form is the same in each run, and the long one another.
const steps = Number(process.env.CLOAKROOM_TEST_STEPS ?? 600);
const first = process.env.CLOAKROOM_TEST_STEPS === undefined ? 1 : Date.now() % 1e9;
const { CLOAKROOM_TEST_SEED: only } = process.env;
const seeds = only === undefined ? [0, 1, 2, 3].map((more) => first + more) : [Number(only)];

for (const seed of seeds) {
  test(`random calls have the same results in memory as at the service (CLOAKROOM_TEST_SEED=${seed})`, async () => {
    const service = await Service.start({ more: CONFIGURATION });
    const pair = new Pair(service, APPS.map(([app]) => app));
    try {
      const player = new Player(pair, seed);
      for (let step = 0; step < steps; step += 1) await player.step();
      assert.ok(player.seen.size > 20, `the calls have too few results: ${[...player.seen.keys()]}`);
    } finally {
      pair.close();
      await service.remove();
    }
  });
}
