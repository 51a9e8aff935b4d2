// `ctx.session` of `clients/node`, in Koa. With KIT_LAZY it is opened at its first use.
import { Readable } from 'node:stream';
import { json } from 'node:stream/consumers';
import Koa from '../../node/node_modules/koa/lib/application.js';
import client from '../../node/src/koa.js';
import { LAZY, OPTIONS, partsOf, runOperations, statusOf } from './operations.mjs';

const app = new Koa();
app.silent = true;
app.use(async (ctx, next) => {
  try {
    await next();
  } catch (error) {
    if (error.code === undefined) throw error;
    ctx.status = statusOf(error);
    ctx.body = error.message;
  }
});
app.use(client.sessions({ ...OPTIONS, onGone: (reason, ctx) => { ctx.status = 409; } }));
app.use(async (ctx) => {
  const { operations } = await json(ctx.req);
  const { results, headers, status, isStreamed } = await runOperations(operations, () => ctx.session, { lazy: LAZY });
  const body = JSON.stringify({ results });
  ctx.body = isStreamed ? Readable.from(partsOf(body)) : body;
  ctx.status = status;
  for (const [name, value] of headers) ctx.append(name, value);
});

const server = app.listen(process.env.PORT, '127.0.0.1');
server.on('error', (error) => { throw error; });
