// What the figures are to be, and whether they are.
import { withoutSha } from './instructions.mjs';

// Each goal: what it is of, the figure, and its bound.
const RATES = ({ byKey: of, scripts }) => [
  ['OpenSession on memory at 10x10, rate over the echo\'s', of['open.memory'].rate / of['echo.open'].rate, { least: 0.95 }],
  ['OpenSession on Redis at 10x100, rate over that of redis-benchmark GET', of['open.redis.hundreds'].rate / of.GET.rate, { least: 1 }],
  ['OpenSession on Redis at 10x10, service CPU over the echo\'s', of['open.redis'].own / of['echo.open'].own, { most: 1.35 }],
  ['SaveSession on Redis, scripts a call', scripts, { least: 1, most: 1 }],
  ['SaveSession on Redis, Redis CPU over the open\'s', of['save.redis'].ofRedis / of['open.redis'].ofRedis, { most: 1.1 }],
  ['  with a request_id', of['saveWithId.redis'].ofRedis / of['open.redis'].ofRedis, { most: 1.5 }],
  ['  of 10 KB', of['saveLarge.redis'].ofRedis / of['openLarge.redis'].ofRedis, { most: 0.7 }],
  ['embedded, saves/s of 100 writers over one, over gRPC', of['save.embedded'].rate / of['save.embedded.one'].rate, { least: 8 }],
];

const INSTRUCTIONS = ({ byKey: of }) => [
  ['OpenSession on memory, instructions over the echo\'s', withoutSha(of['open.memory']) / of['open.memory'].echo.all, { most: 1.1 }],
];

const STORES = ({ one, many, memory }) => [
  ['embedded, saves/s of 100 writers over one, at the store', many / one, { least: 15 }],
  ['memory, bytes a session over what it is encoded', memory.each, { most: 1.3 * memory.encoded + 200 }],
];

const ALL = { rates: RATES, instructions: INSTRUCTIONS, stores: STORES };

// Of the parts that were measured.
export function goalLines(measured) {
  const goals = Object.entries(measured).flatMap(([part, figures]) => ALL[part](figures));
  return goals.map(([what, figure, { least = -Infinity, most = Infinity }]) => {
    const isReached = figure >= least && figure <= most;
    const bound = [least > -Infinity && `at least ${short(least)}`, most < Infinity && `at most ${short(most)}`];
    return `${isReached ? 'reached    ' : 'NOT reached'}  ${what}: ${short(figure)} (${bound.filter(Boolean).join(', ')})`;
  }).join('\n');
}

const short = (number) => (number >= 100 ? number.toFixed(0) : number.toFixed(2));
