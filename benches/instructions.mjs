// The second part: instructions a call in user space, counted by callgrind, which no neighbour on the machine disturbs.
//
// Each call is counted twice, so often and twice as often; the difference holds no start and no end.
import fs from 'node:fs';
import path from 'node:path';
import { Redis, Service, STORES, temporary } from '../deploy/load/service.mjs';
import { digits, tableOf } from '../deploy/load/table.mjs';
import { echoOf, prepare } from './calls.mjs';
import { Echo, load } from './rust.mjs';
import { CALLS, TOP } from './settings.mjs';

const SESSIONS = 20;
const TENS = [10, 10];
const KINDS = { open: 'OpenSession', save: 'SaveSession', shouldSetCookie: 'ShouldSetCookie' };
// valgrind knows no instructions for SHA, so what a real processor does in a few is software here.
const SHA = /\bsha2::|sha256/i;

export async function instructions() {
  const redis = await Redis.start();
  const folder = temporary('callgrind');
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
      }
    }
    const all = Object.entries(echoes).map(([kind, echo]) => ({ key: `echo.${kind}`, on: 'tonic echo', title: `as ${KINDS[kind]}`, ...echo }));
    return { rows: [...all, ...rows], byKey: Object.fromEntries(rows.map((row) => [row.key, row])) };
  } finally {
    await redis.end();
    fs.rmSync(folder, { recursive: true });
  }
}

async function count(make, { folder, prepare: prepareCall }) {
  const profiles = [];
  let call;
  for (const calls of [CALLS, 2 * CALLS]) {
    const file = path.join(folder, 'callgrind.out');
    const server = make(['valgrind', '--quiet', '--tool=callgrind', `--callgrind-out-file=${file}`]);
    console.error(`${calls} calls of ${server.store ?? 'the echo'} under callgrind`);
    await server.start();
    try {
      call = await prepareCall(server);
      await load(server, call, TENS, { calls });
    } finally {
      await server.end();
    }
    profiles.push(parse(fs.readFileSync(file, 'latin1')));
  }
  const [once, twice] = profiles;
  const own = new Map([...twice].map(([name, cost]) => [name, (cost - (once.get(name) ?? 0)) / CALLS]));
  const sum = (chosen) => [...own].filter(([name]) => chosen(name)).reduce((total, [, cost]) => total + cost, 0);
  return { call, own, all: sum(() => true), sha: sum((name) => SHA.test(name)) };
}

// What each function took itself, by its name.
function parse(text) {
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

// What the instructions of each call are spent on, if that is asked.
export function profiles({ rows }) {
  if (!TOP) return '';
  return rows.map(({ on, title, own }) => {
    const most = [...own].toSorted(([, one], [, other]) => other - one).slice(0, TOP);
    return [`\n${on}, ${title}`, ...most.map(([name, cost]) => `${digits(cost, 0).padStart(8)}  ${name}`)].join('\n');
  }).join('\n');
}
