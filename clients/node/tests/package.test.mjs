// The package as it is installed: by `import`, by `require`, and with TypeScript.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const PACKAGE = fileURLToPath(new URL('..', import.meta.url));
const MODULES = path.join(PACKAGE, 'node_modules');
const { exports: EXPORTS, typesVersions: TYPES_VERSIONS } = createRequire(import.meta.url)('../package.json');
const NAMES = Object.keys(EXPORTS).filter((name) => !name.endsWith('.json')).map((name) => `cloakroom-sessions${name.slice(1)}`);

let folder;
const run = (command, ...args) => execFileSync(command, args, { cwd: folder, encoding: 'utf8', stdio: 'pipe' }).trim();

before(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'cloakroom-package-'));
  fs.writeFileSync(path.join(folder, 'package.json'), '{}');
  const tarball = run('npm', 'pack', '--silent', PACKAGE);
  run('npm', 'install', '--offline', '--no-audit', '--no-fund', '--omit=peer', `./${tarball}`);
});

after(() => fs.rmSync(folder, { recursive: true }));

test('an empty project installs it without another package', () => {
  const installed = fs.readdirSync(path.join(folder, 'node_modules')).filter((name) => !name.startsWith('.'));

  assert.deepEqual(installed, ['cloakroom-sessions']);
  assert.deepEqual(fs.readdirSync(path.join(folder, 'node_modules/cloakroom-sessions')).sort(),
    ['README.md', 'package.json', 'src', 'types']);
});

test('import and require give the same names of every part', () => {
  for (const name of NAMES) {
    const required = run('node', '-p', `Object.keys(require('${name}')).sort().join()`);
    const imported = run('node', '--input-type=module', '-e', `import * as all from '${name}';
      console.log(Object.keys(all).filter((each) => each !== 'default' && each !== 'module.exports').sort().join())`);

    assert.notEqual(required, '', name);
    assert.equal(imported, required, name);
  }
});

// Checks the types of an application in files of some extensions.
function checkTypes(extensions, moduleOptions) {
  const modules = path.join(folder, 'node_modules');
  for (const name of ['@types', 'fastify', 'koa', 'express', 'undici-types']) {
    if (!fs.existsSync(path.join(modules, name))) fs.symlinkSync(path.join(MODULES, name), path.join(modules, name));
  }
  for (const extension of extensions) fs.writeFileSync(path.join(folder, `application.${extension}`), APPLICATION);
  fs.writeFileSync(path.join(folder, 'tsconfig.json'), JSON.stringify({
    compilerOptions: {
      ...moduleOptions, target: 'es2022', strict: true, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true,
      verbatimModuleSyntax: false, noEmit: true, skipLibCheck: true, esModuleInterop: true, types: ['node'],
    },
    files: extensions.map((extension) => `application.${extension}`),
  }));

  try {
    run(process.execPath, path.join(MODULES, 'typescript/bin/tsc'));
  } catch (error) {
    assert.fail(error.stdout);
  }
}

test('strict TypeScript accepts an application as an ES module and as CommonJS', () => {
  checkTypes(['mts', 'cts'], { module: 'nodenext' });
});

test('TypeScript that does not read exports finds the types of every part', () => {
  checkTypes(['ts'], { module: 'commonjs', moduleResolution: 'node10' });
});

test('typesVersions and exports name the same types', () => {
  const parts = Object.entries(EXPORTS).filter(([name]) => name !== '.' && !name.endsWith('.json'));

  assert.deepEqual(TYPES_VERSIONS, { '*': Object.fromEntries(parts.map(([name, { types }]) => [name.slice(2), [types]])) });
});

const APPLICATION = `
import { Client, ConnectTransport, Session } from 'cloakroom-sessions';
import { AdminClient } from 'cloakroom-sessions/admin';
import { sessions as expressSessions } from 'cloakroom-sessions/express';
import { sessions as fastifySessions } from 'cloakroom-sessions/fastify';
import { sessions as koaSessions } from 'cloakroom-sessions/koa';
import { MemoryTransport } from 'cloakroom-sessions/testing';
import { sessions as webSessions } from 'cloakroom-sessions/web';
import express from 'express';
import fastify from 'fastify';
import Koa from 'koa';

const client = new Client({ service: new ConnectTransport('localhost:50051'), app: 'shop' });
express().use(expressSessions({ client })).get('/', (request, response) => { response.json(request.session.subject); });
fastify().register(fastifySessions, { client });
new Koa().use(koaSessions({ client })).use((ctx) => { ctx.session.rotate(); });
new Client({ service: new MemoryTransport({ name: 'shop' }) });
new AdminClient({ service: 'localhost:50052', app: 'shop' });
export const handle = (request: Request): Promise<Response> =>
  webSessions({ client }).handle(request, (session) => Response.json(session.id));
// @ts-expect-error A deadline is a number of milliseconds.
new Client({ deadline: '2s' });
// @ts-expect-error The values of headers are text.
const header: { name: string; value: number }[] = await_headers(new Session(client));
declare function await_headers(session: Session): Awaited<ReturnType<Session['finish']>>;
export { header };
`;
