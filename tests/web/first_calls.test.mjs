// The curl commands of README.md and of the other pages, one after the other at a new service, and that which `serve` prints.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { binary, Service } from './fixtures.mjs';
import { freePort, isListening, Process, waitUntil } from './processes.mjs';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const ADDRESS = '127.0.0.1:50051';
// Other tests run these: curl.test.mjs, and tests/stores/dotnet.test.mjs.
const RUN_ELSEWHERE = [/^examples\/(go|node|python)\/README\.md$/, /^docs\/dotnet\.md$/];
const PAGES = execFileSync('git', ['ls-files', '*.md'], { cwd: ROOT, encoding: 'utf8' }).trim().split('\n')
  .filter((page) => /^ *curl /m.test(read(page)) && !RUN_ELSEWHERE.some((pattern) => pattern.test(page)));

function read(page) {
  return fs.readFileSync(path.join(ROOT, page), 'utf8');
}

const blocksOf = (page, language) => [...read(page).matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\`$`, 'gms'))].map(([, text]) => text);

// Returns the lines of a shell script without comments, those that go on in the next line joined.
const linesOf = (script) => script.replaceAll('\\\n', '').split('\n').filter((line) => line !== '' && !line.startsWith('#'));

// Runs the commands of a page and returns the answer of each. An abbreviated token, such as `v1.…`, stands for the last
// one of its kind that was answered.
function runCommands(page, service) {
  const answers = [];
  const tokens = {};
  for (const script of blocksOf(page, 'sh').filter((block) => /^curl /m.test(block))) {
    let variables = '';
    for (const line of linesOf(script)) {
      if (/^\w+=/.test(line)) variables += `${line}\n`;
      else answers.push(run(variables + line.replaceAll(ADDRESS, service.address), tokens));
    }
  }
  return answers;
}

function run(command, tokens) {
  const withTokens = command.replace(/\b(\w+)\.…/g, (text, version) => tokens[version] ?? text);
  // It fails if the status is none of success.
  const script = `curl() { command curl --silent --show-error --fail-with-body "$@"; }\n${withTokens}`;
  const printed = execFileSync('bash', ['-euc', script], { encoding: 'utf8', timeout: 60_000 });
  const answer = JSON.parse(printed.replace(/^HTTP\/1\.1 200 .*?\r\n\r\n/s, ''));
  const setCookie = answer.headers?.find(({ name }) => name === 'Set-Cookie')?.value;
  for (const token of [answer.session?.token, setCookie?.match(/^session=([^;]*)/)[1]]) {
    if (token) tokens[token.slice(0, token.indexOf('.'))] = token;
  }
  return answer;
}

// Starts a service for the commands of a page, with the apps that the page configures.
async function startService(t, page) {
  const apps = blocksOf(page, 'toml').filter((text) => text.startsWith('[apps.'));
  const service = await Service.start({ apps });
  t.after(() => service.stop());
  return service;
}

test('README.md opens a session, saves, opens it by its cookie and ends it', async (t) => {
  const service = await startService(t, 'README.md');

  const [first, saved, second, ended] = runCommands('README.md', service);

  assert.match(first.session.token, /^t1\./);
  assert.equal(first.session.new, true);
  assert.equal(saved.outcome, 'OUTCOME_CREATED');
  assert.match(saved.headers.find(({ name }) => name === 'Set-Cookie').value, /^session=v1\./);
  assert.deepEqual(second.session.entries, { cart: { json: '[1, 2]' }, visits: { json: '1' } });
  assert.match(ended.headers.find(({ name }) => name === 'Set-Cookie').value, /^session=; Expires=Thu, 01 Jan 1970/);
});

describe('every curl command succeeds', () => {
  for (const page of PAGES) {
    test(`of ${page}`, async (t) => {
      const service = await startService(t, page);

      const answers = runCommands(page, service);

      assert.equal(answers.length, read(page).match(/^ *curl /gm).length);
    });
  }

  test('that `serve` prints', async (t) => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'cloakroom-serve-'));
    const [port, adminPort] = [await freePort(), await freePort()];
    const listeners = { CLOAKROOM__SERVER__LISTEN: `127.0.0.1:${port}`, CLOAKROOM__ADMIN__LISTEN: `127.0.0.1:${adminPort}` };
    const options = { env: { ...process.env, ...listeners }, cwd: folder };
    const service = new Process('bash', ['-c', 'exec "$0" serve 2>&1', binary()], options);
    t.after(async () => {
      await service.stop();
      fs.rmSync(folder, { recursive: true });
    });
    const printed = createInterface({ input: service.child.stdout })[Symbol.asyncIterator]();

    let command;
    while (!command) [command] = (await service.whileRunning(printed.next())).value.match(/curl .*/) ?? [];
    await service.whileRunning(waitUntil('the service listens', () => isListening(port)));

    assert.match(run(command, {}).session.token, /^t1\./);
  });
});
