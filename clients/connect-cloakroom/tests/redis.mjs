// A Redis of its own, for the store that the tests compare with.
import { freePort, isListening, Process, waitUntil } from '../../../tests/web/processes.mjs';

export async function startRedis() {
  const port = await freePort();
  const server = new Process('redis-server', ['--port', port, '--bind', '127.0.0.1', '--save', '']);
  await server.whileRunning(waitUntil('Redis listens', () => isListening(port)));
  return { port, stop: () => server.stop() };
}
