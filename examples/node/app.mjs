// A login and a counter: each request opens its session, saves it at most once, and sends the returned headers.
import http from 'node:http';
import { text } from 'node:stream/consumers';
import { counterPage, messagePage, sessionEndedPage, twoSessionsPage } from './page.mjs';
import { destroy, isTemporary, logIn, open, save } from './sessions.mjs';

// The cookie is SameSite=Lax by default. A real site also adds CSRF tokens to its forms.
const routes = {
  async 'GET /'(cookies) {
    const { session, readHeaders } = await open(cookies);
    return { status: 200, body: counterPage(session.entries), headers: readHeaders };
  },

  async 'POST /login'(cookies, form) {
    const name = form.get('name') ?? '';
    if (name === '' || [...name].length > 64) return { status: 400, body: messagePage('A name has 1 to 64 characters.') };
    // A real site checks a password here.
    const { headers } = await logIn(cookies, { set: { name: { json: JSON.stringify(name) } }, subject: name });
    return redirect(headers);
  },

  async 'POST /count'(cookies) {
    const opened = await open(cookies);
    if (opened.session.nullSession?.reason === 'COOKIES_AMBIGUOUS') {
      return { status: 400, body: twoSessionsPage(), headers: opened.readHeaders };
    }
    const saved = await save(opened, { increment: { count: 1 } });
    if (saved.outcome === 'OUTCOME_GONE') return { status: 409, body: sessionEndedPage(), headers: saved.headers };
    const entries = { ...opened.session.entries, count: { json: saved.counters.count } };
    return { status: 200, body: counterPage(entries), headers: saved.headers };
  },

  async 'POST /logout'(cookies) {
    const { headers } = await destroy(cookies);
    return redirect(headers);
  },
};

const redirect = (headers) =>
  ({ status: 303, body: messagePage('See the first page.'), headers: [...headers, { name: 'Location', value: '/' }] });

async function handle(request) {
  const { method, url, headers } = request;
  const route = routes[`${method} ${url.split('?')[0]}`];
  if (!route) return { status: 404, body: messagePage('Not found.') };
  if (headers['transfer-encoding'] || headers['content-length'] > 4096) return { status: 413, body: messagePage('Too long.') };
  try {
    // Node decodes the Cookie header as Latin-1, which is what Cloakroom expects, and joins several lines with "; ".
    return await route(headers.cookie ?? '', new URLSearchParams(await text(request)));
  } catch (error) {
    console.error(error.message);
    // If the session cannot be read now, do not show the page of a user who is logged out.
    if (isTemporary(error)) return { status: 503, body: messagePage('Try again in a moment.') };
    return { status: 500, body: messagePage('Something broke.') };
  }
}

const server = http.createServer(async (request, response) => {
  const { status, body, headers = [] } = await handle(request);
  for (const { name, value } of headers) response.appendHeader(name, value);
  response.writeHead(status, { 'Content-Type': 'text/html; charset=utf-8' }).end(body);
});
server.listen(process.env.PORT ?? 8002, '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}`));
