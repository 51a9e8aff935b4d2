// Checks the files of a release as a whole: checksums, the same bytes each time, and the bill of materials.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { ROOT, run } from '../deploy/engine.mjs';
import { FILES, released } from './release.mjs';

const PROGRAM = path.join(ROOT, 'target/debug/cloakroom');
const PYTHON = path.join(ROOT, '.tools/python/bin/python');
// On a busy machine.
const BUILD_TIMEOUT_MS = 20 * 60_000;

test('the checksums are those of the files, and name each of them', async () => {
  const sums = fs.readFileSync(path.join(FILES, 'SHA256SUMS'), 'utf8');
  const named = sums.trim().split('\n').map((line) => line.split('  ')[1]);

  await run('sha256sum', ['--check', '--strict', '--quiet', 'SHA256SUMS'], { cwd: FILES });
  assert.deepEqual([...named, 'SHA256SUMS'].sort(), fs.readdirSync(FILES).sort());
});

test('a second build with another umask and in another time zone has the same bytes', async () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'cloakroom-dist-'));
  const env = { TZ: 'Asia/Tokyo', LC_ALL: 'C', TMPDIR: folder };
  const build = [path.join(ROOT, 'deploy/dist/build.py'), path.join(ROOT, 'target/container/cloakroom'), path.join(folder, 'files')];

  await run('sh', ['-c', 'umask 077 && exec "$@"', 'sh', PYTHON, ...build], { env, timeout: BUILD_TIMEOUT_MS });

  const read = (files) => fs.readFileSync(path.join(files, 'SHA256SUMS'), 'utf8');
  assert.equal(read(path.join(folder, 'files')), read(FILES));
  fs.rmSync(folder, { recursive: true, force: true });
});

// The debug information of the program names the source files of everything that is linked.
test('the bill of materials has each crate that is linked, with the checksum of Cargo.lock', async () => {
  const bill = JSON.parse(fs.readFileSync(released(/\.cdx\.json$/), 'utf8'));
  const listed = new Map(bill.components.map((component) => [`${component.name}-${component.version}`, component]));
  const lock = fs.readFileSync(path.join(ROOT, 'Cargo.lock'), 'utf8');
  const locked = [...lock.matchAll(/^name = "(.+)"\nversion = "(.+)"\nsource = ".+"\nchecksum = "(.+)"$/gm)];
  const linked = linkedCrates();

  assert.ok(linked.size > 50, `only ${linked.size} crates are found in the program`);
  assert.deepEqual([...linked].filter((crate) => !listed.has(crate)), []);
  for (const [, name, version, checksum] of locked) {
    const component = listed.get(`${name}-${version}`);
    if (component) assert.equal(component.hashes[0].content, checksum, name);
  }
  assert.ok(!listed.has(locked.find(([, name]) => name === 'proptest').slice(1, 3).join('-')), 'it lists what only tests link');
  for (const name of ['rust-std', 'glibc']) assert.ok(bill.components.some((component) => component.name === name), name);
});

// Returns the folders of crates in paths such as `registry/src/<index>/bytes-1.12.2/src/lib.rs`.
function linkedCrates() {
  const text = fs.readFileSync(PROGRAM, 'latin1');
  return new Set([...text.matchAll(/registry\/src\/[^/\0]+\/([\w-]+-\d+\.\d+\.\d+[\w.+-]*)\//g)].map(([, crate]) => crate));
}
