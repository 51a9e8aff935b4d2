// The first part: rates and CPU time. All variants take turns on one machine for several rounds.
import fs from 'node:fs';
import { measured, output, Redis, Service, STORES, temporaryFolder } from '../deploy/load/service.mjs';
import { digits, tableOf } from '../deploy/load/table.mjs';
import { freePort } from '../tests/web/processes.mjs';
import { echoOf, prepare } from './calls.mjs';
import { makeCertificates } from './certificates.mjs';
import { median } from './median.mjs';
import { Echo, load } from './rust.mjs';
import { ROUNDS, SECONDS } from './settings.mjs';

const SESSIONS = 500;
// Connections and streams per connection.
const ONE_BY_ONE = [1, 1];
const TEN_BY_ONE = [10, 1];
const TEN_BY_TEN = [10, 10];
const TEN_BY_HUNDRED = [10, 100];
const SCRIPT_COUNT_CALLS = 2000;

// Returns the rows of the table, the same by their keys, and how many Redis scripts a save runs.
export async function rates() {
  const folder = temporaryFolder('bench');
  const tls = { port: await freePort(), ...(await makeCertificates(folder)) };
  const redis = await Redis.start('--tls-port', tls.port, '--tls-cert-file', tls.certificate, '--tls-key-file', tls.key, '--tls-auth-clients', 'no');
  const echo = new Echo();
  const services = STORES.map((store) => new Service(store, redis));
  const overTls = { CLOAKROOM__STORE__REDIS__URL: `rediss://127.0.0.1:${tls.port}`, CLOAKROOM__STORE__REDIS__CA_FILE: tls.authority };
  // On the same sessions.
  const byTls = new Service('redis', redis, { env: overTls });
  const servers = [echo, ...services, byTls];
  try {
    await Promise.all(servers.map((server) => server.start()));
    const calls = {};
    for (const service of services) calls[service.store] = await prepare(service, SESSIONS);
    const rows = plan({ redis, echo, services, byTls, calls, folder });
    await runRounds(rows);
    const byKey = Object.fromEntries(rows.map((row) => [row.key, { ...row, ...medians(row.rounds) }]));
    const scripts = await scriptsPerSave(redis, services[2], calls.redis.save);
    return { rows: Object.values(byKey), byKey, scripts };
  } finally {
    await Promise.all(servers.map((server) => server.stop()));
    await redis.stop();
    fs.rmSync(folder, { recursive: true });
  }
}

// Returns all rows: each has its titles, its server, and the key of the echo's row to compare with.
function plan({ redis, echo, services, byTls, calls, folder }) {
  const [memory, embedded, onRedis] = services;
  const echoes = (key, title, like, shape) =>
    row(key, 'tonic echo', title, echo, echoOf(calls.memory[like], folder, key), shape);
  const rowOf = (service, kind, title, shape, key = `${kind}.${service.store}`) => {
    const same = kind === 'shouldSetCookie' ? 'echo.shouldSetCookie' : kind.startsWith('open') ? 'echo.open' : 'echo.save';
    const base = shape === TEN_BY_HUNDRED ? 'echo.open.hundreds' : same;
    const comparable = shape !== ONE_BY_ONE && !kind.endsWith('Large');
    return { ...row(key, service.store, title, service, calls[service.store][kind], shape), base: comparable ? base : undefined };
  };
  const byConnect = (kind, title) => {
    const one = row(`${kind}.connect`, 'memory', `${title}, Connect`, memory, calls.memory[kind], TEN_BY_ONE, 'connect');
    return { ...one, base: `echo.${kind}.tens` };
  };
  // One call at a time on each connection, so that p50 is the time of a call that waits for few others.
  const opensOn = (service, on, key) =>
    ({ ...row(key, on, 'OpenSession', service, calls.redis.open, TEN_BY_ONE), base: 'echo.open.tens' });
  const rows = [
    ...Object.entries({ open: 'OpenSession', save: 'SaveSession', shouldSetCookie: 'ShouldSetCookie' }).flatMap(([kind, title]) => [
      echoes(`echo.${kind}.tens`, `as ${title}`, kind, TEN_BY_ONE),
      { ...rowOf(memory, kind, title, TEN_BY_ONE, `${kind}.memory.tens`), base: `echo.${kind}.tens` },
      byConnect(kind, title),
    ]),
    opensOn(onRedis, 'redis', 'open.redis.tens'),
    opensOn(byTls, 'redis by TLS', 'open.tls.tens'),
    echoes('echo.open', 'as OpenSession', 'open', TEN_BY_TEN),
    ...services.map((service) => rowOf(service, 'open', 'OpenSession', TEN_BY_TEN)),
    echoes('echo.save', 'as SaveSession', 'save', TEN_BY_TEN),
    ...services.map((service) => rowOf(service, 'save', 'SaveSession', TEN_BY_TEN)),
    rowOf(embedded, 'save', 'SaveSession, one at a time', ONE_BY_ONE, 'save.embedded.one'),
    rowOf(onRedis, 'saveWithId', 'SaveSession with request_id', TEN_BY_TEN),
    rowOf(onRedis, 'openLarge', 'OpenSession, 10 KB', TEN_BY_TEN),
    rowOf(onRedis, 'saveLarge', 'SaveSession, 10 KB', TEN_BY_TEN),
    echoes('echo.open.hundreds', 'as OpenSession', 'open', TEN_BY_HUNDRED),
    rowOf(memory, 'open', 'OpenSession', TEN_BY_HUNDRED, 'open.memory.hundreds'),
    rowOf(onRedis, 'open', 'OpenSession', TEN_BY_HUNDRED, 'open.redis.hundreds'),
    echoes('echo.shouldSetCookie', 'as ShouldSetCookie', 'shouldSetCookie', TEN_BY_TEN),
    rowOf(memory, 'shouldSetCookie', 'ShouldSetCookie', TEN_BY_TEN),
    ...['SET', 'GET'].map((command) => redisRow(command, redis)),
  ];
  for (const one of rows) one.rounds = [];
  for (const one of rows.filter(({ on }) => on.startsWith('redis'))) one.redis = redis;
  return rows;
}

