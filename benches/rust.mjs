// Runs the parts that are written in Rust: the echo, the load generator, and the stores without calls.
import fs from 'node:fs';
import path from 'node:path';
import { freePort, isListening, Process, waitUntil } from '../tests/web/processes.mjs';
import { output, ROOT } from '../deploy/load/service.mjs';

// Returns the path of the benchmark program.
export function benchProgram() {
  const file = path.resolve(ROOT, process.env.CLOAKROOM_BENCH_BIN ?? 'target/dist/cloakroom-bench');
  if (!fs.existsSync(file)) throw new Error(`there is no ${file}: build it, or name another one by CLOAKROOM_BENCH_BIN`);
  return file;
}

// A bare tonic echo, with the methods of Service.
export class Echo {
  constructor({ launcher = [], workers = 2 } = {}) {
    Object.assign(this, { launcher, workers });
  }

  get pid() {
    return this.process.child.pid;
  }

  async start() {
    const port = await freePort();
    this.address = `127.0.0.1:${port}`;
    const args = [...this.launcher, benchProgram(), 'echo', '--listen', this.address, '--workers', this.workers];
    const [command, ...rest] = args.map(String);
    this.process = new Process(command, rest, {});
    await this.process.whileRunning(waitUntil('the echo listens', () => isListening(port)));
  }

  stop() {
    return this.process.stop();
  }
}

// Calls a server, for `seconds` or `calls` times. Fails if a response is not OK.
export async function load({ address }, { path: method, messages }, [connections, streams], { seconds, calls, protocol = 'grpc' }) {
  const limit = calls ? { calls } : { seconds };
  const result = await run('load', { address, path: method, messages, connections, streams, protocol, ...limit });
  if (result.errors > 0 || result.calls === 0) throw new Error(`${method}: ${result.calls} calls, ${result.why}`);
  return result;
}

// Runs one part to its end and returns its figures.
export async function run(part, options) {
  const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, `${value}`]);
  return JSON.parse(await output(benchProgram(), [part, ...args]));
}
