// Starts the service and Redis on loopback for a measurement, and reads their CPU time.
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { freePort, isListening, Process, waitUntil } from '../../tests/web/processes.mjs';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const STORES = ['memory', 'embedded', 'redis'];

// One signing key for all services, so that a token is valid in each of them.
const KEY = randomBytes(32).toString('base64url');
const TICK_US = 1e6 / 100; // USER_HZ is 100 on all common Linux systems.

export const program = () => built('cloakroom', 'CLOAKROOM_BIN');
export const loadDataProgram = () => built('cloakroom-load-data', 'CLOAKROOM_LOAD_DATA_BIN');

function built(name, variable) {
  const file = path.resolve(ROOT, process.env[variable] ?? `target/dist/${name}`);
  if (!fs.existsSync(file)) throw new Error(`there is no ${file}: build it, or name another one by ${variable}`);
  return file;
}

export const temporaryFolder = (name) => fs.mkdtempSync(path.join(os.tmpdir(), `cloakroom-${name}-`));

// Returns the CPU time of a process in microseconds, ended threads included.
export function cpuTime({ pid }) {
  const fields = fs.readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1].split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK_US;
}

// Returns the CPU time of all ended child processes in microseconds.
export function cpuTimeOfChildren() {
  const fields = fs.readFileSync('/proc/self/stat', 'latin1').split(') ')[1].split(' ');
  return (Number(fields[13]) + Number(fields[14])) * TICK_US;
}

// Runs a load, and adds to its result the CPU time per call of the service, of Redis and of the load generator.
// `run` returns how many `calls` it made.
export async function measured({ service, redis }, run) {
  const used = () => [service ? cpuTime(service) : NaN, redis ? cpuTime(redis) : NaN, cpuTimeOfChildren()];
  const before = used();
  const result = await run();
  const [serviceCpu, redisCpu, generatorCpu] = used().map((after, number) => (after - before[number]) / result.calls);
  return { ...result, serviceCpu, redisCpu, generatorCpu };
}

export class Redis {
  // `more` are options of the server.
  static async start(...more) {
    const redis = new Redis();
    redis.port = await freePort();
    redis.folder = temporaryFolder('redis');
    const args = ['--port', redis.port, '--bind', '127.0.0.1', '--save', '', '--dir', redis.folder, '--loglevel', 'warning'];
    redis.process = new Process('redis-server', [...args, '--hash-max-listpack-value', '1024', ...more].map(String), {});
    await redis.process.whileRunning(waitUntil('Redis listens', () => isListening(redis.port)));
    return redis;
  }

  get pid() {
    return this.process.child.pid;
  }

  async stop() {
    await this.process.stop();
    fs.rmSync(this.folder, { recursive: true });
  }
}

export class Service {
  // `launcher` is a command that runs the service, such as valgrind with its options.
  constructor(store, redis, { launcher = [], env = {} } = {}) {
    this.store = store;
    this.launcher = launcher;
    this.folder = temporaryFolder(store);
    this.settings = {
      CLOAKROOM__STORE__KIND: store,
      CLOAKROOM__STORE__EMBEDDED__PATH: path.join(this.folder, 'data'),
      CLOAKROOM__STORE__REDIS__URL: `redis://127.0.0.1:${redis?.port ?? 6379}`,
      // Longer than the default, because the load on the same machine delays Redis.
      CLOAKROOM__STORE__REDIS__TIMEOUT: '4s',
      CLOAKROOM__APPS__DEFAULT__KEYS: KEY,
      CLOAKROOM__ADMIN__LISTEN: '127.0.0.1:0',
      CLOAKROOM__LOG__LEVEL: 'warn',
      ...env,
    };
  }

  get env() {
    return { PATH: process.env.PATH, ...this.settings };
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
    await this.process.whileRunning(waitUntil('the service listens', () => isListening(this.port)));
  }

  // Runs a program in the service's folder with the same settings, and returns its standard output.
  run(file, ...args) {
    return output(file, args, { cwd: this.folder, env: this.env });
  }

  async stop() {
    await this.process?.stop();
    fs.rmSync(this.folder, { recursive: true });
  }
}

// Runs a command to its end and returns its standard output.
export async function output(command, args, options) {
  const { stdout } = await promisify(execFile)(command, args, { maxBuffer: 256 << 20, ...options });
  return stdout;
}
