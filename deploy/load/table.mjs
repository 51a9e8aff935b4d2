// Formats figures as a table in plain text.

const COLUMNS = [
  ['store', ({ store }) => store],
  ['protocol', ({ protocol }) => protocol],
  ['call', ({ call }) => call],
  ['calls/s', ({ rate }) => digits(rate, 0)],
  ['p50 ms', ({ p50 }) => digits(p50, 2)],
  ['p99 ms', ({ p99 }) => digits(p99, 2)],
  ['errors', ({ errors }) => digits(errors, 0)],
  ['service us/call', ({ serviceCpu }) => digits(serviceCpu, 1)],
  ['redis us/call', ({ redisCpu }) => digits(redisCpu, 1)],
  ['generator us/call', ({ generatorCpu }) => digits(generatorCpu, 1)],
];

export const table = (rows) => tableOf(COLUMNS, rows);

// Formats rows as a table. A column is its title and a function from a row to the text of its cell.
export const tableOf = (columns, rows) =>
  align(columns.map(([title]) => title), rows.map((row) => columns.map(([, cell]) => cell(row))));

// Aligns text to the left and numbers to the right.
function align(titles, rows) {
  const widths = titles.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column].length)));
  const isNumber = titles.map((_, column) => rows.every((row) => /^(-|[\d.]+x?)$/.test(row[column])));
  const pad = (text, column) => (isNumber[column] ? text.padStart(widths[column]) : text.padEnd(widths[column]));
  return [titles, ...rows].map((row) => row.map(pad).join('  ').trimEnd()).join('\n');
}

// Formats a number with `count` decimals, or as `-` if it was not measured.
export const digits = (number, count) => (Number.isFinite(number) ? number.toFixed(count) : '-');
