// The settings of `make bench`, from environment variables.
const number = (name, fallback, max) => Math.min(max, Number(process.env[name] ?? fallback));

export const SECONDS = number('BENCH_SECONDS', 2, 60);
export const ROUNDS = number('BENCH_ROUNDS', 5, 99);
// The calls that are counted under callgrind, where each takes about a hundred times as long.
export const CALLS = number('BENCH_CALLS', 2000, 1e6);
export const MEMORY_SESSIONS = number('BENCH_MEMORY_SESSIONS', 1e6, 1e8);
// What the part `cluster` fills each Redis with.
export const CLUSTER_SESSIONS = number('BENCH_CLUSTER_SESSIONS', 1e5, 1e7);
export const PARTS = process.env.BENCH_PARTS?.split(' ') ?? ['rates', 'instructions', 'stores', 'cluster'];
// The number of the most expensive functions to print for each call.
export const TOP = number('BENCH_TOP', 0, 1000);
