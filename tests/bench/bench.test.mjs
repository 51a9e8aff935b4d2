// `make bench` with short runs: checks that it works, not that anything is fast.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { output, ROOT } from '../../deploy/load/service.mjs';

// Long enough for Redis to use some of the 10 ms in which the system counts CPU time.
const SHORT = { BENCH_SECONDS: '0.5', BENCH_ROUNDS: '2', BENCH_CALLS: '20', BENCH_MEMORY_SESSIONS: '10000', BENCH_CLUSTER_SESSIONS: '2000' };

const bench = (parts) => {
  const env = { ...process.env, ...SHORT, BENCH_PARTS: parts };
  return output(process.execPath, ['benches/run.mjs'], { cwd: ROOT, env, timeout: 600_000 });
};

// Returns the rows of the first table without its titles.
const rowsOf = (printed) => printed.split('\n\n')[1].split('\n').slice(1).map((line) => line.trim().split(/ {2,}/));

const goalsOf = (printed) => printed.split('Goals\n\n')[1].trim().split('\n');

test('every call is measured on every store, with the echo and Redis, and every goal is reached or not', async () => {
  const printed = await bench('rates stores');

  const rows = rowsOf(printed);
  for (const on of ['tonic echo', 'memory', 'embedded', 'redis', 'redis by TLS', 'redis-benchmark']) assert.ok(rows.some(([name]) => name === on), on);
  for (const kind of ['OpenSession', 'SaveSession', 'ShouldSetCookie']) assert.ok(rows.some(([, call]) => call === `${kind}, Connect`), kind);
  for (const [on, call, , rate] of rows) assert.ok(Number(rate) > 0, `${on} ${call}: ${rate} calls/s`);
  const goals = goalsOf(printed);
  assert.equal(goals.length, 15);
  assert.ok(goals.some((goal) => goal.includes(' by TLS at 10x1, p50 ')), printed);
  for (const goal of goals) assert.match(goal, /^(reached|NOT reached) +.*: [\d.]+ \(at (least|most) [\d.]+/);
  assert.ok(goals.some((goal) => /^reached +SaveSession on Redis, scripts a call: /.test(goal)), printed);
});

test('every node of a cluster is measured, and does its share of the work', async () => {
  const printed = await bench('cluster');

  const rows = rowsOf(printed);
  assert.deepEqual(rows.map(([on, call]) => `${on} ${call}`), ['redis OpenSession', 'redis SaveSession', 'cluster OpenSession', 'cluster SaveSession']);
  for (const [on, call, rate, , , commands, , , hottest] of rows) {
    assert.ok(Number(rate) > 0 && Number(commands) >= 1, `${on} ${call}: ${commands} commands a call`);
    // All commands at one node would be 6.
    assert.ok(Number(hottest) >= 1 && Number(hottest) < 2, `${on} ${call}: ${hottest}`);
  }
  const [single, nodes] = /of 2000: (\d+) on one Redis, (\d+) on 6 nodes/.exec(printed).slice(1).map(Number);
  for (const bytes of [single, nodes]) assert.ok(bytes > 1000 && bytes < 10_000, `${bytes} bytes a session`);
  assert.equal(goalsOf(printed).length, 6);
});

test('instructions are counted without the start of the process, and separately for SHA-256', async () => {
  const printed = await bench('instructions');

  const rows = rowsOf(printed);
  assert.equal(rows.length, 13);
  for (const [on, call, all, sha, rest] of rows) {
    // The start of a process takes tens of millions.
    assert.ok(Number(all) > 10_000 && Number(all) < 5_000_000, `${on} ${call}: ${all}`);
    assert.equal(Number(sha) > 0, on !== 'tonic echo' && !call.startsWith('ShouldSetCookie'), `${on} ${call}: ${sha}`);
    assert.ok(Math.abs(Number(all) - Number(sha) - Number(rest)) <= 1);
  }
  assert.equal(goalsOf(printed).length, 1);
});
