// `req.session` of `clients/node`, in Express. With KIT_LAZY it is opened at its first use.
import express from '../../node/node_modules/express/index.js';
import client from '../../node/src/express.js';

const lazy = Boolean(process.env.KIT_LAZY);
const READS = ['get', 'subject'];

const app = express();
app.use(client.sessions({
  service: process.env.CLOAKROOM_ADDRESS,
  app: process.env.CLOAKROOM_APP,
  deadline: Number(process.env.CLOAKROOM_DEADLINE) * 1000,
  lazy,
  onGone: (reason, request, response) => { response.status(409); },
}));
app.use(express.json({ type: () => true }));

app.post('/', async (request, response) => {
  const run = {
    get: (key) => request.session[key],
    set: (key, value) => { request.session[key] = value; },
    delete: (key) => { delete request.session[key]; },
    increment: (key, by) => { request.session.increment(key, by); },
    clear: () => request.session.regenerate(),
    login: (subject) => { request.session.subject = subject; },
    subject: () => request.session.subject,
    rotate: () => { request.session.rotate(); },
    permanent: (value) => { request.session.permanent = value; },
    destroy: () => request.session.destroy(),
    save: () => request.session.save(),
    header: (name, value) => { response.append(name, value); },
    status: (code) => { response.status(code); },
    stream: () => { isStreamed = true; },
  };
  let isStreamed = false;
  const results = [];
  for (const [name, ...args] of request.body.operations) {
    if (lazy && READS.includes(name)) await request.session.open();
    results.push(await run[name](...args) ?? null);
  }
  const body = JSON.stringify({ results });
  if (!isStreamed) {
    response.end(body);
    return;
  }
  for (const part of [body.slice(0, 5), body.slice(5, 10), body.slice(10)]) response.write(part);
  response.end();
});

// What the service refuses is 400.
app.use((error, request, response, next) => {
  const { code } = error;
  if (code === undefined || response.headersSent) next(error);
  else response.status(error.status === 503 ? 503 : 400).end(error.message);
});

const server = app.listen(process.env.PORT, '127.0.0.1');
server.on('error', (error) => { throw error; });
