// A TCP proxy in front of the service that loses what it should forward.
//
// It drops responses: the request arrives, then the connection is closed. Or it forgets its connections: it acknowledges
// what arrives on them, and forwards nothing.
import { once } from 'node:events';
import net from 'node:net';

const FRAME_HEADER = 9;
const HEADERS = 1;
// What a client of HTTP/2 sends before its first frame.
const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';

// How many requests or responses begin in the data: by HTTP/1.1 one, or by HTTP/2 the frames that have headers.
function countHeads(data) {
  const text = data.toString('latin1');
  if (/^(POST |HTTP\/1\.1 )/.test(text)) return 1;
  let count = 0;
  let at = text.startsWith(PREFACE) ? PREFACE.length : 0;
  for (; at + FRAME_HEADER <= data.length; at += FRAME_HEADER + data.readUIntBE(at, 3)) {
    if (data[at + 3] === HEADERS) count += 1;
  }
  return count;
}

export class LossyProxy {
  responsesToDrop = 0;
  dropped = 0;
  requests = 0;
  accepted = 0;
  #sockets = new Set();
  #forgotten = new Set();

  static async start(targetPort, port = 0) {
    const proxy = new LossyProxy();
    proxy.server = net.createServer((client) => proxy.#forward(client, net.connect(targetPort, '127.0.0.1')));
    await once(proxy.server.listen(port, '127.0.0.1'), 'listening');
    proxy.port = proxy.server.address().port;
    proxy.address = `127.0.0.1:${proxy.port}`;
    return proxy;
  }

  // How many connections of clients are open.
  get openCount() {
    return this.#sockets.size / 2;
  }

  // Forwards nothing more on the connections that exist. New ones work.
  forgetConnections() {
    for (const socket of this.#sockets) this.#forgotten.add(socket);
  }

  // Closes the connections that exist. New ones work.
  closeConnections() {
    for (const socket of this.#sockets) socket.destroy();
  }

  close() {
    this.server.close();
    this.closeConnections();
  }

  #forward(client, service) {
    this.accepted += 1;
    for (const socket of [client, service]) {
      this.#sockets.add(socket);
      const other = socket === client ? service : client;
      socket.on('error', () => {});
      socket.on('close', () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
    }
    client.on('data', (data) => {
      this.requests += countHeads(data);
      if (!this.#forgotten.has(client)) service.write(data);
    });
    service.on('data', (data) => {
      if (this.responsesToDrop > 0 && countHeads(data) > 0) {
        this.responsesToDrop -= 1;
        this.dropped += 1;
        client.destroy();
      } else if (!this.#forgotten.has(service)) client.write(data);
    });
  }
}
