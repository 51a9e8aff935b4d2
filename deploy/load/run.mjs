// `make load`: runs the load test and prints its table. README.md in this folder explains it.
import { measured, Redis, Service, STORES } from './service.mjs';
import { fill } from './fill.mjs';
import { ghz } from './ghz.mjs';
import { h2load } from './h2load.mjs';
import { table } from './table.mjs';

const setting = (name, fallback, max) => Math.min(max, Number(process.env[name] ?? fallback));
const SECONDS = setting('LOAD_SECONDS', 10, 300);
const SESSIONS = setting('LOAD_SESSIONS', 10_000, 1_000_000);
const CHOSEN_STORES = process.env.LOAD_STORES?.split(' ') ?? STORES;

// The generator of each protocol. The mix is by gRPC alone, because h2load keeps no rate over all its connections.
const GENERATORS = { gRPC: ghz, 'HTTP/1.1': h2load };
const SINGLES = [['open', 'OpenSession'], ['save', 'SaveSession'], ['should-set-cookie', 'ShouldSetCookie']];
const MIX = { 'mix-open': 0.75, 'mix-save': 0.24, 'mix-destroy': 0.01 };
// The rate of the mix, relative to the slower of open and save: below saturation, so that the latencies are meaningful.
const MIX_LOAD = 0.6;
// The lowest rate of the mix, at which the rarest call still occurs.
const MIX_MIN_RATE = 200;

const rows = [];
for (const store of CHOSEN_STORES) {
  const redis = store === 'redis' ? await Redis.start() : undefined;
  const service = new Service(store, redis);
  try {
    // The memory store is filled while the service runs, the others before it starts.
    if (store === 'memory') await service.start();
    await fill(service, SESSIONS);
    if (store !== 'memory') await service.start();
    rows.push(...await measureAll(service, redis));
  } finally {
    await service.stop();
    await redis?.stop();
  }
}
console.log(table(rows));
for (const { store, protocol, call, errorMessages } of rows) {
  for (const message of errorMessages) console.log(`${store}, ${protocol}, ${call}: ${message}`);
}
process.exit(rows.every(({ calls, errors }) => calls > 0 && errors === 0) ? 0 : 1);

async function measureAll(service, redis) {
  const singles = [];
  for (const [name, call] of SINGLES) {
    for (const [protocol, generate] of Object.entries(GENERATORS)) {
      singles.push(await measure(service, redis, { protocol, call }, () => generate(name, service, { seconds: SECONDS })));
    }
  }
  const [open, save] = singles.filter(({ protocol }) => protocol === 'gRPC');
  const rate = Math.max(MIX_MIN_RATE, Math.min(open.rate, save.rate) * MIX_LOAD);
  return [...singles, ...await mix(service, redis, rate)];
}

async function measure(service, redis, { protocol, call }, run) {
  console.error(`${service.store}, ${protocol}, ${call}`);
  return { store: service.store, protocol, call, ...await measured({ service, redis }, run) };
}

// Runs three loads at once. Their CPU time cannot be separated, so only the row for all calls has it.
async function mix(service, redis, rate) {
  const parts = [];
  const all = await measure(service, redis, { protocol: 'gRPC', call: 'mix' }, async () => {
    const runs = Object.entries(MIX).map(([name, share]) => ghz(name, service, { seconds: SECONDS, rate: rate * share }));
    parts.push(...await Promise.all(runs));
    const sum = (key) => parts.reduce((total, part) => total + part[key], 0);
    return { calls: sum('calls'), rate: sum('rate'), errors: sum('errors'), errorMessages: [] };
  });
  const partRows = Object.keys(MIX).map((name, number) =>
    ({ store: service.store, protocol: 'gRPC', call: `  ${name}`, ...parts[number] }));
  return [all, ...partRows];
}
