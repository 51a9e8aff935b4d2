// `make load` with one second per call: checks that it works, not that anything is fast.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { output, ROOT, STORES } from '../../deploy/load/service.mjs';

const SINGLES = ['OpenSession', 'SaveSession', 'ShouldSetCookie'];
const CALLS = [
  ...SINGLES.flatMap((call) => [`gRPC ${call}`, `HTTP/1.1 ${call}`]),
  ...['mix', 'mix-open', 'mix-save', 'mix-destroy'].map((call) => `gRPC ${call}`),
];

test('the load test fills every store, makes every call without an error and prints the cost of each', async () => {
  const env = { ...process.env, LOAD_SECONDS: '1', LOAD_SESSIONS: '100' };

  const printed = await output(process.execPath, ['deploy/load/run.mjs'], { cwd: ROOT, env, timeout: 300_000 });
  const [titles, ...rows] = printed.trim().split('\n').map((line) => line.trim().split(/ {2,}/));

  assert.deepEqual(rows.map(([store, protocol, call]) => `${store} ${protocol} ${call}`), STORES.flatMap((store) => CALLS.map((call) => `${store} ${call}`)));
  for (const [store, protocol, call, rate, , , errors, serviceCpu] of rows) {
    assert.ok(Number(rate) > 0, `${store} ${protocol} ${call}: ${rate} calls/s`);
    assert.equal(errors, '0', `${store} ${protocol} ${call}`);
    if (!call.startsWith('mix-')) assert.ok(Number(serviceCpu) > 0, `${store} ${protocol} ${call}: ${serviceCpu} us`);
  }
  assert.equal(titles.at(-1), 'generator us/call');
});
