// The example apps, called by curl as their READMEs say.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { App, LANGUAGES, Service } from './fixtures.mjs';

let service;

before(async () => {
  service = await Service.start();
});

after(() => service?.stop());

// Returns the commands of an app's README that call it by curl.
function commandsOf(name) {
  const readme = fs.readFileSync(new URL(`../../examples/${name}/README.md`, import.meta.url), 'utf8');
  return readme.split('\n').filter((line) => line.startsWith('    curl ')).map((line) => line.trim());
}

for (const name of LANGUAGES) {
  test(`the commands in the README of the app ${name} log in, count and log out`, async (t) => {
    const app = await App.start(name, service);
    t.after(() => app.stop());
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'cloakroom-curl-'));
    t.after(() => fs.rmSync(folder, { recursive: true }));
    const run = (command) => execFileSync('bash', ['-c', command.replace(/http:\/\/127\.0\.0\.1:\d+/, app.url)],
      { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });

    const pages = commandsOf(name).map(run);

    const shown = pages.map((page) => [page.match(/id="who">([^<]*)/)[1], page.match(/id="count">(\d+)/)[1]]);
    assert.deepEqual(shown, [['Hello, Ada', '0'], ['Hello, Ada', '1'], ['not logged in', '0']]);
  });
}
