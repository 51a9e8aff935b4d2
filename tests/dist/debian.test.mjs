// Installs the Debian package into a folder, and runs its unit's command there.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { attempt, ROOT, run } from '../deploy/engine.mjs';
import { staticProgram } from '../deploy/volume.mjs';
import { Process, waitUntil } from '../web/processes.mjs';
import { createSession, released, sessionEntries } from './release.mjs';

const UNIT = '/usr/lib/systemd/system/cloakroom.service';
const CONFIG = '/etc/cloakroom/cloakroom.toml';
// Without root, as root of a user namespace.
const AS_ROOT = process.getuid() === 0 ? [] : ['unshare', '--map-root-user'];
const folders = [];

after(() => {
  for (const folder of folders) fs.rmSync(folder, { recursive: true, force: true });
});

// A function, because some tests need no package.
const builtPackage = () => released(/\.deb$/);

// A folder with an empty database of packages.
function emptyRoot() {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'cloakroom-debian-'));
  folders.push(root);
  fs.chmodSync(root, 0o755);
  for (const folder of ['var/lib/dpkg/info', 'var/lib/dpkg/updates', 'var/log', 'etc']) {
    fs.mkdirSync(path.join(root, folder), { recursive: true });
  }
  fs.writeFileSync(path.join(root, 'var/lib/dpkg/status'), '');
  return root;
}

// The maintainer scripts run outside of the folder, and are told of it by DPKG_ROOT.
function dpkg(root, ...args) {
  const options = [`--root=${root}`, '--force-script-chrootless', '--force-depends', '--force-confold'];
  const [command, ...rest] = [...AS_ROOT, 'dpkg', ...options, ...args];
  return run(command, rest, { env: { PATH: `${process.env.PATH}:/usr/sbin:/sbin` } });
}

function installed() {
  const root = emptyRoot();
  return dpkg(root, '--install', builtPackage()).then(() => root);
}

const exists = (root, file) => fs.lstatSync(path.join(root, file), { throwIfNoEntry: false }) !== undefined;

test('the package makes its user and enables its unit, and purging leaves nothing behind', async () => {
  const root = await installed();
  const enabled = '/etc/systemd/system/multi-user.target.wants/cloakroom.service';

  assert.match(fs.readFileSync(path.join(root, 'etc/passwd'), 'utf8'), /^cloakroom:/m);
  assert.match(fs.readlinkSync(path.join(root, enabled)), /\/systemd\/system\/cloakroom\.service$/);
  fs.mkdirSync(path.join(root, 'var/lib/cloakroom'));

  await dpkg(root, '--remove', 'cloakroom');
  assert.ok(exists(root, CONFIG) && exists(root, '/var/lib/cloakroom'), 'removing takes what only purging may take');
  await dpkg(root, '--purge', 'cloakroom');
  for (const file of [CONFIG, '/var/lib/cloakroom', enabled, UNIT, '/usr/bin/cloakroom']) {
    assert.ok(!exists(root, file), `${file} is left`);
  }
});

