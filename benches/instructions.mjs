// The second part: user-space instructions per call, counted by callgrind. Other processes do not change them.
//
// Each call is counted in two runs, one with twice as many calls. The difference excludes the start and the stop of the
// process.
import fs from 'node:fs';
import path from 'node:path';
import { Redis, Service, STORES, temporaryFolder } from '../deploy/load/service.mjs';
import { digits, tableOf } from '../deploy/load/table.mjs';
import { echoOf, prepare } from './calls.mjs';
import { Echo, load } from './rust.mjs';
import { CALLS, TOP } from './settings.mjs';

const SESSIONS = 20;
// Connections and streams per connection.
const TEN_BY_TEN = [10, 10];
const TEN_BY_ONE = [10, 1];
const KINDS = { open: 'OpenSession', save: 'SaveSession', shouldSetCookie: 'ShouldSetCookie' };
// valgrind does not support the SHA instructions of processors, so SHA-256 runs in software here and is listed apart.
const SHA = /\bsha2::|sha256/i;

export async function instructions() {
  const redis = await Redis.start();
  const folder = temporaryFolder('callgrind');
  try {
    const echoes = {};
    const rows = [];
    for (const store of STORES) {
      for (const kind of Object.keys(KINDS).filter((kind) => store === 'memory' || kind !== 'shouldSetCookie')) {
        const counted = await count((launcher) => new Service(store, redis, { launcher, env: { CLOAKROOM__SERVER__WORKERS: '1' } }), {
          folder, prepare: async (service) => (await prepare(service, SESSIONS))[kind],
        });
        echoes[kind] ??= await count((launcher) => new Echo({ launcher, workers: 1 }), {
          folder, prepare: async () => echoOf(counted.call, folder, kind),
        });
        rows.push({ key: `${kind}.${store}`, on: store, title: KINDS[kind], ...counted, echo: echoes[kind] });
        if (store !== 'memory') continue;
        const byConnect = await count((launcher) => new Service(store, redis, { launcher, env: { CLOAKROOM__SERVER__WORKERS: '1' } }), {
          folder, prepare: async (service) => (await prepare(service, SESSIONS))[kind], shape: TEN_BY_ONE, protocol: 'connect',
        });
        rows.push({ key: `${kind}.connect`, on: store, title: `${KINDS[kind]}, Connect`, ...byConnect, echo: echoes[kind] });
      }
    }
    const all = Object.entries(echoes).map(([kind, echo]) => ({ key: `echo.${kind}`, on: 'tonic echo', title: `as ${KINDS[kind]}`, ...echo }));
    return { rows: [...all, ...rows], byKey: Object.fromEntries(rows.map((row) => [row.key, row])) };
  } finally {
    await redis.stop();
    fs.rmSync(folder, { recursive: true });
  }
}

async function count(createServer, { folder, prepare: prepareCall, shape = TEN_BY_TEN, protocol }) {
  const profiles = [];
  let call;
  for (const calls of [CALLS, 2 * CALLS]) {
    const file = path.join(folder, 'callgrind.out');
    const server = createServer(['valgrind', '--quiet', '--tool=callgrind', `--callgrind-out-file=${file}`]);
    console.error(`${calls} calls of ${server.store ?? 'the echo'} under callgrind`);
    await server.start();
    try {
      call = await prepareCall(server);
      await load(server, call, shape, { calls, protocol });
    } finally {
      await server.stop();
    }
    profiles.push(parseProfile(fs.readFileSync(file, 'latin1')));
  }
  const [single, double] = profiles;
  const own = new Map([...double].map(([name, cost]) => [name, (cost - (single.get(name) ?? 0)) / CALLS]));
  const sum = (isIncluded) => [...own].filter(([name]) => isIncluded(name)).reduce((total, [, cost]) => total + cost, 0);
  return { call, own, all: sum(() => true), sha: sum((name) => SHA.test(name)) };
}

// Returns each function's own instructions, without those of the functions it calls.
function parseProfile(text) {
  const names = new Map();
  const own = new Map();
  let current;
  let isCall = false;
  for (const line of text.split('\n')) {
    const named = /^fn=\((\d+)\)(?: (.*))?$/.exec(line);
    if (named) {
      if (named[2]) names.set(named[1], named[2]);
      current = names.get(named[1]);
    } else if (/^cfn=\((\d+)\) /.test(line)) {
      const [, id, name] = /^cfn=\((\d+)\) (.*)$/.exec(line);
      names.set(id, name);
    } else if (line.startsWith('calls=')) {
      isCall = true;
    } else if (/^[+\-*\d]/.test(line)) {
      if (!isCall) own.set(current, (own.get(current) ?? 0) + Number(line.split(' ')[1]));
      isCall = false;
    }
  }
  return own;
}

export const withoutSha = ({ all, sha }) => all - sha;

export function instructionTable({ rows }) {
  const columns = [
    ['on', ({ on }) => on],
    ['call', ({ title }) => title],
    ['instructions/call', ({ all }) => digits(all, 0)],
    ['SHA-256', ({ sha }) => digits(sha, 0)],
    ['the rest', (row) => digits(withoutSha(row), 0)],
    ['of echo', (row) => (row.echo ? digits(withoutSha(row) / row.echo.all, 2) : '-')],
  ];
  return tableOf(columns, rows);
}

// Returns the functions with the most instructions for each call, if BENCH_TOP is set.
export function profiles({ rows }) {
  if (!TOP) return '';
  return rows.map(({ on, title, own }) => {
    const top = [...own].toSorted(([, one], [, other]) => other - one).slice(0, TOP);
    return [`\n${on}, ${title}`, ...top.map(([name, cost]) => `${digits(cost, 0).padStart(8)}  ${name}`)].join('\n');
  }).join('\n');
}
