// A login and a counter on Cloakroom: open the session, save it at most once, append the headers that come back.
import http from 'node:http';
import { text } from 'node:stream/consumers';
import { ended, message, view } from './page.mjs';
import { destroy, isPassing, open, save } from './sessions.mjs';

// The cookie is SameSite=Lax unless the app's settings differ; a real site adds CSRF tokens to its forms.
const routes = {
  async 'GET /'(cookies) {
    const { session, readHeaders } = await open(cookies);
    return { status: 200, body: view(session.entries), headers: readHeaders };
  },

  async 'POST /login'(cookies, form) {
    const name = form.get('name') ?? '';
    if (name === '' || [...name].length > 64) return { status: 400, body: message('A name has 1 to 64 characters.') };
    const changes = { set: { name: { json: JSON.stringify(name) } }, subject: name };
    const opened = await open(cookies);
    const saved = await save(opened.session, changes, { rotate: true });
    if (saved.outcome !== 'OUTCOME_GONE') return redirect(headersOf(opened, saved));
    // The cookie is from before another login; this one begins afresh.
    return redirect((await save((await open('')).session, changes)).headers);
  },

  async 'POST /count'(cookies) {
    const opened = await open(cookies);
    const saved = await save(opened.session, { increment: { count: 1 } });
    if (saved.outcome === 'OUTCOME_GONE') return { status: 409, body: ended(), headers: saved.headers };
    const entries = { ...opened.session.entries, count: { json: saved.counters.count } };
    return { status: 200, body: view(entries), headers: headersOf(opened, saved) };
  },

  async 'POST /logout'(cookies) {
    const { headers } = await destroy(cookies);
    return redirect(headers);
  },
};

// The open may have put another token in the place of the browser's, which the save then takes for known.
const headersOf = (opened, saved) => [...opened.untouchedHeaders, ...saved.headers];
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
    if (isPassing(error)) return { status: 503, body: message('Try again in a moment.') };
    return { status: 500, body: message('Something broke.') };
  }
}

const server = http.createServer(async (request, response) => {
  const { status, body, headers = [] } = await answer(request);
  for (const { name, value } of headers) response.appendHeader(name, value);
  response.writeHead(status, { 'Content-Type': 'text/html; charset=utf-8' }).end(body);
});
server.listen(process.env.PORT ?? 8002, '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}`));
