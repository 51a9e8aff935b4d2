// The service, as a process of its own, with a few apps.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort, isListening, Process, waitUntil } from '../../../tests/web/processes.mjs';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const APPS = `
[apps.shop]
keys = ["{key}"]
[apps.signed]
kind = "cookie"
keys = ["{key}"]
[apps.keyless]
[apps.login]
keys = ["{key}"]
subject_key = "user"
[apps.passport]
keys = ["{key}"]
subject_key = "passport.user"
`;

export class Service {
  // `host` and `port` are where it listens, and `store` is the kind of its store. `server` has more settings of that
  // table, and `more` more tables.
  static async start({ host = '127.0.0.1', port, store = 'embedded', server = '', more = '' } = {}) {
    const service = new Service();
    service.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'cloakroom-node-'));
    service.host = host;
    service.port = port ?? await freePort();
    service.adminPort = await freePort();
    service.socket = path.join(service.folder, 'cloakroom.sock');
    service.config = path.join(service.folder, 'cloakroom.toml');
    const key = execFileSync(binary(), ['keygen'], { encoding: 'utf8', stdio: 'pipe' }).trim().split(/\s+/).at(-1);
    fs.writeFileSync(service.config, `[server]
listen = "${service.address}"
unix_socket = "${service.socket}"
max_connections_per_peer = 4096
${server}
[admin]
listen = "127.0.0.1:${service.adminPort}"
[store]
kind = "${store}"
[store.embedded]
path = "${service.folder}/data"
${more.replaceAll('{key}', key)}
${APPS.replaceAll('{key}', key)}`);
    await service.launch();
    return service;
  }

  get address() {
    return `${this.host}:${this.port}`;
  }

  // Starts the process, also after `stop`. It has its sessions again.
  async launch() {
    const env = { ...process.env, RUST_LOG: 'error' };
    // What it prints goes to a file beside its configuration.
    const script = `exec "$0" "$@" 2>>service.log`;
    this.process = new Process('sh', ['-c', script, binary(), 'serve', '--config', this.config], { env, cwd: this.folder });
    const isReady = async () => await isListening(this.port, this.host) && isListening(this.adminPort);
    await this.process.whileRunning(waitUntil('the service listens', isReady));
  }

  // Returns how many calls of an RPC have ended well, by one protocol or by all.
  countCalls(rpc, protocol) {
    const label = protocol === undefined ? '' : `protocol="${protocol}"`;
    const sample = `cloakroom_calls_total{rpc="cloakroom.v1.SessionService/${rpc}",${label}`;
    return this.#sum((line) => line.startsWith(sample) && line.includes('code="OK"'));
  }

  // Returns how many streams are under way.
  countStreams() {
    return this.#sum((line) => line.startsWith('cloakroom_streams{'));
  }

  // Returns how many connections are open to the address for calls.
  countConnections() {
    return this.#sum((line) => line.startsWith('cloakroom_connections{listener="frontends"}'));
  }

  // Returns the sum of the metrics whose lines a function selects.
  async #sum(isSample) {
    const metrics = await (await fetch(`http://127.0.0.1:${this.adminPort}/metrics`)).text();
    return metrics.split('\n').filter(isSample).reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
  }

  // Runs `cloakroom sessions` and returns what it prints.
  sessions(...args) {
    const admin = ['--address', `127.0.0.1:${this.adminPort}`, '--json'];
    const printed = execFileSync(binary(), ['sessions', ...admin, ...args], { encoding: 'utf8' });
    return printed.split('\n').filter((line) => line !== '').map((line) => JSON.parse(line));
  }

  stop(signal) {
    return this.process.stop(signal);
  }

  // Stops it for good.
  async remove() {
    await this.stop('SIGKILL');
    fs.rmSync(this.folder, { recursive: true });
  }
}

// Returns the text of each setting that the service has for an app by default, by its name and table.
export function defaultsOfApps() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'cloakroom-node-'));
  fs.writeFileSync(path.join(folder, 'cloakroom.toml'), '');
  const printed = execFileSync(binary(), ['check', '--config', path.join(folder, 'cloakroom.toml')], { encoding: 'utf8', stdio: 'pipe' });
  fs.rmSync(folder, { recursive: true });
  const defaults = new Map();
  let table;
  for (const line of printed.split('\n')) {
    table = line.match(/^\[(.*)\]$/)?.[1] ?? table;
    const [, name, value] = line.match(/^(\w+) = (.*?) +# default$/) ?? [];
    if (name !== undefined) defaults.set(`${table}.${name}`, JSON.parse(value));
  }
  return defaults;
}

// Returns the program named by CLOAKROOM_BIN, or else the one that was built last.
function binary() {
  const built = ['dist', 'release', 'debug']
    .map((profile) => path.join(ROOT, 'target', profile, 'cloakroom'))
    .filter((file) => fs.existsSync(file))
    .sort((one, other) => fs.statSync(other).mtimeMs - fs.statSync(one).mtimeMs);
  const file = process.env.CLOAKROOM_BIN ?? built[0];
  if (!file) throw new Error('build the service first (cargo build), or name it by CLOAKROOM_BIN');
  return path.resolve(ROOT, file);
}
