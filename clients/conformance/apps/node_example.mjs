// The session module of `examples/node`, which is gRPC without a client library.
import http from 'node:http';
import { text } from 'node:stream/consumers';
import { destroy, isTemporary, logIn, open, openAndSave, save } from '../../../examples/node/sessions.mjs';

async function runOperations(request) {
  let cookies = request.headers.cookie ?? '';
  const { operations } = JSON.parse(await text(request));
  const state = { results: [], own: [], headers: [], status: 200, changes: {}, rotate: false };
  let opened;
  if (operations.some(([name]) => ['get', 'subject'].includes(name))) {
    opened = await open(cookies);
    state.headers = opened.readHeaders;
  }
  const { changes } = state;
  const run = {
    get: (key) => opened.session.entries[key] && JSON.parse(opened.session.entries[key].json),
    subject: () => opened.session.subject || null,
    set: (key, value) => { changes.set = { ...changes.set, [key]: { json: JSON.stringify(value) } }; },
    delete: (key) => { changes.unset = [...changes.unset ?? [], key]; },
    increment: (key, by) => { changes.increment = { ...changes.increment, [key]: by }; },
    clear: () => { changes.clear = true; },
    login: (subject) => { changes.subject = subject; },
    permanent: (value) => { changes.permanent = value; },
    rotate: () => { state.rotate = true; },
    header: (name, value) => { state.own.push({ name, value }); },
    status: (code) => { state.status = code; },
    destroy: async () => {
      ({ headers: state.headers } = await destroy(cookies));
      cookies = '';
      opened = undefined;
    },
  };
  for (const [name, ...args] of operations) state.results.push(await run[name](...args) ?? null);
  if (state.rotate || Object.keys(changes).length > 0) {
    // With two live sessions in the header, the service refuses a write, or a login begins anew.
    const isByToken = opened && !opened.session.nullSession && !state.rotate;
    const saveByCookie = changes.subject && !opened ? logIn : openAndSave;
    const saved = await (isByToken ? save(opened, changes) : saveByCookie(cookies, changes, { rotate: state.rotate }));
    state.headers = saved.headers;
    if (saved.outcome === 'OUTCOME_GONE') state.status = 409;
  }
  return state;
}

const server = http.createServer({ maxHeaderSize: 65536 }, async (request, response) => {
  const state = await runOperations(request).catch((error) =>
    ({ status: isTemporary(error) ? 503 : 400, own: [], headers: [], results: error.message }));
  for (const { name, value } of [...state.own, ...state.headers]) response.appendHeader(name, value);
  response.writeHead(state.status).end(JSON.stringify({ results: state.results }));
});
server.listen(process.env.PORT, '127.0.0.1');