test('a changed configuration survives an upgrade', async () => {
  const root = await installed();
  fs.appendFileSync(path.join(root, CONFIG), '\n# changed\n');

  await dpkg(root, '--install', builtPackage());

  assert.match(fs.readFileSync(path.join(root, CONFIG), 'utf8'), /# changed/);
});

test("the unit's command serves with the package's configuration, and its sessions survive a restart", async () => {
  const root = await installed();
  const socket = '/run/cloakroom/cloakroom.sock';
  const unit = fs.readFileSync(path.join(root, UNIT), 'utf8');
  const [, command] = unit.match(/^ExecStart=(.+)$/m);
  // What systemd makes of StateDirectory and RuntimeDirectory.
  assert.match(unit, /^StateDirectory=cloakroom\n(.*\n)*RuntimeDirectory=cloakroom$/m);
  for (const folder of ['var/lib/cloakroom', 'run/cloakroom']) fs.mkdirSync(path.join(root, folder), { mode: 0o700, recursive: true });
  const env = {
    PATH: `${process.env.PATH}:/usr/sbin:/sbin`,
    CLOAKROOM__SERVER__LISTEN: '127.0.0.1:0',
    CLOAKROOM__SERVER__UNIX_SOCKET: socket,
    CLOAKROOM__ADMIN__LISTEN: '127.0.0.1:0',
  };
  const address = path.join(root, socket);
  const isServing = async () => (await attempt(staticProgram(), ['healthcheck', '--address', `unix:${address}`])).code === 0;
  fs.mkdirSync(path.join(root, 'dev'));
  // In a mount namespace of its own, so that nothing has to be unmounted.
  const enter = 'mount --rbind /dev "$0/dev" && exec chroot "$0" "$@"';
  const args = ['--mount', ...AS_ROOT.slice(1), 'sh', '-c', enter, root, ...command.split(' ')];
  const serve = async () => {
    const service = new Process('unshare', args, { env });
    await service.whileRunning(waitUntil('the service serves', isServing));
    return service;
  };

  const first = await serve();
  const token = await createSession(address);
  await first.stop();
  const second = await serve();
  const entries = await sessionEntries(address, token);
  await second.stop();

  assert.deepEqual(entries, { cart: { json: '[1]' } });
  assert.notDeepEqual(fs.readdirSync(path.join(root, 'var/lib/cloakroom')), [], 'the sessions are elsewhere');
});

test('the unit runs only programs that each Debian has', async () => {
  const root = await installed();
  const unit = fs.readFileSync(path.join(root, UNIT), 'utf8');
  const programs = [...unit.matchAll(/^Exec\w+=(\S+)/gm)].map(([, program]) => program).filter((program) => !exists(root, program));

  assert.notDeepEqual(programs, []);
  for (const program of programs) {
    const owner = (await run('dpkg-query', ['--search', program])).match(/^(\S+): /m)[1];
    assert.equal(await run('dpkg-query', ['--show', '--showformat=${Essential}', owner]), 'yes', `${program} of ${owner}`);
  }
});

test('systemd accepts the unit and finds it well protected', async () => {
  const root = await installed();
  const unit = path.join(root, 'cloakroom.service');
  const text = fs.readFileSync(path.join(root, UNIT), 'utf8');
  fs.writeFileSync(unit, text.replace('=/usr/bin/', `=${root}/usr/bin/`));

  const { stderr } = await attempt('systemd-analyze', ['verify', '--man=no', unit]);

  assert.doesNotMatch(stderr, /cloakroom\.service/);
  // The highest exposure that passes, in tenths.
  await run('systemd-analyze', ['security', '--offline=true', '--threshold=20', '--no-pager', unit]);
});

test('systemd starts the service again after each failure that can pass', () => {
  const text = fs.readFileSync(path.join(ROOT, 'deploy/systemd/cloakroom.service'), 'utf8');
  const [, unit, service] = text.match(/^\[Unit\]\n(.*)^\[Service\]\n(.*)^\[Install\]$/ms);

  // Otherwise five failures within 10 seconds are the last.
  assert.match(unit, /^StartLimitIntervalSec=0$/m);
  assert.match(service, /^Restart=on-failure$/m);
  // A command line or a configuration that is wrong does not pass.
  assert.match(service, /^RestartPreventExitStatus=2 78$/m);
});

test('shells can read the completions', async () => {
  const root = await installed();
  const files = {
    bash: 'usr/share/bash-completion/completions/cloakroom',
    zsh: 'usr/share/zsh/vendor-completions/_cloakroom',
    fish: 'usr/share/fish/vendor_completions.d/cloakroom.fish',
  };

  for (const [shell, file] of Object.entries(files)) await run(shell, ['-n', path.join(root, file)]);
});
