// A name server and a TCP proxy that loses packets, for tests of connections.
import dgram from 'node:dgram';
import { once } from 'node:events';
import net from 'node:net';

const HEADER_BYTES = 12;
const TYPE_A = 1;
// A pointer to the name in the question; type A, class IN, a time to live of 0 and an address of 4 bytes.
const ANSWER = Buffer.from('c00c00010001000000000004', 'hex');

// Answers every question with the same IPv4 addresses, on a free port of 127.0.0.1.
export class NameServer {
  static async start(...addresses) {
    const server = new NameServer();
    server.answers = addresses.map((address) => Buffer.concat([ANSWER, Buffer.from(address.split('.').map(Number))]));
    server.socket = dgram.createSocket('udp4');
    server.socket.on('message', (query, { address, port }) => server.socket.send(server.response(query), port, address));
    server.socket.bind(0, '127.0.0.1');
    await once(server.socket, 'listening');
    server.port = server.socket.address().port;
    return server;
  }

  response(query) {
    const nameEnd = query.indexOf(0, HEADER_BYTES) + 1;
    const answers = query.readUInt16BE(nameEnd) === TYPE_A ? this.answers : [];
    // An authoritative answer, one question, and no authority and additional records.
    const header = Buffer.from([query[0], query[1], 0x85, 0x80, 0, 1, 0, answers.length, 0, 0, 0, 0]);
    return Buffer.concat([header, query.subarray(HEADER_BYTES, nameEnd + 4), ...answers]);
  }

  stop() {
    this.socket.close();
  }
}

// Forwards TCP connections to a port, until it forgets them.
export class Proxy {
  static async start(port) {
    const proxy = new Proxy();
    proxy.sockets = new Set();
    proxy.server = net.createServer((client) => proxy.forward(client, net.connect(port, '127.0.0.1')));
    await once(proxy.server.listen(0, '127.0.0.1'), 'listening');
    proxy.address = `127.0.0.1:${proxy.server.address().port}`;
    return proxy;
  }

  forward(...pair) {
    for (const [i, socket] of pair.entries()) {
      this.sockets.add(socket);
      socket.pipe(pair[1 - i]);
      socket.on('error', () => {}).on('close', () => {
        this.sockets.delete(socket);
        pair[1 - i].destroy();
      });
    }
  }

  // Acknowledges what arrives on the connections that exist, and forwards nothing. New ones work.
  forget() {
    for (const socket of this.sockets) socket.unpipe().resume();
  }

  stop() {
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
  }
}
