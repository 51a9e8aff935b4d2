// `request.session` of `clients/node`, in Fastify. With KIT_LAZY it is opened at its first use.
import { Readable } from 'node:stream';
import fastify from '../../node/node_modules/fastify/fastify.js';
import client from '../../node/src/fastify.js';
import { LAZY, OPTIONS, partsOf, runOperations, statusOf } from './operations.mjs';

const app = fastify();
app.removeAllContentTypeParsers();
app.addContentTypeParser('*', { parseAs: 'string' }, async (request, body) => JSON.parse(body));
app.setErrorHandler((error, request, reply) => {
  if (error.code !== undefined) reply.code(statusOf(error));
  reply.send(error.message);
});
app.register(client.sessions, { ...OPTIONS, onGone: (reason, request, reply) => { reply.code(409); } });
app.post('/', async (request, reply) => {
  const { results, headers, status, isStreamed } =
    await runOperations(request.body.operations, () => request.session, { lazy: LAZY });
  for (const [name, value] of headers) reply.header(name, value);
  const body = JSON.stringify({ results });
  return reply.code(status).send(isStreamed ? Readable.from(partsOf(body)) : body);
});

await app.listen({ port: Number(process.env.PORT), host: '127.0.0.1' });
