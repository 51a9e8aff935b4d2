// Starts the processes that a test needs and ends them by their ids.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import net from 'node:net';
import { createInterface } from 'node:readline';

const PATIENCE_MS = 60_000;

// A started process. Its standard error is the test's.
export class Process {
  constructor(command, args, options) {
    this.child = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'inherit'] });
    this.child.stdout.resume(); // A pipe that nobody reads would stop the process once it is full.
    this.ended = new Promise((resolve) => this.child.once('exit', resolve).once('error', resolve));
    const kill = () => this.child.kill('SIGKILL');
    process.once('exit', kill);
    this.child.once('exit', () => process.removeListener('exit', kill));
  }

  // The first line that it prints.
  async firstLine() {
    const [line] = await this.outlives(once(createInterface({ input: this.child.stdout }), 'line'));
    return line;
  }

  // Waits for `event`; fails if the process ends before.
  outlives(event) {
    const died = this.ended.then(() => { throw new Error(`${this.child.spawnfile} ended before it was ready`); });
    return Promise.race([event, died]);
  }

  // Stops every thread; a busy machine takes a moment for that.
  async freeze() {
    this.child.kill('SIGSTOP');
    const threads = `/proc/${this.child.pid}/task`;
    const isStopped = (id) => / T /.test(readFileSync(`${threads}/${id}/stat`, 'latin1'));
    await until('every thread has stopped', () => readdirSync(threads).every(isStopped));
  }

  thaw() {
    this.child.kill('SIGCONT');
  }

  async stop(signal = 'SIGTERM') {
    this.child.kill(signal);
    const timer = setTimeout(() => this.child.kill('SIGKILL'), PATIENCE_MS);
    await this.ended;
    clearTimeout(timer);
  }
}

// A port of the loopback interface that was free a moment ago.
export async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

// Asks again until the answer is true.
export async function until(fact, question, patienceMs = PATIENCE_MS) {
  for (const end = Date.now() + patienceMs; Date.now() < end;) {
    if (await question()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`not within ${patienceMs} ms: ${fact}`);
}

// Whether somebody listens there.
export const listens = (port) => new Promise((resolve) => {
  const socket = net.connect(port, '127.0.0.1');
  socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
  socket.once('connect', () => socket.destroy());
});
