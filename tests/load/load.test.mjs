// `make load` with one second per call: checks that it works, not that anything is fast.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { output, ROOT, STORES } from '../../deploy/load/service.mjs';

const CALLS = ['OpenSession', 'SaveSession', 'ShouldSetCookie', 'mix', 'mix-open', 'mix-save', 'mix-destroy'];

test('the load test fills every store, runs every call without an error and prints the cost of each', async () => {
  const env = { ...process.env, LOAD_SECONDS: '1', LOAD_SESSIONS: '100' };

  const printed = await output(process.execPath, ['deploy/load/run.mjs'], { cwd: ROOT, env, timeout: 300_000 });
  const [titles, ...rows] = printed.trim().split('\n').map((line) => line.trim().split(/ {2,}/));

  assert.deepEqual(rows.map(([store, call]) => `${store} ${call}`), STORES.flatMap((store) => CALLS.map((call) => `${store} ${call}`)));
  for (const [store, call, rate, , , errors, serviceCpu] of rows) {
    assert.ok(Number(rate) > 0, `${store} ${call}: ${rate} calls/s`);
    assert.equal(errors, '0', `${store} ${call}`);
    if (!call.startsWith('mix-')) assert.ok(Number(serviceCpu) > 0, `${store} ${call}: ${serviceCpu} us`);
  }
  assert.equal(titles.at(-1), 'ghz us/call');
});
