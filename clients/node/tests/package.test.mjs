// The package as it is installed.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const PACKAGE = fileURLToPath(new URL('..', import.meta.url));

test('an empty project installs it without another package, and imports or requires it', (t) => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'cloakroom-package-'));
  t.after(() => fs.rmSync(folder, { recursive: true }));
  const run = (command, ...args) => execFileSync(command, args, { cwd: folder, encoding: 'utf8', stdio: 'pipe' }).trim();
  fs.writeFileSync(path.join(folder, 'package.json'), '{}');

  const tarball = run('npm', 'pack', '--silent', PACKAGE);
  run('npm', 'install', '--offline', '--no-audit', '--no-fund', `./${tarball}`);
  const load = "[typeof sessions, typeof openSession, typeof Client].join()";
  const required = run('node', '-p', `const { sessions, openSession } = require('cloakroom-sessions/express');
    const { Client } = require('cloakroom-sessions'); ${load}`);
  const imported = run('node', '--input-type=module', '-e', `import { openSession, sessions } from 'cloakroom-sessions/express';
    import { Client } from 'cloakroom-sessions'; console.log(${load})`);

  assert.deepEqual([required, imported], ['function,function,function', 'function,function,function']);
  const installed = fs.readdirSync(path.join(folder, 'node_modules')).filter((name) => !name.startsWith('.'));
  assert.deepEqual(installed, ['cloakroom-sessions']);
  assert.deepEqual(fs.readdirSync(path.join(folder, 'node_modules/cloakroom-sessions')).sort(),
    ['README.md', 'package.json', 'src', 'types']);
});
