// `req.session` of `clients/node`, in Express. With KIT_LAZY it is opened at its first use.
import express from '../../node/node_modules/express/index.js';
import client from '../../node/src/express.js';
import { LAZY, OPTIONS, partsOf, runOperations, statusOf } from './operations.mjs';

const app = express();
app.use(client.sessions({ ...OPTIONS, onGone: (reason, request, response) => { response.status(409); } }));
app.use(express.json({ type: () => true }));

app.post('/', async (request, response) => {
  const { results, headers, status, isStreamed } =
    await runOperations(request.body.operations, () => request.session, { lazy: LAZY });
  response.status(status);
  for (const [name, value] of headers) response.append(name, value);
  const body = JSON.stringify({ results });
  if (isStreamed) for (const part of partsOf(body)) response.write(part);
  response.end(isStreamed ? undefined : body);
});

app.use((error, request, response, next) => {
  if (error.code === undefined || response.headersSent) next(error);
  else response.status(statusOf(error)).end(error.message);
});

const server = app.listen(process.env.PORT, '127.0.0.1');
server.on('error', (error) => { throw error; });
