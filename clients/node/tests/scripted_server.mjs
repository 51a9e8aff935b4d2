// A server whose answers a test decides: such as no service gives, or at a time that no service can be made to choose.
//
// As the service does, it answers the requests of a connection in their order, so one without an answer holds back those
// behind it.
import { once } from 'node:events';
import net from 'node:net';
import messages from '../src/messages.js';

const HEAD_END = '\r\n\r\n';

export class ScriptedServer {
  accepted = 0;
  // The names of the apps in the requests, by connection, in their order.
  requests = [];
  #sockets = new Set();

  // `answer` is called with the app of each request, the number of its connection, and whether another request has arrived
  // with it in front of it. It returns the bytes of the answer,
  // undefined for none, or null to close the connection instead.
  static async start(answer) {
    const server = new ScriptedServer();
    server.server = net.createServer((socket) => server.#serve(socket, answer));
    await once(server.server.listen(0, '127.0.0.1'), 'listening');
    server.address = `127.0.0.1:${server.server.address().port}`;
    return server;
  }

  // Closes the connections that exist. New ones work.
  closeConnections() {
    for (const socket of this.#sockets) socket.destroy();
  }

  close() {
    this.server.close();
    this.closeConnections();
  }

  #serve(socket, answer) {
    const number = this.accepted;
    this.accepted += 1;
    this.requests.push([]);
    this.#sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => this.#sockets.delete(socket));
    let received = Buffer.alloc(0);
    let isHeld = false;
    socket.on('data', (data) => {
      received = Buffer.concat([received, data]);
      const answers = [];
      const before = this.requests[number].length;
      for (let request = takeRequest(); request !== undefined; request = takeRequest()) {
        this.requests[number].push(request);
        const bytes = isHeld ? undefined : answer(request, number, this.requests[number].length > before + 1);
        isHeld ||= bytes === undefined;
        if (bytes === null) {
          socket.end(Buffer.concat(answers));
          return;
        }
        if (bytes !== undefined) answers.push(bytes);
      }
      if (answers.length > 0) socket.write(Buffer.concat(answers));
    });
    // Returns the app of the next request that has arrived whole.
    const takeRequest = () => {
      const head = received.indexOf(HEAD_END);
      if (head < 0) return undefined;
      const length = Number(/content-length: (\d+)/.exec(received.toString('latin1', 0, head))[1]);
      const end = head + HEAD_END.length + length;
      if (received.length < end) return undefined;
      const { app } = messages.OPEN.request.decode(received.subarray(end - length, end));
      received = received.subarray(end);
      return app;
    };
  }
}

// Returns the answer to an open, whose session has this subject.
export function opened(subject, fields = '') {
  const body = messages.OPEN.response.encode({ session: { subject } });
  return Buffer.concat([
    Buffer.from(`HTTP/1.1 200 OK\r\ncontent-type: application/proto\r\n${fields}content-length: ${body.length}${HEAD_END}`),
    body,
  ]);
}
