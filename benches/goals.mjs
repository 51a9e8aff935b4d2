// The goals for the figures, and whether they are reached.
import { withoutSha } from './instructions.mjs';

// Each goal: a description, the figure, and its bounds.
const RATES = ({ byKey: row, scripts }) => [
  ['OpenSession by Connect on memory, CPU over the echo\'s', row['open.connect'].serviceCpu / row['echo.open.tens'].serviceCpu, { max: 0.8 }],
  ['ShouldSetCookie by Connect on memory, CPU over the echo\'s', row['shouldSetCookie.connect'].serviceCpu / row['echo.shouldSetCookie.tens'].serviceCpu, { max: 0.6 }],
  ['OpenSession by gRPC on memory at 10x1, CPU over the echo\'s', row['open.memory.tens'].serviceCpu / row['echo.open.tens'].serviceCpu, { max: 1.05 }],
  ['  at 10x10', row['open.memory'].serviceCpu / row['echo.open'].serviceCpu, { max: 1.05 }],
  ['OpenSession on memory at 10x10, rate over the echo\'s', row['open.memory'].rate / row['echo.open'].rate, { min: 0.95 }],
  ['OpenSession on Redis at 10x100, rate over that of redis-benchmark GET', row['open.redis.hundreds'].rate / row.GET.rate, { min: 1 }],
  ['OpenSession on Redis at 10x10, service CPU over the echo\'s', row['open.redis'].serviceCpu / row['echo.open'].serviceCpu, { max: 1.35 }],
  ['OpenSession on Redis by TLS at 10x1, p50 over that without TLS', row['open.tls.tens'].p50 / row['open.redis.tens'].p50, { max: 1.2 }],
  // The service's health check runs a script too, now and then.
  ['SaveSession on Redis, scripts a call', scripts, { min: 0.99, max: 1.02 }],
  ['SaveSession on Redis, Redis CPU over the open\'s', row['save.redis'].redisCpu / row['open.redis'].redisCpu, { max: 1.1 }],
  ['  with a request_id', row['saveWithId.redis'].redisCpu / row['open.redis'].redisCpu, { max: 1.5 }],
  ['  of 10 KB', row['saveLarge.redis'].redisCpu / row['openLarge.redis'].redisCpu, { max: 0.7 }],
  ['embedded, saves/s of 100 writers over one, over gRPC', row['save.embedded'].rate / row['save.embedded.one'].rate, { min: 8 }],
];

const INSTRUCTIONS = ({ byKey: row }) => [
  ['OpenSession on memory, instructions over the echo\'s', withoutSha(row['open.memory']) / row['open.memory'].echo.all, { max: 1.35 }],
];

const STORES = ({ one, many, memory }) => [
  ['embedded, saves/s of 100 writers over one, at the store', many / one, { min: 15 }],
  ['memory, bytes per session', memory.each, { max: 1.3 * memory.encoded + 200 }],
];

const CLUSTER = ({ byKey: row }) => Object.entries({ open: 'OpenSession', save: 'SaveSession' }).flatMap(([kind, title]) => [
  [`${title} on six nodes, commands of the hottest over its fair share`, row[`${kind}.cluster`].hottest, { max: 1.1 }],
  ['  service CPU over that on one Redis', row[`${kind}.cluster`].serviceCpu / row[`${kind}.redis`].serviceCpu, { max: 1.2 }],
  ['  Redis CPU over that of one Redis', row[`${kind}.cluster`].redisCpu / row[`${kind}.redis`].redisCpu, { max: 2 }],
]);

const ALL = { rates: RATES, instructions: INSTRUCTIONS, stores: STORES, cluster: CLUSTER };

// Returns the goals of the measured parts, one per line.
export function goalLines(measured) {
  const goals = Object.entries(measured).flatMap(([part, figures]) => ALL[part](figures));
  return goals.map(([description, figure, { min = -Infinity, max = Infinity }]) => {
    const isReached = figure >= min && figure <= max;
    const bound = [min > -Infinity && `at least ${format(min)}`, max < Infinity && `at most ${format(max)}`];
    return `${isReached ? 'reached    ' : 'NOT reached'}  ${description}: ${format(figure)} (${bound.filter(Boolean).join(', ')})`;
  }).join('\n');
}

const format = (number) => (number >= 100 ? number.toFixed(0) : number.toFixed(2));
