// `make load`, with a second for each call: it must run, not be fast.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { output, ROOT, STORES } from '../../deploy/load/service.mjs';

const CALLS = ['OpenSession', 'SaveSession', 'ShouldSetCookie', 'mix', 'mix-open', 'mix-save', 'mix-destroy'];

test('the load test seeds every store, runs every call without an error and says what each costs', async () => {
  const env = { ...process.env, LOAD_SECONDS: '1', LOAD_SESSIONS: '100' };

  const printed = await output(process.execPath, ['deploy/load/run.mjs'], { cwd: ROOT, env, timeout: 300_000 });
  const [titles, ...rows] = printed.trim().split('\n').map((line) => line.trim().split(/ {2,}/));

  assert.deepEqual(rows.map(([store, call]) => `${store} ${call}`), STORES.flatMap((store) => CALLS.map((call) => `${store} ${call}`)));
  for (const [store, call, rate, , , errors, own] of rows) {
    assert.ok(Number(rate) > 0, `${store} ${call}: ${rate} calls/s`);
    assert.equal(errors, '0', `${store} ${call}`);
    if (!call.startsWith('mix-')) assert.ok(Number(own) > 0, `${store} ${call}: ${own} us`);
  }
  assert.equal(titles.at(-1), 'ghz us/call');
});
