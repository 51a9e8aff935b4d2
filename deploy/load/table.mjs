// Numbers for people: one table in plain text.

const COLUMNS = [
  ['store', ({ store }) => store],
  ['call', ({ call }) => call],
  ['calls/s', ({ rate }) => digits(rate, 0)],
  ['p50 ms', ({ p50 }) => digits(p50, 2)],
  ['p99 ms', ({ p99 }) => digits(p99, 2)],
  ['errors', ({ errors }) => digits(errors, 0)],
  ['service us/call', ({ own }) => digits(own, 1)],
  ['redis us/call', ({ ofRedis }) => digits(ofRedis, 1)],
  ['ghz us/call', ({ ofGenerator }) => digits(ofGenerator, 1)],
];

export const table = (rows) => tableOf(COLUMNS, rows);

// Each column has a title, and makes a cell of a row.
export const tableOf = (columns, rows) =>
  layOut(columns.map(([title]) => title), rows.map((row) => columns.map(([, cell]) => cell(row))));

// Words to the left, numbers to the right.
function layOut(titles, rows) {
  const widths = titles.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column].length)));
  const isNumber = titles.map((_, column) => rows.every((row) => /^(-|[\d.]+x?)$/.test(row[column])));
  const pad = (text, column) => (isNumber[column] ? text.padStart(widths[column]) : text.padEnd(widths[column]));
  return [titles, ...rows].map((row) => row.map(pad).join('  ').trimEnd()).join('\n');
}

// A number with so many digits after the point; `-` where nothing was measured.
export const digits = (number, count) => (Number.isFinite(number) ? number.toFixed(count) : '-');
