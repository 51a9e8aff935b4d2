// Applications of Express and Connect that are served for a test, and a browser that calls them.
import { once } from 'node:events';
import http from 'node:http';
import { text } from 'node:stream/consumers';

// Serves a handler of requests, such as an application of Express. `stop` ends it.
export async function serve(handler) {
  const server = http.createServer(handler);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const stop = () => {
    server.close();
    server.closeAllConnections();
  };
  return { url: `http://127.0.0.1:${server.address().port}`, stop };
}

// A browser with the cookies of one site.
export class Browser {
  cookies = new Map();

  constructor(url) {
    this.url = url;
  }

  get(path, options) {
    return this.send('GET', path, options);
  }

  post(path, form = {}, options = {}) {
    return this.send('POST', path, { ...options, form });
  }

  // Returns the status, headers and text of the response. With `isLost`, the browser gets none of it.
  async send(method, path, { form, headers = {}, isLost = false } = {}) {
    const body = form === undefined ? undefined : new URLSearchParams(form).toString();
    const sent = { ...headers };
    if (this.cookies.size > 0) sent.cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    if (body !== undefined) Object.assign(sent, { 'content-type': 'application/x-www-form-urlencoded', 'content-length': Buffer.byteLength(body) });
    const request = http.request(`${this.url}${path}`, { method, headers: sent, agent: false }).end(body);
    const [response] = await once(request, 'response');
    const setCookies = response.headers['set-cookie'] ?? [];
    const answer = { status: response.statusCode, headers: response.headers, setCookies, text: await text(response) };
    if (!isLost) this.receive(answer);
    return answer;
  }

  receive({ setCookies }) {
    for (const line of setCookies) {
      const [, name, value] = line.match(/^([^=]+)=([^;]*)/);
      if (value === '') this.cookies.delete(name);
      else this.cookies.set(name, value);
    }
  }
}
