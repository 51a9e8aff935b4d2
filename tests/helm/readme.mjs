// The table of values in the chart's README, made of the comments in values.yaml.
import fs from 'node:fs';
import path from 'node:path';
import { CHART } from './chart.mjs';

const README = path.join(CHART, 'README.md');
const [BEGIN, END] = ['<!-- values: made by `make helm-files` -->\n', '<!-- end of values -->'];

// Every value that has a comment: its path, its default as JSON and the comment.
//
// `tree` are the parsed values. A value with a comment is described as a whole, with everything below it.
export function describedValues(text, tree) {
  const described = [];
  const names = [];
  let comment = [];
  let skipped = Infinity;
  for (const line of text.split('\n')) {
    const [, indent, name] = line.match(/^( *)([A-Za-z]+):/) ?? [];
    if (line === '') comment = [];
    if (/^ *# /.test(line)) {
      comment.push(line.trim().slice(2));
    } else if (name !== undefined && indent.length <= skipped) {
      skipped = Infinity;
      names.length = indent.length / 2;
      names.push(name);
      if (comment.length > 0) {
        const value = names.reduce((table, one) => table[one], tree);
        described.push({ path: names.join('.'), value: JSON.stringify(value), text: comment.join(' ') });
        skipped = indent.length;
      }
      comment = [];
    }
  }
  return described;
}

// The README with a table of these values.
export function readmeWith(values, readme = fs.readFileSync(README, 'utf8')) {
  const cell = (text) => text.replaceAll('|', '\\|');
  const code = (json) => (json.length > 50 ? 'see values.yaml' : `\`${cell(json)}\``);
  const rows = values.map(({ path: name, value, text }) => `| \`${name}\` | ${code(value)} | ${cell(text)} |`);
  const table = ['| value | default | what it is |', '|---|---|---|', ...rows].join('\n');
  const [before, rest] = readme.split(BEGIN);
  return `${before}${BEGIN}${table}\n${END}${rest.split(END)[1]}`;
}

export const readme = () => fs.readFileSync(README, 'utf8');
export const writeReadme = (text) => fs.writeFileSync(README, text);
export const valuesText = () => fs.readFileSync(path.join(CHART, 'values.yaml'), 'utf8');
