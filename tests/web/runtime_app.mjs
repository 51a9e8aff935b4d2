// A counter and the end of a session, by `clients/node` in the own server of Deno or Bun.
import client from '../../clients/node/src/web.js';

const store = client.sessions({ service: process.env.CLOAKROOM_ADDRESS });

// Sends a line now and another one when the session ends.
async function* linesOf(watch) {
  yield 'watching\n';
  yield await watch.ended;
}

const handle = (request) => store.handle(request, async (session) => {
  if (request.url.endsWith('/watch')) {
    const lines = linesOf(await session.watch());
    return new Response(ReadableStream.from(lines).pipeThrough(new TextEncoderStream()));
  }
  if (request.method === 'POST') await session.increment('count').save();
  return new Response(`<output id="count">${session.count ?? 0}</output>`);
});

const options = { port: Number(process.env.PORT), hostname: '127.0.0.1' };
if (globalThis.Bun) Bun.serve({ ...options, fetch: handle });
else Deno.serve(options, handle);
