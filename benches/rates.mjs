// The first part: rates and processor time, all side by side on one machine, round after round.
import fs from 'node:fs';
import { measured, output, Redis, Service, STORES, temporary } from '../deploy/load/service.mjs';
import { digits, tableOf } from '../deploy/load/table.mjs';
import { echoOf, prepare } from './calls.mjs';
import { median } from './median.mjs';
import { Echo, load } from './rust.mjs';
import { ROUNDS, SECONDS } from './settings.mjs';

const SESSIONS = 500;
const ONE = [1, 1];
const TENS = [10, 10];
const HUNDREDS = [10, 100];
const FLUSH_CALLS = 1000;

// By the key of each row, what was measured; and how often a save asked Redis.
export async function rates() {
  const redis = await Redis.start();
  const echo = new Echo();
  const services = STORES.map((store) => new Service(store, redis));
  const folder = temporary('bench');
  try {
    await Promise.all([echo, ...services].map((server) => server.start()));
    const calls = {};
    for (const service of services) calls[service.store] = await prepare(service, SESSIONS);
    const rows = plan({ redis, echo, services, calls, folder });
    await rounds(rows);
    const byKey = Object.fromEntries(rows.map((row) => [row.key, { ...row, ...middle(row.rounds) }]));
    const scripts = await scriptsPerSave(redis, services[2], calls.redis.save);
    return { rows: Object.values(byKey), byKey, scripts };
  } finally {
    await Promise.all([echo, ...services].map((server) => server.end()));
    await redis.end();
    fs.rmSync(folder, { recursive: true });
  }
}

// Every row: what it is called, whom it asks, and which row it is a multiple of.
function plan({ redis, echo, services, calls, folder }) {
  const [memory, embedded, onRedis] = services;
  const echoes = (key, title, like, shape) =>
    row(key, 'tonic echo', title, echo, echoOf(calls.memory[like], folder, key), shape);
  const of = (service, kind, title, shape, key = `${kind}.${service.store}`) => {
    const same = kind === 'shouldSetCookie' ? 'echo.shouldSetCookie' : kind.startsWith('open') ? 'echo.open' : 'echo.save';
    const base = shape === HUNDREDS ? 'echo.open.hundreds' : same;
    const comparable = shape !== ONE && !kind.endsWith('Large');
    return { ...row(key, service.store, title, service, calls[service.store][kind], shape), base: comparable ? base : undefined };
  };
  const rows = [
    echoes('echo.open', 'as OpenSession', 'open', TENS),
    ...services.map((service) => of(service, 'open', 'OpenSession', TENS)),
    echoes('echo.save', 'as SaveSession', 'save', TENS),
    ...services.map((service) => of(service, 'save', 'SaveSession', TENS)),
    of(embedded, 'save', 'SaveSession, one at a time', ONE, 'save.embedded.one'),
    of(onRedis, 'saveWithId', 'SaveSession with request_id', TENS),
    of(onRedis, 'openLarge', 'OpenSession, 10 KB', TENS),
    of(onRedis, 'saveLarge', 'SaveSession, 10 KB', TENS),
    echoes('echo.open.hundreds', 'as OpenSession', 'open', HUNDREDS),
    of(memory, 'open', 'OpenSession', HUNDREDS, 'open.memory.hundreds'),
    of(onRedis, 'open', 'OpenSession', HUNDREDS, 'open.redis.hundreds'),
    echoes('echo.shouldSetCookie', 'as ShouldSetCookie', 'shouldSetCookie', TENS),
    of(memory, 'shouldSetCookie', 'ShouldSetCookie', TENS),
    ...['SET', 'GET'].map((command) => redisRow(command, redis)),
  ];
  for (const one of rows) one.rounds = [];
  for (const one of rows.filter(({ on }) => on === 'redis')) one.redis = redis;
  return rows;
}

function row(key, on, title, service, call, shape) {
  const work = () => load(service, call, shape, { seconds: SECONDS });
  return { key, on, title, shape: shape.join('x'), service, work };
}

function redisRow(command, redis) {
  const work = () => redisBenchmark(command, redis);
  return { key: command, on: 'redis-benchmark', title: `${command} of 1 KB`, shape: '50', redis, work };
}

// Its first SET makes what GET gets.
async function redisBenchmark(command, { port }) {
  const calls = Math.max(1000, Math.round(50_000 * SECONDS));
  const args = ['-h', '127.0.0.1', '-p', port, '-c', 50, '-n', calls, '-d', 1024, '-t', command.toLowerCase(), '--csv'];
  const printed = await output('redis-benchmark', args.map(String));
  const line = printed.split('\n').find((text) => text.startsWith(`"${command}"`));
  const [, rate, , , p50, , p99] = line.split(',').map((cell) => Number(cell.replaceAll('"', '')));
  return { calls, rate, p50, p99 };
}

// There and back: what warms up or slows down meanwhile is in nobody's favour.
async function rounds(rows) {
  for (let round = 0; round < ROUNDS; round += 1) {
    console.error(`round ${round + 1} of ${ROUNDS}`);
    // GET needs what SET left.
    const order = round % 2 && ROUNDS > 1 ? rows.toReversed() : rows;
    for (const one of order) one.rounds.push(await measured(one, one.work));
  }
}

// The median of each number by itself.
function middle(measurements) {
  const keys = ['rate', 'p50', 'p99', 'own', 'ofRedis', 'ofGenerator'];
  return Object.fromEntries(keys.map((key) => [key, median(measurements.map((one) => one[key]))]));
}

async function scriptsPerSave(redis, service, call) {
  const scripts = async () => {
    const printed = await output('redis-cli', ['-p', `${redis.port}`, 'info', 'commandstats']);
    return Number(/^cmdstat_evalsha:calls=(\d+)/m.exec(printed)?.[1] ?? 0);
  };
  const before = await scripts();
  const { calls } = await load(service, call, TENS, { calls: FLUSH_CALLS });
  return (await scripts() - before) / calls;
}

export function rateTable({ rows, byKey }) {
  const ratio = (one, key) => (one.base ? digits(one[key] / byKey[one.base][key], 2) : '-');
  const columns = [
    ['on', ({ on }) => on],
    ['call', ({ title }) => title],
    ['at once', ({ shape }) => shape],
    ['calls/s', ({ rate }) => digits(rate, 0)],
    ['of echo', (one) => ratio(one, 'rate')],
    ['service us/call', ({ own }) => digits(own, 1)],
    ['of echo', (one) => ratio(one, 'own')],
    ['redis us/call', ({ ofRedis }) => digits(ofRedis, 1)],
    ['generator us/call', ({ ofGenerator }) => digits(ofGenerator, 1)],
    ['p50 ms', ({ p50 }) => digits(p50, 2)],
    ['p99 ms', ({ p99 }) => digits(p99, 2)],
  ];
  return tableOf(columns, rows);
}
