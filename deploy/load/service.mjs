// The service and its Redis, started on loopback for a measurement, and the processor time that each has used.
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { freePort, listens, Process, until } from '../../tests/web/processes.mjs';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const STORES = ['memory', 'embedded', 'redis'];

// One key for all: a token then means the same session wherever its store was seeded.
const KEY = randomBytes(32).toString('base64url');
const TICK_US = 1e6 / 100; // USER_HZ is 100 on every Linux.

export function program() {
  const file = path.resolve(ROOT, process.env.CLOAKROOM_BIN ?? 'target/release/cloakroom');
  if (!fs.existsSync(file)) throw new Error(`there is no ${file}: build it, or name another one by CLOAKROOM_BIN`);
  return file;
}

export const temporary = (name) => fs.mkdtempSync(path.join(os.tmpdir(), `cloakroom-${name}-`));

// Microseconds of processor time that a process has used, of all its threads, those that have ended included.
export function cpu({ pid }) {
  const fields = fs.readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1].split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK_US;
}

// The same of all processes that were ours and have ended.
export function cpuOfEnded() {
  const fields = fs.readFileSync('/proc/self/stat', 'latin1').split(') ')[1].split(' ');
  return (Number(fields[13]) + Number(fields[14])) * TICK_US;
}

// Does work that answers how many `calls` it was; adds what each process used meanwhile, a call.
export async function measured({ service, redis }, work) {
  const used = () => [service ? cpu(service) : NaN, redis ? cpu(redis) : NaN, cpuOfEnded()];
  const before = used();
  const result = await work();
  const [own, ofRedis, ofGenerator] = used().map((after, number) => (after - before[number]) / result.calls);
  return { ...result, own, ofRedis, ofGenerator };
}

export class Redis {
  static async start() {
    const redis = new Redis();
    redis.port = await freePort();
    redis.folder = temporary('redis');
    const args = ['--port', redis.port, '--bind', '127.0.0.1', '--save', '', '--dir', redis.folder, '--loglevel', 'warning'];
    redis.process = new Process('redis-server', [...args, '--hash-max-listpack-value', '1024'].map(String), {});
    await redis.process.outlives(until('Redis listens', () => listens(redis.port)));
    return redis;
  }

  get pid() {
    return this.process.child.pid;
  }

  async end() {
    await this.process.stop();
    fs.rmSync(this.folder, { recursive: true });
  }
}

export class Service {
  // `launcher`: a command that runs it, such as valgrind with its options.
  constructor(store, redis, { launcher = [], env = {} } = {}) {
    this.store = store;
    this.launcher = launcher;
    this.folder = temporary(store);
    this.extra = {
      CLOAKROOM__STORE__KIND: store,
      CLOAKROOM__STORE__EMBEDDED__PATH: path.join(this.folder, 'data'),
      CLOAKROOM__STORE__REDIS__URL: `redis://127.0.0.1:${redis?.port ?? 6379}`,
      // Longer than by default: on a machine that is shared with its load, late is no outage.
      CLOAKROOM__STORE__REDIS__TIMEOUT: '4s',
      CLOAKROOM__APPS__DEFAULT__KEYS: KEY,
      CLOAKROOM__ADMIN__LISTEN: '127.0.0.1:0',
      CLOAKROOM__LOG__LEVEL: 'warn',
      ...env,
    };
  }

  get env() {
    return { PATH: process.env.PATH, ...this.extra };
  }

  get pid() {
    return this.process.child.pid;
  }

  async start() {
    this.port = await freePort();
    this.address = `127.0.0.1:${this.port}`;
    const [command, ...args] = [...this.launcher, program(), 'serve'];
    const options = { cwd: this.folder, env: { ...this.env, CLOAKROOM__SERVER__LISTEN: this.address } };
    this.process = new Process(command, args, options);
    await this.process.outlives(until('the service listens', () => listens(this.port)));
  }

  // Runs the program once in the same settings.
  run(...args) {
    return promisify(execFile)(program(), args, { cwd: this.folder, env: this.env });
  }

  async end() {
    await this.process?.stop();
    fs.rmSync(this.folder, { recursive: true });
  }
}

// Runs a command to its end; answers what it printed.
export async function output(command, args, options) {
  const { stdout } = await promisify(execFile)(command, args, { maxBuffer: 256 << 20, ...options });
  return stdout;
}
