// Sessions of `clients/node` for the Web's Request and Response, in Hono. With KIT_LAZY they are opened at their first use.
import { Hono } from '../../node/node_modules/hono/dist/index.js';
import client from '../../node/src/web.js';
import { LAZY, OPTIONS, partsOf, runOperations, statusOf } from './operations.mjs';

const sessions = client.sessions(OPTIONS);

async function answer(request, session) {
  const { operations } = await request.json();
  const { results, headers, status, isStreamed } = await runOperations(operations, () => session, { lazy: LAZY });
  await session.finish();
  const body = JSON.stringify({ results });
  const parts = partsOf(body);
  const stream = new ReadableStream({
    pull(controller) {
      const part = parts.shift();
      if (part === undefined) controller.close();
      else controller.enqueue(new TextEncoder().encode(part));
    },
  });
  return new Response(isStreamed ? stream : body, { status: session.gone ? 409 : status, headers });
}

const app = new Hono();
app.post('/', (c) => sessions.handle(c.req.raw, (session) => answer(c.req.raw, session)));
app.onError((error, c) => {
  if (error.code === undefined) throw error;
  return c.text(error.message, statusOf(error));
});

// By the runtime's own server. Node has none for Request and Response.
const options = { port: Number(process.env.PORT), hostname: '127.0.0.1' };
if (globalThis.Bun) Bun.serve({ ...options, fetch: app.fetch });
else if (globalThis.Deno) Deno.serve(options, app.fetch);
else (await import('../../node/node_modules/@hono/node-server/dist/index.mjs')).serve({ ...options, fetch: app.fetch });
