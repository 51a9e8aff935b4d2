// PHP's own web server and php-fpm with the application of the tests, and browsers with a cookie.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { freePort, waitUntil } from '../../../tests/web/processes.mjs';
import { requestByFastCgi } from './fastcgi.mjs';

const APP = fileURLToPath(new URL('app.php', import.meta.url));
const WORKERS = 4;
const ATTEMPTS = 5;
const TIMEOUT_MS = 60_000;

// What both servers have: a folder, a log, and a group of processes that ends as one.
class Server {
  constructor(env) {
    this.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'cloakroom-php-'));
    this.gates = path.join(this.folder, 'gates');
    fs.mkdirSync(this.gates);
    fs.mkdirSync(path.join(this.folder, 'sessions'));
    this.logFile = path.join(this.folder, 'php.log');
    this.env = { ...process.env, CLOAKROOM_DEADLINE: '30000', GATES: this.gates, ...env };
  }

  settings(more) {
    const all = {
      error_log: this.logFile, log_errors: '1', display_errors: '0', 'zend.exception_ignore_args': '0',
      'session.save_path': path.join(this.folder, 'sessions'), ...more,
    };
    return Object.entries(all);
  }

  spawn(command, args) {
    const log = fs.openSync(this.logFile, 'a');
    this.child = spawn(command, args, { env: this.env, stdio: ['ignore', log, log], detached: true });
    fs.closeSync(log);
    this.ended = once(this.child, 'exit');
    this.kill = () => {
      try {
        process.kill(-this.child.pid, 'SIGKILL');
      } catch { /* They have ended. */ }
    };
    process.once('exit', this.kill);
  }

  // The workers of PHP's web server outlive it, so all of them are killed.
  async stop() {
    this.kill();
    process.removeListener('exit', this.kill);
    if (this.child.exitCode === null && this.child.signalCode === null) await this.ended;
    fs.rmSync(this.folder, { recursive: true, force: true });
  }

  get log() {
    return fs.readFileSync(this.logFile, 'utf8');
  }

  clearGates() {
    for (const name of fs.readdirSync(this.gates)) fs.rmSync(path.join(this.gates, name));
  }

  // Waits until a request has loaded its session and stands at its gate.
  async gate(name) {
    const file = path.join(this.gates, name);
    for (const end = Date.now() + TIMEOUT_MS; !fs.existsSync(file); await setTimeout(1)) {
      assert.ok(Date.now() < end, `no request has come to the gate ${name}: ${this.log}`);
    }
  }

  browser() {
    return new Browser(this);
  }
}

export class CliServer extends Server {
  static async start(env, settings, script = APP) {
    for (let attempt = 1; ; attempt++) {
      const server = new CliServer({ ...env, PHP_CLI_SERVER_WORKERS: String(WORKERS) });
      server.port = await freePort();
      const args = server.settings(settings).flatMap(([name, value]) => ['-d', `${name}=${value}`]);
      server.spawn('php', [...args, '-S', `127.0.0.1:${server.port}`, script]);
      const hasEnded = () => server.child.exitCode !== null;
      await waitUntil('php -S listens', () => hasEnded() || / Development Server \(.*\) started/.test(server.log));
      if (!hasEnded()) return server;
      const { log } = server;
      await server.stop();
      assert.ok(attempt < ATTEMPTS, log);
    }
  }

  // On a connection of its own: a worker that is busy accepts none, but makes those wait that it has.
  async request(query, headers) {
    const request = http.get({ host: '127.0.0.1', port: this.port, path: `/?${query}`, headers, agent: false });
    const [response] = await once(request, 'response');
    const { statusCode: status, headersDistinct } = response;
    const lines = Object.entries(headersDistinct).flatMap(([name, values]) => values.map((value) => [name, value]));
    return { status, headers: new Headers(lines), body: await text(response) };
  }
}

export class FpmServer extends Server {
  static async start(env, settings) {
    const server = new FpmServer(env);
    server.socket = path.join(server.folder, 'fpm.sock');
    const config = path.join(server.folder, 'fpm.conf');
    const isRoot = process.getuid() === 0;
    const values = server.settings(settings).map(([name, value]) => `php_admin_value[${name}] = "${value}"\n`);
    fs.writeFileSync(config, `[global]
error_log = ${server.logFile}
daemonize = no
[www]
${isRoot ? 'user = root\ngroup = root\n' : ''}listen = ${server.socket}
pm = static
pm.max_children = ${WORKERS}
clear_env = no
catch_workers_output = yes
${values.join('')}`);
    server.spawn(fpm(), ['--fpm-config', config, ...(isRoot ? ['--allow-to-run-as-root'] : [])]);
    await waitUntil('php-fpm listens', () => {
      assert.equal(server.child.exitCode, null, server.log);
      return new Promise((resolve) => {
        const socket = net.connect(server.socket, () => socket.end(() => resolve(true))).on('error', () => resolve(false));
      });
    });
    return server;
  }

  request(query, headers) {
    return requestByFastCgi(this.socket, APP, query, headers);
  }
}

// Debian's program has the version in its name.
function fpm() {
  const folders = [...process.env.PATH.split(':'), '/usr/sbin'].filter((folder) => fs.existsSync(folder));
  const found = folders.flatMap((folder) => fs.readdirSync(folder).map((name) => path.join(folder, name)))
    .find((file) => /\/php-fpm[\d.]*$/.test(file));
  assert.ok(found, 'install php-fpm');
  return found;
}

class Browser {
  cookie = '';

  constructor(server) {
    this.server = server;
  }

  get id() {
    return this.cookie.split('=')[1];
  }

  // Makes a request as a browser does, and returns what the application has answered.
  async get(action, fields = {}) {
    const response = await this.tryGet(action, fields);
    assert.equal(response.status, 200, `${response.body}\n${this.server.log}`);
    return { ...JSON.parse(response.body), gone: response.headers.get('x-gone') };
  }

  async tryGet(action, fields = {}) {
    const query = new URLSearchParams({ do: action, ...fields }).toString();
    const response = await this.server.request(query, {
      'user-agent': 'a browser of the tests', ...(this.cookie && { cookie: this.cookie }),
    });
    const sets = response.headers.getSetCookie();
    if (sets.length > 0) this.cookie = sets.at(-1).split(';')[0];
    return response;
  }

  // Another window of the same browser, so that two requests can be under way at once.
  twin() {
    return Object.assign(new Browser(this.server), { cookie: this.cookie });
  }
}
