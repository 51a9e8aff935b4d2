// Measures what a session costs inside an Express request, by the middleware and by the store for express-session, beside
// express-session with connect-redis. Run by `make bench-node`.
//
// The cost of a session is the request's less that of the same request in an application without sessions. All variants
// take turns in one run of one process; another process sends the requests. A ratio is the median of the rounds, with
// the quartiles that it lies between.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { RedisStore } from 'connect-redis';
import express from 'express';
import session from 'express-session';
import { createClient } from 'redis';
import { sessions } from 'cloakroom-sessions/express';
import { CloakroomStore } from '../../connect-cloakroom/src/index.js';
import { freePort, isListening, Process, waitUntil } from '../../../tests/web/processes.mjs';
import { Browser, serve } from '../tests/app.mjs';
import { Service } from '../tests/service.mjs';

const ROUNDS = Number(process.env.BENCH_NODE_ROUNDS ?? 15);
const REQUESTS = { 1: 150, 50: 1000 };
const PATHS = ['/read', '/write', '/untouched'];
// So that a pause of a busy machine ends no run.
const DEADLINE_MS = 30_000;
const NONE = 'no sessions';
const BASELINE = 'express-session on Redis';
// The highest ratios of CPU that are wanted of the middleware, by path and by the number of requests at a time.
const GOALS = {
  '/read': { 1: 0.4, 50: 0.35 },
  '/write': { 1: 0.6, 50: 0.6 },
  '/untouched': { 1: 0.07, 50: 0.07 },
};

const APPS = `
[apps.express]
kind = "external"
`;

const service = await Service.start({ store: 'memory', more: APPS });
const redisPort = await freePort();
const redis = new Process('redis-server', ['--port', redisPort, '--bind', '127.0.0.1', '--save', '', '--loglevel', 'warning']);
await redis.whileRunning(waitUntil('redis listens', () => isListening(redisPort)));
const client = createClient({ url: `redis://127.0.0.1:${redisPort}` });
await client.connect();
const load = fork(new URL('load.mjs', import.meta.url));

const cloakroom = (address, options) => sessions({ service: address, app: 'shop', deadline: DEADLINE_MS, ...options });
const expressSession = (store) => session({ store, secret: 'secret-key', resave: false, saveUninitialized: false });
const cloakroomStore = (address) => new CloakroomStore({ service: address, app: 'express', deadline: DEADLINE_MS });
const variants = await Promise.all(Object.entries({
  [NONE]: undefined,
  [BASELINE]: expressSession(new RedisStore({ client })),
  'TCP': cloakroom(service.address),
  'Unix socket': cloakroom(`unix:${service.socket}`),
  'TCP, lazy': cloakroom(service.address, { lazy: true }),
  'store, TCP': expressSession(cloakroomStore(service.address)),
  'store, Unix socket': expressSession(cloakroomStore(`unix:${service.socket}`)),
}).map(async ([name, middleware]) => ({ name, isStore: name.startsWith('store'), ...await start(middleware) })));
const [none, baseline, ...others] = variants;

try {
  for (const concurrency of [1, 50]) for (const path of PATHS) report(concurrency, path, await measure(concurrency, path));
} finally {
  load.kill();
  for (const { stop } of variants) stop();
  client.destroy();
  await redis.stop();
  await service.remove();
}

async function start(middleware) {
  const app = express();
  if (middleware) app.use(middleware);
  else app.use((request, response, next) => { request.session = { user: 'ada', count: 0 }; next(); });
  const open = async ({ session: opened }) => { if (opened.isOpen === false) await opened.open(); };
  app.get('/fill', (request, response) => {
    Object.assign(request.session, { user: 'ada', cart: Array.from({ length: 50 }, (_, i) => i), text: 'x'.repeat(500), count: 0 });
    response.send('ok');
  });
  app.get('/untouched', (request, response) => response.send('ok'));
  app.get('/read', async (request, response) => {
    await open(request);
    response.send(request.session.user);
  });
  app.get('/write', async (request, response) => {
    await open(request);
    request.session.count += 1;
    response.send('ok');
  });
  const { url, stop } = await serve(app);
  const browser = new Browser(url);
  await browser.get('/fill');
  return { url, stop, cookie: [...browser.cookies].map(([name, value]) => `${name}=${value}`).join('; ') };
}

// Returns the CPU and wall time of a request, in microseconds, by variant and round.
async function measure(concurrency, path) {
  const times = new Map(variants.map(({ name }) => [name, []]));
  for (let round = -1; round < ROUNDS; round += 1) {
    // Every second round runs backwards, so that no variant profits from its place in the order.
    for (const variant of round % 2 ? variants : [...variants].reverse()) {
      const count = REQUESTS[concurrency];
      const began = performance.now();
      const used = process.cpuUsage();
      load.send({ url: variant.url, path, cookie: variant.cookie, count, concurrency });
      const [failed] = await once(load, 'message');
      if (failed) throw new Error(`${variant.name} ${path}: ${failed}`);
      const { user, system } = process.cpuUsage(used);
      const wall = (performance.now() - began) * 1000;
      // The first round warms up.
      if (round >= 0) times.get(variant.name).push({ cpu: (user + system) / count, wall: wall / count });
    }
  }
  return times;
}

function report(concurrency, path, times) {
  const without = times.get(none.name);
  const costs = (name, kind) => times.get(name).map((each, round) => each[kind] - without[round][kind]);
  console.log(`\n${path}, ${concurrency} at a time: the session's part of a request in us, of which ratio to ${BASELINE}`);
  console.log(`  ${NONE.padEnd(26)} cpu ${format(quartiles(without.map(({ cpu }) => cpu)))}  (the whole request)`);
  console.log(`  ${BASELINE.padEnd(26)} cpu ${format(quartiles(costs(BASELINE, 'cpu')))}  wall ${format(quartiles(costs(BASELINE, 'wall')))}`);
  for (const { name, isStore } of others) {
    const line = ['cpu', 'wall'].map((kind) => {
      const base = costs(baseline.name, kind);
      const ratios = costs(name, kind).map((cost, round) => cost / base[round]);
      return `${kind} ${format(quartiles(costs(name, kind)))} = ${format(quartiles(ratios), 2)}`;
    });
    const goal = isStore ? '' : `  goal of cpu ${GOALS[path][concurrency]}`;
    console.log(`  ${name.padEnd(26)} ${line.join('  ')}${goal}`);
  }
}

function quartiles(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return [0.5, 0.25, 0.75].map((part) => sorted[Math.round(part * (sorted.length - 1))]);
}

function format([median, low, high], digits = 0) {
  return `${median.toFixed(digits)} [${low.toFixed(digits)} ${high.toFixed(digits)}]`;
}
