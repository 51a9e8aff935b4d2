// The commands of docs/dotnet.md, one after the other: each prints what stands below it.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { test } from 'node:test';
import { Service } from '../../clients/node/tests/service.mjs';

const PAGE = fs.readFileSync(new URL('../../docs/dotnet.md', import.meta.url), 'utf8');
const ADDRESS = '127.0.0.1:50051';

/** Returns the blocks of code of a language, or of several. */
const blocks = (languages) =>
  [...PAGE.matchAll(new RegExp(`^\`\`\`(${languages})\n(.*?)^\`\`\`$`, 'gms'))].map(([, language, text]) => ({ language, text }));

/** Returns those members of an answer that are expected. */
function membersOf(answer, expected) {
  if (!(expected instanceof Object) || !(answer instanceof Object)) return answer;
  return Object.fromEntries(Object.entries(expected).map(([name, value]) => [name, membersOf(answer[name], value)]));
}

test('every command of the recipe for .NET prints what the page says', async (t) => {
  const [{ text: settings }] = blocks('toml');
  const service = await Service.start({ more: settings.replace('[apps.shop]', '[apps.dotnet]') });
  t.after(() => service.remove());
  // A block without an answer sets variables, and so does the beginning of another one.
  let variables = '';
  let commands = 0;
  let text;
  for (const block of blocks('sh|json')) {
    if (block.language === 'sh') {
      text = block.text.replaceAll(ADDRESS, service.address).replaceAll('"app":"shop"', '"app":"dotnet"');
      variables += text.split('\n').filter((line) => /^\w+=/.test(line)).join('\n') + '\n';
      continue;
    }
    const printed = execFileSync('bash', ['-euc', variables + text.slice(text.indexOf('curl'))], { encoding: 'utf8', timeout: 60_000 });
    const expected = JSON.parse(block.text);
    assert.deepEqual(membersOf(JSON.parse(printed), expected), expected, text);
    commands += 1;
  }
  assert.equal(commands, PAGE.match(/^curl /gm).length);
});
