// The applications of README.md, each of which counts the visits of a session.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Service } from './fixtures.mjs';
import { freePort, isListening, Process, waitUntil } from './processes.mjs';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const README = fs.readFileSync(path.join(ROOT, 'README.md'), 'utf8');

const blocksOf = (language) => [...README.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\`$`, 'gms'))].map(([, text]) => text);

// What makes a whole program of the blocks, and the command that serves it on a port.
const APPLICATIONS = {
  python: {
    file: 'app.py',
    program: ([text]) => text,
    command: (port) => [path.join(ROOT, '.tools/python/bin/python'), '-m', 'flask', 'run', '--port', String(port)],
  },
  js: {
    file: 'app.mjs',
    program: ([text], port) => `${text}\napp.listen(${port}, '127.0.0.1');\n`,
    command: () => [process.execPath, 'app.mjs'],
    prepare(folder) {
      const modules = path.join(folder, 'node_modules');
      fs.mkdirSync(modules);
      fs.symlinkSync(path.join(ROOT, 'clients/node'), path.join(modules, 'cloakroom-sessions'));
      fs.symlinkSync(path.join(ROOT, 'tests/web/node_modules/express'), path.join(modules, 'express'));
    },
  },
  go: {
    file: 'main.go',
    program: ([setUp, handler], port) => `package main

import (
	"fmt"
	"log"
	"net/http"

	"cloakroom.example/cloakroom"
	"cloakroom.example/cloakroom/sessions"
)

func main() {
${setUp.replace('":8000"', `"127.0.0.1:${port}"`)}}

${handler}`,
    command: () => ['./app'],
    prepare(folder) {
      const module = 'cloakroom.example/cloakroom';
      const go = (...args) => execFileSync('go', args, { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] });
      fs.copyFileSync(path.join(ROOT, 'examples/go/go.sum'), path.join(folder, 'go.sum'));
      go('mod', 'init', 'visits.example');
      go('mod', 'edit', `-require=${module}@v0.0.0`, `-replace=${module}=${path.join(ROOT, 'clients/go')}`);
      go('build', '-mod=mod', '-o', 'app', '.');
    },
  },
};

let service;

before(async () => {
  service = await Service.start();
});

after(() => service?.stop());

for (const [language, { file, program, command, prepare }] of Object.entries(APPLICATIONS)) {
  test(`the application in ${language} counts the visits of each session`, async (t) => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'cloakroom-readme-'));
    t.after(() => fs.rmSync(folder, { recursive: true }));
    const port = await freePort();
    const text = program(blocksOf(language), port);
    assert.ok(text.includes('localhost:50051'));
    fs.writeFileSync(path.join(folder, file), text.replace('localhost:50051', service.address));
    prepare?.(folder);
    const [name, ...args] = command(port);
    const app = new Process(name, args, { cwd: folder });
    t.after(() => app.stop());
    await app.whileRunning(waitUntil('the application listens', () => isListening(port)));
    const url = `http://127.0.0.1:${port}/`;

    const first = await fetch(url);
    const [cookie] = first.headers.getSetCookie()[0].split(';');
    const second = await fetch(url, { headers: { cookie } });

    assert.deepEqual([(await first.text()).trim(), (await second.text()).trim()], ['visit 1', 'visit 2']);
  });
}
