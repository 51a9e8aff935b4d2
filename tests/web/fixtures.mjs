// The service, the example apps and other applications, and a browser.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { freePort, isListening, Process, waitUntil } from './processes.mjs';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const APPS = {
  python: ['.tools/python/bin/python', 'examples/python/app.py'],
  node: [process.execPath, 'examples/node/app.mjs'],
  go: ['target/examples/go'],
  express: [process.execPath, 'tests/web/express_app.mjs'],
  express_counter: [process.execPath, 'tests/web/languages/express_app.mjs'],
  flask: ['.tools/python/bin/python', 'tests/web/languages/flask_app.py'],
  ruby: ['/usr/bin/env', 'ruby', 'tests/web/languages/ruby_app.rb'],
  django: ['.tools/python/bin/python', 'tests/web/languages/django_app.py'],
};
export const LANGUAGES = ['python', 'node', 'go'];

// The service. It keeps its port and its store when it is restarted.
export class Service {
  // `host` and `port` are where it listens, and `keys` those of its app. It uses Redis if `redis` is its URL.
  // `environment` has more of its settings, and `apps` the tables of more apps, in TOML.
  static async start({ host = '127.0.0.1', port, adminPort, keys, redis, environment, apps = [] } = {}) {
    const service = new Service();
    Object.assign(service, { host, port: port ?? await freePort(), adminPort: adminPort ?? await freePort() });
    Object.assign(service, { redis, environment, apps });
    service.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'cloakroom-web-'));
    service.keys = keys ?? [];
    if (!keys) service.addKey();
    service.writeConfig();
    await service.launch();
    return service;
  }

  get address() {
    return `${this.host}:${this.port}`;
  }

  // Adds a key that signs from the next start. The older keys still verify.
  addKey() {
    this.keys.unshift(execFileSync(binary(), ['keygen'], { encoding: 'utf8' }).trim());
    this.writeConfig();
  }

  writeConfig() {
    const tables = [`[apps.default]\nkeys = ${JSON.stringify(this.keys)}\n`, ...this.apps];
    fs.writeFileSync(path.join(this.folder, 'cloakroom.toml'), tables.join('\n'));
  }

  async launch() {
    // It reads the settings in its working directory.
    const env = {
      ...process.env,
      CLOAKROOM__SERVER__LISTEN: this.address,
      CLOAKROOM__ADMIN__LISTEN: `127.0.0.1:${this.adminPort}`,
      CLOAKROOM__STORE__EMBEDDED__PATH: this.folder,
      ...(this.redis && { CLOAKROOM__STORE__KIND: 'redis', CLOAKROOM__STORE__REDIS__URL: this.redis }),
      ...this.environment,
    };
    this.process = new Process(binary(), ['serve'], { env, cwd: this.folder });
    const isReady = async () => await isListening(this.port, this.host) && isListening(this.adminPort);
    await this.process.whileRunning(waitUntil('the service listens', isReady));
  }

  // Returns how many calls of an RPC have ended well.
  async countCalls(rpc) {
    const metrics = await (await fetch(`http://127.0.0.1:${this.adminPort}/metrics`)).text();
    const sample = `cloakroom_calls_total{rpc="cloakroom.v1.SessionService/${rpc}",`;
    const samples = metrics.split('\n').filter((line) => line.startsWith(sample) && line.includes('code="OK"'));
    return samples.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
  }

  async stop() {
    await this.process.stop();
    fs.rmSync(this.folder, { recursive: true });
  }
}

// An empty Redis. `url` is its address.
export class Redis {
  static async start() {
    const redis = new Redis();
    const port = await freePort();
    redis.url = `redis://127.0.0.1:${port}`;
    redis.process = new Process('redis-server', ['--port', port, '--bind', '127.0.0.1', '--save', '']);
    await redis.process.whileRunning(waitUntil('redis listens', () => isListening(port)));
    return redis;
  }

  stop() {
    return this.process.stop();
  }
}

// One of the apps. `url` is its home page.
export class App {
  static async start(name, { address }, environment = {}) {
    const [command, ...args] = APPS[name];
    const env = { ...process.env, ...environment, CLOAKROOM_ADDRESS: address, PORT: '0' };
    const app = new App();
    app.process = new Process(path.resolve(ROOT, command), args, { env, cwd: ROOT });
    app.url = await app.process.firstLine();
    return app;
  }

  stop() {
    return this.process.stop();
  }
}

// Starts headless Chromium with a temporary profile, and more arguments.
export const launchBrowser = (args = []) => chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', ...args],
});

// Returns the program named by CLOAKROOM_BIN, or else the one that was built last.
export function binary() {
  const built = ['dist', 'release', 'debug']
    .map((profile) => path.join(ROOT, 'target', profile, 'cloakroom'))
    .filter((file) => fs.existsSync(file))
    .sort((one, other) => fs.statSync(other).mtimeMs - fs.statSync(one).mtimeMs);
  const file = process.env.CLOAKROOM_BIN ?? built[0];
  if (!file) throw new Error('build the service first (cargo build), or name it by CLOAKROOM_BIN');
  return path.resolve(file);
}
