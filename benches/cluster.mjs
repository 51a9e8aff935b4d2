// The fourth part: a Redis Cluster of six nodes on this machine, beside a single Redis.
import fs from 'node:fs';
import path from 'node:path';
import { codec } from '../deploy/load/client.mjs';
import { loadDataProgram, measured, output, Redis, Service } from '../deploy/load/service.mjs';
import { digits, tableOf } from '../deploy/load/table.mjs';
import { OPEN, SAVE, writeMessages } from './calls.mjs';
import { median } from './median.mjs';
import { RedisCluster } from './redis_cluster.mjs';
import { load } from './rust.mjs';
import { CLUSTER_SESSIONS, ROUNDS, SECONDS } from './settings.mjs';

const NODES = 6;
const TEN_BY_TEN = [10, 10];
const KINDS = { open: OPEN, save: SAVE };

// Returns the rows of the table, the same by their keys, and the bytes of a session on each.
export async function cluster() {
  const single = await Redis.start();
  const nodes = await RedisCluster.start(NODES);
  const modeCluster = { CLOAKROOM__STORE__REDIS__MODE: 'cluster', CLOAKROOM__STORE__REDIS__URL: `redis://127.0.0.1:${nodes.nodes[0].port}` };
  const places = [
    { on: 'redis', servers: [single], service: new Service('redis', single) },
    { on: 'cluster', servers: nodes.nodes, service: new Service('redis', single, { env: modeCluster }) },
  ];
  try {
    const rows = [];
    for (const place of places) {
      place.bytes = await fill(place);
      await place.service.start();
      rows.push(...Object.keys(KINDS).map((kind) => rowOf(place, kind)));
    }
    for (let round = 0; round < ROUNDS; round += 1) {
      console.error(`cluster, round ${round + 1} of ${ROUNDS}`);
      for (const one of round % 2 ? rows.toReversed() : rows) one.rounds.push(await one.run());
    }
    const summed = rows.map((one) => ({ ...one, ...summary(one.rounds) }));
    const byKey = Object.fromEntries(summed.map((one) => [one.key, one]));
    return { rows: summed, byKey, bytes: Object.fromEntries(places.map(({ on, bytes }) => [on, bytes])) };
  } finally {
    await Promise.all(places.map(({ service }) => service.stop()));
    await Promise.all([single.stop(), nodes.stop()]);
  }
}

// Creates sessions, and requests that use all of them alike. Returns how many bytes of Redis each session takes.
async function fill({ on, servers, service }) {
  console.error(`${on}: ${CLUSTER_SESSIONS} sessions`);
  const memory = async () => sum(await Promise.all(servers.map((server) => info(server, 'memory', 'used_memory'))));
  const before = await memory();
  await service.run(loadDataProgram(), '--count', `${CLUSTER_SESSIONS}`, '--exponent', '0');
  return (await memory() - before) / CLUSTER_SESSIONS;
}

function rowOf({ on, servers, service }, kind) {
  const method = KINDS[kind];
  const requests = JSON.parse(fs.readFileSync(path.join(service.folder, `${kind}.json`), 'utf8'));
  const { requestSerialize } = codec(method);
  const messages = writeMessages(service.folder, kind, requests.map((request) => requestSerialize(request)));
  const call = { ...messages, path: `/cloakroom.v1.SessionService/${method}` };
  const run = async () => {
    const before = await used(servers);
    const result = await measured({ service }, () => load(service, call, TEN_BY_TEN, { seconds: SECONDS }));
    const after = await used(servers);
    const spent = (key) => after.map((one, number) => one[key] - before[number][key]);
    return { ...result, ...Object.fromEntries(Object.keys(before[0]).map((key) => [key, spent(key)])) };
  };
  return { key: `${kind}.${on}`, on, title: method, run, rounds: [] };
}

// Returns the commands, the bytes and the microseconds of CPU time of each server since its start.
function used(servers) {
  return Promise.all(servers.map(async (server) => ({
    commands: await info(server, 'stats', 'total_commands_processed'),
    bytesIn: await info(server, 'stats', 'total_net_input_bytes'),
    bytesOut: await info(server, 'stats', 'total_net_output_bytes'),
    cpu: 1e6 * (await info(server, 'cpu', 'used_cpu_user') + await info(server, 'cpu', 'used_cpu_sys')),
  })));
}

async function info({ port }, section, name) {
  const printed = await output('redis-cli', ['-p', `${port}`, 'info', section]);
  return Number(new RegExp(`^${name}:([\\d.]+)`, 'm').exec(printed)[1]);
}

// Adds up the work of all rounds, so that a node is not hottest by chance.
function summary(rounds) {
  const medianOf = (key) => median(rounds.map((one) => one[key]));
  const calls = sum(rounds.map((one) => one.calls));
  const ofNodes = (key) => rounds[0][key].map((_, node) => sum(rounds.map((one) => one[key][node])));
  const [commands, cpu] = [ofNodes('commands'), ofNodes('cpu')];
  return {
    rate: medianOf('rate'), p50: medianOf('p50'), p99: medianOf('p99'), serviceCpu: medianOf('serviceCpu'),
    redisCpu: sum(cpu) / calls, bytesIn: sum(ofNodes('bytesIn')) / calls, bytesOut: sum(ofNodes('bytesOut')) / calls, commands, perCall: sum(commands) / calls, hottest: hottest(commands), hottestCpu: hottest(cpu),
  };
}

// Returns the most that one node did, over what each would do if all did the same.
const hottest = (figures) => Math.max(...figures) / (sum(figures) / figures.length);
const sum = (figures) => figures.reduce((one, other) => one + other, 0);

export function clusterTable({ rows, bytes }) {
  const columns = [
    ['on', ({ on }) => on],
    ['call', ({ title }) => title],
    ['calls/s', ({ rate }) => digits(rate, 0)],
    ['service us/call', ({ serviceCpu }) => digits(serviceCpu, 1)],
    ['redis us/call', ({ redisCpu }) => digits(redisCpu, 1)],
    ['commands/call', ({ perCall }) => digits(perCall, 2)],
    ['bytes in/call', ({ bytesIn }) => digits(bytesIn, 0)],
    ['bytes out/call', ({ bytesOut }) => digits(bytesOut, 0)],
    ['hottest node', (one) => digits(one.hottest, 2)],
    ['hottest, CPU', (one) => digits(one.hottestCpu, 2)],
    ['p50 ms', ({ p50 }) => digits(p50, 2)],
    ['p99 ms', ({ p99 }) => digits(p99, 2)],
  ];
  const work = rows.filter(({ on }) => on === 'cluster').map(({ title, commands }) => `${title}, commands of each node: ${commands.join(' ')}`);
  const memory = `bytes of Redis a session, of ${CLUSTER_SESSIONS}: ${digits(bytes.redis, 0)} on one Redis, ${digits(bytes.cluster, 0)} on ${NODES} nodes`;
  return [tableOf(columns, rows), '', ...work, memory].join('\n');
}
