// `make load`: the load test, and its table. README.md beside this file says how to read it.
import { measured, Redis, Service, STORES } from './service.mjs';
import { ghz } from './ghz.mjs';
import { seed } from './seed.mjs';
import { table } from './table.mjs';

const setting = (name, unset, most) => Math.min(most, Number(process.env[name] ?? unset));
const SECONDS = setting('LOAD_SECONDS', 10, 300);
const SESSIONS = setting('LOAD_SESSIONS', 10_000, 1_000_000);
const CHOSEN = process.env.LOAD_STORES?.split(' ') ?? STORES;

const SINGLES = [['open', 'OpenSession'], ['save', 'SaveSession'], ['should-set-cookie', 'ShouldSetCookie']];
const MIX = { 'mix-open': 0.75, 'mix-save': 0.24, 'mix-destroy': 0.01 };
// Of what the slower of open and save reached: a load that the service can bear, so that its times mean something.
const MIX_LOAD = 0.6;
// Below that the rarest of its calls would not come up.
const MIX_LEAST = 100;

const rows = [];
for (const store of CHOSEN) {
  const redis = store === 'redis' ? await Redis.start() : undefined;
  const service = new Service(store, redis);
  try {
    // The memory store is seeded while the service runs, the others before.
    if (store === 'memory') await service.start();
    await seed(service, SESSIONS);
    if (store !== 'memory') await service.start();
    rows.push(...await measureAll(service, redis));
  } finally {
    await service.end();
    await redis?.end();
  }
}
console.log(table(rows));
for (const { store, call, why } of rows) for (const line of why) console.log(`${store}, ${call}: ${line}`);
process.exit(rows.every(({ calls, errors }) => calls > 0 && errors === 0) ? 0 : 1);

async function measureAll(service, redis) {
  const singles = [];
  for (const [name, call] of SINGLES) {
    singles.push(await measure(service, redis, call, () => ghz(name, service, { seconds: SECONDS })));
  }
  const rate = Math.max(MIX_LEAST, Math.min(singles[0].rate, singles[1].rate) * MIX_LOAD);
  return [...singles, ...await mix(service, redis, rate)];
}

async function measure(service, redis, call, work) {
  console.error(`${service.store}, ${call}`);
  return { store: service.store, call, ...await measured({ service, redis }, work) };
}

// Three loads at once. Their processor time can't be told apart, so it stands once, for all their calls.
async function mix(service, redis, rate) {
  const parts = [];
  const all = await measure(service, redis, 'mix', async () => {
    const runs = Object.entries(MIX).map(([name, share]) => ghz(name, service, { seconds: SECONDS, rate: rate * share }));
    parts.push(...await Promise.all(runs));
    const sum = (key) => parts.reduce((total, part) => total + part[key], 0);
    return { calls: sum('calls'), rate: sum('rate'), errors: sum('errors'), why: [] };
  });
  const named = Object.keys(MIX).map((name, number) => ({ store: service.store, call: `  ${name}`, ...parts[number] }));
  return [all, ...named];
}
