// The parts that are written in Rust: the echo, the generator, and the stores by themselves.
import fs from 'node:fs';
import path from 'node:path';
import { freePort, listens, Process, until } from '../tests/web/processes.mjs';
import { output, ROOT } from '../deploy/load/service.mjs';

export function bench() {
  const file = path.resolve(ROOT, process.env.CLOAKROOM_BENCH_BIN ?? 'target/release/cloakroom-bench');
  if (!fs.existsSync(file)) throw new Error(`there is no ${file}: build it, or name another one by CLOAKROOM_BENCH_BIN`);
  return file;
}

// A bare tonic echo, to be started and ended as a service is.
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
    const args = [...this.launcher, bench(), 'echo', '--listen', this.address, '--workers', this.workers];
    const [command, ...rest] = args.map(String);
    this.process = new Process(command, rest, {});
    await this.process.outlives(until('the echo listens', () => listens(port)));
  }

  end() {
    return this.process.stop();
  }
}

// Calls a server: for so many seconds, or that often. Any answer that is not OK is an error here.
export async function load({ address }, { path: method, messages }, [connections, streams], { seconds, calls }) {
  const bound = calls ? { calls } : { seconds };
  const result = await run('load', { address, path: method, messages, connections, streams, ...bound });
  if (result.errors > 0 || result.calls === 0) throw new Error(`${method}: ${result.calls} calls, ${result.why}`);
  return result;
}

// Runs one part to its end; answers what it measured.
export async function run(part, options) {
  const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, `${value}`]);
  return JSON.parse(await output(bench(), [part, ...args]));
}
