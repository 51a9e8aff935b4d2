// Starts the service and Redis, and runs bench.php beside them.
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort, isListening, Process, waitUntil } from '../../../tests/web/processes.mjs';
import { Service } from '../../node/tests/service.mjs';

const service = await Service.start({ store: 'memory', more: '[apps.php]\nkind = "external"\n' });
const [port, socket] = [await freePort(), path.join(service.folder, 'redis.sock')];
const redis = new Process('redis-server', ['--port', port, '--unixsocket', socket, '--bind', '127.0.0.1', '--save', '']);
try {
  await redis.whileRunning(waitUntil('Redis listens', () => isListening(port)));
  const servers = {
    tcp: service.address, unix: `unix:${service.socket}`, redisTcp: `127.0.0.1:${port}`, redisUnix: socket, folder: service.folder,
  };
  execFileSync('php', [fileURLToPath(new URL('bench.php', import.meta.url)), JSON.stringify(servers)], { stdio: 'inherit' });
} finally {
  await redis.stop();
  await service.remove();
}
