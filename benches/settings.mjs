// What `make bench` can be told by the environment.
const number = (name, unset, most) => Math.min(most, Number(process.env[name] ?? unset));

export const SECONDS = number('BENCH_SECONDS', 2, 60);
export const ROUNDS = number('BENCH_ROUNDS', 5, 99);
// Counted under callgrind, which takes a hundred times as long.
export const CALLS = number('BENCH_CALLS', 2000, 1e6);
export const MEMORY_SESSIONS = number('BENCH_MEMORY_SESSIONS', 1e6, 1e8);
export const PARTS = process.env.BENCH_PARTS?.split(' ') ?? ['rates', 'instructions', 'stores'];
// How many of the most expensive functions of each counted call to print.
export const TOP = number('BENCH_TOP', 0, 1000);