function row(key, on, title, service, call, shape, protocol) {
  const run = () => load(service, call, shape, { seconds: SECONDS, protocol });
  return { key, on, title, shape: shape.join('x'), service, run };
}

function redisRow(command, redis) {
  const run = () => redisBenchmark(command, redis);
  return { key: command, on: 'redis-benchmark', title: `${command} of 1 KB`, shape: '50', redis, run };
}

// The first SET writes what GET reads.
async function redisBenchmark(command, { port }) {
  const calls = Math.max(1000, Math.round(50_000 * SECONDS));
  const args = ['-h', '127.0.0.1', '-p', port, '-c', 50, '-n', calls, '-d', 1024, '-t', command.toLowerCase(), '--csv'];
  const printed = await output('redis-benchmark', args.map(String));
  const line = printed.split('\n').find((text) => text.startsWith(`"${command}"`));
  const [, rate, , , p50, , p99] = line.split(',').map((cell) => Number(cell.replaceAll('"', '')));
  return { calls, rate, p50, p99 };
}

// Every second round runs backwards, so that no row profits from its place in the order.
async function runRounds(rows) {
  for (let round = 0; round < ROUNDS; round += 1) {
    console.error(`round ${round + 1} of ${ROUNDS}`);
    // GET reads what SET wrote, so a single round runs forwards.
    const order = round % 2 && ROUNDS > 1 ? rows.toReversed() : rows;
    for (const one of order) one.rounds.push(await measured(one, one.run));
  }
}

// Returns the median of each figure.
function medians(measurements) {
  const keys = ['rate', 'p50', 'p99', 'serviceCpu', 'redisCpu', 'generatorCpu'];
  return Object.fromEntries(keys.map((key) => [key, median(measurements.map((one) => one[key]))]));
}

async function scriptsPerSave(redis, service, call) {
  const scripts = async () => {
    const printed = await output('redis-cli', ['-p', `${redis.port}`, 'info', 'commandstats']);
    return Number(/^cmdstat_evalsha:calls=(\d+)/m.exec(printed)?.[1] ?? 0);
  };
  const before = await scripts();
  const { calls } = await load(service, call, TEN_BY_TEN, { calls: SCRIPT_COUNT_CALLS });
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
    ['service us/call', ({ serviceCpu }) => digits(serviceCpu, 1)],
    ['of echo', (one) => ratio(one, 'serviceCpu')],
    ['redis us/call', ({ redisCpu }) => digits(redisCpu, 1)],
    ['generator us/call', ({ generatorCpu }) => digits(generatorCpu, 1)],
    ['p50 ms', ({ p50 }) => digits(p50, 2)],
    ['p99 ms', ({ p99 }) => digits(p99, 2)],
  ];
  return tableOf(columns, rows);
}
