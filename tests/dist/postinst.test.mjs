// Runs the package's postinst as an upgrade does, with programs that take the place of systemd's.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { attempt, ROOT, run } from '../deploy/engine.mjs';
import { staticProgram } from '../deploy/volume.mjs';

const HASH = 'ab'.repeat(32);
const CALLER = '[callers.frontend]\nroles = ["frontend"]\napps = ["*"]\n';
const CALLER_DROP_IN = ['LoadCredential=hashes:ROOT/secret', 'Environment=CLOAKROOM__CALLERS__FRONTEND__TOKEN_HASHES_FILE=%d/hashes'];
const folders = [];

after(() => {
  for (const folder of folders) fs.rmSync(folder, { recursive: true, force: true });
});

// A folder with the service's unit, its drop-in, its configuration, and a file that the drop-in names.
function machine({ config, dropIn = [], secret = '' }) {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'cloakroom-postinst-'));
  folders.push(root);
  for (const folder of ['run/systemd/system', 'usr/bin', 'etc/cloakroom', 'var/lib/cloakroom', 'stubs']) {
    fs.mkdirSync(path.join(root, folder), { recursive: true });
  }
  const below = (text) => text.replace(/(?<![\w.])\/(?=(run|usr\/bin|etc|var)\/)/g, `${root}/`);
  const write = (name, text, mode) => fs.writeFileSync(path.join(root, name), text, { mode });
  write('cloakroom.service', below(fs.readFileSync(path.join(ROOT, 'deploy/systemd/cloakroom.service'), 'utf8')));
  // The last line has no end, as an editor may leave it.
  write('drop-in.conf', ['[Service]', ...dropIn].join('\n').replaceAll('ROOT', root));
  write('etc/cloakroom/cloakroom.toml', config);
  write('secret', secret);
  write('postinst', below(fs.readFileSync(path.join(ROOT, 'deploy/debian/postinst'), 'utf8')).replace(`#!${root}`, '#!'));
  fs.symlinkSync(staticProgram(), path.join(root, 'usr/bin/cloakroom'));
  fs.copyFileSync(path.join(ROOT, 'tests/dist/systemctl.mjs'), path.join(root, 'stubs/systemctl.mjs'));
  write('stubs/systemctl', '#!/bin/sh\nexec node "$TEST_ROOT/stubs/systemctl.mjs" "$@"\n', 0o755);
  write('stubs/deb-systemd-invoke', '#!/bin/sh\necho "$@" >> "$TEST_ROOT/invoked"\n', 0o755);
  for (const name of ['deb-systemd-helper', 'systemd-sysusers']) write(`stubs/${name}`, '#!/bin/sh\n', 0o755);
  return root;
}

// Returns what the upgrade does to the service, and what it says.
async function upgrade(root) {
  const env = { TEST_ROOT: root, PATH: `${root}/stubs:${process.env.PATH}`, DPKG_ROOT: '' };
  const { code, stderr } = await attempt('sh', [path.join(root, 'postinst'), 'configure', '0.1.0-1'], { env });
  assert.equal(code, 0, stderr);
  const file = path.join(root, 'invoked');
  return { invoked: fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : '', stderr };
}

test('an upgrade restarts a service whose TLS key is a credential, and whose certificate has a relative path', async () => {
  const root = machine({
    config: '[server.tls]\ncertificate_file = "tls.crt"\n',
    dropIn: ['LoadCredential=key:ROOT/secret', 'Environment=CLOAKROOM__SERVER__TLS__KEY_FILE=%d/key'],
  });
  const files = ['-keyout', path.join(root, 'secret'), '-out', path.join(root, 'var/lib/cloakroom/tls.crt')];
  await run('openssl', ['req', '-x509', '-nodes', '-newkey', 'rsa:2048', '-subj', '/CN=localhost', ...files]);

  assert.deepEqual(await upgrade(root), { invoked: 'restart cloakroom.service\n', stderr: '' });
});

test('an upgrade restarts a service whose callers have their hashes by a drop-in', async () => {
  const root = machine({ config: CALLER, dropIn: CALLER_DROP_IN, secret: HASH });

  assert.deepEqual(await upgrade(root), { invoked: 'restart cloakroom.service\n', stderr: '' });
});

test('an upgrade does not touch a service whose configuration is wrong, and says what is wrong', async () => {
  const root = machine({ config: `${CALLER}rolls = []\n`, dropIn: CALLER_DROP_IN, secret: HASH });

  const { invoked, stderr } = await upgrade(root);

  assert.equal(invoked, '');
  assert.match(stderr, /rolls/);
  assert.match(stderr, /is wrong, so the service is not restarted/);
});

test('an upgrade does not touch a service whose drop-in names a wrong file', async () => {
  const root = machine({ config: CALLER, dropIn: CALLER_DROP_IN, secret: 'no hash' });

  const { invoked, stderr } = await upgrade(root);

  assert.equal(invoked, '');
  assert.match(stderr, /token_hashes/);
});

test('systemd accepts the unit of the check, and it has no runtime folder', async () => {
  const root = machine({ config: CALLER, dropIn: CALLER_DROP_IN, secret: HASH });
  const file = path.join(root, 'cloakroom-check.service');
  // Keeps the unit, which the script removes.
  fs.writeFileSync(path.join(root, 'stubs/rm'), `#!/bin/sh\ncp "$2" ${file}\n`, { mode: 0o755 });

  await upgrade(root);

  const { stderr } = await attempt('systemd-analyze', ['verify', '--man=no', file]);
  assert.doesNotMatch(stderr, /cloakroom-check\.service/);
  assert.match(fs.readFileSync(file, 'utf8'), /^RuntimeDirectory=cloakroom\n(.*\n)*RuntimeDirectory=$/m);
});
