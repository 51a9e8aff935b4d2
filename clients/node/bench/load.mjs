// Sends requests for bench.mjs, in a process of its own, so that its time does not count.
import net from 'node:net';

const connections = new Map();

process.on('message', async ({ url, path, cookie, count, concurrency }) => {
  const { port } = new URL(url);
  const request = `GET ${path} HTTP/1.1\r\nhost: localhost\r\ncookie: ${cookie}\r\nuser-agent: bench\r\n\r\n`;
  let left = count;
  const run = async (i) => {
    const send = connectionOf(port, i);
    while (left-- > 0) await send(request);
  };
  const result = await Promise.all(Array.from({ length: concurrency }, (_, i) => run(i))).then(() => '', (error) => error.message);
  process.send(result);
});

// Returns a function that sends a request and waits for the response, on a connection that is kept.
function connectionOf(port, number) {
  const key = `${port} ${number}`;
  if (!connections.has(key)) {
    const socket = net.connect(port, '127.0.0.1').setNoDelay(true);
    let wait;
    let received = '';
    socket.on('data', (data) => {
      received += data.toString('latin1');
      const head = received.indexOf('\r\n\r\n');
      const length = Number(/content-length: (\d+)/i.exec(received)?.[1] ?? 0);
      if (head < 0 || received.length < head + 4 + length) return;
      const { resolve, reject } = wait;
      if (received.startsWith('HTTP/1.1 200')) resolve();
      else reject(new Error(received));
      received = '';
    });
    // Express closes what was idle for five seconds. An error is told by the request that it fails.
    socket.on('error', (error) => wait?.reject(error));
    socket.on('end', () => connections.delete(key));
    socket.on('close', () => connections.delete(key));
    connections.set(key, (request) => new Promise((resolve, reject) => {
      wait = { resolve, reject };
      socket.write(request);
    }));
  }
  return connections.get(key);
}
