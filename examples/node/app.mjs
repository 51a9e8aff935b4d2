// A login and a counter on Cloakroom: open the session, save it at most once, append the headers that come back.
import { randomBytes } from 'node:crypto';
import http from 'node:http';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { ended, message, view } from './page.mjs';

const { CLOAKROOM_ADDRESS = '127.0.0.1:50051', PORT = '8002' } = process.env;
const DEADLINE_MS = 2000;
// Repeating is harmless: opening and destroying always, saving because each save has a request_id.
const RETRY = JSON.stringify({ methodConfig: [{ name: [{ service: 'cloakroom.v1.SessionService' }], retryPolicy: {
  maxAttempts: 3, initialBackoff: '0.05s', maxBackoff: '0.5s', backoffMultiplier: 2,
  retryableStatusCodes: ['UNAVAILABLE'],
} }] });
const LATER = [grpc.status.UNAVAILABLE, grpc.status.DEADLINE_EXCEEDED, grpc.status.RESOURCE_EXHAUSTED];

const contract = loadSync('cloakroom/v1/session_service.proto', {
  includeDirs: [fileURLToPath(new URL('../../proto', import.meta.url))], longs: String, enums: String, defaults: true,
});
const { SessionService } = grpc.loadPackageDefinition(contract).cloakroom.v1;
const cloakroom = new SessionService(
  CLOAKROOM_ADDRESS, grpc.credentials.createInsecure(), { 'grpc.service_config': RETRY });

const call = (method, request) => new Promise((resolve, reject) => {
  const options = { deadline: Date.now() + DEADLINE_MS };
  cloakroom[method](request, options, (error, response) => (error ? reject(error) : resolve(response)));
});
const open = (cookieHeader) => call('OpenSession', { cookieHeader });
const save = (token, changes, rotate = false) =>
  call('SaveSession', { token, changes, rotate, accessed: true, requestId: randomBytes(16).toString('hex') });

// The cookie is SameSite=Lax unless the app's settings differ; a real site adds CSRF tokens to its forms.
const routes = {
  async 'GET /'(cookies) {
    const { session, readHeaders } = await open(cookies);
    return { status: 200, body: view(session.entries), headers: readHeaders };
  },
  async 'POST /login'(cookies, form) {
    const name = form.get('name') ?? '';
    if (name === '' || [...name].length > 64) return { status: 400, body: message('A name has 1 to 64 characters.') };
    const { session } = await open(cookies);
    const set = { name: { json: JSON.stringify(name) } };
    const { outcome, headers } = await save(session.token, { set, subject: name }, true);
    return outcome === 'OUTCOME_GONE' ? gone(headers) : redirect(headers);
  },
  async 'POST /count'(cookies) {
    const { session } = await open(cookies);
    const { outcome, headers, counters } = await save(session.token, { increment: { count: 1 } });
    if (outcome === 'OUTCOME_GONE') return gone(headers);
    return { status: 200, body: view({ ...session.entries, count: { json: counters.count } }), headers };
  },
  async 'POST /logout'(cookies) {
    return redirect((await call('DestroySession', { cookieHeader: cookies })).headers);
  },
};
const gone = (headers) => ({ status: 409, body: ended(), headers });
const redirect = (headers) =>
  ({ status: 303, body: message('See the first page.'), headers: [...headers, { name: 'Location', value: '/' }] });

async function answer(request) {
  const { method, url, headers } = request;
  const route = routes[`${method} ${url.split('?')[0]}`];
  if (!route) return { status: 404, body: message('Not found.') };
  if (headers['transfer-encoding'] || headers['content-length'] > 4096) return { status: 413, body: message('Too long.') };
  try {
    // Node has read the bytes of the Cookie header as Latin-1 and joined several lines by "; ".
    return await route(headers.cookie ?? '', new URLSearchParams(await text(request)));
  } catch (error) {
    console.error(error.message);
    // A session that cannot be read now is no reason to show a logged out page.
    if (LATER.includes(error.code)) return { status: 503, body: message('Try again in a moment.') };
    return { status: 500, body: message('Something broke.') };
  }
}

const server = http.createServer(async (request, response) => {
  const { status, body, headers = [] } = await answer(request);
  for (const { name, value } of headers) response.appendHeader(name, value);
  response.writeHead(status, { 'Content-Type': 'text/html; charset=utf-8' }).end(body);
});
server.listen(PORT, '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}`));
