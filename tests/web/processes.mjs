// Starts, suspends and stops the processes that a test needs.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import net from 'node:net';
import { createInterface } from 'node:readline';

const TIMEOUT_MS = 60_000;

// A running process. Its standard error goes to that of the test.
export class Process {
  constructor(command, args, options) {
    this.child = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'inherit'] });
    this.child.stdout.resume(); // The process would block on a full pipe.
    this.ended = new Promise((resolve) => this.child.once('exit', resolve).once('error', resolve));
    // If the test's process ends first, this one ends too.
    const kill = () => this.child.kill('SIGKILL');
    process.once('exit', kill);
    this.child.once('exit', () => process.removeListener('exit', kill));
  }

  // Returns the first line that the process prints.
  async firstLine() {
    const [line] = await this.whileRunning(once(createInterface({ input: this.child.stdout }), 'line'));
    return line;
  }

  // Waits for a promise, and fails if the process ends first.
  whileRunning(promise) {
    const ended = this.ended.then(() => { throw new Error(`${this.child.spawnfile} ended before it was ready`); });
    return Promise.race([promise, ended]);
  }

  // Suspends the process, and waits until every thread has stopped: that takes a moment on a busy machine.
  async suspend() {
    this.child.kill('SIGSTOP');
    const threads = `/proc/${this.child.pid}/task`;
    const isStopped = (id) => / T /.test(readFileSync(`${threads}/${id}/stat`, 'latin1'));
    await waitUntil('every thread has stopped', () => readdirSync(threads).every(isStopped));
  }

  resume() {
    this.child.kill('SIGCONT');
  }

  async stop(signal = 'SIGTERM') {
    this.child.kill(signal);
    const timer = setTimeout(() => this.child.kill('SIGKILL'), TIMEOUT_MS);
    await this.ended;
    clearTimeout(timer);
  }
}

// Returns a port of 127.0.0.1 that no other test gets until this process ends, whether it listens there or not yet: a
// listener on an address that nothing else uses holds it. It has another number, so that programs can listen on the
// port at all addresses. The port is below those that the system gives to outgoing connections, which could take it.
export async function freePort() {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 22_768);
    const claim = await listener(port + 32_768, '127.255.255.254');
    const server = claim && await listener(port, '127.0.0.1');
    if (!server) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
}

// Listens, without keeping this process alive. Undefined if the port is taken.
function listener(port, host) {
  const server = net.createServer().listen(port, host).unref();
  return new Promise((resolve) => {
    server.once('listening', () => resolve(server)).once('error', () => resolve(undefined));
  });
}

// Calls `condition` until it is true. Fails after `timeoutMs`.
export async function waitUntil(description, condition, timeoutMs = TIMEOUT_MS) {
  for (const end = Date.now() + timeoutMs; Date.now() < end;) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`not within ${timeoutMs} ms: ${description}`);
}

// Whether a process listens on the port.
export const isListening = (port, host = '127.0.0.1') => new Promise((resolve) => {
  const socket = net.connect(port, host);
  socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
  socket.once('connect', () => socket.destroy());
});
