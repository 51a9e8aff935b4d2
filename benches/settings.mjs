// The settings of `make bench`, from environment variables.
const number = (name, fallback, max) => Math.min(max, Number(process.env[name] ?? fallback));

export const SECONDS = number('BENCH_SECONDS', 2, 60);
export const ROUNDS = number('BENCH_ROUNDS', 5, 99);
// The calls that are counted under callgrind, where each takes about a hundred times as long.
export const CALLS = number('BENCH_CALLS', 2000, 1e6);
export const MEMORY_SESSIONS = number('BENCH_MEMORY_SESSIONS', 1e6, 1e8);
export const PARTS = process.env.BENCH_PARTS?.split(' ') ?? ['rates', 'instructions', 'stores'];
// The number of the most expensive functions to print for each call.
export const TOP = number('BENCH_TOP', 0, 1000);
