// The servers of a hostile page's author. They record the requests that browsers send them, and allow them everything.
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import http2 from 'node:http2';

const read = (name) => readFileSync(new URL(name, import.meta.url), 'utf8');
export const PAGE = `<!doctype html><title>page</title><body><script>${read('hostile_page.js')}</script>`;
const WORKER = read('hostile_worker.js');
const METHODS = 'GET, HEAD, OPTIONS, POST, PUT';

export class HostileServer {
  // With `tls`, the pair of a certificate and a key, it speaks HTTP/2 as well. Port 0 is any.
  static async start({ port = 0, tls } = {}) {
    const server = new HostileServer();
    server.requests = [];
    const handle = (request, response) => server.respond(request, response);
    server.server = tls ? http2.createSecureServer({ ...tls, allowHTTP1: true }, handle) : http.createServer(handle);
    server.sockets = new Set();
    server.server.on('connection', (socket) => {
      server.sockets.add(socket);
      socket.on('close', () => server.sockets.delete(socket));
    });
    await once(server.server.listen(port, '127.0.0.1'), 'listening');
    server.scheme = tls ? 'https' : 'http';
    server.port = server.server.address().port;
    return server;
  }

  // Returns its origin under a name.
  origin(host) {
    return `${this.scheme}://${host}:${this.port}`;
  }

  // The names of the attempts that reached it. A question of the browser, whether the page may ask, counts as none.
  arrived() {
    const isAttempt = ({ attempt, headers }) => attempt && !headers['access-control-request-method'];
    return new Set(this.requests.filter(isAttempt).map(({ attempt }) => attempt));
  }

  respond(request, response) {
    const { pathname, searchParams } = new URL(request.url, 'http://host');
    const allow = {
      'access-control-allow-origin': request.headers.origin ?? '*',
      'access-control-allow-credentials': 'true',
      'access-control-allow-headers': 'content-type',
      'access-control-allow-methods': METHODS,
    };
    const send = (status, headers, body) => response.writeHead(status, { ...allow, ...headers }).end(body);
    request.resume();
    switch (pathname) {
      case '/page':
        return send(200, { 'content-type': 'text/html' }, PAGE);
      case '/sandbox':
        return send(200, { 'content-type': 'text/html', 'content-security-policy': SANDBOX }, PAGE);
      case '/worker.js':
        return send(200, { 'content-type': 'text/javascript' }, WORKER);
      case '/redirect':
        return send(Number(searchParams.get('status')), { location: searchParams.get('to') }, '');
      case '/policy': {
        const policy = `img-src 'none'; report-uri ${searchParams.get('to')}`;
        return send(200, { 'content-type': 'text/html', 'content-security-policy': policy }, '<img src="/image">');
      }
      default:
        this.requests.push({ method: request.method, attempt: searchParams.get('attempt'), headers: request.headers });
        return this.answer(request, send);
    }
  }

  answer({ method, headers }, send) {
    const type = headers.accept === 'text/event-stream' ? headers.accept : 'text/plain';
    return send(200, { 'content-type': type }, method === 'HEAD' ? '' : 'data: an answer\n\n');
  }

  async stop() {
    const closed = new Promise((resolve) => this.server.close(resolve));
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }
}

const SANDBOX = 'sandbox allow-scripts allow-forms allow-popups';
